"""S3, DynamoDB and Step Functions as the handlers of a history see them: the world may go on before
and after each call.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import chain
from typing import TYPE_CHECKING, Any

import boto3
from botocore.exceptions import ClientError
from greenlet import greenlet
from moto import mock_aws
from tablekeeper.model.items import owner

from tests.convergence.files import name_of
from tests.convergence.wrongs import wrong_commit
from tests.support.fakes import FakeS3, client_error, plain_number
from tests.support.moto_transactions import quick_transactions
from tests.support.quick import QuickDynamoDB

if TYPE_CHECKING:
    from tests.convergence.world import World


class Table(QuickDynamoDB):
    """Tables, with an index on `value` that refuses what it cannot hold. Numbers are returned as
    DynamoDB does it: without an exponent.
    """

    strict = False  # A release of before, and a weakness, take parts of expressions away.

    def transact_write_items(self, TransactItems: list[Any]) -> Any:  # noqa: N803
        refused = [
            bool(self.index) and "S" in each.get("Put", {}).get("Item", {}).get("value", ())
            for each in TransactItems
        ]
        if any(refused):
            codes = [{"Code": "ValidationError" if each else "None"} for each in refused]
            raise client_error("TransactionCanceledException", CancellationReasons=codes)
        if EXPONENT.search(json.dumps(TransactItems, default=repr)):
            TransactItems = _plain(TransactItems)  # noqa: N806
        return super().transact_write_items(TransactItems)


EXPONENT = re.compile(r'"N": "[^"]*E')
"""In the text of a transaction, most of which have no such number."""


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        if value.keys() == {"N"} and "E" in value["N"]:
            return {"N": plain_number(value["N"])}
        return {name: _plain(each) for name, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list) else value


class StepFunctions:
    """The calls of the Step Functions API that the safety net and the sweep make, answered from a
    world.
    """

    def __init__(self, world: World) -> None:
        self.world = world

    def list_executions(self, statusFilter: str, **_: Any) -> Any:  # noqa: N803
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
                if "no-safety-net" not in self.world.weak
            ]
        }

    def describe_execution(self, executionArn: str) -> Any:  # noqa: N803
        all_runs = [*self.world.executions, *self.world.reconciles]
        one = next(each for each in all_runs if each.context.id == executionArn)
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
        if name in self.world.names:
            raise client_error("ExecutionAlreadyExists")
        self.world.names.add(name)
        self.world.start(json.loads(input))


class Tap:
    """A client that stops the world before and after each call, and sometimes fails it."""

    def __init__(self, world: World, client: Any) -> None:
        self.world, self.client = world, client

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*positional: Any, **arguments: Any) -> Any:
            if str(arguments.get("Key", "")).startswith("items/"):
                return getattr(self.client, name)(*positional, **arguments)  # never changes
            if name == "transact_write_items" and is_of_before():
                arguments = {
                    "TransactItems": [_of_before(each) for each in arguments["TransactItems"]]
                }
            self.world.pause()
            self.world.fault("before")
            seen_before = (greenlet.getcurrent(), arguments.get("Key"))
            if name == "get_object" and seen_before in self.world.stash:
                answer = self.world.stash.pop(seen_before)
                if isinstance(answer, ClientError):
                    raise answer
            else:
                answer = getattr(self.client, name)(*positional, **arguments)
            self._note(name, arguments)
            self.world.pause()
            self.world.fault("after")
            return answer

        return call

    def _note(self, name: str, arguments: Any) -> None:
        """Keeps every outcome that was written, to find executions that have two."""
        committed = list[Any]()
        puts = [each.get("Put", {}) for each in arguments.get("TransactItems", ())]
        for put in [*puts, arguments] if name in ("transact_write_items", "put_item") else ():
            item = put.get("Item", {})
            if put.get("TableName") == "items":
                name = (owner(item) or "").rpartition("/")[2]
                self.world.edited.discard((name, name_of(item["sk"])))
            if "outcome" in item and "execution" in item:
                execution = item["execution"]["S"]
                if any(execution == each.context.id for each in self.world.reconciles):
                    execution = f"{execution} {item['pk']['S']}"
                self.world.outcomes[execution].append(item["outcome"]["S"])
                committed.append(item)
        for each in committed:
            self.world.found += wrong_commit(self.world, each)


UNKNOWN_BEFORE = ("item_digests", "doubted")
"""Attributes of a row that the release before neither sets nor removes."""


def is_of_before() -> bool:
    """Whether the function that runs now is of the release before, which knows no digests."""
    return getattr(greenlet.getcurrent(), "is_of_before", False)


def _of_before(action: Any) -> Any:
    update = action.get("Update", {})
    unknown = {
        place
        for place, name in update.get("ExpressionAttributeNames", {}).items()
        if name in UNKNOWN_BEFORE
    }
    if not unknown:
        return action
    sets, _, removed = update["UpdateExpression"].removeprefix("SET ").partition(" REMOVE ")
    left = [each for each in sets.split(", ") if each.partition(" = ")[0] not in unknown]
    gone = [each for each in removed.split(", ") if each and each not in unknown]
    expression = "SET " + ", ".join(left) + (" REMOVE " + ", ".join(gone) if gone else "")
    return {"Update": {**update, "UpdateExpression": expression}}


def fakes() -> tuple[Any, Any]:
    """S3 and DynamoDB for one history, in memory."""
    return FakeS3(), Table()


def moto() -> tuple[Any, Any]:
    """S3 and DynamoDB for one history, by moto; within `moto_world`."""
    _empty_tables()
    return boto3.client("s3"), boto3.client("dynamodb")


@contextmanager
def moto_world() -> Iterator[None]:
    """moto's S3 with the buckets that histories share."""
    with mock_aws(), quick_transactions():
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
        indexes = [
            {
                "IndexName": index,
                "KeySchema": _key_schema(*keys),
                "Projection": {"ProjectionType": "ALL"},
            }
            for index, keys in INDEXES.items()
        ]
        names = ["pk", "sk"]
        if table == "ledger":
            names = list(dict.fromkeys([*names, *chain.from_iterable(INDEXES.values())]))
        dynamodb.create_table(
            TableName=table,
            BillingMode="PAY_PER_REQUEST",
            KeySchema=_key_schema("pk", "sk"),
            AttributeDefinitions=[{"AttributeName": n, "AttributeType": "S"} for n in names],
            **({"GlobalSecondaryIndexes": indexes} if table == "ledger" else {}),  # type: ignore[arg-type]
        )


INDEXES = {"problems": ("problem_status", "problem_at"), "files": ("file_shard", "pk")}
"""Of the ledger, and what their keys are."""


def _key_schema(*names: str) -> Any:
    return [
        {"AttributeName": n, "KeyType": kind}
        for n, kind in zip(names, ("HASH", "RANGE"), strict=True)
    ]
