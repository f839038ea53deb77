"""Files of many records, changed while they are written: what tests do with thousands of records,
and `make bench` with a million.
"""

from __future__ import annotations

import gzip
import json
import os
import signal
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from local.stack import Stack
from tests.e2e.observer import Observer, plain, until
from tests.support.function_processes import function_processes
from tests.support.memory import peak_megabytes

BATCH = 100


class LargeFiles:
    """Puts files of numbered records, `{"pk": "<file>-<n % 100>", "sk": "<n>", "v": v}`, and checks
    the table against them, item by item.
    """

    def __init__(self, stack: Stack, name: str, count: int, size: int = 300) -> None:
        self.stack, self.name, self.count, self.size = stack, name, count, size
        self.see = Observer(stack)
        self.patience = 180 + count / 50  # seconds
        self.table = stack.outputs["ItemsTableName"]
        self.key = f"notes/{name}.jsonl"

    def record(self, number: int, version: int) -> dict[str, Any]:
        """A record of about `size` bytes."""
        return {
            "pk": f"{self.name}-{number % 100}",
            "sk": str(number),
            "v": version,
            "price": 0.1 * (number % 10),
            "text": f"{number:010}" * ((self.size - 200) // 10),
            "tags": ["a", "b", None, True],
            "nested": {"deep": {"empty": "", "list": [], "map": {}}, "n": number},
        }

    def lines(self, numbers: Iterable[int], version: int) -> bytes:
        """The records as JSON Lines."""
        return "\n".join(json.dumps(self.record(n, version)) for n in numbers).encode()

    def put(self, body: bytes, key: str | None = None) -> None:
        """Uploads, without waiting."""
        self.see.put(key or self.key, body)

    def outcomes(self, key: str | None = None) -> list[str]:
        """The outcomes of all changes of a key, once they are there."""
        key = key or self.key
        until(
            lambda: len(self.see.audit_rows(key)) >= self.see.changes[key],
            f"{key}: not as many outcomes as changes",
            self.patience,
        )
        return [row["outcome"]["S"] for row in self.see.audit_rows(key)]

    def remove(self) -> None:
        """Deletes the objects and waits for their items to go: other tests scan the table."""
        s3, bucket = self.stack.client("s3"), self.stack.outputs["SourceBucketName"]
        there = [
            key
            for key in self.see.changes
            if s3.list_objects_v2(Bucket=bucket, Prefix=key).get("Contents")
        ]
        for key in there:
            self.see.delete(key)
        for key in there:
            self.outcomes(key)

    def written(self) -> int:
        """About how many items of the file the table holds: a hundred times those of one partition
        key.
        """
        answer = self.see.dynamodb.query(
            TableName=self.table,
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": {"S": f"{self.name}-0"}},
            Select="COUNT",
            ConsistentRead=True,
        )
        return 100 * int(answer["Count"])

    def wait_for_items(self, more_than: int) -> None:
        """Until a write is under way."""
        until(
            lambda: self.written() > more_than, f"never more than {more_than} items", self.patience
        )

    def differences(self, numbers: Iterable[int], version: int, gone: Iterable[int] = ()) -> int:
        """How many of these records have no item that equals them, and how many of those that are
        gone have one.
        """
        expected = [(n, self.record(n, version)) for n in numbers]
        expected += [(n, {}) for n in gone]
        batches = [expected[at : at + BATCH] for at in range(0, len(expected), BATCH)]
        with ThreadPoolExecutor(4) as pool:
            return sum(pool.map(self._differences, batches))

    def _differences(self, batch: list[tuple[int, dict[str, Any]]]) -> int:
        keys = [{"pk": {"S": f"{self.name}-{n % 100}"}, "sk": {"S": str(n)}} for n, _ in batch]
        found: dict[str, Any] = {}
        while keys:
            answer = self.see.dynamodb.batch_get_item(
                RequestItems={self.table: {"Keys": keys, "ConsistentRead": True}}
            )
            for item in answer["Responses"][self.table]:
                found[item["sk"]["S"]] = {n: plain(v) for n, v in item.items() if n != "_source"}
            keys = answer["UnprocessedKeys"].get(self.table, {}).get("Keys", [])
        return sum(
            _exact(found.get(str(n), {})) != json.dumps(record, sort_keys=True)
            for n, record in batch
        )


def _exact(item: dict[str, Any]) -> str:
    """An item as the text of the record that it was made of, which keeps types apart."""
    numbers = {name: item[name] for name in ("v", "price", "total") if name in item}
    rest = {name: value for name, value in item.items() if name not in numbers}
    numbers = {
        name: float(value) if name == "price" else int(value) for name, value in numbers.items()
    }
    if "nested" in rest:
        rest["nested"]["n"] = int(rest["nested"]["n"])
    return json.dumps({**rest, **numbers}, sort_keys=True, default=float)


def kill_writer(stack: Stack, function: str) -> bool:
    """Ends the process of a function's invocation that is under way; whether there was one."""
    killed = False
    for pid, name in function_processes(Path(stack.state_dir)):
        if function in name:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                killed = True
    return killed


@contextmanager
def peak_memory() -> Iterator[dict[str, int]]:
    """The largest resident size of each function's processes while it lasts, in MB."""
    peaks: dict[str, int] = {}
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.2):
            for pid, name in function_processes():
                short = name.removeprefix("tablekeeper-").partition("Function")[0]
                peaks[short] = max(peaks.get(short, 0), peak_megabytes(pid))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield peaks
    finally:
        done.set()
        watcher.join()


# ---- what is done with them; each returns the number of differences ----


def first_load(files: LargeFiles) -> int:
    """JSON Lines."""
    files.put(files.lines(range(files.count), 1))
    assert files.outcomes() == ["SYNCED"]
    return files.differences(range(files.count), 1)


def gzipped(files: LargeFiles) -> int:
    """gzipped JSON Lines, under a name that does not say so."""
    files.put(gzip.compress(files.lines(range(files.count), 1), 1))
    assert files.outcomes() == ["SYNCED"]
    return files.differences(range(files.count), 1)


def array(files: LargeFiles) -> int:
    """One array, written over several lines."""
    key = f"notes/{files.name}.json"
    body = json.dumps([files.record(n, 1) for n in range(files.count)], indent=1)
    files.put(body.encode(), key)
    assert files.outcomes(key) == ["SYNCED"]
    return files.differences(range(files.count), 1)


def nested(files: LargeFiles) -> int:
    """A document with its records deep inside, each with lines of its own."""
    plain_record = files.record

    def order(number: int, version: int) -> dict[str, Any]:
        record = plain_record(number, version)
        lines = [{"sku": f"{number}-{place}", "price": 0.5} for place in range(3)]
        about = {"customer": record["pk"], "id": record["sk"], "total": 1, "lines": lines}
        return record | about

    files.record = order  # type: ignore[method-assign]
    key = f"orders/{files.name}.json"
    document = {"meta": "x" * 1000, "data": {"orders": [order(n, 1) for n in range(files.count)]}}
    files.put(json.dumps(document, indent=1).encode(), key)
    assert files.outcomes(key) == ["SYNCED"]
    return files.differences(range(files.count), 1)


def half_dropped(files: LargeFiles) -> int:
    """A second version without every other record; the rest is changed, and a tenth is new."""
    files.put(files.lines(range(files.count), 1))
    files.outcomes()
    kept = [*range(0, files.count, 2), *range(files.count, files.count * 11 // 10)]
    files.put(files.lines(kept, 2))
    assert files.outcomes() == ["SYNCED", "SYNCED"]
    return files.differences(kept, 2, range(1, files.count, 2))


def writer_killed(files: LargeFiles) -> int:
    """The writer's process ends in the middle; the retry goes on where it was."""
    before = files.written()
    files.put(files.lines(range(files.count), 1))
    files.wait_for_items(before + files.count // 4)
    assert kill_writer(files.stack, "WriteItems")
    assert files.outcomes() == ["SYNCED"]
    (row,) = files.see.audit_rows(files.key)
    assert files.see.errors(row["execution"]["S"]), "the writer had ended before it was killed"
    return files.differences(range(files.count), 1)


def newer_version(files: LargeFiles) -> int:
    """A newer version arrives in the middle of a long write."""
    before = files.written()
    files.put(files.lines(range(files.count), 1))
    files.wait_for_items(before + files.count // 4)
    files.put(files.lines(range(files.count // 2, files.count * 3 // 2), 2))
    outcomes = files.outcomes()
    assert outcomes in (["SUPERSEDED", "SYNCED"], ["SYNCED", "SYNCED"]), outcomes
    new = range(files.count // 2, files.count * 3 // 2)
    return files.differences(new, 2, range(files.count // 2))


def two_at_once(files: LargeFiles) -> int:
    """Two executions for one change."""
    event = {"detail": {"bucket": {"name": files.see.bucket}, "object": {"key": files.key}}}
    files.put(files.lines(range(files.count), 1))
    files.see.changed(files.key)
    files.see.states.start_execution(
        stateMachineArn=files.stack.outputs["StateMachineArn"], input=json.dumps(event)
    )
    outcomes = sorted(files.outcomes())
    assert outcomes in (["SUPERSEDED", "SYNCED"], ["SYNCED", "UNCHANGED"]), outcomes
    return files.differences(range(files.count), 1)


def turned_bad(files: LargeFiles) -> int:
    """The file turns bad in the middle of its overwriting; its earlier or its later good version
    stays, complete.
    """
    files.put(files.lines(range(files.count), 1))
    files.outcomes()
    before = files.written()
    files.put(files.lines(range(files.count // 2, files.count * 3 // 2), 2))
    until(
        lambda: files.written() > before + files.count // 8 or files.see.audit_rows(files.key)[1:],
        "the second version is not written",
        files.patience,
    )
    files.put(b"{bad")
    outcomes = files.outcomes()
    assert outcomes[0] == "SYNCED"
    assert "INVALID" in outcomes, files.see.audit_rows(files.key)
    row = files.see.dynamodb.get_item(
        TableName=files.stack.outputs["LedgerTableName"],
        Key={"pk": {"S": files.see.uri(files.key)}, "sk": {"S": "CURRENT"}},
    )["Item"]
    assert "claim" not in row
    first = files.differences(range(files.count), 1, range(files.count, files.count * 3 // 2))
    second = files.differences(
        range(files.count // 2, files.count * 3 // 2), 2, range(files.count // 2)
    )
    return min(first, second)


def emptied(files: LargeFiles) -> int:
    """The file is deleted."""
    files.put(files.lines(range(files.count), 1))
    files.outcomes()
    files.see.delete(files.key)
    assert files.outcomes() == ["SYNCED", "DELETED"]
    return files.differences((), 1, range(files.count))


SCENARIOS = (
    first_load,
    gzipped,
    array,
    nested,
    half_dropped,
    writer_killed,
    newer_version,
    two_at_once,
    turned_bad,
    emptied,
)


def staged_key_lists(stack: Stack) -> set[str]:
    """The key lists that the staging bucket holds."""
    pages = (
        stack.client("s3")
        .get_paginator("list_objects_v2")
        .paginate(Bucket=stack.outputs["StagingBucketName"], Prefix="keys/")
    )
    prefixes = (
        each["Key"].rpartition("/")[0] for page in pages for each in page.get("Contents", ())
    )
    return {each.removesuffix("/digests") for each in prefixes}


def seconds(call: Any, *arguments: Any) -> tuple[Any, float]:
    """What a call returns, and how long it took."""
    begun = time.perf_counter()
    return call(*arguments), time.perf_counter() - begun
