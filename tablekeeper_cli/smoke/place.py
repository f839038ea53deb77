"""Where a smoke run works: a prefix, a dataset and items of its own, and how it removes them."""

from __future__ import annotations

import json
import secrets
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from math import inf
from typing import Any

from tablekeeper.bucket.run_report import last_run_over
from tablekeeper.ledger.rows import CURRENT
from tablekeeper.model.keys import TableKey

from tablekeeper_cli.compare.target import table_key
from tablekeeper_cli.errors import UsageError
from tablekeeper_cli.ledger.history import EVENT_PREFIX
from tablekeeper_cli.ledger.queries import Query, get_row, rows_of
from tablekeeper_cli.smoke.points import BrokenError
from tablekeeper_cli.stack import NO_OBJECT, Stack

DATASET = "tablekeeper-smoke"
PREFIX = f"{DATASET}/"
DATASET_FILE = f"{DATASET}.schema.json"
POLL_SECONDS = 0.5
EVENTS_SECONDS = 30
"""How long the events of deletions are waited for."""
LARGE_RECORDS = 3000
"""More than a transaction holds, and more bytes than travel between states."""


def dataset(key: TableKey) -> dict[str, Any]:
    """The dataset that a stack needs for a smoke run, for its table's key.

    The records have the text `id` and the number `number`, which no other dataset's items have.
    """
    wanted = {name: "id" if kind == "S" else "number" for name, kind in key.attributes}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "What tablekeeper smoke writes, and removes",
        "type": "object",
        "required": ["id", "number"],
        "additionalProperties": False,
        "properties": {
            "id": {"type": "string", "minLength": 1},
            "number": {"type": "integer"},
            "text": {"type": "string"},
        },
        "examples": [{"id": "a", "number": 1}],
        "x-tablekeeper": {"prefix": PREFIX, "suffixes": [".json", ".jsonl"], "key": wanted},
    }


@dataclass
class Place:
    """A stack, and what a run put there; patience in seconds is for one wait."""

    stack: Stack
    patience: float
    mark: str = field(default_factory=lambda: secrets.token_hex(4))
    executions: list[str] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    numbers: int = field(default_factory=lambda: secrets.randbelow(10**12) * 10**6)

    def __post_init__(self) -> None:
        kept = self.stack.parameters.get("KeyPrefix", "")
        if not self.prefix.startswith(kept):
            raise UsageError(f'the stack keeps keys that begin with "{kept}", not "{PREFIX}"')

    @property
    def prefix(self) -> str:
        """Of every key of this run."""
        return f"{PREFIX}{self.mark}/"

    @property
    def secret(self) -> str:
        """A text in every record, which no log may hold."""
        return f"content-{self.mark}-of-a-record"

    def records(self, name: str, count: int, begin: int = 0) -> list[dict[str, Any]]:
        """Records whose items no other file has."""
        if name not in self.names:
            self.names.append(name)
        base = self.numbers + 10_000 * self.names.index(name)
        return [
            {
                "id": f"{DATASET}#{self.mark}#{name}#{number}",
                "number": base + number,
                "text": self.secret,
            }
            for number in range(begin, begin + count)
        ]

    def put(self, name: str, content: bytes | list[dict[str, Any]]) -> str:
        key = f"{self.prefix}{name}"
        if key not in self.keys:
            self.keys.append(key)
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.stack.client("s3").put_object(Bucket=self.stack.bucket, Key=key, Body=body)
        return key

    def row(self, key: str) -> Mapping[str, Any]:
        """The ledger's row of a file; empty when there is none."""
        return get_row(self.stack, self.stack.uri(key), CURRENT) or {}

    def shown(self, key: str) -> tuple[str, str]:
        """The status of a file, that of its problem if it has one, and the problem's error."""
        row = self.row(key)
        status = row.get("problem_status", row.get("status", {"S": "unknown"}))["S"]
        return str(status), str(row.get("problem_error", {"S": ""})["S"])

    def becomes(self, key: str, status: str) -> None:
        """Waits until a file has a status. Raises BrokenError when it takes too long."""
        self.until(
            lambda: self.shown(key)[0] == status,
            lambda: f"{key} is {' '.join(self.shown(key)).strip()}, not {status}",
        )

    def until(
        self, is_so: Callable[[], Any], seen: Callable[[], str], seconds: float = inf
    ) -> None:
        """Waits until it is so, no longer than the patience and `seconds`. Raises BrokenError with
        what is seen when it takes too long.
        """
        patience = min(self.patience, seconds)
        deadline = time.monotonic() + patience
        while not is_so():
            if time.monotonic() > deadline:
                raise BrokenError(f"{seen()} after {patience:g} seconds")
            time.sleep(POLL_SECONDS)

    def item(self, record: Mapping[str, Any]) -> Mapping[str, Any]:
        """The item of a record; empty when there is none."""
        key = {
            name: {kind: record["id"] if kind == "S" else str(record["number"])}
            for name, kind in table_key(self.stack.parameters).attributes
        }
        answer = self.stack.client("dynamodb").get_item(
            TableName=self.stack.items, Key=key, ConsistentRead=True
        )
        item: Mapping[str, Any] = answer.get("Item", {})
        return item

    def start(self, machine: str, given: Mapping[str, Any]) -> str:
        name = f"smoke-{self.mark}-{len(self.executions)}"
        answer = self.stack.client("stepfunctions").start_execution(
            stateMachineArn=machine, name=name, input=json.dumps(given)
        )
        arn: str = answer["executionArn"]
        self.executions.append(arn)
        return arn

    def end(self, arn: str) -> Mapping[str, Any]:
        """What DescribeExecution says of an execution that has ended. Raises BrokenError."""
        said: dict[str, Any] = {}

        def has_ended() -> bool:
            said.update(self.stack.client("stepfunctions").describe_execution(executionArn=arn))
            return bool(said["status"] != "RUNNING")

        self.until(has_ended, lambda: f"{arn} is RUNNING")
        return said

    def audit_rows(self, uri: str) -> list[Mapping[str, Any]]:
        values = {":pk": {"S": uri}, ":event": {"S": EVENT_PREFIX}}
        query = Query(None, "pk = :pk AND begins_with(sk, :event)", values)
        return list(rows_of(self.stack, query))

    def remove(self) -> None:
        """Removes every object, with its versions, its items, and its rows of the ledger. The rows
        by which the sweep knows that a bad end is recorded stay until they expire: without them it
        would record each end once more, as FAILED.

        Raises BrokenError when items stay.
        """
        s3, dynamodb = self.stack.client("s3"), self.stack.client("dynamodb")
        outcomes = Counter({key: len(self.audit_rows(self.stack.uri(key))) for key in self.keys})
        pages = s3.get_paginator("list_object_versions").paginate(
            Bucket=self.stack.bucket, Prefix=self.prefix
        )
        for page in pages:
            for each in (*page.get("Versions", ()), *page.get("DeleteMarkers", ())):
                s3.delete_object(
                    Bucket=self.stack.bucket, Key=each["Key"], VersionId=each["VersionId"]
                )
                outcomes[each["Key"]] += 1
        gone = {"DELETED", "unknown"}
        for key in self.keys:
            self.until(
                lambda key=key: self.shown(key)[0] in gone,  # type: ignore[misc]
                lambda key=key: f"{key} is gone, and is {self.shown(key)[0]}",  # type: ignore[misc]
            )
        # Each deletion has an event, and an execution that would write a row anew.
        with suppress(BrokenError):
            self.until(
                lambda: all(
                    len(self.audit_rows(self.stack.uri(key))) >= count
                    for key, count in outcomes.items()
                ),
                lambda: "deletions without an outcome",
                EVENTS_SECONDS,
            )
        rows = [row for key in self.keys for row in self.audit_rows(self.stack.uri(key))]
        rows += [
            row for row in self.audit_rows(NO_OBJECT) if row["execution"]["S"] in self.executions
        ]
        keys = [{"pk": row["pk"], "sk": row["sk"]} for row in rows]
        uris = [self.stack.uri(key) for key in self.keys]
        problem = (get_row(self.stack, NO_OBJECT, CURRENT) or {}).get("problem", {"M": {}})["M"]
        if problem.get("execution", {}).get("S") in self.executions:
            uris.append(NO_OBJECT)
        keys += [{"pk": {"S": uri}, "sk": {"S": CURRENT}} for uri in uris]
        keys.append(last_run_over(self.prefix))
        for each in keys:
            dynamodb.delete_item(TableName=self.stack.ledger, Key=each)
