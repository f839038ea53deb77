"""What the tests of the handlers share: buckets and tables by moto, and one dataset."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from functools import cache
from itertools import chain
from typing import Any
from unittest.mock import patch

import boto3
import pytest
from handlers import (
    delete_items,
    fetch_object,
    sync_objects,
    sync_orphans,
    transform_records,
    validate_records,
    write_items,
)
from moto import mock_aws
from moto.core.botocore_stubber import BotocoreStubber
from tablekeeper import aws
from tablekeeper.commit import lanes, patience
from tablekeeper.datasets.catalogue import Catalogue
from tablekeeper.model import sizes

from tests.support.fakes import map_item
from tests.support.moto_transactions import quick_transactions

ENVIRONMENT = {
    "SOURCE_BUCKET": "source",
    "LEDGER_TABLE": "ledger",
    "ITEMS_TABLE": "items",
    "STAGING_BUCKET": "staging",
    "ITEM_KEYS": "pk:S,sk:S",
    "TTL_ATTRIBUTE": "expires_at",
    "IGNORE_PATTERNS": "_SUCCESS,*.tmp",
    "KEY_PREFIX": "",
    "MAX_DOCUMENT_BYTES": "1000000",
    "AUDIT_RETENTION_SECONDS": "1000",
    "STATE_MACHINE_ARN": "arn:aws:states:us-east-1:123456789012:stateMachine:sync-object",
}
CATALOGUE = Catalogue(
    {
        "notes": {
            "type": "object",
            "required": ["pk", "sk"],
            "properties": {"count": {"type": "number", "minimum": 0}},
            "x-tablekeeper": {"prefix": "notes/", "ttl": "expires_at"},
        },
        "lax": {
            "type": "object",
            "properties": {"count": {"type": "number", "minimum": 0}},
            "x-tablekeeper": {"prefix": "lax/", "bad_records": {"at_most": 2}},
        },
        "versions": {
            "type": "object",
            "x-tablekeeper": {
                "prefix": "versions/",
                "key": {"pk": "_object.version_id", "sk": "_object.key"},
            },
        },
    }
)
MAKE_CLIENT = aws.cached_client.__wrapped__
"""Without its cache, which the fixture `pipeline` replaces."""
CATALOGUED = (fetch_object, sync_objects, sync_orphans, transform_records, validate_records)


class Pipeline:
    """A versioned bucket, and the states' functions run one after another on one key."""

    def __init__(self, s3: Any, dynamodb: Any) -> None:
        self.s3, self.dynamodb = s3, dynamodb
        self.count = 0
        self.seconds_left: Callable[[], float] | None = None

    def put(self, key: str, content: Any) -> None:
        """Uploads bytes, or a value as JSON."""
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.s3.put_object(Bucket="source", Key=key, Body=body)

    def fetch(self, key: str, **event: Any) -> Any:
        """What Fetch Object answers."""
        payload = {"event": self.event(key, **event), "entered": "2026-01-01T00:00:10Z", "round": 0}
        return _travelled(fetch_object.handler(payload, None))

    def event(self, key: str, **more: Any) -> Any:
        """An execution's input."""
        return {"detail": {"bucket": {"name": "source"}, "object": {"key": key}}, **more}

    def execution(self, key: str) -> dict[str, Any]:
        """A new execution."""
        self.count += 1
        name = f"e{self.count}"
        start = f"2026-01-01T00:{self.count // 60:02}:{self.count % 60:02}.000Z"
        return {"id": name, "name": name, "start": start, "redrive": 0, "event": self.event(key)}

    def commit(self, fetched: Any, execution: Any) -> Any:
        """What follows Fetch Object; returns the output of the execution."""
        found, document = fetched["found"], fetched["document"]
        payload = {"found": found, "execution": execution}
        if found["action"] in ("delete", "ignore"):
            return _travelled(delete_items.handler(payload, None))
        items = None
        if found["action"] == "validate":
            checked = _travelled(validate_records.handler({**payload, "document": document}, None))
            if "set_aside" in checked:
                payload["found"] = found = {**found, "set_aside": checked["set_aside"]}
            items = transform_records.handler({"found": found, "document": document}, None)
        context = _Context(self.seconds_left) if self.seconds_left else None
        return _travelled(write_items.handler({**payload, "items": _travelled(items)}, context))

    def sync(self, key: str, **event: Any) -> Any:
        """One execution from its beginning to its end."""
        return self.commit(self.fetch(key, **event), self.execution(key))

    def listed(self, prefix: str = "") -> list[dict[str, Any]]:
        """The objects under a prefix, as a Distributed Map gets them."""
        objects = self.s3.list_objects_v2(Bucket="source", Prefix=prefix).get("Contents", ())
        return [map_item(each) for each in objects]

    def sync_batch(
        self,
        how: str = "bulk",
        objects: list[dict[str, Any]] | None = None,
        execution: dict[str, Any] | None = None,
    ) -> dict[str, tuple[str, str | None]]:
        """What Sync Objects answers for the whole bucket: finding and outcome of each file."""
        event = {
            "objects": self.listed() if objects is None else objects,
            "how": how,
            "execution": execution or self.execution("-"),
        }
        context = _Context(self.seconds_left) if self.seconds_left else None
        answer = _travelled(sync_objects.handler(event, context))
        assert answer["files"] == len(event["objects"])
        return {each["key"]: (each["finding"], each.get("outcome")) for each in answer["ends"]}

    def items(self) -> list[dict[str, Any]]:
        """The items table."""
        return list(self.dynamodb.scan(TableName="items")["Items"])

    def row(self, key: str, sk: str = "CURRENT") -> Any:
        """A row of the ledger."""
        row = {"pk": {"S": f"s3://source/{key}"}, "sk": {"S": sk}}
        return self.dynamodb.get_item(TableName="ledger", Key=row).get("Item")

    def outcomes(self, key: str) -> list[str]:
        """The outcomes of a file's executions, in order."""
        rows = self.dynamodb.query(
            TableName="ledger",
            KeyConditionExpression="pk = :pk AND begins_with(sk, :event)",
            ExpressionAttributeValues={
                ":pk": {"S": f"s3://source/{key}"},
                ":event": {"S": "EVENT#"},
            },
        )
        return [row["outcome"]["S"] for row in rows["Items"]]


class _Context:
    """The part of a function's context that is asked for."""

    def __init__(self, seconds_left: Callable[[], float]) -> None:
        self.seconds_left = seconds_left

    def get_remaining_time_in_millis(self) -> float:
        return self.seconds_left() * 1000


def _travelled(payload: Any) -> Any:
    """A payload as it arrives in the next state."""
    return json.loads(json.dumps(payload))


@pytest.fixture
def in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lanes write one after the other, and nobody waits."""
    monkeypatch.setattr(lanes, "in_parallel", lambda calls: [call() for call in calls])
    monkeypatch.setattr(patience, "pause", lambda _: None)


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch, in_turn: None) -> None:
    """Two items make a large write, in lanes one after the other, so that calls can be counted."""
    monkeypatch.setattr(sizes, "TRANSACTION_ITEMS", 1)
    monkeypatch.setattr(lanes, "LANES", 2)


def crash_after(count: int) -> Any:
    """Within it, the function ends in the transaction after so many, as one without memory does."""
    client, left = aws.dynamodb(), [None] * count
    stock = client.transact_write_items

    def transact_write_items(**request: Any) -> Any:
        if not left:
            raise SystemExit
        left.pop()
        return stock(**request)

    return patch.object(client, "transact_write_items", transact_write_items)


def create_table(dynamodb: Any, name: str, *keys: str, **indexes: tuple[str, ...]) -> None:
    """A table with these key attributes, such as `pk:S`: the partition key, and the sort key; and
    its indexes by their names, with all attributes.
    """
    index: list[Any] = [
        {
            "IndexName": each,
            "KeySchema": _key_schema(*keys_of),
            "Projection": {"ProjectionType": "ALL"},
        }
        for each, keys_of in indexes.items()
    ]
    pairs = {each.partition(":")[::2] for each in chain(keys, *indexes.values())}
    dynamodb.create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        KeySchema=_key_schema(*keys),
        AttributeDefinitions=[
            {"AttributeName": each, "AttributeType": kind} for each, kind in sorted(pairs)
        ],
        **({"GlobalSecondaryIndexes": index} if index else {}),
    )


def _key_schema(*keys: str) -> list[dict[str, str]]:
    return [
        {"AttributeName": each.partition(":")[0], "KeyType": kind}
        for each, kind in zip(keys, ("HASH", "RANGE"), strict=False)
    ]


@pytest.fixture
def pipeline(moto_pipeline: Pipeline) -> Pipeline:
    """Modules whose tests make many calls have a `quick_pipeline` by this name."""
    return moto_pipeline


@pytest.fixture
def moto_pipeline(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pipeline]:
    """The handlers on moto's S3 and DynamoDB."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    answer, lock = BotocoreStubber.__call__, threading.RLock()

    def one_at_a_time(*args: Any, **kwargs: Any) -> Any:
        """moto's tables are plain dictionaries, and a cancelled transaction puts old ones back."""
        with lock:
            return answer(*args, **kwargs)

    monkeypatch.setattr(BotocoreStubber, "__call__", one_at_a_time)
    with mock_aws(), quick_transactions():
        s3, dynamodb = _client("s3"), _client("dynamodb")
        monkeypatch.setattr(aws, "cached_client", _cached_client)
        for bucket in ("source", "staging"):
            s3.create_bucket(Bucket=bucket)
        s3.put_bucket_versioning(Bucket="source", VersioningConfiguration={"Status": "Enabled"})
        create_table(dynamodb, "items", "pk:S", "sk:S")
        create_table(dynamodb, "ledger", "pk:S", "sk:S", files=("file_shard:S", "pk:S"))
        patches = [patch.object(each, "catalogue", lambda: CATALOGUE) for each in CATALOGUED]
        for each in patches:
            each.start()
        yield Pipeline(s3, dynamodb)
        for each in patches:
            each.stop()


@cache
def _client(service: str) -> Any:
    """One client of the tests for all of a process: making it takes longer than most tests."""
    return boto3.client(service)  # type: ignore[call-overload]


@cache
def _made_client(service: str) -> Any:
    """The functions' own client, likewise."""
    return MAKE_CLIENT(service)


def _cached_client(service: str) -> Any:
    """As `aws.cached_client`, which makes a client anew whenever its cache is cleared."""
    return aws._makers[-1](service) if aws._makers else _made_client(service)


_cached_client.cache_clear = lambda: None  # type: ignore[attr-defined]
