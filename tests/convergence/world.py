"""One history's world: executions of the real definition with the real handlers, and what happens
to them."""

from __future__ import annotations

import collections
import dataclasses
import json
import logging
import os
import random
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from unittest.mock import patch

from botocore.exceptions import ClientError
from greenlet import greenlet
from handlers import (
    delete_items,
    fetch_object,
    settle_claim,
    sync_objects,
    sync_orphans,
    transform_records,
    validate_records,
    write_items,
)
from tablekeeper import aws
from tablekeeper.ledger.rows import shard_of
from tablekeeper.model.items import owner
from tablekeeper.model.objects import object_uri
from tablekeeper.model.times import iso_milliseconds
from tablekeeper.recovery import clock
from tablekeeper.recovery.safety_net import SafetyNet
from tablekeeper.recovery.sweep import Sweep
from tablekeeper.runtime import context, metrics
from tablekeeper.settings import SweepSettings
from tablekeeper.tables import Tables

from tests.convergence.deployments import Deployments
from tests.convergence.executions import Aborted, Crash, Running, TimedOut
from tests.convergence.files import BAD_RECORDS, INDEX, POOL, Values, name_of
from tests.convergence.mishaps import Mishaps
from tests.convergence.services import StepFunctions, Table, Tap
from tests.convergence.weaknesses import weaken_record_failure
from tests.support.interpreter import Context, Interpreter, StateError, load_definition

HANDLERS = {
    "FetchObject": fetch_object.handler,
    "ValidateRecords": validate_records.handler,
    "TransformRecords": transform_records.handler,
    "WriteItems": write_items.handler,
    "DeleteItems": delete_items.handler,
    "SettleClaim": settle_claim.handler,
}
ENVIRONMENT = {
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "SOURCE_BUCKET": "source",
    "LEDGER_TABLE": "ledger",
    "ITEMS_TABLE": "items",
    "STAGING_BUCKET": "staging",
    "ITEM_KEYS": "pk:S,sk:S",
    "TTL_ATTRIBUTE": "expires_at",
    "IGNORE_PATTERNS": "_SUCCESS",
    "KEY_PREFIX": "",
    "MAX_DOCUMENT_BYTES": "1000000",
    "AUDIT_RETENTION_SECONDS": "1000",
    "STATE_MACHINE_ARN": "arn:aws:states:us-east-1:123456789012:stateMachine:sync",
    "POWERTOOLS_LOG_LEVEL": "CRITICAL",
    "POWERTOOLS_METRICS_DISABLED": "true",
}


class World(Mishaps, Deployments):
    """One history. Items of one history share a partition key, so that histories can share their
    tables.
    """

    def __init__(
        self,
        rng: random.Random,
        number: int,
        weak: frozenset[str],
        clients: Callable[[], tuple[Any, Any]],
    ) -> None:
        self.rng, self.number, self.weak = rng, number, weak
        self.apart = apart = random.Random(repr(rng.getstate()))
        self.hub = greenlet.getcurrent()
        s3, dynamodb = clients()
        self.s3: Any = Tap(self, s3)
        self.dynamodb: Any = Tap(self, dynamodb)
        self.executions: list[Running] = []
        self.running: list[Running] = []
        self.zombies: list[Any] = []
        self.outcomes: dict[str, list[str]] = collections.defaultdict(list)
        self.good: dict[str, list[Values]] = {key: [{}] for key in POOL}
        self.contents: dict[str, Values | None] = {}
        self.found: list[Any] = []
        self.edited: set[tuple[str, str]] = set()
        self.staged_lost = False
        self.edits = collections.Counter[str]()
        self.forced: dict[str, tuple[str, int]] = {}
        self.deals = rng.choice([0.0, 0.15, 0.5])
        self.index, self.hand, self.twice = (rng.random() < share for share in (0.2, 0.3, 0.2))
        self.expired: set[str] = set()
        self.stash: dict[tuple[Any, str], Any] = {}
        self.faults = rng.randrange(12)
        self.bad = BAD_RECORDS if self.faults % 3 == 2 else (0,)
        self.value = self.time = self.epoch = 0
        self.current: Running | None = None
        self.files = rng.choice(["X", "XY", "XYZ", "XYZ", "XYZ"])
        self.fits = rng.choice([1, 1, 2, 98])
        self.numeric = apart.random() < 0.2 and isinstance(dynamodb, Table)
        self.index = self.index and isinstance(dynamodb, Table)
        self.names: set[str] = set()
        self.reconciles: list[Running] = []
        self.plan_deployments(apart.choice(["schema", "parameter", "both"]))
        self.list_losses = 5 * (apart.random() < 0.15)
        self.knows_before, self.is_early = rng.random() < 0.25, True
        self.short_of_time = rng.random() < 0.3
        self.length, self.lossy, self.reprocess = (
            rng.randrange(3, 14),
            rng.random() < 0.4,
            rng.random() < 0.5,
        )
        self.changes_after = rng.choice([0, 0, 1, 3])
        self.expiry, self.at_once = rng.random() < 0.3, rng.random() < 0.5
        self.sweeps, self.runs = rng.choice([0, 2]), rng.choice([0, 0, 1, 2])
        self.pace, self.refused = (2, 1, 6), 0.03
        self.pool: Mapping[str, str] = POOL
        self.odd, self.garbage, self.returns = 0.1, 0.12, 0.25
        self.staged_sets_lost, self.lists_lost = 0.02, 0.05
        substitutions = {f"{name}FunctionArn": name for name in HANDLERS}
        self.interpreter = Interpreter(
            load_definition(
                substitutions | {"LedgerTableName": "ledger", "AuditRetentionSeconds": "1000"}
            ),
            self.invoke,
            self.pause,
            self.clock,
        )

    def focus(self, attributes: Mapping[str, Any]) -> None:
        """Leaves these attributes not to chance; then the world begins."""
        for name, value in attributes.items():
            setattr(self, name, value)
        if isinstance(self.dynamodb.client, Table):
            self.dynamodb.client.index = INDEX if self.index else {}

    # ---- executions ----

    def clock(self) -> str:
        """A time that passes a minute a step, so that the allowance for clock skew does not hide
        what it guards.
        """
        return iso_milliseconds(datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=self.time))

    def start(self, event: Any) -> None:
        """Starts an execution; an Express workflow may run it twice."""
        name, begun = f"{self.number}-{len(self.executions)}", self.clock()
        for _ in range(2 if self.twice and self.rng.random() < 0.3 else 1):
            context = Context(name, event, begun)
            one = Running(context, epoch=self.epoch)
            one.is_of_before = self.knows_before and self.is_early and self.rng.random() < 0.5
            one.greenlet = greenlet(partial(self._run, one), parent=self.hub)
            self.executions.append(one)
            self.running.append(one)
            if event.get("force"):
                file = event["detail"]["object"]["key"].rpartition("/")[2]
                self.forced[context.id] = file, self.edits[file]

    def _run(self, one: Running) -> None:
        try:
            self.interpreter.run(one.context)
            one.status = "SUCCEEDED"
        except StateError as error:
            one.status, one.error, one.cause = "FAILED", error.error, error.cause
        except Aborted:
            one.status = "ABORTED"
        one.stopped = self.clock()

    def invoke(self, context: Context, resource: str, arguments: Any) -> Any:
        """A Task: a function in a greenlet of its own, or DynamoDB."""
        if resource != "arn:aws:states:::lambda:invoke":
            return self._integration(resource, arguments)
        one = next(each for each in self.running if each.context is context)
        payload = json.loads(json.dumps(arguments["Payload"]))
        return {"Payload": self.call(one, HANDLERS[arguments["FunctionName"]], payload)}

    def call(self, one: Running, handler: Callable[..., Any], payload: Any) -> Any:
        """What a function answers, in a greenlet of its own. Raises StateError."""

        def function() -> Any:
            try:
                return ("result", handler(payload, _Time(self)))
            except Exception as error:  # noqa: BLE001 - Lambda reports every exception
                cause = json.dumps({"errorMessage": str(error), "errorType": type(error).__name__})
                return ("error", (type(error).__name__, cause))
            except Crash:
                return ("error", ("Runtime.ExitError", ""))

        one.function = greenlet(function)
        one.function.module = sys.modules[handler.__module__]
        one.function.is_of_before = one.is_of_before
        one.function.epoch = self.epoch
        try:
            kind, value = one.function.switch()
        except TimedOut:
            raise StateError("States.Timeout") from None
        finally:
            one.function = None
        if kind == "error":
            raise StateError(*value)
        return json.loads(json.dumps(value))

    def reconcile(self) -> Running:
        """Starts a run over the whole bucket, as statemachine/sync_bucket.asl.json has it."""
        name = f"{self.number}-all-{len(self.reconciles)}"
        one = Running(Context(name, {}, self.clock()), epoch=self.epoch)
        one.greenlet = greenlet(partial(self._reconcile, one), parent=self.hub)
        self.reconciles.append(one)
        self.running.append(one)
        return one

    def is_over(self, *, executions: bool) -> bool:
        """Whether no function runs that began before the last lost event or deployment; and no
        execution, whose look may be as old.
        """
        functions = [*self.zombies, *(one.function for one in self.running if one.function)]
        older = [each for each in functions if each.epoch < self.epoch]
        return not older and not (executions and any(o.epoch < self.epoch for o in self.running))

    def _reconcile(self, one: Running) -> None:
        context = one.context
        execution = {"id": context.id, "name": context.name, "start": context.start, "redrive": 0}
        about = {"how": "bulk", "execution": execution}
        try:
            listed = self.listed()
            batch = {"objects": listed, **about}
            ends: Any = [{"key": each["Key"], "outcome": "TRACED"} for each in listed]
            with suppress(StateError):
                ends = self._tried(one, sync_objects.handler, batch)["ends"]
            for each in ends:
                if each.get("outcome") == "TRACED":
                    self.start(self.event(each["key"].rpartition("/")[2]))
            for shard in sorted({shard_of(object_uri("source", self.key(n))) for n in POOL}):
                search = {"shard": shard, "prefix": "", "place": "sync/", "before": {}, **about}
                self._tried(one, sync_orphans.handler, search)
            one.status = "SUCCEEDED"
        except StateError as error:
            one.status, one.error, one.cause = "FAILED", error.error, error.cause
        except Aborted:
            one.status = "ABORTED"

    def _tried(self, one: Running, handler: Callable[..., Any], payload: Any) -> Any:
        """A Task of a run over the bucket, with its Retry."""
        for _ in range(2):
            with suppress(StateError):
                return self.call(one, handler, payload)
            self.pause()
        return self.call(one, handler, payload)

    def _integration(self, resource: str, arguments: Any) -> Any:
        transaction = resource.endswith("transactWriteItems")
        if transaction:
            weaken_record_failure(self.weak, arguments["TransactItems"])
        try:
            if transaction:
                return self.dynamodb.transact_write_items(**arguments)
            return self.dynamodb.put_item(**arguments)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            prefix = "DynamoDb" if transaction else "DynamoDB"
            name = code if code.endswith("Exception") else f"{code}Exception"
            raise StateError(f"{prefix}.{name}", error.response["Error"]["Message"]) from None

    def pause(self) -> None:
        """Anything may happen here."""
        if greenlet.getcurrent() is not self.hub:
            self.hub.switch()

    def step(self) -> None:
        """Lets one execution go on to its next stop, or lets a fault happen to it.

        Mostly the same one again: a whole execution that passes between two calls of another is
        what breaks things.
        """
        self.time += 1
        if self.list_losses and self.apart.random() < 0.03:
            self.lose_lists()
        if self.zombies and self.rng.random() < 0.2:
            zombie = self.rng.choice(self.zombies)
            zombie.switch()
            self.zombies = [each for each in self.zombies if not each.dead]
            return
        if self.current not in self.running or self.rng.random() < 0.15:
            self.current = self.rng.choice(self.running)
        one = self.current
        roll = self.rng.random()
        if self.faults and roll < 0.06 and one.function:
            self.faults -= 1
            function = one.function
            if self.rng.random() < 0.5:
                function.throw(Crash)
            else:
                function.parent = self.hub
                self.zombies.append(function)
                one.greenlet.throw(TimedOut)
        elif self.faults and roll < 0.07:
            self.faults -= 1
            if one.function:
                one.function.parent = self.hub
                self.zombies.append(one.function)
            if one.greenlet:
                one.greenlet.throw(Aborted)
            one.status, one.stopped = "ABORTED", self.clock()
        else:
            (one.function or one.greenlet).switch()
        if one.status != "RUNNING":
            self.running.remove(one)

    def fault(self, moment: str) -> None:
        """Maybe an error of the service: before a call it was not carried out, after it the answer
        is lost.
        """
        if not self.faults or greenlet.getcurrent() is self.hub or self.rng.random() > self.refused:
            return
        self.faults -= 1
        code = (
            "InternalServerError"
            if moment == "after"
            else self.rng.choice(["InternalServerError", "AccessDenied"])
        )
        raise ClientError({"Error": {"Code": code, "Message": code}}, "Injected")

    # ---- what looks after it all ----

    def tables(self) -> Tables:
        return dataclasses.replace(
            Tables.of(SweepSettings.from_environment()), client=self.dynamodb
        )

    def record_late(self, one: Running) -> None:
        """A status change event of an execution that ended badly, delivered late, perhaps twice."""
        for _ in range(self.rng.choice([1, 1, 2])):
            SafetyNet(self.states(), self.dynamodb, "ledger", 1000).record(one.context.id)

    def sweep(self) -> int:
        """How much there was to do."""
        machine = ENVIRONMENT["STATE_MACHINE_ARN"]
        with patch.object(clock, "sleep", lambda _seconds: None):
            swept = Sweep(self.states(), self.tables(), machine, lambda: 300).run()
        return len(swept.recorded) + swept.restarted + swept.passed_over

    def states(self) -> Any:
        return StepFunctions(self)

    def row(self, name: str) -> dict[str, Any]:
        key = {"pk": {"S": object_uri("source", self.key(name))}, "sk": {"S": "CURRENT"}}
        item: dict[str, Any] = self.dynamodb.client.get_item(TableName="ledger", Key=key).get(
            "Item", {}
        )
        return item

    def items(self) -> dict[str, tuple[str | None, int | str]]:
        """Every item of this history: its name, its owner, its value."""
        found = self.dynamodb.client.query(
            TableName="items",
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": {"S": str(self.number)}},
        )
        return {
            name_of(each["sk"]): (
                owner(each),
                each["value"]["S"] if "S" in each["value"] else int(each["value"]["N"]),
            )
            for each in found["Items"]
        }


class _Time:
    """The context of one invocation, whose time may be up at any moment."""

    def __init__(self, world: World) -> None:
        self.world, self.left = world, 900_000.0

    def get_remaining_time_in_millis(self) -> float:
        """In milliseconds."""
        world = self.world
        if world.short_of_time and world.faults and world.rng.random() < 0.05:
            world.faults -= 1
            self.left = 0.0
        return self.left


@contextmanager
def universe() -> Iterator[None]:
    """The environment of the handlers, and their one dataset."""
    with ExitStack() as stack:
        stack.enter_context(patch.dict(os.environ, ENVIRONMENT))
        stack.enter_context(patch.object(metrics, "_publish", lambda *_, **__: None))
        logging.getLogger(context.logger().name).setLevel(logging.CRITICAL)
        stack.callback(aws.cached_client.cache_clear)
        yield
