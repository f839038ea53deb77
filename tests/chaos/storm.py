"""A storm: random changes of a bucket while events are dropped, doubled and late, functions are
killed, DynamoDB fails and the engine is restarted; then one reconcile, and what is left is
accounted for.
"""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tablekeeper.model.execution import Execution
from tablekeeper.model.times import iso_milliseconds

from local.chaos import STORM
from local.engine_process import restart_engine
from tablekeeper_cli.ledger.files import list_files
from tests.e2e.desk import Desk

PREFIX = "storm/"
FILES, AT_ONCE = 60, 6
LARGE = 120
"""Records of a large file: more than one transaction holds."""
PATIENCE_SECONDS = 300
OPERATIONS_A_RESTART = 500
"""The engine is restarted once in so many operations, and at least once."""
CUT_OFF = 12
"""Executions that run when the engine is restarted, at most."""
LOST = "event lost in a restart"
BAD = (b"[", b"", b'[{"pk": "a"}]', b'[{"pk": "a", "sk": "1", "stars": 9}]', b'{"pk": NaN}')
WEIGHTS = {
    "write": 50,
    "write_bad": 12,
    "write_partial": 10,
    "write_large": 6,
    "write_same": 6,
    "delete": 14,
    "delete_version": 6,
    "restore": 6,
}
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
    reprocessed: dict[str, int] = field(default_factory=dict)
    statuses: dict[str, int] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        lines = [
            f"seed {self.seed}: {self.operations:,} operations in {self.seconds:.0f} s",
            f"happened: {_told(self.happened)}",
            f"executions started by events: {_told(self.executions)}",
            f"reconcile found {_told(self.reconciled.get('findings', {}))}; "
            f"ended {_told(self.reconciled.get('outcomes', {}))}",
            f"reprocessed afterwards: {_told(self.reprocessed)}",
            f"files: {_told(self.statuses)}",
            *(f"WRONG: {each}" for each in self.wrong),
        ]
        return "\n".join(lines)


class Storm:
    """One storm over a stack."""

    def __init__(self, desk: Desk, schemas: str, seed: int, operations: int) -> None:
        self.desk, self.schemas = desk, schemas
        self.random = random.Random(seed)
        self.account = Account(seed, operations)
        self.s3, self.bucket = desk.s3, desk.bucket
        self.states = desk.stack.client("stepfunctions")

    def run(self) -> Account:
        """All of it."""
        begun, account, chaos = time.monotonic(), self.account, self.desk.stack.chaos
        chaos.begin(STORM)
        operations = list(self._operations())
        parts = len(operations) // OPERATIONS_A_RESTART + 2
        for part in range(parts):
            if part:
                self._restart()
            with ThreadPoolExecutor(AT_ONCE) as pool:
                for done in [pool.submit(*each) for each in operations[part::parts]]:
                    done.result()
        account.reconciled = self._reconcile()
        chaos.begin(replace(STORM, dropped=0, doubled=0, late=0))
        self._settle(chaos.happened())
        chaos.end()
        account.happened += chaos.happened()
        self._sweep()
        self._mend()
        account.statuses = self.desk.statuses(PREFIX)
        account.wrong = list(self._wrong())
        account.seconds = time.monotonic() - begun
        return account

    # ---- operations ----

    def _operations(self) -> Iterator[tuple[Any, ...]]:
        names, weights = list(WEIGHTS), list(WEIGHTS.values())
        for number in range(self.account.operations):
            key = f"{PREFIX}{self.random.randrange(FILES):02}.json"
            kind = self.random.choices(names, weights)[0]
            yield (getattr(self, f"_{kind}"), key, number, self.random.random())

    def _write(self, key: str, number: int, roll: float) -> None:
        records = [
            {"pk": key, "sk": str(each), "number": number}
            for each in range(8)
            if (number >> each) & 1
        ]
        if roll < 0.05:
            records.append({"pk": "contested", "sk": str(number % 3), "number": number})
        self.desk.put(key, records)

    def _write_bad(self, key: str, number: int, _roll: float) -> None:
        self.desk.put(key, BAD[number % len(BAD)])

    def _write_partial(self, key: str, number: int, roll: float) -> None:
        """Good records and a bad one; every other file is a large one."""
        good = LARGE if number % 2 else 3
        records = [{"pk": key, "sk": f"{n}", "number": number} for n in range(good)]
        records.insert(int(roll * good), {"pk": key, "sk": "bad", "stars": 9})
        self.desk.put(key, records)

    def _write_large(self, key: str, number: int, roll: float) -> None:
        first = int(roll * LARGE)
        numbers = range(first, first + LARGE)
        self.desk.put(key, [{"pk": key, "sk": f"large{n}", "number": number} for n in numbers])

    def _write_same(self, key: str, _number: int, _roll: float) -> None:
        self.desk.put(key, [{"pk": key, "sk": "same"}])

    def _delete(self, key: str, _number: int, _roll: float) -> None:
        self.s3.delete_object(Bucket=self.bucket, Key=key)

    def _delete_version(self, key: str, _number: int, roll: float) -> None:
        self._remove(key, "Versions", roll)

    def _restore(self, key: str, _number: int, roll: float) -> None:
        self._remove(key, "DeleteMarkers", roll)

    def _remove(self, key: str, kind: str, roll: float) -> None:
        listed = self.s3.list_object_versions(Bucket=self.bucket, Prefix=key).get(kind, [])
        if listed:
            version = listed[int(roll * len(listed))]["VersionId"]
            self.s3.delete_object(Bucket=self.bucket, Key=key, VersionId=version)

    def _restart(self) -> None:
        """Ends the engine in the middle of some executions; what was on its way is lost."""
        self._until(lambda: self._running() <= CUT_OFF, "executions to end before a restart")
        restart_engine(Path(self.desk.stack.state_dir))
        lost = self._due(self.desk.stack.chaos.happened()) - len(list(self._by_events()))
        self.account.happened += Counter({"engine restarted": 1, LOST: lost})

    def _due(self, happened: Counter[str]) -> int:
        """How many executions the events must have started, or will."""
        handed_on = happened["event"] - happened["event dropped"] + happened["event doubled"]
        return handed_on - self.account.happened[LOST]

    # ---- afterwards ----

    def _reconcile(self) -> dict[str, Any]:
        """One run over the bucket, which is started again if it is cut short, as a user would."""
        machine = self.desk.stack.outputs["SyncBucketStateMachineArn"]
        given = json.dumps({"how": "bulk", "orphans": True, "prefix": PREFIX, "concurrency": 2})
        for _ in range(5):
            arn = self.states.start_execution(stateMachineArn=machine, input=given)["executionArn"]
            self._until(lambda arn=arn: self._status(arn) != "RUNNING", "the reconcile")
            if self._status(arn) == "SUCCEEDED":
                output = self.states.describe_execution(executionArn=arn)["output"]
                summary: dict[str, Any] = json.loads(output)
                return summary
        self.account.wrong.append("no reconcile of five came to its end")
        return {}

    def _settle(self, happened: Counter[str]) -> None:
        """Until every event that was not dropped has started an execution, and all have ended."""
        due = self._due(happened)

        def settled() -> bool:
            executions = list(self._by_events())
            return len(executions) >= due and not self._running()

        self._until(settled, f"{due} executions")
        executions = list(self._by_events())
        if len(executions) != due:
            self.account.wrong.append(f"{len(executions)} executions for {due} events")
        self.account.executions = Counter(each["status"] for each in executions)

    def _sweep(self) -> None:
        functions = self.desk.stack.client("lambda")
        listed = functions.get_paginator("list_functions").paginate()
        names = [each["FunctionName"] for page in listed for each in page["Functions"]]
        (name,) = [each for each in names if "Sweep" in each]
        answer = functions.invoke(FunctionName=name, Payload=b"{}")
        assert "FunctionError" not in answer, answer["Payload"].read()

    def _mend(self) -> None:
        """What failed because of the storm is reprocessed."""
        done = self.desk.ask("reprocess", "--status", "FAILED", "--rate", "50")
        self.account.reprocessed = done["outcomes"]

    def _wrong(self) -> Iterator[str]:
        """What should not be so."""
        yield from self.account.wrong
        for status in ("FAILED", "INCOMPLETE", "WRITING"):
            if self.account.statuses.get(status):
                yield f"{self.account.statuses[status]} files are {status}"
        told = self.desk.ask("verify", "--schemas", self.schemas, "--prefix", PREFIX, code=None)
        differences = (each for each in told["findings"] if each["is_difference"])
        yield from (f"verify: {json.dumps(each)}" for each in differences)
        yield from self._not_partial()
        yield from self._unrecorded()
        yield from self._left_over()

    def _not_partial(self) -> Iterator[str]:
        """Files that are PARTIAL and have no bad record, or the reverse."""
        partial = {each.key for each in list_files(self.desk.located, statuses=["PARTIAL"])}
        for page in self.s3.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=PREFIX
        ):
            for key in (each["Key"] for each in page.get("Contents", ())):
                body = self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()
                has_one = body not in BAD and b'"stars"' in body
                if has_one != (key in partial):
                    yield f"{key} has {'a' if has_one else 'no'} bad record: PARTIAL is wrong"

    def _unrecorded(self) -> Iterator[str]:
        """Executions that left no audit row, or one that does not say how they ended."""
        client, ledger = (
            self.desk.stack.client("dynamodb"),
            self.desk.stack.outputs["LedgerTableName"],
        )
        for each in self._executions():
            said = self.states.describe_execution(executionArn=each["executionArn"])
            key = json.loads(said["input"])["detail"]["object"]["key"]
            start = iso_milliseconds(said["startDate"])
            execution = Execution(each["executionArn"], each["name"], start)
            row = client.get_item(
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
        outputs = self.desk.stack.outputs
        pages = (
            self.desk.stack.client("dynamodb")
            .get_paginator("scan")
            .paginate(TableName=outputs["LedgerTableName"])
        )
        rows = [row for page in pages for row in page["Items"]]
        known = {row["keys_at"]["S"] for row in rows if "keys_at" in row}
        known |= {each["S"] for row in rows for each in row.get("discarded", {}).get("L", ())}
        listed = self.s3.get_paginator("list_objects_v2").paginate(
            Bucket=outputs["StagingBucketName"]
        )
        for name in (each["Key"] for page in listed for each in page.get("Contents", ())):
            if not name.startswith((*STAGED, *known)):
                yield f"nobody refers to {name} in the staging bucket"

    def _executions(self) -> Iterator[Any]:
        pages = self.states.get_paginator("list_executions").paginate(
            stateMachineArn=self.desk.stack.outputs["StateMachineArn"]
        )
        for page in pages:
            yield from page["executions"]

    def _running(self) -> int:
        return sum(each["status"] == "RUNNING" for each in self._executions())

    def _by_events(self) -> Iterator[Any]:
        """Executions that the rule started: others have names that tell where they come from."""
        for each in self._executions():
            said = self.states.describe_execution(executionArn=each["executionArn"])
            given = json.loads(said["input"])
            ours = each["name"].startswith(("sweep-", "reprocess-", "bulk-"))
            if not ours and given.get("source") == "aws.s3" and PREFIX in said["input"]:
                yield each

    def _status(self, arn: str) -> str:
        status: str = self.states.describe_execution(executionArn=arn)["status"]
        return status

    def _until(self, what: Any, name: str) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not what():
            if time.monotonic() > deadline:
                self.account.wrong.append(f"waited too long for {name}")
                return
            time.sleep(0.5)


def _told(counts: Any) -> str:
    found = [f"{count:,} {name}" for name, count in sorted(counts.items()) if count]
    return ", ".join(found) or "nothing"
