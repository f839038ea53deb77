"""A stack of its own for tests that break things: no rule starts anything unless the test says so,
retries wait a hundredth of the time, and executions are started by hand.
"""

from __future__ import annotations

import json
import urllib.request
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any

from tablekeeper.model.times import iso_milliseconds

from local.stack import Stack
from tests.e2e.observer import PATIENCE_SECONDS, until

PREFIX = "notes/"
WAIT_SCALE = 0.01
"""Of the waits between attempts: they add up to minutes, and their lengths are not tested here."""
LIVE, UNCAUGHT, SWEEP = "ObjectChangedRule", "UncaughtEndRule", "SweepRule"


def good_file(name: str, text: str = "good") -> bytes:
    """A file of one record whose partition key is the name."""
    return json.dumps([{"pk": name, "sk": "a", "text": text}]).encode()


@dataclass(frozen=True)
class Visit:
    """An execution's stay in a state: how many attempts it made and whether one succeeded."""

    state: str
    attempts: int
    succeeded: bool


@dataclass(frozen=True)
class Workshop:
    """A stack, and the short ways to use it that tests of failures need."""

    stack: Stack

    def client(self, service: str) -> Any:
        """A boto3 client for one of the engine's services."""
        return self.stack.client(service)

    @property
    def bucket(self) -> str:
        """The source bucket."""
        return self.stack.outputs["SourceBucketName"]

    @property
    def machine(self) -> str:
        """The state machine's ARN."""
        return self.stack.outputs["StateMachineArn"]

    def uri(self, key: str) -> str:
        """The object as the ledger names it."""
        return f"s3://{self.bucket}/{key}"

    # ---- bucket and executions ----

    def put(self, key: str, body: bytes) -> None:
        """Writes an object."""
        self.client("s3").put_object(Bucket=self.bucket, Key=key, Body=body)

    def delete(self, key: str) -> None:
        """Deletes an object."""
        self.client("s3").delete_object(Bucket=self.bucket, Key=key)

    def event(self, key: str) -> dict[str, Any]:
        """The least that an execution needs of an event, with an id to tell it from others."""
        detail = {"bucket": {"name": self.bucket}, "object": {"key": key}}
        return {"id": uuid.uuid4().hex, "detail": detail}

    def start(self, event: Mapping[str, Any]) -> str:
        """Starts an execution with this input; its ARN."""
        started = self.client("stepfunctions").start_execution(
            stateMachineArn=self.machine, input=json.dumps(event, ensure_ascii=False)
        )
        return str(started["executionArn"])

    def describe(self, execution: str) -> dict[str, Any]:
        """What DescribeExecution says."""
        found: dict[str, Any] = self.client("stepfunctions").describe_execution(
            executionArn=execution
        )
        return found

    def ended(self, execution: str, seconds: float = PATIENCE_SECONDS) -> dict[str, Any]:
        """What DescribeExecution says once the execution has ended."""

        def end() -> dict[str, Any] | None:
            found = self.describe(execution)
            return None if found["status"] == "RUNNING" else found

        found = until(end, f"{execution} is still running", seconds)
        assert found is not None
        return found

    def sync(self, key: str) -> dict[str, Any]:
        """Starts an execution for a key and waits for its end."""
        return self.ended(self.start(self.event(key)))

    def visits(self, execution: str) -> list[Visit]:
        """The states that an execution went through."""
        pages = self.client("stepfunctions").get_paginator("get_execution_history")
        visits: list[Visit] = []
        for page in pages.paginate(executionArn=execution):
            for event in page["events"]:
                if "stateEnteredEventDetails" in event:
                    name = event["stateEnteredEventDetails"]["name"]
                    visits.append(Visit(name, 0, succeeded=False))
                elif event["type"] == "TaskScheduled":
                    last = visits[-1]
                    visits[-1] = Visit(last.state, last.attempts + 1, succeeded=False)
                elif event["type"] == "TaskSucceeded":
                    visits[-1] = Visit(visits[-1].state, visits[-1].attempts, succeeded=True)
        return visits

    # ---- ledger and table ----

    def audit_rows(self, key: str) -> list[dict[str, Any]]:
        """The audit rows of an object, their values plain text."""
        rows = self._rows("pk = :pk AND begins_with(sk, :event)", key, ":event", "EVENT#")
        return [plain(row) for row in rows]

    def outcome(self, key: str, execution: str) -> dict[str, Any] | None:
        """The audit row of an execution, if there is one; never more than one."""
        rows = [row for row in self.audit_rows(key) if row["execution"] == execution]
        assert len(rows) <= 1, rows
        return rows[0] if rows else None

    def recorded(
        self, key: str, execution: str, seconds: float = PATIENCE_SECONDS
    ) -> dict[str, Any]:
        """The audit row of an execution, as soon as there is one."""
        row = until(
            lambda: self.outcome(key, execution), f"no outcome of {execution} recorded", seconds
        )
        assert row is not None
        return row

    def current(self, key: str) -> dict[str, Any]:
        """The CURRENT row of an object; empty when there is none."""
        rows = self._rows("pk = :pk AND sk = :current", key, ":current", "CURRENT")
        return plain(rows[0]) if rows else {}

    def problem(self, key: str) -> dict[str, Any] | None:
        """The problem of an object, if it has one."""
        found: dict[str, Any] | None = self.current(key).get("problem")
        return found

    def items(self, name: str) -> list[dict[str, Any]]:
        """The items whose partition key is the name."""
        answer = self.client("dynamodb").query(
            TableName=self.stack.outputs["ItemsTableName"],
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": {"S": name}},
            ConsistentRead=True,
        )
        return [plain(item) for item in answer["Items"]]

    def _rows(self, condition: str, key: str, name: str, value: str) -> list[dict[str, Any]]:
        pages = self.client("dynamodb").get_paginator("query")
        return [
            row
            for page in pages.paginate(
                TableName=self.stack.outputs["LedgerTableName"],
                KeyConditionExpression=condition,
                ExpressionAttributeValues={":pk": {"S": self.uri(key)}, name: {"S": value}},
                ConsistentRead=True,
            )
            for row in page["Items"]
        ]

    # ---- the safety net, and what is switched ----

    def invoke(self, function: str, event: Mapping[str, Any]) -> Any:
        """What a function answers."""
        answer = self.client("lambda").invoke(
            FunctionName=self.physical_id(function), Payload=json.dumps(event)
        )
        body = json.loads(answer["Payload"].read())
        assert "FunctionError" not in answer, body
        return body

    def physical_id(self, logical_id: str) -> str:
        """The name of a resource of the template."""
        return _physical_id(self.stack.client("cloudformation"), self.stack.stack_name, logical_id)

    def enable(self, rule: str) -> None:
        """Switches a rule of the template on."""
        self.client("events").enable_rule(Name=self.physical_id(rule))

    def disable(self, rule: str) -> None:
        """Switches a rule of the template off."""
        self.client("events").disable_rule(Name=self.physical_id(rule))

    def scale_waits(self, scale: float) -> None:
        """Makes executions wait this much longer than their definition says."""
        body = json.dumps({"stepfunctions._SFN_WAIT_SCALE": scale}).encode()
        request = urllib.request.Request(
            f"{self.stack.endpoint_url}/_ministack/config", data=body, method="POST"
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            assert json.load(answer)["applied"] == {"stepfunctions._SFN_WAIT_SCALE": scale}

    @contextmanager
    def settings(self, *, off: Sequence[str] = (), wait_scale: float = 1) -> Iterator[None]:
        """These rules off, and waits scaled, for as long as the context lasts."""
        for rule in off:
            self.disable(rule)
        self.scale_waits(wait_scale)
        try:
            yield
        finally:
            self.stack.faults.clear()
            self.scale_waits(1)
            for rule in off:
                self.enable(rule)


@cache
def _physical_id(cloudformation: Any, stack_name: str, logical_id: str) -> str:
    found = cloudformation.describe_stack_resource(
        StackName=stack_name, LogicalResourceId=logical_id
    )
    return str(found["StackResourceDetail"]["PhysicalResourceId"])


def plain(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row in DynamoDB JSON as text and dictionaries; numbers stay text."""
    return {name: _plain(value) for name, value in row.items()}


def _plain(value: Mapping[str, Any]) -> Any:
    ((kind, held),) = value.items()
    if kind == "M":
        return plain(held)
    return [_plain(each) for each in held] if kind == "L" else held


def milliseconds(moment: datetime) -> str:
    """A time as the ledger writes it."""
    return iso_milliseconds(moment.astimezone(UTC))
