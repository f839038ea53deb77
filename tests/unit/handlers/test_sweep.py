"""The sweep: what events missed is recorded, and what an owner let go is tried again."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import patch

import pytest
from handlers import sweep as handler_module
from tablekeeper import aws
from tablekeeper.commit import transaction
from tablekeeper.commit.transaction import Tables
from tablekeeper.errors import KeyOwnershipError
from tablekeeper.model.keys import ItemKey, TableKey
from tablekeeper.recovery.sweep import Swept, sweep

from tests.support.fakes import FakeDynamoDB
from tests.unit.step_functions import EVENT, FakeStepFunctions

KEY = {"pk": {"S": "a"}, "sk": {"S": "1"}}
OWNER = "s3://b/owner"


@pytest.fixture
def states() -> FakeStepFunctions:
    return FakeStepFunctions()


@pytest.fixture
def dynamodb() -> FakeDynamoDB:
    return FakeDynamoDB()


def run(states: Any, dynamodb: Any) -> Swept:
    return sweep(
        states, Tables(dynamodb, "ledger", "items", TableKey.parse("pk:S,sk:S"), 1000), "m"
    )


def refuse(dynamodb: FakeDynamoDB, owner: str | None = OWNER, revision: int = 3) -> None:
    """A file that was refused because of the item's owner."""
    message = str(KeyOwnershipError(ItemKey.of(KEY), owner))
    cause = json.dumps({"errorMessage": message, "errorType": "KeyOwnershipError"})
    problem = {"cause": {"S": cause[:32768]}, "input": {"S": json.dumps(EVENT)}}
    row = {
        "pk": {"S": "s3://b/refused"},
        "sk": {"S": "CURRENT"},
        "revision": {"N": str(revision)},
        "problem": {"M": problem},
        "problem_status": {"S": "INVALID"},
        "problem_error": {"S": "KeyOwnershipError"},
    }
    dynamodb.put_item(TableName="ledger", Item=row)


def hold(dynamodb: FakeDynamoDB, key: str | None) -> None:
    """The item is there, and belongs to a file of the bucket b, or to nobody."""
    source = {"_source": {"M": {"bucket": {"S": "b"}, "key": {"S": key}}}} if key else {}
    dynamodb.put_item(TableName="items", Item={**KEY, **source})


def test_a_file_is_tried_again_when_the_item_is_gone(states: Any, dynamodb: Any) -> None:
    refuse(dynamodb)
    assert run(states, dynamodb).restarted == 1
    assert [json.loads(each) for each in states.started.values()] == [EVENT]


def test_a_file_is_tried_again_when_the_item_has_another_owner(states: Any, dynamodb: Any) -> None:
    refuse(dynamodb)
    hold(dynamodb, "somebody-else")
    assert run(states, dynamodb).restarted == 1


def test_a_file_waits_while_the_owner_holds_on(states: Any, dynamodb: Any) -> None:
    refuse(dynamodb)
    hold(dynamodb, "owner")
    assert run(states, dynamodb).restarted == 0


def test_a_file_waits_while_an_item_is_not_tablekeeper_s(states: Any, dynamodb: Any) -> None:
    refuse(dynamodb, owner=None)
    hold(dynamodb, None)
    assert run(states, dynamodb).restarted == 0
    hold(dynamodb, "somebody")
    assert run(states, dynamodb).restarted == 1


def test_a_file_is_tried_once_a_revision(states: Any, dynamodb: Any) -> None:
    refuse(dynamodb)
    assert [run(states, dynamodb).restarted for _ in range(2)] == [1, 0]
    refuse(dynamodb, revision=4)
    assert run(states, dynamodb).restarted == 1


def test_other_problems_are_not_tried_again(states: Any, dynamodb: Any) -> None:
    refuse(dynamodb)
    dynamodb.tables["ledger"]["s3://b/refused", "CURRENT"]["problem_error"] = {"S": "EncodingError"}
    assert run(states, dynamodb).restarted == 0


def test_what_is_wrong_is_counted_by_status(states: Any, dynamodb: Any) -> None:
    for name, status, more in (
        ("a", "FAILED", {}),
        ("b", "INVALID", {}),
        ("c", "INVALID", {"incomplete_since": {"S": "2026-01-01T00:00:00.000Z"}}),
    ):
        row = {"pk": {"S": f"s3://b/{name}"}, "sk": {"S": "CURRENT"}, **more}
        row |= {"problem_status": {"S": status}, "problem_error": {"S": "EncodingError"}}
        dynamodb.put_item(TableName="ledger", Item=row)
    assert run(states, dynamodb).problems == {"FAILED": 1, "INVALID": 2, "INCOMPLETE": 1}


def test_every_bad_end_that_is_missing_in_the_ledger_is_recorded(
    states: Any, dynamodb: Any
) -> None:
    for name, status in (("1", "FAILED"), ("2", "TIMED_OUT"), ("3", "ABORTED"), ("4", "SUCCEEDED")):
        states.end(name, status)
    assert len(run(states, dynamodb).recorded) == 3
    assert len(run(states, dynamodb).recorded) == 0


def test_only_what_ended_since_the_last_sweep_is_looked_at(states: Any, dynamodb: Any) -> None:
    run(states, dynamodb)
    now = datetime.now(UTC)
    old = states.end("old", "FAILED", stopped=now - timedelta(minutes=11), startDate=now)
    new = states.end("new", "FAILED", stopped=now - timedelta(minutes=9), startDate=now)
    assert len(run(states, dynamodb).recorded) == 1
    assert states.described == [new]
    assert old not in states.described


def test_listing_stops_at_executions_too_old_to_have_ended_since(
    states: Any, dynamodb: Any
) -> None:
    run(states, dynamodb)
    ancient = datetime.now(UTC) - timedelta(days=16)
    states.end("ancient", "FAILED", stopped=ancient, startDate=ancient)
    states.end("behind-it", "FAILED", startDate=datetime.now(UTC))
    assert len(run(states, dynamodb).recorded) == 0


def test_a_sweep_that_breaks_off_leaves_its_work_to_the_next(states: Any, dynamodb: Any) -> None:
    states.end("1", "FAILED", stopped=datetime.now(UTC) - timedelta(days=3))
    with (
        patch.object(states, "describe_execution", side_effect=RuntimeError),
        pytest.raises(RuntimeError),
    ):
        run(states, dynamodb)
    assert len(run(states, dynamodb).recorded) == 1


def test_the_handler_sweeps(states: Any, dynamodb: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = {
        "LEDGER_TABLE": "ledger",
        "ITEMS_TABLE": "items",
        "ITEM_KEYS": "pk:S,sk:S",
        "AUDIT_RETENTION_SECONDS": "1000",
        "STATE_MACHINE_ARN": "m",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    refuse(dynamodb)
    states.end("1", "ABORTED")
    with (
        patch.object(aws, "states", lambda: states),
        patch.object(transaction, "dynamodb", lambda: dynamodb),
    ):
        assert handler_module.handler({}, None) == {
            "recorded": 1,
            "restarted": 1,
            "problems": {"FAILED": 1, "INVALID": 1, "INCOMPLETE": 0},
        }
