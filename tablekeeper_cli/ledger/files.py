"""What the ledger knows: files, their histories and failures, and where items come from. Reads
only.
"""

from __future__ import annotations

import heapq
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any

from tablekeeper import errors
from tablekeeper.ledger.rows import CURRENT, SHARDS, Row

from tablekeeper_cli.errors import UnknownError, UsageError
from tablekeeper_cli.stack import Stack

INCOMPLETE, WRITING = "INCOMPLETE", "WRITING"
PROBLEMS = ("FAILED", "INVALID")
NO_DATASET = "-"
EVENT_PREFIX = "EVENT#"
_REPORT = re.compile(r"^Report: (s3://\S+?\.json)\. ", re.MULTILINE)
_VIOLATION = re.compile(
    r'^record (\d+), (?:"(.*)"|the whole record): (\S+): expected (.*)$', re.MULTILINE
)

Attributes = Mapping[str, Any]
"""An item in DynamoDB JSON."""


@dataclass
class Capacity:
    """The capacity units that queries consumed, by table or index."""

    units: Counter[str] = field(default_factory=Counter)

    def add(self, answer: Attributes) -> None:
        """Adds what an answer says, if it does."""
        consumed = answer.get("ConsumedCapacity", {})
        for name, each in consumed.get("GlobalSecondaryIndexes", {}).items():
            self.units[name] += each["CapacityUnits"]
        if table := consumed.get("Table", {}).get("CapacityUnits"):
            self.units["table"] += table


@dataclass(frozen=True)
class Listed:
    """A file as the index `files` lists it.

    status is what a person is shown: the problem's if there is one, else that of the items.
    outcome is that of the items alone; None when the file was never committed.
    """

    key: str
    status: str
    dataset: str
    outcome: str | None
    error: str | None
    incomplete_since: str | None


@dataclass(frozen=True)
class Failure:
    """A file's problem, as the index `problems` lists it; at is ISO 8601."""

    key: str
    status: str
    error: str
    dataset: str
    at: str
    incomplete_since: str | None


@dataclass(frozen=True)
class Violation:
    """One way in which a record violates its schema."""

    record: int
    pointer: str
    keyword: str
    expected: str


@dataclass(frozen=True)
class Problem:
    """Everything that is recorded of a problem, and what to do.

    message is what the cause says; violations are the first ones, report is where all of them are.
    owner is the file that an item of this one belongs to.
    """

    key: str
    status: str
    error: str
    state: str
    at: str
    started: str
    execution: str
    input: str
    message: str
    advice: str
    violations: list[Violation]
    report: str | None
    owner: str | None


@dataclass(frozen=True)
class File:
    """All that the ledger's row says of a file. Times are ISO 8601, size is in bytes."""

    key: str
    status: str
    outcome: str | None
    dataset: str | None
    etag: str | None
    version_id: str | None
    size: int | None
    last_modified: str | None
    digest: str | None
    committed_at: str | None
    execution: str | None
    revision: int
    items: int | None
    incomplete_since: str | None
    writing: str | None
    problem: Problem | None


@dataclass(frozen=True)
class Event:
    """How one execution ended: a row of the audit trail.

    event is the execution's input, as text; details are what else the row holds.
    """

    at: str
    outcome: str
    execution: str
    event: str
    reason: str
    requester: str
    details: dict[str, str]


@dataclass(frozen=True)
class Item:
    """An item, and its lineage: None for one that Tablekeeper did not write."""

    key: dict[str, Any]
    attributes: Attributes
    lineage: dict[str, str] | None


def counts(stack: Stack) -> Counter[tuple[str, str]]:
    """The number of files by status and dataset; incomplete files count as INCOMPLETE, too."""
    counted: Counter[tuple[str, str]] = Counter()
    for each in _listed(stack, ""):
        counted[each.status, each.dataset] += 1
        if each.incomplete_since:
            counted[INCOMPLETE, each.dataset] += 1
    return counted


def list_files(
    stack: Stack,
    *,
    prefix: str = "",
    statuses: Iterable[str] = (),
    dataset: str | None = None,
    after: str | None = None,
    limit: int | None = None,
) -> Iterator[Listed]:
    """Files in the order of their keys, those after a key alone; at most so many."""
    wanted, found = set(statuses), 0
    for each in _listed(stack, prefix, after):
        shown = {each.status, INCOMPLETE} if each.incomplete_since else {each.status}
        if (wanted and not wanted & shown) or (dataset and each.dataset != dataset):
            continue
        if limit is not None and found == limit:
            return
        found += 1
        yield each


def _listed(stack: Stack, prefix: str, after: str | None = None) -> Iterator[Listed]:
    """The index `files`, its partitions merged."""
    partitions = (_files_in(stack, shard, prefix, after) for shard in SHARDS)
    merged = heapq.merge(*partitions, key=lambda row: row["pk"]["S"].encode())
    return (_listed_file(stack, row) for row in merged)


def _files_in(stack: Stack, shard: str, prefix: str, after: str | None) -> Iterator[Attributes]:
    condition, values = "file_shard = :shard", {":shard": {"S": shard}}
    if after is not None and after >= prefix:
        condition += " AND pk BETWEEN :after AND :last"
        values |= {":after": {"S": stack.uri(after)}, ":last": {"S": _last(stack.uri(prefix))}}
    else:
        condition += " AND begins_with(pk, :prefix)"
        values[":prefix"] = {"S": stack.uri(prefix)}
    for row in _query(stack, "files", condition, values):
        if after is None or row["pk"]["S"] != stack.uri(after):
            yield row


def _last(prefix: str) -> str:
    """Not less than any key with this prefix: the last code point, over and over."""
    return prefix + "\U0010ffff" * ((2048 - len(prefix.encode())) // 4)


def _listed_file(stack: Stack, row: Attributes) -> Listed:
    outcome = _text(row, "status")
    dataset = _text(row, "dataset") or _text(row, "problem_dataset") or NO_DATASET
    return Listed(
        key=stack.key(row["pk"]["S"]),
        status=_text(row, "problem_status") or outcome or WRITING,
        dataset=dataset,
        outcome=outcome,
        error=_text(row, "problem_error"),
        incomplete_since=_text(row, "incomplete_since"),
    )


def failures(
    stack: Stack,
    *,
    status: str | None = None,
    error: str | None = None,
    dataset: str | None = None,
    since: datetime | None = None,
    prefix: str = "",
    capacity: Capacity | None = None,
) -> Iterator[Failure]:
    """Files with a problem, the newest problem first; reads the sparse index alone."""
    for each in (status,) if status in PROBLEMS else PROBLEMS:
        condition, values = "problem_status = :status", {":status": {"S": each}}
        if since:
            condition += " AND problem_at >= :since"
            values[":since"] = {"S": iso(since)}
        for row in _query(stack, "problems", condition, values, capacity, backwards=True):
            failure = Failure(
                key=stack.key(row["pk"]["S"]),
                status=row["problem_status"]["S"],
                error=row["problem_error"]["S"],
                dataset=row["problem_dataset"]["S"],
                at=row["problem_at"]["S"],
                incomplete_since=_text(row, "incomplete_since"),
            )
            if (
                error in (None, failure.error)
                and dataset in (None, failure.dataset)
                and failure.key.startswith(prefix)
                and (status != INCOMPLETE or failure.incomplete_since)
            ):
                yield failure


def file(stack: Stack, key: str) -> File:
    """What is known of a file. Raises UnknownError."""
    row = _get(stack, stack.uri(key), CURRENT)
    if row is None:
        raise UnknownError(
            f"the ledger does not know {key}: no event of it has come, or its execution is still "
            "under way; `tablekeeper events` shows events that could not start one"
        )
    read = Row.of(row)
    outcome, problem = read.status, _problem(stack, key, row)
    return File(
        key=stack.key(row["pk"]["S"]),
        status=problem.status if problem else outcome or WRITING,
        outcome=outcome,
        dataset=_text(row, "dataset"),
        etag=read.etag,
        version_id=read.version_id,
        size=int(row["size"]["N"]) if "size" in row else None,
        last_modified=read.last_modified,
        digest=read.digest,
        committed_at=_text(row, "committed_at"),
        execution=_text(row, "execution"),
        revision=read.revision,
        items=None if read.keys_at else len(read.item_keys),
        incomplete_since=_text(row, "incomplete_since"),
        writing=read.claim.execution if read.claim else None,
        problem=problem,
    )


@dataclass(frozen=True)
class KeptKey:
    """A key of an item, as text, and what `item` is asked with."""

    text: str
    address: dict[str, str]


def item_keys(stack: Stack, key: str, most: int) -> Iterator[KeptKey]:
    """The keys of a file's items, at most so many; none of those that its row does not hold."""
    row = _get(stack, stack.uri(key), CURRENT) or {}
    names = [name for name, _ in _key_schema(stack)]
    for each in sorted(Row.of(row).item_keys)[:most]:
        values = [str(next(iter(each.attributes[name].values()))) for name in names]
        yield KeptKey(" · ".join(values), dict(zip(("pk", "sk"), values, strict=False)))


def problem(stack: Stack, key: str) -> Problem:
    """A file's problem. Raises UnknownError: nothing is known of the file, or nothing is wrong."""
    found = file(stack, key)
    if not found.problem:
        raise UnknownError(f"nothing is wrong with {found.key}: it is {found.status}")
    return found.problem


def problems(stack: Stack, keys: Iterable[str]) -> Iterator[Problem]:
    """The problems of those among these files that have one, a hundred files a request."""
    client, rest = stack.client("dynamodb"), iter(keys)
    while batch := list(islice(rest, 100)):
        asked: Any = {
            stack.ledger: {
                "Keys": [{"pk": {"S": stack.uri(key)}, "sk": {"S": CURRENT}} for key in batch],
                "ConsistentRead": True,
            }
        }
        while asked:
            answer = client.batch_get_item(RequestItems=asked)
            for row in answer["Responses"].get(stack.ledger, ()):
                found = _problem(stack, stack.key(row["pk"]["S"]), row)
                if found:
                    yield found
            asked = answer.get("UnprocessedKeys")


def _problem(stack: Stack, key: str, row: Attributes) -> Problem | None:
    if "problem" not in row:
        return None
    held = {name: value["S"] for name, value in row["problem"]["M"].items()}
    message = errors.message_of(held["cause"])
    report = _REPORT.search(message)
    owner = None
    if held["error"] == errors.KeyOwnershipError.__name__:
        try:
            _, owner = errors.KeyOwnershipError.parse(message)
        except ValueError:
            owner = None
    return Problem(
        key=stack.key(stack.uri(key)),
        status=held["status"],
        error=held["error"],
        state=held["state"],
        at=held["at"],
        started=held.get("started", held["at"]),
        execution=held["execution"],
        input=held["input"],
        message=message,
        advice=advice(held["error"]),
        violations=[
            Violation(int(record), pointer or "", keyword, expected)
            for record, pointer, keyword, expected in _VIOLATION.findall(message)
        ],
        report=report[1] if report else None,
        owner=owner,
    )


def advice(error: str) -> str:
    """What to do about an error; an AWS error's is to look at the cause."""
    known = getattr(errors, error, None)
    if isinstance(known, type) and issubclass(known, errors.TablekeeperError) and known.advice:
        return known.advice
    return (
        "Look at the cause and the trace, mend what it names, then reprocess; docs/runbook.md "
        "has an entry for each error."
    )


def history(stack: Stack, key: str, limit: int | None = None) -> Iterator[Event]:
    """How the executions of a file ended, the newest start first; none when it is unknown."""
    condition = "pk = :pk AND begins_with(sk, :event)"
    values = {":pk": {"S": stack.uri(key)}, ":event": {"S": EVENT_PREFIX}}
    rows = _query(stack, None, condition, values, backwards=True)
    for number, row in enumerate(rows):
        if number == limit:
            return
        yield _event(row)


def _event(row: Attributes) -> Event:
    shown = ("at", "outcome", "execution", "event", "pk", "sk", "expires_at")
    text = _text(row, "event") or "{}"
    reason, requester = hint(text)
    details = {
        name: str(next(iter(value.values()))) for name, value in row.items() if name not in shown
    }
    if "cause" in details:
        details["cause"] = errors.message_of(details["cause"])
    return Event(
        at=row["at"]["S"],
        outcome=row["outcome"]["S"],
        execution=row["execution"]["S"],
        event=text,
        reason=reason,
        requester=requester,
        details=details,
    )


def hint(text: str) -> tuple[str, str]:
    """What an execution's input says happened to the object, and who did it.

    S3 names the account or the service principal that made the request:
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html
    """
    try:
        event = json.loads(text)
        detail = event.get("detail", {})
    except (ValueError, AttributeError):
        return "not an event", ""
    if not isinstance(detail, dict):
        return "not an event", ""
    kind = str(event.get("detail-type") or "started by hand")
    reason = detail.get("reason") or detail.get("deletion-type")
    requester = str(detail.get("requester") or "")
    if address := detail.get("source-ip-address"):
        requester = f"{requester} from {address}".strip()
    return f"{kind} ({reason})" if reason else kind, requester


def item(stack: Stack, partition: str, sort: str | None = None) -> Item:
    """An item by its primary key.

    Raises:
        UnknownError: it is not in the table.
        UsageError: the table's key is another.
    """
    key = table_key(stack, partition, sort)
    answer = stack.client("dynamodb").get_item(TableName=stack.items, Key=key, ConsistentRead=True)
    if "Item" not in answer:
        raise UnknownError(f"no item has the key {json.dumps(key)}")
    found = answer["Item"]
    source = found.get("_source", {}).get("M")
    return Item(
        key={name: next(iter(value.values())) for name, value in key.items()},
        attributes={name: value for name, value in found.items() if name != "_source"},
        lineage={name: str(value.get("S")) for name, value in source.items()} if source else None,
    )


def has_sort_key(stack: Stack) -> bool:
    """Whether the items table has a sort key."""
    return len(_key_schema(stack)) == 2


def items_of_partition(stack: Stack, partition: str) -> list[dict[str, str]]:
    """The keys of the items with this partition key, a thousand at most. Raises UnknownError."""
    schema = _key_schema(stack)
    _, kind = schema[0]
    answer = stack.client("dynamodb").query(
        TableName=stack.items,
        KeyConditionExpression="#0 = :pk",
        ExpressionAttributeNames={f"#{place}": each for place, (each, _) in enumerate(schema)},
        ProjectionExpression=", ".join(f"#{place}" for place in range(len(schema))),
        ExpressionAttributeValues={":pk": {kind: partition}},
        Limit=1000,
    )
    return [{each: next(iter(row[each].values())) for each, _ in schema} for row in answer["Items"]]


def table_key(stack: Stack, partition: str, sort: str | None) -> dict[str, dict[str, str]]:
    """A primary key of the items table in DynamoDB JSON. Raises UsageError."""
    schema = _key_schema(stack)
    given = [partition] if sort is None else [partition, sort]
    if len(given) != len(schema):
        names = " ".join(name for name, _ in schema)
        raise UsageError(f"the key of the table {stack.items} is: {names}")
    return {name: {kind: value} for (name, kind), value in zip(schema, given, strict=True)}


def _key_schema(stack: Stack) -> list[tuple[str, str]]:
    table = stack.client("dynamodb").describe_table(TableName=stack.items)["Table"]
    kinds = {each["AttributeName"]: each["AttributeType"] for each in table["AttributeDefinitions"]}
    schema = sorted(table["KeySchema"], key=lambda each: str(each["KeyType"]))  # HASH, RANGE
    return [(each["AttributeName"], kinds[each["AttributeName"]]) for each in schema]


@dataclass(frozen=True)
class Work:
    """What is under way: executions that run, and events that could not start one.

    oldest_running is when the oldest execution that runs began; None with more than `running`
    shows, or when nothing runs.
    """

    running: int
    running_at_least: bool
    oldest_running: str | None
    failed_events: int


def work(stack: Stack, most: int = 1000) -> Work:
    """What is under way; counts running executions up to `most`."""
    running = []
    pages = (
        stack.client("stepfunctions")
        .get_paginator("list_executions")
        .paginate(
            stateMachineArn=stack.state_machine,
            statusFilter="RUNNING",
            PaginationConfig={"MaxItems": most + 1},
        )
    )
    for page in pages:
        running += page["executions"]
    more = len(running) > most
    oldest = min((each["startDate"] for each in running), default=None)
    queue = stack.client("sqs").get_queue_attributes(
        QueueUrl=stack.failed_events,
        AttributeNames=["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"],
    )["Attributes"]
    return Work(
        running=min(len(running), most),
        running_at_least=more,
        oldest_running=None if more or oldest is None else iso(oldest),
        failed_events=sum(int(count) for count in queue.values()),
    )


def iso(moment: datetime) -> str:
    """A time as the ledger writes it."""
    from tablekeeper.model.snapshot import iso_milliseconds

    return iso_milliseconds(moment)


def _query(
    stack: Stack,
    index: str | None,
    condition: str,
    values: Attributes,
    capacity: Capacity | None = None,
    *,
    backwards: bool = False,
) -> Iterator[Attributes]:
    pages = (
        stack.client("dynamodb")
        .get_paginator("query")
        .paginate(
            TableName=stack.ledger,
            **({"IndexName": index} if index else {"ConsistentRead": True}),
            KeyConditionExpression=condition,
            ExpressionAttributeValues=values,
            ScanIndexForward=not backwards,
            **({"ReturnConsumedCapacity": "INDEXES"} if capacity else {}),
        )
    )
    for page in pages:
        if capacity:
            capacity.add(page)
        yield from page["Items"]


def _get(stack: Stack, pk: str, sk: str) -> Attributes | None:
    answer = stack.client("dynamodb").get_item(
        TableName=stack.ledger, Key={"pk": {"S": pk}, "sk": {"S": sk}}, ConsistentRead=True
    )
    found: Attributes | None = answer.get("Item")
    return found


def _text(row: Attributes, name: str) -> str | None:
    value: str | None = row.get(name, {}).get("S")
    return value
