"""Random histories of the real code: what commit_model does with a model, done with handlers,
definition, S3 and DynamoDB.

World: a versioned bucket with three files that hold a few named records each, some of them claimed
by two files, or garbage. Now and then the records of all files are dealt out anew. Every change
emits an event that is delivered once, twice or never, in any order. Executions run the real
definition with the real handlers, some of them twice at once, and stop before and after every call
to S3 and DynamoDB: there, any other execution may run, the function may crash, or be given up for
dead and run on as a zombie beside its own retry, the answer may be lost, the call may be refused,
or the whole execution aborted. Items expire, are refused by an index, or are edited by hand,
whereupon somebody forces their file; staged sets expire and lists of keys are lost. Records may be
bad: one of a file is set aside, two are too many. At the end the table must equal the bucket.

    python -m tests.convergence.world 20000            every protection on: nothing wrong
    python -m tests.convergence.world 2000 WEAKNESS    one protection off: the first to go wrong
"""

from __future__ import annotations

import collections
import dataclasses
import json
import logging
import os
import random
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from unittest.mock import patch

import boto3
from botocore.exceptions import ClientError
from greenlet import greenlet
from handlers import (
    delete_items,
    fetch_object,
    settle_claim,
    transform_records,
    validate_records,
    write_items,
)
from moto import mock_aws
from tablekeeper import aws, tables
from tablekeeper.causes import values_of
from tablekeeper.commit import (
    claiming,
    file_commit,
    key_lists,
    lanes,
    large_write,
    patience,
    plan,
    questions,
    release,
    settlement,
    transaction,
)
from tablekeeper.commit.file_commit import FileCommit
from tablekeeper.datasets.catalogue import Catalogue
from tablekeeper.errors import KeyOwnershipError
from tablekeeper.ledger import failures, reads, writes
from tablekeeper.ledger.rows import ADDING, Row
from tablekeeper.ledger.writes import audit_row
from tablekeeper.model import sizes
from tablekeeper.model.execution import Execution
from tablekeeper.model.items import owner
from tablekeeper.model.objects import object_uri
from tablekeeper.model.outcome import Committed
from tablekeeper.model.snapshot import SetAside, Snapshot
from tablekeeper.model.times import iso_milliseconds
from tablekeeper.recovery import clock, waiting_files
from tablekeeper.recovery.safety_net import SafetyNet
from tablekeeper.recovery.sweep import Sweep
from tablekeeper.recovery.waiting_files import WaitingFiles
from tablekeeper.runtime import context
from tablekeeper.settings import SweepSettings
from tablekeeper.staging import item_set, partitioned_lines
from tablekeeper.steps import fetch as fetch_module
from tablekeeper.tables import Tables

from tests.support.fakes import FakeS3, client_error
from tests.support.interpreter import Context, Interpreter, StateError, load_definition
from tests.support.quick import QuickDynamoDB

POOL = {"X": "abmn", "Y": "dmno", "Z": "gno"}
GARBAGE = b'{"pk": "not json'
BAD_RECORDS = (0, 1, 0, 1, 2)
"""How many records of the contents are bad, in turn, in a third of the histories."""
LIMIT = 30000
HANDLERS = {
    "FetchObject": fetch_object.handler,
    "ValidateRecords": validate_records.handler,
    "TransformRecords": transform_records.handler,
    "WriteItems": write_items.handler,
    "DeleteItems": delete_items.handler,
    "SettleClaim": settle_claim.handler,
}
WEAKNESSES = (
    "read-bucket-first",
    "no-revision",
    "no-claim-check",
    "no-pending",
    "no-barrier",
    "no-rollback",
    "event-is-truth",
    "silent-unchanged",
    "failed-unconditional",
    "invalid-unconditional",
    "strict-deletes",
    "no-sweep",
    "no-audit-condition",
    "late-failure-wins",
    "no-safety-net",
    "skip-over-replacing",
    "force-by-row",
    "force-forgotten",
    "no-questions",
    "no-superseded",
    "no-rebuild",
    "no-release",
    "release-unmarked",
    "partial-forgotten",
)
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
SCHEMA = {
    "x-tablekeeper": {"prefix": "h/", "bad_records": {"at_most": 1}},
    "type": "object",
    "required": ["pk", "sk", "value"],
    "properties": {"bad": False},
}


Values = dict[str, int | str]
"""The items of a file by name. A text is a value that the index refuses, where there is one."""
INDEX = {
    "AttributeDefinitions": [{"AttributeName": "value", "AttributeType": "N"}],
    "GlobalSecondaryIndexes": [
        {"IndexName": "values", "KeySchema": [{"AttributeName": "value", "KeyType": "HASH"}]}
    ],
}


class Table(QuickDynamoDB):
    """Tables, with an index on `value` that refuses what it cannot hold."""

    def transact_write_items(self, TransactItems: list[Any]) -> Any:  # noqa: N803
        refused = [
            bool(self.index) and "S" in each.get("Put", {}).get("Item", {}).get("value", ())
            for each in TransactItems
        ]
        if any(refused):
            codes = [{"Code": "ValidationError" if each else "None"} for each in refused]
            raise client_error("TransactionCanceledException", CancellationReasons=codes)
        return super().transact_write_items(TransactItems)


class Crash(BaseException):
    """The function's process is gone."""


class TimedOut(BaseException):
    """Step Functions gave the function up for dead."""


class Aborted(BaseException):
    """Somebody stopped the execution."""


@dataclasses.dataclass
class Running:
    """An execution under way: its own greenlet, and that of the function it waits for."""

    context: Context
    greenlet: Any = None
    function: Any = None
    status: str = "RUNNING"
    stopped: str = ""
    error: str | None = None
    cause: str | None = None


class World:
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
        self.hub = greenlet.getcurrent()
        s3, dynamodb = clients()
        self.s3: Any = Tap(self, s3)
        self.dynamodb: Any = Tap(self, dynamodb)
        self.executions: list[Running] = []
        self.running: list[Running] = []
        self.zombies: list[Any] = []
        self.outcomes: dict[str, list[str]] = collections.defaultdict(list)
        self.good: dict[str, list[Values]] = {key: [{}] for key in POOL}
        self.edited: set[tuple[str, str]] = set()
        self.staged_lost = False
        self.edits = collections.Counter[str]()
        self.forced: dict[str, tuple[str, int]] = {}
        self.deals = rng.choice([0.0, 0.15, 0.5])
        self.index, self.hand, self.twice = (rng.random() < share for share in (0.2, 0.3, 0.2))
        self.expired: set[str] = set()
        self.stash: dict[str, Any] = {}
        self.faults = rng.randrange(12)
        self.bad = BAD_RECORDS if self.faults % 3 == 2 else (0,)
        self.value = self.time = 0
        self.current: Running | None = None
        self.files = rng.choice(["X", "XY", "XYZ", "XYZ", "XYZ"])
        self.fits = rng.choice([1, 1, 2, 98])
        self.index = self.index and isinstance(dynamodb, Table)
        if isinstance(dynamodb, Table):
            dynamodb.index = INDEX if self.index else {}
        substitutions = {f"{name}FunctionArn": name for name in HANDLERS}
        self.interpreter = Interpreter(
            load_definition(
                substitutions | {"LedgerTableName": "ledger", "AuditRetentionSeconds": "1000"}
            ),
            self.invoke,
            self.pause,
            self.clock,
        )

    # ---- the bucket ----

    def key(self, name: str) -> str:
        return f"h/{self.number}/{name}"

    def changes(self) -> list[dict[str, Any]]:
        """One change of one file, or of all of them; returns their events."""
        if self.rng.random() >= self.deals:
            return [self.change()]
        self.value += 1
        held = {n: v for name in self.files for n, v in (self.content(name) or {}).items()}
        dealt: dict[str, Values] = {name: {} for name in self.files}
        for item in sorted({item for name in self.files for item in POOL[name]}):
            dealt[self.rng.choice(self.files)][item] = self._value(held.get(item))
        for name, content in dealt.items():
            self.s3.client.put_object(
                Bucket="source", Key=self.key(name), Body=self._body_of(content)
            )
            self.good[name].append(content)
        return [self.event(name) for name in self.files]

    def event(self, name: str, **more: Any) -> dict[str, Any]:
        """An input that names a file."""
        detail = {"bucket": {"name": "source"}, "object": {"key": self.key(name)}}
        return {"detail-type": "Object Created", "detail": detail, **more}

    def _value(self, former: int | str | None) -> int | str:
        if former is not None and self.rng.random() < 0.5:
            return former
        return f"v{self.value}" if self.index and self.rng.random() < 0.1 else self.value

    def _body_of(self, content: Values, bad: int = 0) -> bytes:
        """The first records are the bad ones."""
        records: list[dict[str, Any]] = [
            {"pk": str(self.number), "sk": item, "value": value} for item, value in content.items()
        ]
        for record in records[:bad]:
            record["bad"] = True
        return json.dumps(records).encode()

    def change(self) -> dict[str, Any]:
        """One change of one file; returns its event."""
        client, name = self.s3.client, self.rng.choice(self.files)
        key = self.key(name)
        versions = self._versions(key)
        roll = self.rng.random()
        if roll < 0.12:
            client.put_object(Bucket="source", Key=key, Body=GARBAGE)
        elif roll < 0.55 or not versions:
            bodies = [each for each in versions if each["body"]]
            if bodies and self.rng.random() < 0.25:
                body = self.rng.choice(bodies)["body"]
            else:
                self.value += 1
                former = self.content(name) or {}
                body = self._body_of(
                    {
                        item: self._value(former.get(item))
                        for item in POOL[name]
                        if self.rng.random() < 0.6
                    },
                    self.bad[self.value % len(self.bad)],
                )
            client.put_object(Bucket="source", Key=key, Body=body)
        elif roll < 0.7:
            client.delete_object(Bucket="source", Key=key)
        else:
            version = self.rng.choice(versions)["id"]
            client.delete_object(Bucket="source", Key=key, VersionId=version)
        content = self.content(name)
        if content is not None:
            self.good[name].append(content)
        deleted = roll >= 0.55
        kind = {"detail-type": "Object Deleted"} if deleted else {}
        return self.event(name) | kind

    def edit(self) -> dict[str, Any] | None:
        """An item is changed or removed by hand; its file is to be forced."""
        items = getattr(self.dynamodb.client, "tables", {}).get("items", {})
        if not items:
            return None
        key = self.rng.choice(sorted(items))
        name = (owner(items[key]) or "").rpartition("/")[2]
        if self.rng.random() < 0.5:
            del items[key]
        else:
            items[key] = {**items[key], "value": {"N": "-1"}}
        self.edited.add((name, key[1]))
        self.edits[name] += 1
        return self.event(name, force=True)

    def answered(self, name: str) -> bool:
        """Whether a forced execution has ended since the file's items were edited last."""
        return any(
            (file, count) == (name, self.edits[name]) and self.outcomes[one] not in ([], ["FAILED"])
            for one, (file, count) in self.forced.items()
        )

    def expire(self) -> None:
        """Time to live: an item goes, and nobody is told."""
        items = (
            self.dynamodb.client.tables.get("items", {})
            if isinstance(self.dynamodb.client, Table)
            else {}
        )
        if items:
            key = self.rng.choice(sorted(items))
            self.expired.add(key[1])
            del items[key]

    def lose_staged_items(self) -> None:
        """What is staged for a write expires."""
        self.staged_lost = True
        objects = getattr(self.s3.client, "objects", {})
        for bucket, key in list(objects):
            if bucket == "staging" and key.startswith("items/"):
                del objects[bucket, key]

    def lose_a_key_list(self) -> None:
        """Somebody deletes the list of keys of a file that is not being written."""
        for name in self.files:
            row = self.row(name)
            if "keys_at" in row and "claim" not in row:
                prefix = row["keys_at"]["S"]
                for bucket, key in list(getattr(self.s3.client, "objects", {})):
                    if bucket == "staging" and key.startswith(prefix):
                        del self.s3.client.objects[bucket, key]
                return

    def _versions(self, key: str) -> list[dict[str, Any]]:
        listed = self.s3.client.list_object_versions(Bucket="source", Prefix=key)
        versions = [
            {"id": each["VersionId"], "body": self._body(key, each["VersionId"])}
            for each in listed.get("Versions", ())
        ]
        return versions + [
            {"id": each["VersionId"], "body": None} for each in listed.get("DeleteMarkers", ())
        ]

    def _body(self, key: str, version: str) -> bytes:
        body: bytes = self.s3.client.get_object(Bucket="source", Key=key, VersionId=version)[
            "Body"
        ].read()
        return body

    def content(self, name: str) -> Values | None:
        """The items that a file stands for now; None for garbage, and for too many bad records."""
        records = self._records(name)
        if records is None:
            return None
        good = {each["sk"]: each["value"] for each in records if "bad" not in each}
        bad = len(records) - len(good)
        return None if bad > 1 or (bad and not good) else good

    def bad_records(self, name: str) -> int:
        """How many bad records a file has now; none where it is garbage."""
        return sum("bad" in each for each in self._records(name) or ())

    def _records(self, name: str) -> list[dict[str, Any]] | None:
        try:
            body = self.s3.client.get_object(Bucket="source", Key=self.key(name))["Body"].read()
        except ClientError:
            return []
        records: list[dict[str, Any]] | None = None if body == GARBAGE else json.loads(body)
        return records

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
            one = Running(context)
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
        handler: Callable[..., Any] = HANDLERS[arguments["FunctionName"]]

        def function() -> Any:
            try:
                return ("result", handler(payload, None))
            except Exception as error:  # noqa: BLE001 - Lambda reports every exception
                cause = json.dumps({"errorMessage": str(error), "errorType": type(error).__name__})
                return ("error", (type(error).__name__, cause))
            except Crash:
                return ("error", ("Runtime.ExitError", ""))

        one.function = greenlet(function)
        try:
            kind, value = one.function.switch()
        except TimedOut:
            raise StateError("States.Timeout") from None
        finally:
            one.function = None
        if kind == "error":
            raise StateError(*value)
        return {"Payload": json.loads(json.dumps(value))}

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
        if not self.faults or greenlet.getcurrent() is self.hub or self.rng.random() > 0.03:
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
            each["sk"]["S"]: (
                owner(each),
                each["value"]["S"] if "S" in each["value"] else int(each["value"]["N"]),
            )
            for each in found["Items"]
        }


class StepFunctions:
    """The calls of the Step Functions API that the safety net and the sweep make, answered from a
    world.
    """

    def __init__(self, world: World) -> None:
        self.world = world

    def list_executions(self, statusFilter: str, redriveFilter: str, **_: Any) -> Any:  # noqa: N803
        ended = [one for one in self.world.executions if one.status == statusFilter]
        return {
            "executions": [
                {
                    "executionArn": one.context.id,
                    "name": one.context.name,
                    "startDate": datetime.now(UTC),
                    "stopDate": datetime.now(UTC),
                }
                for one in ended
                if redriveFilter == "NOT_REDRIVEN" and "no-safety-net" not in self.world.weak
            ]
        }

    def describe_execution(self, executionArn: str) -> Any:  # noqa: N803
        one = next(each for each in self.world.executions if each.context.id == executionArn)
        return {
            "executionArn": executionArn,
            "name": one.context.name,
            "status": one.status,
            "startDate": datetime.fromisoformat(one.context.start),
            "input": json.dumps(one.context.input),
            "error": one.error,
            "cause": one.cause,
        }

    def get_execution_history(self, executionArn: str, **_: Any) -> Any:  # noqa: N803
        one = next(each for each in self.world.executions if each.context.id == executionArn)
        return {
            "events": [{"stateEnteredEventDetails": {"name": one.context.path[-1]}}]
            if one.context.path
            else []
        }

    def start_execution(self, name: str, input: str, **_: Any) -> None:  # noqa: A002
        self.world.start(json.loads(input))


class Tap:
    """A client that stops the world before and after each call, and sometimes fails it."""

    def __init__(self, world: World, client: Any) -> None:
        self.world, self.client = world, client

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*positional: Any, **arguments: Any) -> Any:
            if str(arguments.get("Key", "")).startswith("items/"):
                return getattr(self.client, name)(*positional, **arguments)  # never changes
            self.world.pause()
            self.world.fault("before")
            if name == "get_object" and (stashed := self.world.stash.pop(arguments["Key"], None)):
                answer = stashed
            else:
                answer = getattr(self.client, name)(*positional, **arguments)
            self._note(name, arguments)
            self.world.pause()
            self.world.fault("after")
            return answer

        return call

    def _note(self, name: str, arguments: Any) -> None:
        """Keeps every outcome that was written, to find executions that have two."""
        puts = [each.get("Put", {}) for each in arguments.get("TransactItems", ())]
        for put in [*puts, arguments] if name in ("transact_write_items", "put_item") else ():
            item = put.get("Item", {})
            if put.get("TableName") == "items":
                name = (owner(item) or "").rpartition("/")[2]
                self.world.edited.discard((name, item["sk"]["S"]))
            if "outcome" in item and "execution" in item:
                self.world.outcomes[item["execution"]["S"]].append(item["outcome"]["S"])


def fakes() -> tuple[Any, Any]:
    """S3 and DynamoDB for one history, in memory."""
    return FakeS3(), Table()


def moto() -> tuple[Any, Any]:
    """S3 and DynamoDB for one history, by moto; within `moto_world`."""
    _empty_tables()
    return boto3.client("s3"), boto3.client("dynamodb")


def history(
    rng: random.Random,
    weak: frozenset[str] = frozenset(),
    clients: Callable[[], tuple[Any, Any]] = fakes,
) -> list[Any]:
    """Runs one random history within `universe`; returns what is wrong with its end: (kind, file or
    execution, details).
    """
    world = World(rng, next(_numbers) if clients is moto else 0, weak, clients)
    queue: list[Any] = []
    late: list[Running] = []
    changes, lossy, reprocess = rng.randrange(3, 14), rng.random() < 0.4, rng.random() < 0.5
    edits = 3 * world.hand * (clients is fakes)
    expiry = rng.random() < 0.3
    reconciled, steps, restarts, noticed = not lossy, 0, 0, 0
    with weakened(world):
        while True:
            steps += 1
            if steps > LIMIT:
                return [("stuck", steps, None)]
            if not changes and not reconciled:
                reconciled = True
                for name in POOL:
                    world.start(world.event(name))
            ended = [one for one in world.executions[:] if one.status in ("FAILED", "ABORTED")]
            if len(ended) > noticed and rng.random() < 0.5 and "no-safety-net" not in weak:
                late += ended[noticed:]
                noticed = len(ended)
            if not (changes or edits or queue or world.running or world.zombies or late):
                restarted = 0
                for name in POOL:
                    problem = world.row(name).get("problem", {}).get("M", {})
                    if (
                        problem.get("status", {}).get("S") == "FAILED"
                        and reprocess
                        and restarts < 40
                    ):
                        restarts += 1
                        restarted += 1
                        world.start(json.loads(problem["input"]["S"]))
                    elif world.edits[name] and not world.answered(name) and restarts < 40:
                        restarts += 1
                        restarted += 1
                        world.start(world.event(name, force=True))
                if not world.sweep() and not restarted:
                    break
                continue
            what = rng.choice(
                ["change"] * 2 * bool(changes)
                + ["deliver"] * bool(queue)
                + ["step"] * 6 * bool(world.running or world.zombies)
                + ["late"] * bool(late)
                + ["edit"] * bool(edits)
            )
            if what == "change":
                changes -= 1
                if expiry and rng.random() < 0.2:
                    world.expire()
                if rng.random() < 0.02:
                    world.lose_staged_items()
                if rng.random() < 0.05:
                    world.lose_a_key_list()
                for event in world.changes():
                    if not (lossy and rng.random() < 0.2):
                        queue += [event] * rng.choice([1, 1, 2])
            elif what == "edit":
                edits -= 1
                queue += filter(None, [world.edit()])
            elif what == "deliver":
                world.start(queue.pop(rng.randrange(len(queue))))
            elif what == "late":
                world.record_late(late.pop(rng.randrange(len(late))))
            elif world.running:
                world.step()
            else:
                world.zombies.pop().throw(Crash)
        return list(wrongs(world, reprocess))


def wrongs(world: World, reprocess: bool) -> Iterator[Any]:
    """What must not be at the end of a history."""
    doubled = collections.Counter(one.context.id for one in world.executions)
    for one in world.executions:
        outcomes = world.outcomes[one.context.id]
        if len(outcomes) != 1:
            yield ("outcomes", one.context.name, outcomes)
        elif (
            one.status == "SUCCEEDED"
            and outcomes[0] in ("INVALID", "FAILED")
            and doubled[one.context.id] == 1
        ):
            yield ("green, but recorded otherwise", one.context.name, outcomes)
    held = world.items()
    for name in POOL:
        yield from _wrong_of(world, name, held, reprocess)


def _wrong_of(
    world: World, name: str, held: dict[str, tuple[str | None, int | str]], reprocess: bool
) -> Iterator[Any]:
    uri, row = object_uri("source", world.key(name)), world.row(name)
    have = {item: value for item, (holder, value) in held.items() if holder == uri}
    content = world.content(name)
    edited = {item for file, item in world.edited if file == name}
    problem = row.get("problem", {}).get("M", {})
    kind = problem.get("status", {}).get("S")
    conflict = None
    if kind == "INVALID" and problem["error"]["S"] == KeyOwnershipError.__name__:
        conflict = values_of(problem["cause"]["S"])
    refused = world.index and any(isinstance(each, str) for each in (content or {}).values())
    good_shown = content is not None and kind in (None, "PARTIAL")
    if (content is None or refused) and kind in (None, "PARTIAL"):
        yield ("silent", name, row)
    aside = json.loads(row["set_aside"]["S"])["records"] if "set_aside" in row else 0
    bad = world.bad_records(name)
    if good_shown and ((kind == "PARTIAL") != bool(bad) or aside != bad):
        yield ("bad records that the row does not tell", name, (bad, kind, aside))
    incomplete = "incomplete_since" in row or (
        "claim" in row and row.get("claim_state", {}).get("S") != "ADDING"
    )
    if (
        (content is None or kind == "INVALID")
        and kind != "FAILED"
        and not incomplete
        and not edited
        and not any(_stands(world, name, have, each, row) for each in world.good[name])
    ):
        yield ("torn", name, (have, row))
    if incomplete and kind != "FAILED" and not (world.staged_lost or world.expired):
        yield ("incomplete though nothing expired", name, row)
    if content is not None and kind == "INVALID":
        if not conflict:
            if not refused:
                yield ("INVALID shown for a good file", name, problem)
        elif held.get(conflict["item"]["sk"]["S"], (None,))[0] != conflict["owner"]:
            yield ("refused for ever with nothing in the way", name, problem)
        else:
            yield from _kept_out(world, name, conflict)
    unforced = set() if world.answered(name) else edited
    if content is not None and good_shown:
        if _differs(_without(have, unforced), _without(content, unforced), world.expired):
            yield ("silent difference", name, (content, have, row))
        if "claim" in row:
            yield ("claim left open", name, row)
    if kind == "FAILED" and reprocess:
        yield ("FAILED though reprocessed", name, problem)
    # Whoever took a claim last answers for the event of whoever had it: its failure is shown.
    claimed = row.get("claimed_by", {}).get("S", "")
    started = problem.get("started", {}).get("S", "")
    answers = claimed.startswith(f"EVENT#{started}#")
    if kind == "FAILED" and started <= row.get("as_of", {}).get("S", "") and not answers:
        yield ("an old failure shown as the truth", name, problem)


def _stands(world: World, name: str, have: Values, version: Values, row: Any) -> bool:
    """Whether a file has the items of this version; one that let go may have lost what a later one
    does not have.
    """
    have, version = _without(have, world.expired), _without(version, world.expired)
    lost = version.keys() - have.keys()
    released = row.get("status", {}).get("S") == "RELEASED"
    later = world.good[name]
    return have == _without(version, set(lost)) and (
        not lost or (released and all(any(item not in each for each in later) for item in lost))
    )


def _kept_out(world: World, name: str, conflict: Any) -> Iterator[Any]:
    """A file that is kept out by an item that its owner's content no longer has, and no fault keeps
    the owner from saying so.
    """
    item, other = conflict["item"]["sk"]["S"], conflict["owner"].rpartition("/")[2]
    content = world.content(other) if other in POOL else None
    if content is None or item in content:
        return
    problem = world.row(other).get("problem", {}).get("M", {})
    broken = world.index and any(isinstance(each, str) for each in content.values())
    if problem.get("status", {}).get("S") != "FAILED" and not broken:
        yield ("refused for an item that its owner no longer has", name, (item, world.row(other)))


def _without(items: Values, names: set[str]) -> Values:
    return {name: value for name, value in items.items() if name not in names}


def _differs(have: Values, content: Values, expired: set[str]) -> bool:
    """Whether a file's items are not what they should be; an expired one may be missing, but never
    wrong.
    """
    missing = content.keys() - have.keys()
    return not have.items() <= content.items() or not missing <= expired


# ---- weaknesses: each switches one protection of the real code off ----


def weaken_record_failure(weak: frozenset[str], actions: list[Any]) -> None:
    """Takes conditions off the transaction of Record Failure."""
    outcome = actions[0]["Put"]["Item"]["outcome"]["S"]
    update = actions[1]["Update"]
    if outcome == "FAILED" and "failed-unconditional" in weak:
        del actions[0]["Put"]["ConditionExpression"]
    if outcome == "FAILED" and "late-failure-wins" in weak:
        update["ConditionExpression"] = "attribute_not_exists(as_of) OR as_of <> :bound"
    if outcome == "INVALID" and "invalid-unconditional" in weak:
        update["ConditionExpression"] = (
            "attribute_not_exists(revision) OR revision <> :bound OR revision = :bound"
        )


@contextmanager
def weakened(world: World) -> Iterator[None]:
    """Connects the code to this world, with the protections in `weak` switched off."""
    weak = world.weak
    patches: list[Any] = [
        patch.object(aws, "s3", lambda: world.s3),
        patch.object(aws, "dynamodb", lambda: world.dynamodb),
        patch.object(tables, "dynamodb", lambda: world.dynamodb),
        patch.object(fetch_module, "MAX_JITTER", 0),
        patch.object(sizes, "TRANSACTION_ITEMS", world.fits),
        patch.object(lanes, "LANES", 2),
        patch.object(partitioned_lines, "PARTITIONS", 4),
        patch.object(item_set, "PARTITIONS", 4),
        patch.object(lanes, "in_parallel", _one_after_another),
        patch.object(patience, "pause", lambda _: world.pause()),
    ]
    read_row, update_row, put_audit_row = reads.read_row, writes.update_row, writes.put_audit_row
    fetch = fetch_module.fetch
    why_cancelled = transaction.why_cancelled
    lane_action = lanes.lane_action

    def bucket_first(client: Any, table: str, uri: str) -> Row:
        key = uri.removeprefix("s3://source/")
        with suppress(ClientError):
            world.stash[key] = world.s3.get_object(Bucket="source", Key=key)
        return read_row(client, table, uri)

    def any_revision(client: Any, table: str, uri: str) -> Row:
        row = read_row(client, table, uri)
        return dataclasses.replace(row, revision=_Any(row.revision))

    def no_condition(*args: Any, **kwargs: Any) -> Any:
        action = update_row(*args, **kwargs)
        del action["Update"]["ConditionExpression"]
        action["Update"]["ExpressionAttributeValues"].pop(":seen", None)
        return action

    def no_held(*args: Any) -> Any:
        action = lane_action(*args)
        action["Update"].pop("ConditionExpression", None)
        action["Update"]["ExpressionAttributeValues"].pop(":held", None)
        return action

    def no_pending(row: Row) -> list[str]:
        return [row.keys_at] if row.keys_at else []

    def forgets(self: Any, *args: Any) -> None:
        begin(self, *args)
        self.others = []

    def no_barrier(self: Any) -> None:
        self.lanes.read()
        self.plan.keep_keys()
        self.lanes.run(lanes.REPLACE, self.plan.replaced)
        run(self)

    begin, run, undo = (
        plan.Plan.__init__,
        large_write.LargeWrite.run,
        large_write.LargeWrite.undo,
    )

    def not_undone(self: Any, refusal: Any) -> None:
        with patch.object(self.plan, "added_before", lambda _: iter(())):
            undo(self, refusal)

    def believe_event(payload: Any, *args: Any) -> Any:
        answer = fetch(payload, *args)
        if payload["event"].get("detail-type") == "Object Deleted":
            answer["found"] |= {"action": "delete"}
        return answer

    def say_nothing(self: FileCommit) -> Committed:
        row = audit_row(self.snapshot.uri, self.execution, "UNCHANGED", 1000)
        self.tables.client.put_item(TableName="ledger", Item=row)
        return Committed("UNCHANGED")

    def strict(response: Any, *rest: Any) -> Any:
        taken = why_cancelled(response, *rest)
        if taken:
            raise KeyOwnershipError(min(taken), "another file")
        return taken

    def believing(self: Any) -> bool:
        before = self.row.claim
        return not self._is_distrustful and (before is None or before.trusts)

    def believing_all(self: Any) -> bool:
        before = self.row.claim
        return not self._is_distrustful and (before is None or before.state == ADDING)

    def never_doubted(attributes: Any) -> Row:
        return dataclasses.replace(row_of(attributes), doubted=False)

    def unmarked(self: Any, *, released: bool) -> Any:
        changes = release_changes(self, released=released)
        changes["problem"]["M"].pop("released", None)
        return changes

    row_of, release_changes = Row.of, release.Release._changes

    def of_the_commit(snapshot: Snapshot, outcome: str) -> SetAside | None:
        return snapshot.set_aside if outcome == "PARTIAL" else None

    def unconditional(table: str, row: Any) -> Any:
        action = put_audit_row(table, row)
        del action["Put"]["ConditionExpression"]
        return action

    switches: dict[str, list[Any]] = {
        "read-bucket-first": [patch.object(fetch_module, "read_row", bucket_first)],
        "no-revision": [
            patch.object(file_commit, "update_row", no_condition),
            patch.object(transaction, "read_row", any_revision),
        ],
        "no-claim-check": [
            patch.object(module, "lane_action", no_held) for module in (claiming, lanes)
        ],
        "no-pending": [
            patch.object(key_lists, "key_lists", no_pending),
            patch.object(large_write, "key_lists", no_pending),
            patch.object(plan.Plan, "__init__", forgets),
        ],
        "no-barrier": [patch.object(large_write.LargeWrite, "run", no_barrier)],
        "no-rollback": [patch.object(large_write.LargeWrite, "undo", not_undone)],
        "event-is-truth": [patch.object(fetch_object, "fetch", believe_event)],
        "silent-unchanged": [patch.object(FileCommit, "unchanged", say_nothing)],
        "failed-unconditional": [patch.object(failures, "put_audit_row", unconditional)],
        "strict-deletes": [patch.object(transaction, "why_cancelled", strict)],
        "no-sweep": [patch.object(WaitingFiles, "_start", lambda *_: False)],
        "no-audit-condition": [patch.object(writes, "put_audit_row", unconditional)],
        "skip-over-replacing": [patch.object(claiming.Claiming, "_trusts", property(believing))],
        "force-by-row": [patch.object(Execution, "forced", False)],
        "force-forgotten": [
            patch.object(Row, "of", never_doubted),
            patch.object(claiming.Claiming, "_trusts", property(believing_all)),
        ],
        "no-questions": [patch.object(questions.Questions, "ask", lambda _: None)],
        "no-superseded": [patch.object(claiming.Claiming, "_superseded", lambda *_: None)],
        "no-rebuild": [
            patch.object(module, "check_keys", lambda *_: None)
            for module in (file_commit, settlement)
        ],
        "no-release": [patch.object(waiting_files, "_may_release", lambda _: False)],
        "release-unmarked": [patch.object(release.Release, "_changes", unmarked)],
        "partial-forgotten": [patch.object(writes, "_set_aside", of_the_commit)],
    }
    with ExitStack() as stack:
        for each in [*patches, *(one for name in weak for one in switches.get(name, ()))]:
            stack.enter_context(each)
        yield


def _one_after_another(calls: Sequence[Callable[[], None]]) -> None:
    for call in calls:
        call()


class _Any(int):
    """Equal to every revision."""

    def __eq__(self, other: object) -> bool:
        return True

    def __ne__(self, other: object) -> bool:
        return False

    __hash__ = int.__hash__


def _count() -> Iterator[int]:
    number = 0
    while True:
        number += 1
        yield number


_numbers = _count()


@contextmanager
def universe() -> Iterator[None]:
    """The environment of the handlers, and their one dataset."""
    catalogue = Catalogue({"histories": SCHEMA})
    with ExitStack() as stack:
        stack.enter_context(patch.dict(os.environ, ENVIRONMENT))
        for module in (fetch_object, validate_records, transform_records):
            stack.enter_context(patch.object(module, "catalogue", lambda: catalogue))
        logging.getLogger(context.logger().name).setLevel(logging.CRITICAL)
        stack.callback(aws.cached_client.cache_clear)
        yield


@contextmanager
def moto_world() -> Iterator[None]:
    """moto's S3 with the buckets that histories share."""
    with mock_aws():
        s3 = boto3.client("s3")
        for bucket in ("source", "staging"):
            s3.create_bucket(Bucket=bucket)
        s3.put_bucket_versioning(Bucket="source", VersioningConfiguration={"Status": "Enabled"})
        yield


def _empty_tables() -> None:
    """moto copies whole tables for each transaction, so every history starts with empty ones."""
    dynamodb = boto3.client("dynamodb")
    for table in dynamodb.list_tables()["TableNames"]:
        dynamodb.delete_table(TableName=table)
    for table in ("items", "ledger"):
        index = {
            "IndexName": "problems",
            "KeySchema": _key_schema("problem_status", "problem_at"),
            "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["problem_error"]},
        }
        names = ["pk", "sk"] + (["problem_status", "problem_at"] if table == "ledger" else [])
        dynamodb.create_table(
            TableName=table,
            BillingMode="PAY_PER_REQUEST",
            KeySchema=_key_schema("pk", "sk"),
            AttributeDefinitions=[{"AttributeName": n, "AttributeType": "S"} for n in names],
            **({"GlobalSecondaryIndexes": [index]} if table == "ledger" else {}),  # type: ignore[arg-type]
        )


def _key_schema(*names: str) -> Any:
    return [
        {"AttributeName": n, "KeyType": kind}
        for n, kind in zip(names, ("HASH", "RANGE"), strict=True)
    ]


def first_wrong(weakness: str, seeds: Iterable[int]) -> tuple[int, Any] | None:
    """The first of the seeds whose history goes wrong with a protection off, and how."""
    for seed in seeds:
        wrong = history(random.Random(seed), frozenset([weakness]))
        if wrong:
            return seed, wrong
    return None


def main() -> None:
    """Runs histories and says what is wrong with them; with a weakness, until one goes wrong."""
    count, weaknesses = int(sys.argv[1]), sys.argv[2:]
    with universe():
        for weakness in weaknesses:
            print(weakness, first_wrong(weakness, range(count)), flush=True)
        if not weaknesses:
            kinds: dict[str, list[int]] = {}
            for seed in range(count):
                for kind, _, _ in history(random.Random(seed)):
                    kinds.setdefault(kind, []).append(seed)
            found = "; ".join(
                f"{len(set(each))} {kind} (seeds {each[:3]})"
                for kind, each in sorted(kinds.items())
            )
            print(f"{count} histories: {found or 'nothing wrong'}")
            sys.exit(bool(kinds))


if __name__ == "__main__":
    main()
