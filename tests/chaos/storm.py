"""A storm: random changes of a bucket while events are dropped, doubled and late, functions are
killed and throttled, DynamoDB fails, schemas and settings are deployed and the engine is restarted;
then one reconcile and the sweeps of some hours, and what is left is accounted for.
"""

from __future__ import annotations

import io
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stdout, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

from botocore.exceptions import ClientError
from tablekeeper.model.keys import TableKey
from tablekeeper.recovery import clock
from tablekeeper.recovery.sweep import Sweep, Swept
from tablekeeper.tables import Tables

from local.chaos import STORM
from local.deployment import build, deploy
from local.engine_process import restart_engine
from local.running import running_stack
from local.switches import STATES_QUOTAS, UPDATES_APART
from tests.chaos.account import Account, Auditor, by_events, executions
from tests.chaos.datasets import FORMATS, PREFIX, SET_ASIDE, content, write_datasets
from tests.e2e.desk import Desk

FILES, AT_ONCE = 60, 6
LARGE = 120
"""Records of a large file: more than one transaction holds."""
DEALT = {"cards0": 24, "cards1": 24, "cards2": 150}
"""Cards that are dealt out anew among three files, by their partition key."""
PATIENCE_SECONDS = 300
OPERATIONS_A_RESTART = 500
"""The engine is restarted once in so many operations, and at least once."""
DEPLOYMENTS_FROM = 200
"""With fewer operations, only the last part of a storm has a deployment in its middle."""
SMALL = {"MaxDocumentBytes": "2000", "IgnorePatterns": "_SUCCESS,*7"}
"""Settings of a deployment in the middle of a storm; the last one has the template's own."""
CUT_OFF = 12
"""Executions that run when the engine is restarted, at most."""
SWEEPS = 12
LOST = "event lost in a restart"
BAD = (b"[", b"", b'[{"pk": "a"}]', b'{"pk": NaN}', b"\x1f\x8b\x08\x00cut off")
WEIGHTS = {
    "write": 40,
    "write_bad": 12,
    "write_partial": 10,
    "write_large": 6,
    "write_same": 6,
    "write_lapsing": 8,
    "lapse": 2,
    "deal": 8,
    "delete": 12,
    "delete_version": 6,
    "restore": 6,
    "sweep": 2,
    "reconcile": 1,
}


class Bucket:
    """The operations on a bucket that a storm draws from."""

    def __init__(self, desk: Desk, seed: int) -> None:
        self.desk, self.random = desk, random.Random(seed)
        self.s3, self.bucket = desk.s3, desk.bucket

    def drawn(self, count: int) -> Iterator[Callable[[], None]]:
        """Operations on the files of a storm."""
        names, weights = list(WEIGHTS), list(WEIGHTS.values())
        for number in range(count):
            place = self.random.randrange(FILES)
            key = f"{PREFIX}{FORMATS[place % len(FORMATS)]}/{place:02}"
            kind = self.random.choices(names, weights)[0]
            roll = self.random.random()
            yield partial(getattr(self, f"_{kind}"), key, number, roll)

    def deal(self, group: str, roll: float) -> None:
        """Deals the cards of a group out among its files; some go from each to each."""
        hands: list[list[Any]] = [[], [], []]
        draw = random.Random(roll)
        for card in range(DEALT[group]):
            draw.choice(hands).append({"pk": group, "sk": f"{card}", "number": card})
        for place, hand in enumerate(hands):
            folder = FORMATS[(place + len(group) + int(group[-1])) % len(FORMATS)]
            self.put(f"{PREFIX}{folder}/deal-{group}-{place}", hand, roll)

    def put(self, key: str, records: Any, roll: float) -> None:
        """Uploads records in the format of the key's folder."""
        self.desk.put(key, content(key, records, roll))

    def _write(self, key: str, number: int, roll: float) -> None:
        records = [
            {"pk": key, "sk": str(each), "number": number}
            for each in range(8)
            if (number >> each) & 1
        ]
        if roll < 0.05:
            records.append({"pk": "contested", "sk": str(number % 3), "number": number})
        self.put(key, records, roll)

    def _write_bad(self, key: str, number: int, roll: float) -> None:
        bad = BAD if "/json/" in key else BAD[-1:]
        stars = [{"pk": key, "sk": f"refused{n}", "number": n, "stars": 9} for n in range(4)]
        self.desk.put(key, [*bad, content(key, stars, roll)][number % (len(bad) + 1)])

    def _write_partial(self, key: str, number: int, roll: float) -> None:
        """Good records and a bad one; every other file is a large one."""
        good = LARGE if number % 2 else 3
        records = [{"pk": key, "sk": f"{n}", "number": number} for n in range(good)]
        bad = {"pk": key, "sk": SET_ASIDE, "number": number, "stars": 9}
        records.insert(int(roll * good), bad)
        self.put(key, records, roll)

    def _write_large(self, key: str, number: int, roll: float) -> None:
        first = int(roll * LARGE)
        numbers = range(first, first + LARGE)
        self.put(key, [{"pk": key, "sk": f"large{n}", "number": number} for n in numbers], roll)

    def _write_same(self, key: str, _number: int, roll: float) -> None:
        self.put(key, [{"pk": key, "sk": "same", "number": 1}], roll)

    def _write_lapsing(self, key: str, number: int, roll: float) -> None:
        """An item that DynamoDB may delete soon, and that other files write, too."""
        ends = int(time.time() + 8 * roll)
        lapsing = {"pk": "lapsing", "sk": str(number % 4), "number": number, "expires_at": ends}
        self.put(key, [{"pk": key, "sk": "1", "number": number}, lapsing], roll)

    def _lapse(self, _key: str, _number: int, _roll: float) -> None:
        """What DynamoDB's time to live does: deletes items whose time has come."""
        dynamodb, table = self.desk.stack.client("dynamodb"), self.desk.stack.outputs
        due = {
            "ExpressionAttributeValues": {":now": {"N": str(int(time.time()))}},
            "ExpressionAttributeNames": {"#at": "expires_at"},
        }
        found = dynamodb.scan(
            TableName=table["ItemsTableName"], FilterExpression="#at < :now", **due
        )
        for item in found["Items"]:
            with suppress(ClientError):  # It is another item by now, or DynamoDB has a bad moment.
                dynamodb.delete_item(
                    TableName=table["ItemsTableName"],
                    Key={name: item[name] for name in ("pk", "sk")},
                    ConditionExpression="#at < :now",
                    **due,
                )

    def _deal(self, _key: str, number: int, roll: float) -> None:
        self.deal(list(DEALT)[number % len(DEALT)], roll)

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

    def _sweep(self, _key: str, _number: int, _roll: float) -> None:
        name = self.desk.stack.client("cloudformation").describe_stack_resource(
            StackName=self.desk.stack.stack_name, LogicalResourceId="SweepFunction"
        )["StackResourceDetail"]["PhysicalResourceId"]
        functions = self.desk.stack.client("lambda")
        functions.invoke(FunctionName=name, InvocationType="Event", Payload=b"{}")

    def _reconcile(self, _key: str, number: int, roll: float) -> None:
        start_reconcile(self.desk, "traced" if number % 3 == 0 else "bulk", roll < 0.5)


def start_reconcile(desk: Desk, how: str, orphans: bool) -> str:
    """Starts one over the files of a storm; the execution's ARN."""
    given = {"how": how, "orphans": orphans, "prefix": PREFIX, "concurrency": 2}
    arn: str = desk.stack.client("stepfunctions").start_execution(
        stateMachineArn=desk.stack.outputs["SyncBucketStateMachineArn"], input=json.dumps(given)
    )["executionArn"]
    return arn


class Storm:
    """One storm over a stack, which `folder` has room for the datasets of."""

    def __init__(self, desk: Desk, folder: Path, seed: int, operations: int) -> None:
        self.desk, self.folder = desk, folder
        self.operations = Bucket(desk, seed)
        self.account = Account(seed, operations)
        self.states = desk.stack.client("stepfunctions")
        self.deployment = 0

    def run(self) -> Account:
        """All of it."""
        begun, account, chaos = time.monotonic(), self.account, self.desk.stack.chaos
        # Throttled in place of LAMBDA_THROTTLES: ten minutes of patience are one here.
        chaos.begin(replace(STORM, throttled=0.1))
        operations = list(self.operations.drawn(account.operations))
        parts = len(operations) // OPERATIONS_A_RESTART + 2
        for part in range(parts):
            if part:
                self._restart()
            self._part(operations[part::parts], is_last=part + 1 == parts)
        account.reconciled = self._reconcile()
        chaos.begin(replace(STORM, dropped=0, doubled=0, late=0))
        self._settle(chaos.happened())
        chaos.end()
        account.happened += chaos.happened()
        self._sweep_for_hours()
        account.statuses = self.desk.statuses(PREFIX)
        schemas = str(self._schemas)
        account.wrong += Auditor(self.desk, schemas, DEALT).wrong(account.statuses)
        account.seconds = time.monotonic() - begun
        return account

    def _part(self, operations: list[Callable[[], None]], *, is_last: bool) -> None:
        """Some operations, several at once, under the quotas of an account; the functions are
        deployed meanwhile.
        """
        switches = self.desk.stack.switches
        with (
            switches.on(STATES_QUOTAS),
            switches.on(UPDATES_APART),
            ThreadPoolExecutor(AT_ONCE + 1) as pool,
        ):
            waiting = [pool.submit(each) for each in operations]
            if is_last or self.account.operations >= DEPLOYMENTS_FROM:
                waiting.append(pool.submit(self._deploy, {} if is_last else SMALL))
            for each in waiting:
                each.result()
            if is_last:
                for group in DEALT:
                    self.operations.deal(group, self.operations.random.random())

    def _deploy(self, parameters: dict[str, str]) -> None:
        """Other schemas and settings, one function after the other. Files arrive meanwhile that
        nobody touches afterwards.
        """
        self.deployment += 1
        done, number = threading.Event(), self.deployment

        def arrive() -> None:
            while not done.wait(1):
                key = f"{PREFIX}json/arrival-{number}-{time.monotonic_ns()}"
                self.operations.put(key, [{"pk": key, "sk": "1", "number": number}], 0)

        writer = threading.Thread(target=arrive)
        writer.start()
        try:
            write_datasets(self._schemas, number)
            deploy(self.desk.stack, build(self._schemas), parameters)
        finally:
            done.set()
            writer.join()
        self.account.happened["deployment"] += 1

    @property
    def _schemas(self) -> Path:
        return self.folder / f"deployment-{self.deployment}"

    def _restart(self) -> None:
        """Ends the engine in the middle of some executions; what was on its way is lost."""
        self._until(lambda: self._running() <= CUT_OFF, "executions to end before a restart")
        restart_engine(Path(self.desk.stack.state_dir))
        lost = self._due(self.desk.stack.chaos.happened()) - len(list(by_events(self.desk)))
        self.account.happened += Counter({"engine restarted": 1, LOST: lost})

    def _due(self, happened: Counter[str]) -> int:
        """How many executions the events must have started, or will."""
        handed_on = happened["event"] - happened["event dropped"] + happened["event doubled"]
        return handed_on - self.account.happened[LOST]

    # ---- afterwards ----

    def _reconcile(self) -> dict[str, Any]:
        """One run over the bucket, which is started again if it is cut short, as a schedule would,
        once those that were started in the storm have ended.
        """
        machine = self.desk.stack.outputs["SyncBucketStateMachineArn"]

        def running() -> Any:
            return self.states.list_executions(stateMachineArn=machine, statusFilter="RUNNING")[
                "executions"
            ]

        self._until(lambda: not running(), "the reconciles that were started in the storm")
        for _ in range(5):
            arn = start_reconcile(self.desk, "bulk", True)
            self._until(partial(self._has_ended, arn), "the reconcile")
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
            return len(list(by_events(self.desk))) >= due and not self._running()

        self._until(settled, f"{due} executions")
        found = list(by_events(self.desk))
        if len(found) != due:
            self.account.wrong.append(f"{len(found)} executions for {due} events")
        self.account.executions = Counter(each["status"] for each in found)

    def _sweep_for_hours(self) -> None:
        """Sweeps until one starts nothing again: what failed in the storm passes by itself, and
        files that kept each other's items out come undone.
        """
        for hour in range(1, SWEEPS + 1):
            later = datetime.now(UTC) + timedelta(hours=hour)
            with (
                patch.object(clock, "now", partial(_same, later)),
                patch.object(clock, "sleep", _pass),
                redirect_stdout(io.StringIO()),  # Its metrics.
            ):
                swept = self._sweep()
            self._until(lambda: not self._running(), "what a sweep started")
            self.account.sweeps.append(swept.restarted)
            if not swept.restarted:
                return
        self.account.wrong.append(f"{SWEEPS} sweeps did not come to an end")

    def _sweep(self) -> Swept:
        outputs = self.desk.stack.outputs
        tables = Tables(
            self.desk.stack.client("dynamodb"),
            outputs["LedgerTableName"],
            outputs["ItemsTableName"],
            TableKey.parse("pk:S,sk:S"),
            34_560_000,
        )
        return Sweep(self.states, tables, outputs["StateMachineArn"], lambda: 900.0).run()

    def _running(self) -> int:
        return sum(each["status"] == "RUNNING" for each in executions(self.desk))

    def _status(self, arn: str) -> str:
        status: str = self.states.describe_execution(executionArn=arn)["status"]
        return status

    def _has_ended(self, arn: str) -> bool:
        return self._status(arn) != "RUNNING"

    def _until(self, what: Callable[[], bool], name: str) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not what():
            if time.monotonic() > deadline:
                self.account.wrong.append(f"waited too long for {name}")
                return
            time.sleep(0.5)


def _same(time: datetime) -> datetime:
    return time


def _pass(_seconds: float) -> None:
    pass


def storm_over(folder: Path, seed: int, operations: int) -> Account:
    """A storm over a stack of its own, whose waits take a tenth of their time."""
    schemas = write_datasets(folder / "deployment-0", 0)
    with running_stack(
        folder / "stack", schemas=schemas, enforces_roles=False, wait_scale=0.1, keeps_state=True
    ) as stack:
        return Storm(Desk(stack), folder, seed, operations).run()
