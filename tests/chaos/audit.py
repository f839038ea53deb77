"""Whether everything is accounted for after a storm: events, executions, staged objects, items."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from botocore.exceptions import ClientError

from tests.chaos.account import Account
from tests.chaos.datasets import PREFIX
from tests.chaos.operations import Operations
from tests.chaos.reading import After, Reading
from tests.e2e.desk import Desk

AGAIN = ("sweep-", "bulk-")
"""How the names of executions begin that start with an event that started another one."""
EXPIRING = ("items/", "reports/", "sync/")
"""Prefixes of the staging bucket whose objects a lifecycle rule removes."""
GOOD = ("SYNCED", "PARTIAL", "UNCHANGED", "DELETED", "IGNORED", "SUPERSEDED", "RELEASED")


class Auditor:
    """Looks at a stack; `account` gets what it counts."""

    def __init__(self, desk: Desk, operations: Operations, account: Account) -> None:
        self.desk, self.operations, self.account = desk, operations, account
        self.outputs = desk.stack.outputs
        self.states, self.dynamodb = (
            desk.stack.client(name) for name in ("stepfunctions", "dynamodb")
        )
        self._inputs: dict[str, Any] = {}

    def running(self) -> int:
        """Executions that run."""
        return sum(1 for _ in self.executions("StateMachineArn", statusFilter="RUNNING"))

    def executions(self, machine: str, **more: Any) -> Iterator[Any]:
        """The executions of a state machine, by the output that names it."""
        pages = self.states.get_paginator("list_executions").paginate(
            stateMachineArn=self.outputs[machine], **more
        )
        for page in pages:
            yield from page["executions"]

    def started_by_events(self) -> Counter[str]:
        """How many executions the rule has started, by key."""
        return Counter(
            self._key(each)
            for each in self.executions("StateMachineArn")
            if not each["name"].startswith(AGAIN) and self._input(each).get("source") == "aws.s3"
        )

    def _input(self, execution: Any) -> Any:
        """An execution's input, which is asked for once."""
        arn = execution["executionArn"]
        if arn not in self._inputs:
            self._inputs[arn] = json.loads(
                self.states.describe_execution(executionArn=arn)["input"]
            )
        return self._inputs[arn]

    def _key(self, execution: Any) -> str:
        key: str = self._input(execution)["detail"]["object"]["key"]
        return key

    def wrong(self, schemas: str, deployment: int) -> Iterator[str]:
        """What should not be so, a sentence each."""
        rows = self._scan("LedgerTableName")
        yield from Reading(self._after(rows, deployment)).differences()
        told = self.desk.ask("verify", "--schemas", schemas, "--prefix", PREFIX, code=None)
        yield from (
            f"verify: {json.dumps(each)}" for each in told["findings"] if each["is_difference"]
        )
        yield from self._unrecorded(rows)
        yield from self._left_over(rows)

    def _after(self, rows: list[Any], deployment: int) -> After:
        s3 = self.desk.s3
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=self.desk.bucket, Prefix=PREFIX)
        etags = {
            each["Key"]: each["ETag"].strip('"')
            for page in pages
            for each in page.get("Contents", ())
        }
        items = self._scan("ItemsTableName")
        return After(etags, items, rows, self.operations.written, deployment)

    def _unrecorded(self, rows: list[Any]) -> Iterator[str]:
        """Executions without exactly one outcome, with one that does not say how they ended, or
        outcomes without an execution; files that wait for somebody.
        """
        outcomes: dict[str, list[Any]] = {}
        for row in rows:
            kind, _, rest = row["sk"]["S"].partition("#")
            if kind == "EVENT":
                outcomes.setdefault(rest.split("#")[1], []).append(row)
                self.account.outcomes[row["outcome"]["S"]] += 1
                if "error" in row:
                    self.account.errors[row["error"]["S"]] += 1
            elif row["sk"]["S"] == "CURRENT" and row["pk"]["S"].startswith("s3://"):
                yield from self._waits(row)
        for each in self.executions("StateMachineArn"):
            self.account.executions[each["status"]] += 1
            found = outcomes.pop(each["name"], [])
            ends = [row["outcome"]["S"] for row in found]
            good = len(ends) == 1 and (each["status"] != "SUCCEEDED" or ends[0] in GOOD)
            if not good:
                yield f"{each['name']} is {each['status']}, recorded as {ends}"
            elif not found[0]["pk"]["S"].endswith(f"/{self._key(each)}"):
                yield f"{each['name']} is recorded for {found[0]['pk']['S']}"
        yield from (
            f"{each['name']} is RUNNING"
            for each in self.executions("SyncBucketStateMachineArn", statusFilter="RUNNING")
        )
        for name, found in outcomes.items():
            if len({row["pk"]["S"] for row in found}) != len(found) or not self._is_batch(found):
                yield f"{len(found)} outcomes of {name}, which is no execution or one of few files"

    def _is_batch(self, rows: list[Any]) -> bool:
        """Whether they are of an execution that looked at a batch, or a shard, of the bucket."""
        with suppress(ClientError):
            for arn in {row["execution"]["S"] for row in rows}:
                said = self.states.describe_execution(executionArn=arn)
                machine = self.outputs["SyncBucketStateMachineArn"]
                if not said["stateMachineArn"].startswith(machine) or said["status"] == "RUNNING":
                    return False
            return True
        return False

    def _waits(self, row: Any) -> Iterator[str]:
        said = {
            name: each.get("S", "") for name, each in row.get("problem", {"M": {}})["M"].items()
        }
        problem = said.get("status")
        self.account.statuses[problem or row["status"]["S"]] += 1
        if problem == "FAILED" or "claim" in row or "incomplete_since" in row:
            claimed = "claimed" if "claim" in row else "no claim"
            why = f"{said.get('error')}: {said.get('cause')}"
            yield f"{row['pk']['S']} is {problem}, {claimed}; {why}"

    def _left_over(self, rows: list[Any]) -> Iterator[str]:
        """Objects of the staging bucket that no row names and no lifecycle rule removes, and key
        lists that a row names and that are not there.
        """
        needed = {row["keys_at"]["S"] for row in rows if "keys_at" in row}
        known = needed | {
            each["S"] for row in rows for each in row.get("discarded", {}).get("L", ())
        }
        pages = self.desk.s3.get_paginator("list_objects_v2").paginate(
            Bucket=self.outputs["StagingBucketName"]
        )
        names = [each["Key"] for page in pages for each in page.get("Contents", ())]
        for name in names:
            if not name.startswith((*EXPIRING, *known)):
                yield f"nobody refers to {name} in the staging bucket"
        for prefix in needed:
            if not any(name.startswith(prefix) for name in names):
                yield f"the key list {prefix} is gone"

    def _scan(self, table: str) -> list[Any]:
        pages = self.dynamodb.get_paginator("scan").paginate(
            TableName=self.outputs[table], ConsistentRead=True
        )
        return [item for page in pages for item in page["Items"]]
