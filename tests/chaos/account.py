"""What came of a storm, and what of it should not be so."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tablekeeper.model.execution import Execution
from tablekeeper.model.times import iso_milliseconds

from tablekeeper_cli.ledger.files import list_files
from tests.chaos.datasets import PREFIX, SET_ASIDE, unpacked
from tests.e2e.desk import Desk

BY_HAND = ("sweep-", "reprocess-", "bulk-")
"""How the names of executions begin that no event started."""
STAGED = ("items/", "reports/", "sync/")
"""Prefixes of the staging bucket whose objects a lifecycle rule removes."""


@dataclass
class Account:
    """What came of a storm."""

    seed: int
    operations: int
    seconds: float = 0
    happened: Counter[str] = field(default_factory=Counter)
    executions: Counter[str] = field(default_factory=Counter)
    reconciled: dict[str, Any] = field(default_factory=dict)
    sweeps: list[int] = field(default_factory=list)
    statuses: dict[str, int] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        lines = [
            f"seed {self.seed}: {self.operations:,} operations in {self.seconds:.0f} s",
            f"happened: {_told(self.happened)}",
            f"executions started by events: {_told(self.executions)}",
            f"reconcile found {_told(self.reconciled.get('findings', {}))}; "
            f"ended {_told(self.reconciled.get('outcomes', {}))}",
            f"files that the sweeps of the hours after started again: {self.sweeps}",
            f"files: {_told(self.statuses)}",
            *(f"WRONG: {each}" for each in self.wrong),
        ]
        return "\n".join(lines)


class Auditor:
    """Holds a stack, after a storm, against what should be so."""

    def __init__(self, desk: Desk, schemas: str, dealt: dict[str, int]) -> None:
        self.desk, self.schemas, self.dealt = desk, schemas, dealt
        self.s3, self.bucket = desk.s3, desk.bucket
        self.states = desk.stack.client("stepfunctions")
        self.dynamodb = desk.stack.client("dynamodb")

    def wrong(self, statuses: dict[str, int]) -> Iterator[str]:
        """What should not be so."""
        for status in ("FAILED", "INCOMPLETE", "WRITING"):
            if statuses.get(status):
                yield f"{statuses[status]} files are {status}"
        told = self.desk.ask("verify", "--schemas", self.schemas, "--prefix", PREFIX, code=None)
        differences = (each for each in told["findings"] if each["is_difference"])
        yield from (f"verify: {json.dumps(each)}" for each in differences)
        yield from self._not_dealt()
        yield from self._not_partial()
        yield from self._unrecorded()
        yield from self._left_over()

    def _not_dealt(self) -> Iterator[str]:
        """Cards that were dealt out anew among files and are not all in the table."""
        cards: Counter[str] = Counter()
        for item in self._scan("ItemsTableName"):
            cards[item["pk"]["S"].removeprefix("moved#")] += 1
        for group, count in self.dealt.items():
            if cards[group] != count:
                yield f"{cards[group]} cards of {count} are in the table: {group}"
        for each in list_files(self.desk.located, prefix=PREFIX, statuses=["INVALID"]):
            if "/deal" in each.key:
                yield f"{each.key} is INVALID, and its cards are no other file's"

    def _not_partial(self) -> Iterator[str]:
        """Files that are PARTIAL and have no bad record, or the reverse."""
        files = {each.key: each.status for each in list_files(self.desk.located, prefix=PREFIX)}
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=PREFIX)
        for key in (each["Key"] for page in pages for each in page.get("Contents", ())):
            body = self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()
            has_one = SET_ASIDE.encode() in unpacked(body)
            status = files.get(key, "not in the ledger")
            if status != "INVALID" and has_one != (status == "PARTIAL"):
                yield f"{key} has {'a' if has_one else 'no'} bad record and is {status}"

    def _unrecorded(self) -> Iterator[str]:
        """Executions that left no audit row, or one that does not say how they ended."""
        ledger = self.desk.stack.outputs["LedgerTableName"]
        for each in executions(self.desk):
            said = self.states.describe_execution(executionArn=each["executionArn"])
            key = json.loads(said["input"])["detail"]["object"]["key"]
            start = iso_milliseconds(said["startDate"])
            execution = Execution(each["executionArn"], each["name"], start)
            row = self.dynamodb.get_item(
                TableName=ledger,
                Key={
                    "pk": {"S": f"s3://{self.bucket}/{key}"},
                    "sk": {"S": execution.audit_key},
                },
                ConsistentRead=True,
            ).get("Item")
            outcome = row["outcome"]["S"] if row else None
            bad = outcome in ("INVALID", "FAILED")
            if outcome is None or (said["status"] == "SUCCEEDED" and bad):
                yield f"{each['executionArn']} {said['status']} is recorded as {outcome}"

    def _left_over(self) -> Iterator[str]:
        """Objects of the staging bucket that nobody refers to and no lifecycle rule removes."""
        rows = list(self._scan("LedgerTableName"))
        known = {row["keys_at"]["S"] for row in rows if "keys_at" in row}
        known |= {each["S"] for row in rows for each in row.get("discarded", {}).get("L", ())}
        listed = self.s3.get_paginator("list_objects_v2").paginate(
            Bucket=self.desk.stack.outputs["StagingBucketName"]
        )
        for name in (each["Key"] for page in listed for each in page.get("Contents", ())):
            if not name.startswith((*STAGED, *known)):
                yield f"nobody refers to {name} in the staging bucket"

    def _scan(self, table: str) -> Iterator[Any]:
        pages = self.dynamodb.get_paginator("scan").paginate(
            TableName=self.desk.stack.outputs[table], ConsistentRead=True
        )
        return (item for page in pages for item in page["Items"])


def executions(desk: Desk) -> Iterator[Any]:
    """The executions of the live state machine."""
    pages = (
        desk.stack.client("stepfunctions")
        .get_paginator("list_executions")
        .paginate(stateMachineArn=desk.stack.outputs["StateMachineArn"])
    )
    for page in pages:
        yield from page["executions"]


def by_events(desk: Desk) -> Iterator[Any]:
    """Executions that the rule started: others have names that tell where they come from."""
    states = desk.stack.client("stepfunctions")
    for each in executions(desk):
        if each["name"].startswith(BY_HAND):
            continue
        said = states.describe_execution(executionArn=each["executionArn"])
        if json.loads(said["input"]).get("source") == "aws.s3" and PREFIX in said["input"]:
            yield each


def _told(counts: Any) -> str:
    found = [f"{count:,} {name}" for name, count in sorted(counts.items()) if count]
    return ", ".join(found) or "nothing"
