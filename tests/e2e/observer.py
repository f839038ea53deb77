"""What a test sees of a stack from outside: the bucket, the items, the ledger, executions."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, TypeVar

from local.stack import Stack

PATIENCE_SECONDS = 240
"""On a machine that is busy; a test has 600."""

T = TypeVar("T")


class Observer:
    """Changes objects, waits until every change has its outcome, and reads what came of it."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.s3, self.dynamodb = stack.client("s3"), stack.client("dynamodb")
        self.states = stack.client("stepfunctions")
        self.bucket = stack.outputs["SourceBucketName"]
        self.changes: dict[str, int] = {}

    def put(self, key: str, content: Any) -> Any:
        """Uploads bytes, or a value as JSON."""
        self.changed(key)
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        return self.s3.put_object(Bucket=self.bucket, Key=key, Body=body)

    def delete(self, key: str, **version: str) -> Any:
        """Deletes an object, or one version for good."""
        self.changed(key)
        return self.s3.delete_object(Bucket=self.bucket, Key=key, **version)

    def changed(self, key: str) -> None:
        """Notes a change that starts an execution."""
        self.changes[key] = self.changes.get(key, 0) + 1

    def outcomes(self, *keys: str) -> list[list[str]]:
        """The outcomes of each key's executions in order, once there is one for every change."""
        return [[row["outcome"]["S"] for row in self._settled(key)] for key in keys]

    def outcome(self, key: str) -> str:
        """The newest outcome of a key, once there is one for every change."""
        return self.outcomes(key)[0][-1]

    def comes_to(self, key: str, outcome: str) -> None:
        """Waits until an execution of a refused key ended so. The sweep starts such a key once a
        revision, and a large write has several: others may end before and behind it.
        """
        until(
            lambda: outcome in [row["outcome"]["S"] for row in self.audit_rows(key)],
            f"{key}: no execution ended {outcome}",
        )

    def audit_rows(self, key: str) -> list[Any]:
        """The audit rows of a key, oldest execution first."""
        pages = self.dynamodb.get_paginator("query").paginate(
            TableName=self.stack.outputs["LedgerTableName"],
            KeyConditionExpression="pk = :pk AND begins_with(sk, :event)",
            ExpressionAttributeValues={":pk": {"S": self.uri(key)}, ":event": {"S": "EVENT#"}},
            ConsistentRead=True,
        )
        return [row for page in pages for row in page["Items"]]

    def problem(self, key: str) -> dict[str, Any]:
        """The problem of a key, empty if it has none."""
        row = self.dynamodb.get_item(
            TableName=self.stack.outputs["LedgerTableName"],
            Key={"pk": {"S": self.uri(key)}, "sk": {"S": "CURRENT"}},
            ConsistentRead=True,
        ).get("Item", {})
        return {name: plain(each) for name, each in row.get("problem", {}).get("M", {}).items()}

    def items(self, key: str) -> list[dict[str, Any]]:
        """The items that belong to a key, as JSON values, sorted by their keys; a raw scan."""
        pages = self.dynamodb.get_paginator("scan").paginate(
            TableName=self.stack.outputs["ItemsTableName"],
            ConsistentRead=True,
            FilterExpression="#source.#key = :key",
            ExpressionAttributeNames={"#source": "_source", "#key": "key"},
            ExpressionAttributeValues={":key": {"S": key}},
        )
        mine = [
            {name: plain(value) for name, value in item.items() if name != "_source"}
            for page in pages
            for item in page["Items"]
        ]
        return sorted(mine, key=lambda item: (item["pk"], item["sk"]))

    def sweep(self) -> None:
        """Invokes the sweep now, and not within a minute."""
        name = self.stack.client("cloudformation").describe_stack_resource(
            StackName=self.stack.stack_name, LogicalResourceId="SweepFunction"
        )["StackResourceDetail"]["PhysicalResourceId"]
        self.stack.client("lambda").invoke(FunctionName=name, Payload=b"{}")

    def names(self, key: str) -> list[str]:
        """The sort keys of a key's items."""
        return [item["sk"] for item in self.items(key)]

    def uri(self, key: str) -> str:
        """A key's partition key in the ledger."""
        return f"s3://{self.bucket}/{key}"

    def states_entered(self, execution: str) -> list[str]:
        """The states that an execution entered."""
        events = self.states.get_execution_history(executionArn=execution, maxResults=500)["events"]
        entered = [event.get("stateEnteredEventDetails", {}) for event in events]
        return [details["name"] for details in entered if details]

    def errors(self, execution: str) -> list[str]:
        """The errors that an execution met, in order."""
        events = self.states.get_execution_history(executionArn=execution, maxResults=500)["events"]
        return [
            f"{details.get('error')}: {details.get('cause', '')[:300]}"
            for event in events
            for name, details in event.items()
            if name.endswith(("FailedEventDetails", "TimedOutEventDetails"))
        ]

    def start(self, event: str) -> str:
        """Starts an execution with an input, waits for its end, and returns its status."""
        started = self.states.start_execution(
            stateMachineArn=self.stack.outputs["StateMachineArn"], input=event
        )
        return until(lambda: self._ended(started["executionArn"]), "the execution is still running")

    def _ended(self, execution: str) -> str:
        status: str = self.states.describe_execution(executionArn=execution)["status"]
        return "" if status == "RUNNING" else status

    def _settled(self, key: str) -> list[Any]:
        return until(
            lambda: rows if len(rows := self.audit_rows(key)) >= self.changes[key] else [],
            f"{key}: {self.changes[key]} changes, and not as many outcomes",
        )


def until(condition: Callable[[], T], what: str, seconds: float = PATIENCE_SECONDS) -> T:
    """The first true value of a condition. Fails when none comes in time.

    It looks less often the longer it waits and the longer a look takes: what waits for the engine
    takes its processor.
    """
    begun = time.monotonic()
    while True:
        looked = time.monotonic()
        if value := condition():
            return value
        now = time.monotonic()
        waited = now - begun
        assert waited < seconds, f"after {seconds} s: {what}"
        time.sleep(max(now - looked, min(0.05 + waited / 20, 0.3)))


def plain(value: Mapping[str, Any]) -> Any:
    """A value in DynamoDB JSON as a JSON value; numbers as Decimal."""
    ((kind, content),) = value.items()
    if kind == "L":
        return [plain(each) for each in content]
    if kind == "M":
        return {name: plain(each) for name, each in content.items()}
    return Decimal(content) if kind == "N" else None if kind == "NULL" else content
