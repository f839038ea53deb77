"""The safety net: whatever way an execution ends badly, its end is recorded."""

from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import patch

import pytest
from handlers import safety_net
from tablekeeper import aws
from tablekeeper.ledger.ends import EndKey, RecordedEnd, write_end
from tablekeeper.recovery import clock
from tablekeeper.recovery.safety_net import BadEnd, SafetyNet

from tests.support.fakes import FakeDynamoDB
from tests.unit.step_functions import FakeStepFunctions

END = ("END#e", "0")
AUDIT = ("s3://b/k", "EVENT#2026-01-01T00:00:00.000Z#e#0")


@pytest.mark.parametrize(
    ("status", "more", "error"),
    [
        ("FAILED", {"error": "States.Runtime", "cause": "why"}, "States.Runtime"),
        ("TIMED_OUT", {}, "States.Timeout"),
        ("ABORTED", {}, "ExecutionAborted"),
        ("ABORTED", {"error": "Mine", "cause": "because"}, "Mine"),
    ],
)
def test_an_end_that_nobody_recorded_is_recorded(status: str, more: Any, error: str) -> None:
    states, dynamodb = FakeStepFunctions(), FakeDynamoDB()
    arn = states.end("e", status, **more)
    states.entered[arn] = ["Fetch Object", "What Now?", "Write Items"]
    client: Any = dynamodb
    end = SafetyNet(states, client, "ledger", 1000).record(arn)  # type: ignore[arg-type]
    assert end == BadEnd("k", arn, "FAILED", error, missing=True)
    row = dynamodb.tables["ledger"][AUDIT]
    assert row["outcome"] == {"S": "FAILED"}
    assert row["error"] == {"S": error}
    assert row["state"] == {"S": "Write Items"}
    assert row["cause"]["S"]


def test_the_state_that_failed_is_named_after_any_number_of_retries() -> None:
    states, dynamodb = FakeStepFunctions(), FakeDynamoDB()
    arn = states.end("e", "ABORTED")
    states.entered[arn], states.tries = ["Fetch Object", "Write Items"], 100
    client: Any = dynamodb
    assert SafetyNet(states, client, "ledger", 1000).record(arn)  # type: ignore[arg-type]
    assert dynamodb.tables["ledger"][AUDIT]["state"] == {"S": "Write Items"}


def test_the_state_that_failed_is_named_and_not_those_that_record_it() -> None:
    states, dynamodb = FakeStepFunctions(), FakeDynamoDB()
    arn = states.end("e", "FAILED")
    states.entered[arn] = ["Fetch Object", "Write Items", "Record Failure", "Sync Failed"]
    client: Any = dynamodb
    assert SafetyNet(states, client, "ledger", 1000).record(arn)  # type: ignore[arg-type]
    assert dynamodb.tables["ledger"][AUDIT]["state"] == {"S": "Write Items"}


@pytest.mark.parametrize("outcome", ["INVALID", "FAILED", "SYNCED"])
def test_an_end_that_is_recorded_already_is_told_as_it_is(outcome: str) -> None:
    states, dynamodb = FakeStepFunctions(), FakeDynamoDB()
    arn = states.end("e", "FAILED", error="EncodingError", cause="why")
    row = {"pk": {"S": AUDIT[0]}, "sk": {"S": AUDIT[1]}, "outcome": {"S": outcome}}
    dynamodb.put_item(TableName="ledger", Item=row)
    client: Any = dynamodb
    end = SafetyNet(states, client, "ledger", 1000).record(arn)  # type: ignore[arg-type]
    assert end == BadEnd("k", arn, outcome, "EncodingError", missing=False)
    assert dynamodb.tables["ledger"].pop(END)["outcome"] == {"S": outcome}
    assert dynamodb.tables["ledger"] == {AUDIT: row}


@pytest.mark.parametrize("start", ["2025-12-31T23:59:59.999Z", "2026-01-01T00:00:00.001Z"])
def test_an_audit_row_is_found_where_two_apis_round_the_start_differently(start: str) -> None:
    states, dynamodb = FakeStepFunctions(), FakeDynamoDB()
    arn = states.end("e", "FAILED", error="EncodingError", cause="why")
    row = {"pk": {"S": AUDIT[0]}, "sk": {"S": f"EVENT#{start}#e#0"}, "outcome": {"S": "INVALID"}}
    dynamodb.put_item(TableName="ledger", Item=row)
    client: Any = dynamodb
    end = SafetyNet(states, client, "ledger", 1000).record(arn)  # type: ignore[arg-type]
    assert end == BadEnd("k", arn, "INVALID", "EncodingError", missing=False)
    assert AUDIT not in dynamodb.tables["ledger"]


@pytest.mark.parametrize("redrive", [0, 2])
def test_an_end_that_recorded_itself_is_not_described(
    monkeypatch: pytest.MonkeyPatch, redrive: int
) -> None:
    """DescribeExecution has a small quota, and bad files end by the hundred a second."""
    states, dynamodb = FakeStepFunctions(), FakeDynamoDB()
    monkeypatch.setenv("LEDGER_TABLE", "ledger")
    monkeypatch.setenv("AUDIT_RETENTION_SECONDS", "1000")
    arn = states.end("e", "FAILED", error="EncodingError", redriveCount=redrive)
    client: Any = dynamodb
    end = RecordedEnd("s3://b/k", "INVALID", "EncodingError")
    write_end(client, "ledger", EndKey("e", 0), end, 1000)
    with (
        patch.object(aws, "states", lambda: states),
        patch.object(aws, "dynamodb", lambda: dynamodb),
    ):
        event = {"detail": {"executionArn": arn, "redriveCount": redrive}}
        assert safety_net.handler(event, None) == {"recorded": bool(redrive)}
    # The row is of the end before the execution was redriven.
    assert states.described == ([arn] if redrive else [])


def test_an_execution_that_is_forgotten_is_left_alone() -> None:
    dynamodb: Any = FakeDynamoDB()
    states: Any = FakeStepFunctions()
    assert SafetyNet(states, dynamodb, "ledger", 1000).record("arn:gone") is None


def test_an_execution_that_did_not_end_badly_is_left_alone() -> None:
    states, dynamodb = FakeStepFunctions(), FakeDynamoDB()
    arn = states.end("e", "SUCCEEDED")
    client: Any = dynamodb
    assert not SafetyNet(states, client, "ledger", 1000).record(arn)  # type: ignore[arg-type]
    assert dynamodb.tables == {}


def test_an_execution_that_entered_no_state_is_recorded_too() -> None:
    states, dynamodb = FakeStepFunctions(), FakeDynamoDB()
    client: Any = dynamodb
    arn = states.end("e", "ABORTED")
    assert SafetyNet(states, client, "ledger", 1000).record(arn)  # type: ignore[arg-type]
    assert dynamodb.tables["ledger"][AUDIT]["state"] == {"S": "-"}


def test_the_handler_takes_a_status_change_event(monkeypatch: pytest.MonkeyPatch) -> None:
    states, dynamodb = FakeStepFunctions(), FakeDynamoDB()
    monkeypatch.setenv("LEDGER_TABLE", "ledger")
    monkeypatch.setenv("AUDIT_RETENTION_SECONDS", "1000")
    event = {"detail": {"executionArn": states.end("e", "TIMED_OUT"), "status": "TIMED_OUT"}}
    with (
        patch.object(aws, "states", lambda: states),
        patch.object(aws, "dynamodb", lambda: dynamodb),
    ):
        assert safety_net.handler(event, None) == {"recorded": True}
        assert safety_net.handler(event, None) == {"recorded": False}


def test_of_many_ends_at_once_the_safety_net_describes_four_a_second(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The quota is the account's; what is left to the sweep is found by it."""
    states, dynamodb = FakeStepFunctions(), FakeDynamoDB()
    second = datetime(2026, 1, 1, tzinfo=UTC)
    monkeypatch.setattr(clock, "now", lambda: second)
    ends = [states.end(f"e{number}", "TIMED_OUT") for number in range(9)]
    net: Any = SafetyNet(states, dynamodb, "ledger", 1000)  # type: ignore[arg-type]
    assert [bool(net.end_of(arn, 0)) for arn in ends] == [True] * 4 + [False] * 5
    assert states.described == ends[:4]
    monkeypatch.setattr(clock, "now", lambda: second + timedelta(seconds=1))
    assert net.end_of(ends[4], 0).missing
