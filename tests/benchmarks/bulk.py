"""How fast a bucket is brought into the table in bulk, against events that start an execution for
each file, and against a loop that reads and writes the same and does nothing else; and what memory
a dry run over a large ledger takes.
"""

from __future__ import annotations

import json
import multiprocessing
import statistics
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import date as date_of
from datetime import timedelta
from math import inf
from typing import TYPE_CHECKING, Any

from tablekeeper.bucket.batch import FILES_AT_ONCE
from tablekeeper.commit.transaction import FileTransactions
from tablekeeper.ledger.writes import audit_action, object_attributes, update_row
from tablekeeper.model.execution import Execution
from tablekeeper.model.items import lineage
from tablekeeper.model.keys import ItemKey, TableKey
from tablekeeper.model.outcome import CommitResult
from tablekeeper.model.snapshot import Snapshot
from tablekeeper.model.times import now
from tablekeeper.tables import Tables

from local.stack import Stack
from tests.benchmarks.results import Section
from tests.e2e.large_files import peak_memory

if TYPE_CHECKING:
    from collections.abc import Iterator

FILES, ROUNDS = 2000, 3
FUNCTIONS = 4
"""The engine runs as many at once, and each works on FILES_AT_ONCE files."""
AIM_OF_LIVE, AIM_OF_LOOP = 4.0, 0.8
ROWS = 100_000
"""Ledger rows for the dry run, whose function is to stay below AIM_OF_MEMORY megabytes."""
AIM_OF_MEMORY = 200
BATCH = 25


def bulk(section: Section, stack: Stack, live: float) -> None:
    """Files a second, in turn; `live` is the rate of executions in this run."""
    rates: dict[str, list[float]] = {"bulk": [], "loop": []}
    with events_off(stack):
        for number in range(ROUNDS):
            keys = _upload(stack, number)
            rates["bulk"].append(FILES / _seconds_in_bulk(stack, number))
            rates["loop"].append(FILES / _seconds_in_a_loop(stack, keys))
    medians = {name: statistics.median(each) for name, each in rates.items()}
    section.series |= medians
    for name, what in (("bulk", "backfill in bulk"), ("loop", "a plain loop that writes the same")):
        rounds = ", ".join(f"{rate:.0f}" for rate in rates[name])
        section.say(f"{what}, files a second", f"{medians[name]:.0f} (rounds: {rounds})")
    of_live, of_loop = medians["bulk"] / live, medians["bulk"] / medians["loop"]
    section.say("bulk to live", f"{of_live:.1f}", f"at least {AIM_OF_LIVE}", of_live >= AIM_OF_LIVE)
    section.say("bulk to loop", f"{of_loop:.2f}", f"at least {AIM_OF_LOOP}", of_loop >= AIM_OF_LOOP)


def dry_run(section: Section, stack: Stack) -> None:
    """`reconcile --dry-run` over 100,000 ledger rows whose objects are gone: the largest peak of
    memory of any function.
    """
    client, ledger = stack.client("dynamodb"), stack.outputs["LedgerTableName"]
    for first in range(0, ROWS, BATCH):
        rows = [_row(stack, number) for number in range(first, first + BATCH)]
        client.batch_write_item(RequestItems={ledger: [{"PutRequest": {"Item": r}} for r in rows]})
    begun = time.perf_counter()
    with peak_memory() as peaks:
        told = run(stack, {"how": "look", "prefix": "dry/", "orphans": True, "concurrency": 4})
    peak = max(peaks.values())
    section.say(
        f"`reconcile --dry-run`: {told['findings']['ORPHAN']:,} orphans among {ROWS:,} ledger rows",
        f"{time.perf_counter() - begun:.0f} s",
    )
    section.say(
        "peak memory of its functions",
        f"{peak} MB",
        f"below {AIM_OF_MEMORY} MB",
        peak < AIM_OF_MEMORY,
    )


def _upload(stack: Stack, number: int) -> list[str]:
    s3, bucket = stack.client("s3"), stack.outputs["SourceBucketName"]
    first = date_of(2100, 1, 1) + timedelta(days=number * FILES)

    def upload(file: int) -> str:
        record: dict[str, Any] = {"location": "Seattle"}
        record |= {"date": str(first + timedelta(days=file))}
        record |= {"precipitation": 0.0, "temp_max": 5.6, "temp_min": -2.1, "wind": 3.5}
        key = f"weather/bulk/{number}-{file:04}.json"
        s3.put_object(Bucket=bucket, Key=key, Body=json.dumps([record]).encode())
        return key

    with ThreadPoolExecutor(FILES_AT_ONCE) as pool:
        return list(pool.map(upload, range(FILES)))


def _seconds_in_bulk(stack: Stack, number: int) -> float:
    begun = time.perf_counter()
    given = {"how": "bulk", "orphans": False, "concurrency": FUNCTIONS}
    told = run(stack, {**given, "prefix": f"weather/bulk/{number}-"})
    assert told["outcomes"] == {"SYNCED": FILES}, told
    return time.perf_counter() - begun


def run(stack: Stack, given: dict[str, Any]) -> Any:
    """The summary of a run over the bucket."""
    states = stack.client("stepfunctions")
    arn = states.start_execution(
        stateMachineArn=stack.outputs["SyncBucketStateMachineArn"], input=json.dumps(given)
    )["executionArn"]
    while True:
        said = states.describe_execution(executionArn=arn)
        if said["status"] != "RUNNING":
            return json.loads(said["output"])
        time.sleep(0.1)


def _seconds_in_a_loop(stack: Stack, keys: list[str]) -> float:
    """As many processes as functions, as many threads in each as files: a GET, and the transaction
    that a commit is.
    """
    shares = [keys[share::FUNCTIONS] for share in range(FUNCTIONS)]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(FUNCTIONS, mp_context=context) as pool:
        list(pool.map(_loop, [stack] * FUNCTIONS, [[]] * FUNCTIONS))
        begun = time.perf_counter()
        list(pool.map(_loop, [stack] * FUNCTIONS, shares))
        return time.perf_counter() - begun


def _loop(stack: Stack, keys: list[str]) -> None:
    s3, dynamodb = stack.client("s3"), stack.client("dynamodb")
    bucket, items = stack.outputs["SourceBucketName"], stack.outputs["ItemsTableName"]
    ledger = stack.outputs["LedgerTableName"]

    tables = Tables(dynamodb, ledger, items, TableKey.parse("pk:S,sk:S"), 1000)
    execution = Execution(f"arn:{'x' * 120}", "loop", now())

    def copy(key: str) -> None:
        answer = s3.get_object(Bucket=bucket, Key=key)
        (record,) = json.loads(answer["Body"].read())
        item = {name: {"S": str(value)} for name, value in record.items()}
        item |= {"pk": {"S": f"loop/{key}"}, "sk": {"S": "1"}}
        found = Snapshot("validate", bucket, f"loop/{key}", 0, now(), dataset="weather")
        found = found._replace(digest="d" * 32, etag=answer["ETag"], size=100)
        item_keys = {"L": [{"M": {"pk": item["pk"], "sk": item["sk"]}}]}
        changes = {**object_attributes(found, "SYNCED"), "item_keys": item_keys}
        changes |= {"execution": {"S": execution.id}, "status": {"S": "SYNCED"}}
        rows = [
            audit_action(tables, found, execution, CommitResult("SYNCED", 1, 0), 1),
            update_row(ledger, found.uri, changes, seen=0),
        ]
        puts = {ItemKey("1"): {**item, "_source": lineage(found, execution.id)}}
        FileTransactions(tables, found, execution, lambda: inf).transact(lambda _: rows, puts)

    with ThreadPoolExecutor(FILES_AT_ONCE) as pool:
        list(pool.map(copy, keys))


@contextmanager
def events_off(stack: Stack) -> Iterator[None]:
    """No event starts an execution meanwhile."""
    events, rule = stack.client("events"), f"{stack.stack_name}-object-changed"
    events.disable_rule(Name=rule)
    yield
    events.enable_rule(Name=rule)


def _row(stack: Stack, number: int) -> dict[str, Any]:
    uri = f"s3://{stack.outputs['SourceBucketName']}/dry/{number}.json"
    row = {"pk": uri, "sk": "CURRENT", "status": "SYNCED", "file_shard": f"{number % 16:x}"}
    return {name: {"S": value} for name, value in row.items()}
