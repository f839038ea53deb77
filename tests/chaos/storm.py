"""A storm: random changes of a bucket while events are dropped, doubled and late, functions are
killed and throttled, DynamoDB fails, schemas and settings are deployed, others use up the quotas
and the engine is restarted. Then one reconcile and the sweeps of some hours, and what is left is
accounted for.
"""

from __future__ import annotations

import io
import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, redirect_stdout, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

from botocore.exceptions import ClientError
from tablekeeper.model.keys import TableKey
from tablekeeper.recovery import clock, lease, notes, waiting_files
from tablekeeper.recovery.quotas import Pace
from tablekeeper.recovery.sweep import Sweep, SweepResult
from tablekeeper.tables import Tables

from local import switches
from local.chaos import STORM
from local.deployment import build, deploy
from local.engine_process import restart_engine
from local.running import running_stack
from tests.chaos.account import Account
from tests.chaos.audit import Auditor
from tests.chaos.datasets import PREFIX, write_datasets
from tests.chaos.operations import DEALT, LAPSE_SECONDS, Operations
from tests.e2e.desk import Desk

AT_ONCE = 6
CROWD = 10
"""Executions that run when operations wait. The engine runs four functions at once, and what waits
for longer than the patience of Retry fails: some of it is to, not most.
"""
PATIENCE_SECONDS = 300
OPERATIONS_A_PART = 500
"""Between two parts the engine is restarted, and in each there is a deployment."""
SMALL = {"MaxDocumentBytes": "2000", "IgnorePatterns": "_SUCCESS,*7"}
"""Settings that the storm begins with; the last deployment has the template's own."""
SWEEPS = 15
LOST = "event lost in a restart"


class Storm:
    """One storm over a stack; `folder` has room for the datasets of its deployments."""

    def __init__(self, desk: Desk, folder: Path, seed: int, operations: int) -> None:
        self.desk, self.folder, self.stack = desk, folder, desk.stack
        self.account = Account(seed, operations)
        self.operations = Operations(self.stack, seed)
        self.auditor = Auditor(desk, self.operations, self.account)
        self.states, self.deployment = self.stack.client("stepfunctions"), seed % 3
        self.lost: Counter[str] = Counter()
        self.passed_over: list[dict[str, str]] = []
        """By the last sweep."""
        self._lock, self._running, self._looked_at = threading.Lock(), 0, 0.0

    def run(self) -> Account:
        """All of it."""
        account, chaos = self.account, self.stack.chaos
        drawn = list(self.operations.drawn(account.operations))
        parts = len(drawn) // OPERATIONS_A_PART + 2
        chaos.begin(STORM)
        for part in range(parts):
            with self._unkind(), account.timed("storm"):
                self._part(drawn[part::parts], is_last=part + 1 == parts, deploys=part > 0)
            if part + 1 < parts:
                with account.timed("restart"):
                    self._restart()
        chaos.begin(replace(STORM, dropped=0, doubled=0, late=0))
        with self._unkind(), account.timed("settling"):
            self._settle()
            self._sweep(1)
        with self._unkind(), account.timed("reconcile"):
            self._reconcile()
        chaos.end()
        account.happened += chaos.happened()
        with account.timed("sweeps"):
            self._sweep_for_hours()
        with account.timed("audit"):
            account.wrong += self.auditor.wrong(str(self._schemas), self.deployment)
        return account

    def _unkind(self) -> ExitStack:
        held = ExitStack()
        for name in switches.ALL:
            held.enter_context(self.stack.switches.on(name))
        return held

    def _part(self, operations: list[Callable[[], None]], *, deploys: bool, is_last: bool) -> None:
        """Some operations, several at once; the functions are deployed meanwhile."""
        with ThreadPoolExecutor(AT_ONCE + 1) as pool:
            waiting = [pool.submit(self._deploy, {} if is_last else SMALL)] if deploys else []
            waiting += [pool.submit(self._paced, each) for each in operations]
            for each in waiting:
                each.result()
        if is_last:
            for group in DEALT:
                self.operations.deal(group, self.operations.random.random())

    def _paced(self, operation: Callable[[], None]) -> None:
        self._until(lambda: self._crowd() <= CROWD, "executions to make room")
        operation()

    def _crowd(self) -> int:
        """How many executions run, or did a second ago: who asks often uses the quota up."""
        with self._lock:
            if time.monotonic() - self._looked_at > 1:
                with suppress(ClientError):
                    self._running = self.auditor.running()
                self._looked_at = time.monotonic()
            return self._running

    def _deploy(self, parameters: dict[str, str]) -> None:
        """Other schemas and settings, one function after the other. Files arrive meanwhile that
        nobody touches afterwards.
        """
        self.deployment += 1
        done, number = threading.Event(), self.deployment

        def arrive() -> None:
            for place in count():
                key = f"{PREFIX}json/arrival-{number}-{place}"
                self.operations.put(key, [{"pk": key, "sk": "1", "number": number}], 0)
                if done.wait(1):
                    return

        writer = threading.Thread(target=arrive)
        writer.start()
        try:
            write_datasets(self._schemas, number)
            deploy(self.stack, build(self._schemas), parameters)
        finally:
            done.set()
            writer.join()
        self.account.happened["deployment"] += 1

    @property
    def _schemas(self) -> Path:
        return self.folder / f"deployment-{self.deployment}"

    def _restart(self) -> None:
        """Ends the engine in the middle of some executions; what was on its way is lost."""
        restart_engine(Path(self.stack.state_dir))
        self.lost = self._due() - self.auditor.started_by_events() + self.lost
        self.account.happened["engine restarted"] += 1
        self.account.happened[LOST] = self.lost.total()

    def _due(self) -> Counter[str]:
        """How many executions the events must have started, or will, by key."""
        times = {"event": 1, "event doubled": 1, "event dropped": -1}
        due: Counter[str] = Counter()
        for line in self.stack.chaos.lines():
            due[line["about"]] += times.get(line["what"], 0)
        due.subtract(self.lost)
        return Counter({key: many for key, many in due.items() if many})

    # ---- afterwards ----

    def _reconcile(self) -> None:
        """One run over the bucket, which is started again if it is cut short, as a schedule would,
        once those that were started in the storm have ended.
        """
        machine = "SyncBucketStateMachineArn"
        self._until(
            lambda: not any(self.auditor.executions(machine, statusFilter="RUNNING")),
            "the reconciles that were started in the storm",
        )
        for _ in range(5):
            arn = self.operations.start_reconcile("bulk", orphans=True)
            self._until(partial(self._has_ended, arn), "the reconcile")
            said = self.states.describe_execution(executionArn=arn)
            if said["status"] == "SUCCEEDED":
                self.account.reconciled = json.loads(said["output"])
                return
        self.account.wrong.append("no reconcile of five came to its end")

    def _settle(self) -> None:
        """Until every event that was not dropped has started an execution, and all have ended."""
        due = self._due()
        self._until(
            lambda: not self.auditor.running() and self.auditor.started_by_events() >= due,
            f"{due.total()} executions",
        )
        for key, number in (self.auditor.started_by_events() - due).items():
            self.account.wrong.append(f"{number} executions of {key} that no event asked for")

    def _sweep_for_hours(self) -> None:
        """Sweeps until one starts nothing again: what failed in the storm passes by itself, and
        files that kept each other's items out come undone.
        """
        lapsed = time.monotonic() + LAPSE_SECONDS
        self._until(lambda: time.monotonic() > lapsed, "items to lapse")
        for hour in range(1, SWEEPS + 1):
            self.operations.lapse()
            swept = self._sweep(hour)
            self._until(lambda: not self.auditor.running(), "what a sweep started")
            self.account.sweeps.append(swept.restarted)
            self.account.wrong += [f"a sweep passed over {each}" for each in self.passed_over]
            if not swept.restarted and not swept.recorded and swept.problems is not None:
                return
        self.account.wrong.append(f"{SWEEPS} sweeps did not come to an end")

    def _sweep(self, hours: int) -> SweepResult:
        """A sweep for which files have waited for so long, and a killed one no longer holds it."""
        outputs = self.stack.outputs
        key = TableKey.parse("pk:S,sk:S")
        tables = Tables(
            self.stack.client("dynamodb"),
            outputs["LedgerTableName"],
            outputs["ItemsTableName"],
            key,
            34_560_000,
        )
        at = datetime.now(UTC) + timedelta(hours=hours)
        later = SimpleNamespace(**vars(clock) | {"now": lambda: at})
        with (
            patch.object(waiting_files, "clock", later),
            patch.object(lease, "clock", later),
            patch.object(Pace, "wait"),
            patch.object(notes, "logger") as logger,
            redirect_stdout(io.StringIO()),  # Its metrics.
        ):
            swept = Sweep(self.states, tables, outputs["StateMachineArn"], lambda: 900.0).run()
        self.passed_over = [call.kwargs["extra"] for call in logger().error.call_args_list]
        return swept

    def _has_ended(self, arn: str) -> bool:
        return bool(self.states.describe_execution(executionArn=arn)["status"] != "RUNNING")

    def _until(self, what: Callable[[], bool], name: str) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not what():
            if time.monotonic() > deadline:
                self.account.wrong.append(f"waited too long for {name}")
                return
            time.sleep(0.5)


def storm_over(folder: Path, seed: int, operations: int) -> Account:
    """A storm over a stack of its own, whose waits take a tenth of their time."""
    first = seed % 3
    schemas = write_datasets(folder / f"deployment-{first}", first)
    with running_stack(
        folder / "stack",
        schemas=schemas,
        parameters=SMALL,
        enforces_roles=False,
        wait_scale=0.1,
        keeps_state=True,
    ) as stack:
        return Storm(Desk(stack), folder, seed, operations).run()
