"""FAILED, recorded from outside: once, under the definition's key, not over a newer truth."""

import json
from typing import Any

import pytest
from tablekeeper.errors import TransientServiceError
from tablekeeper.ledger.failures import Failure, record_failure, uri_of
from tablekeeper.model.execution import Execution

from tests.support.fakes import FakeDynamoDB, client_error

EVENT = json.dumps({"detail": {"bucket": {"name": "b"}, "object": {"key": "k"}}})
EXECUTION = Execution("arn:e1", "e1", "2026-01-01T12:00:00.5Z", 0, EVENT)
FAILURE = Failure("Write Items", "SomeError", "it broke")
CURRENT = ("s3://b/k", "CURRENT")
AUDIT = ("s3://b/k", "EVENT#2026-01-01T12:00:00.500Z#e1#0")


@pytest.fixture
def dynamodb() -> Any:
    return FakeDynamoDB()


def record(dynamodb: Any, failure: Failure = FAILURE) -> bool:
    return record_failure(dynamodb, "ledger", EXECUTION, failure, 1000)


def test_a_failure_is_the_execution_s_outcome_and_the_file_s_problem(dynamodb: Any) -> None:
    assert record(dynamodb)
    assert dynamodb.tables["ledger"][AUDIT]["outcome"] == {"S": "FAILED"}
    problem = dynamodb.tables["ledger"][CURRENT]["problem"]["M"]
    assert {
        name: problem[name]["S"] for name in ("status", "state", "error", "cause", "input")
    } == {
        "status": "FAILED",
        "state": "Write Items",
        "error": "SomeError",
        "cause": "it broke",
        "input": EVENT,
    }
    assert dynamodb.tables["ledger"][CURRENT]["problem_status"] == {"S": "FAILED"}


@pytest.mark.parametrize(("was_of", "shown"), [("notes", "notes"), (None, "-")])
def test_the_dataset_of_a_failure_is_the_one_that_the_file_had(
    dynamodb: Any, was_of: str | None, shown: str
) -> None:
    row: dict[str, Any] = {"pk": {"S": "s3://b/k"}, "sk": {"S": "CURRENT"}}
    dynamodb.put_item(TableName="ledger", Item=row | ({"dataset": {"S": was_of}} if was_of else {}))
    assert record(dynamodb)
    assert dynamodb.tables["ledger"][CURRENT]["problem_dataset"] == {"S": shown}


def test_a_failure_is_recorded_once(dynamodb: Any) -> None:
    record(dynamodb)
    before = json.dumps(dynamodb.tables["ledger"][CURRENT])
    assert not record(dynamodb, Failure("Fetch Object", "Other", ""))
    assert json.dumps(dynamodb.tables["ledger"][CURRENT]) == before


def test_an_outcome_that_stands_is_left_alone(dynamodb: Any) -> None:
    dynamodb.put_item(
        TableName="ledger",
        Item={"pk": {"S": AUDIT[0]}, "sk": {"S": AUDIT[1]}, "outcome": {"S": "SYNCED"}},
    )
    assert not record(dynamodb)
    assert CURRENT not in dynamodb.tables["ledger"]


@pytest.mark.parametrize(
    ("as_of", "shown"),
    [("2026-01-01T12:00:00.499Z", True), ("2026-01-01T12:00:00.500Z", False)],
)
def test_a_newer_look_at_the_file_stays_the_truth(dynamodb: Any, as_of: str, shown: bool) -> None:
    row = {"pk": {"S": "s3://b/k"}, "sk": {"S": "CURRENT"}, "revision": {"N": "7"}}
    dynamodb.put_item(TableName="ledger", Item={**row, "as_of": {"S": as_of}})
    assert record(dynamodb)
    assert ("problem" in dynamodb.tables["ledger"][CURRENT]) is shown
    assert dynamodb.tables["ledger"][CURRENT]["revision"] == {"N": "8" if shown else "7"}
    assert AUDIT in dynamodb.tables["ledger"]


def test_a_conflict_is_worth_a_retry(dynamodb: Any) -> None:
    class Conflicting(FakeDynamoDB):
        def transact_write_items(self, TransactItems: list[Any]) -> Any:  # noqa: N803
            reasons = [{"Code": "TransactionConflict"}, {"Code": "None"}]
            raise client_error("TransactionCanceledException", CancellationReasons=reasons)

    with pytest.raises(TransientServiceError, match="TransactionConflict"):
        record(Conflicting())


@pytest.mark.parametrize(
    "event",
    ["", "[]", "null", "{}", '{"detail": 1}', '{"detail": {"bucket": {}, "object": {"key": "k"}}}'],
)
def test_an_input_that_names_no_object_still_has_a_place_in_the_ledger(event: str) -> None:
    assert uri_of(event) == "s3:///"


def test_a_key_longer_than_a_partition_key_still_has_a_place_in_the_ledger() -> None:
    event = {"detail": {"bucket": {"name": "b"}, "object": {"key": "k" * 3000}}}
    assert uri_of(json.dumps(event)) == "s3:///"
