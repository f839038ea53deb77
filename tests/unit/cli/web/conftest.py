"""A stack for the console without an engine: rows in moto's tables, executions as a test says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import Mock

import boto3
import pytest
from moto import mock_aws
from tablekeeper.model.times import iso_milliseconds

from tablekeeper_cli.ledger import files
from tablekeeper_cli.stack import Stack
from tests.support.interpreter import DEFINITION

REGION = "eu-west-1"
MACHINE = f"arn:aws:states:{REGION}:123456789012:stateMachine:shop-sync-object"
EXECUTIONS = MACHINE.replace(":stateMachine:", ":execution:")
OUTPUTS = {
    "SourceBucketName": "shop-source",
    "StagingBucketName": "shop-staging",
    "ItemsTableName": "items",
    "LedgerTableName": "ledger",
    "StateMachineArn": MACHINE,
    "FailedEventsQueueUrl": "https://queue",
}


SHARDS = "01"
"""Partitions of the index `files`: fewer than there are cost less."""


def before(seconds: float) -> str:
    """So long ago, in ISO 8601."""
    return iso_milliseconds(datetime.now(UTC) - timedelta(seconds=seconds))


class Shop:
    """A stack's services. `failed_events` is what its queue holds."""

    def __init__(self) -> None:
        self.dynamodb = boto3.client("dynamodb", REGION)
        self.executions: dict[str, dict[str, Any]] = {}
        self.histories: dict[str, list[dict[str, Any]]] = {}
        self.failed_events = 0
        self.described = 0
        states = Mock()
        states.exceptions.ExecutionDoesNotExist = states.exceptions.InvalidArn = KeyError
        states.describe_execution = self._describe
        states.describe_state_machine_for_execution.return_value = {
            "definition": DEFINITION.read_text()
        }
        states.get_paginator = lambda name: Mock(paginate=getattr(self, f"_{name}"))
        queue = Mock()
        queue.get_queue_attributes = lambda **_: {
            "Attributes": {"ApproximateNumberOfMessages": str(self.failed_events)}
        }
        self.clients: Any = {"dynamodb": self.dynamodb, "stepfunctions": states, "sqs": queue}
        self.stack = Stack("shop", REGION, OUTPUTS, _clients=self.clients)

    def file(self, key: str, status: str | None = "SYNCED", **more: Any) -> None:
        """A file's row: `problem` is an error and its message, `items` are the keys of its items,
        anything else an attribute.
        """
        uri, at = f"s3://shop-source/{key}", more.pop("at", before(3600))
        problem = more.pop("problem", None)
        items = [
            {"M": {"pk": {"S": each}, "sk": {"S": "product"}}} for each in more.pop("items", ())
        ]
        row: dict[str, Any] = {
            "pk": {"S": uri},
            "sk": {"S": "CURRENT"},
            "file_shard": {"S": SHARDS[len(key) % 2]},
            "revision": {"N": "3"},
        }
        if status:
            row |= {
                "status": {"S": status},
                "dataset": {"S": more.pop("dataset", key.partition("/")[0])},
                "size": {"N": str(more.pop("size", 812))},
                "etag": {"S": "ea066c58ae9c48a50f3f2d8da0b57573"},
                "version_id": {"S": "25acade5-72af-4b9b-829b-d75466ee8054"},
                "last_modified": {"S": at},
                "committed_at": {"S": at},
                "execution": {"S": f"{EXECUTIONS}:good"},
                "item_keys": {"L": items},
            }
        if problem:
            kind, error, message = problem
            failed = more.pop("failed", before(300))
            held = {
                "status": kind,
                "error": error,
                "state": "Validate Records",
                "at": failed,
                "execution": f"{EXECUTIONS}:bad",
                "input": self.event(key),
                "cause": json.dumps({"errorMessage": message}),
            }
            row |= {
                "problem": {"M": {name: {"S": value} for name, value in held.items()}},
                "problem_status": {"S": kind},
                "problem_error": {"S": error},
                "problem_dataset": {"S": key.partition("/")[0]},
                "problem_at": {"S": failed},
                "problem_since": {"S": failed},
            }
        row |= {name: {"S": str(value)} for name, value in more.items()}
        self.dynamodb.put_item(TableName="ledger", Item=row)

    def ended(self, key: str, name: str, outcome: str, **details: Any) -> None:
        """An audit row."""
        at = details.pop("at", before(3600))
        row = {
            "pk": f"s3://shop-source/{key}",
            "sk": f"EVENT#{at}#{name}#0",
            "at": at,
            "outcome": outcome,
            "execution": f"{EXECUTIONS}:{name}",
            "event": details.pop("event", self.event(key)),
            **details,
        }
        attributes: dict[str, Any] = {
            each: {"N": str(value)} if isinstance(value, int) else {"S": value}
            for each, value in row.items()
        }
        self.dynamodb.put_item(TableName="ledger", Item=attributes)

    def event(self, key: str) -> str:
        """An execution's input."""
        detail = {"bucket": {"name": "shop-source"}, "object": {"key": key}, "reason": "PutObject"}
        detail["requester"], detail["source-ip-address"] = "123456789012", "192.0.2.7"
        time = before(2)
        return json.dumps({"detail-type": "Object Created", "time": time, "detail": detail})

    def execution(self, name: str, key: str, status: str = "RUNNING", ago: float = 5) -> None:
        """An execution that began so many seconds ago, and ended a second later if it has."""
        begun = datetime.now(UTC) - timedelta(seconds=ago)
        arn = f"{EXECUTIONS}:{name}"
        self.executions[arn] = {
            "executionArn": arn,
            "name": name,
            "status": status,
            "startDate": begun,
            "input": self.event(key),
        }
        if status != "RUNNING":
            self.executions[arn]["stopDate"] = begun + timedelta(seconds=1)
        self.histories[arn] = []

    def happens(self, name: str, kind: str, second: float, **details: Any) -> None:
        """An event of an execution's history."""
        arn = f"{EXECUTIONS}:{name}"
        at = self.executions[arn]["startDate"] + timedelta(seconds=second)
        self.histories[arn].append({"type": kind, "timestamp": at, **details})

    def _describe(self, executionArn: str) -> Any:  # noqa: N803
        self.described += 1
        return self.executions[executionArn]

    def _list_executions(self, **asked: Any) -> Iterator[Any]:
        wanted = asked.get("statusFilter")
        newest = sorted(self.executions.values(), key=lambda each: each["startDate"], reverse=True)
        yield {"executions": [each for each in newest if wanted in (None, each["status"])]}

    def _get_execution_history(self, executionArn: str, **_: Any) -> Iterator[Any]:  # noqa: N803
        yield {"events": self.histories[executionArn]}


def _table(dynamodb: Any, name: str, **indexes: tuple[str, str]) -> None:
    keys = {"pk", "sk", *(each for index in indexes.values() for each in index)}

    def schema(*names: str) -> list[dict[str, str]]:
        return [
            {"AttributeName": each, "KeyType": kind}
            for each, kind in zip(names, ("HASH", "RANGE"), strict=True)
        ]

    more = {
        "GlobalSecondaryIndexes": [
            {"IndexName": index, "KeySchema": schema(*key), "Projection": {"ProjectionType": "ALL"}}
            for index, key in indexes.items()
        ]
    }
    dynamodb.create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        KeySchema=schema("pk", "sk"),
        AttributeDefinitions=[
            {"AttributeName": each, "AttributeType": "S"} for each in sorted(keys)
        ],
        **(more if indexes else {}),
    )


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    """A stack without files. The console takes its clients as they are."""
    monkeypatch.setattr(Stack, "impatient", lambda self, *_, **__: self)
    monkeypatch.setattr(files, "SHARDS", SHARDS)
    with mock_aws():
        made = Shop()
        _table(made.dynamodb, "items")
        _table(
            made.dynamodb,
            "ledger",
            files=("file_shard", "pk"),
            problems=("problem_status", "problem_at"),
        )
        yield made
