"""A second interpreter reads the definition as the engine does: every fault of the failure matrix
takes the same path under moto, with the real functions on moto's S3 and DynamoDB.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from handlers import (
    delete_items,
    fetch_object,
    settle_claim,
    transform_records,
    validate_records,
    write_items,
)
from tablekeeper.ledger.rows import ADDING, Claim
from tablekeeper.model.snapshot import Snapshot
from tablekeeper.model.times import iso_milliseconds

from tests.e2e.matrix import CASES, DELETE, RECORD_LATE, SAFETY_NET, WRITE, Case, Strike
from tests.support.interpreter import StateError, load_definition
from tests.unit.conftest import Pipeline

if TYPE_CHECKING:
    from tests.support.moto_states import End, MotoStates

pytestmark = [pytest.mark.xdist_group("second reading"), pytest.mark.busy]
"""One worker loads moto's interpreter, with its model of EC2, and none to collect the tests."""

KEY = "notes/a.json"
GOOD, BAD = [{"pk": "a", "sk": "1"}], [{"pk": "a", "sk": "1", "count": -1}]
UNCAUGHT = {(WRITE, "malformed result"), (DELETE, "malformed result")}
"""Here the two readings differ: in moto no Catch sees that a task's Output cannot be evaluated. AWS
does not say which is right; the safety net records the end in either.
"""
HANDLERS: dict[str, Callable[..., Any]] = {
    "FetchObject": fetch_object.handler,
    "ValidateRecords": validate_records.handler,
    "TransformRecords": transform_records.handler,
    "WriteItems": write_items.handler,
    "DeleteItems": delete_items.handler,
    "SettleClaim": settle_claim.handler,
}


@pytest.fixture
def machine(pipeline: Pipeline) -> Iterator[MotoStates]:
    """The state machine, on the tables of the pipeline."""
    from tests.support.moto_states import MotoStates, moto_reads_jsonata

    names = {f"{name}FunctionArn": name for name in HANDLERS}
    with moto_reads_jsonata():
        yield MotoStates(
            load_definition(names | {"LedgerTableName": "ledger", "AuditRetentionSeconds": "1000"})
        )


class Faults:
    """The faults of a case, as the tasks of an execution meet them."""

    def __init__(self, case: Case) -> None:
        self.left = {strike: strike.times for strike in case.strikes}

    def __call__(self, state: str, given: Mapping[str, Any], carry_out: Callable[[], Any]) -> Any:
        """What the task answers."""
        if "FunctionName" in given:
            function = given["FunctionName"]

            def carry_out() -> Any:
                return {"Payload": invoked(function, json.loads(given["Payload"]))}

        strike = self._next(state)
        if strike is None:
            return carry_out()
        if strike.after:
            carry_out()
        return struck(strike)

    def _next(self, state: str) -> Strike | None:
        function = state.replace(" ", "") + "Function"
        for strike, left in self.left.items():
            if left and strike.target in (state, function):
                self.left[strike] -= 1
                return strike
        return None


def invoked(function: str, payload: Any) -> Any:
    """What a function returns, or the error that it raises under its name."""
    try:
        return json.loads(json.dumps(HANDLERS[function](payload, None)))
    except Exception as error:
        told = {"errorMessage": str(error), "errorType": type(error).__name__}
        raise StateError(type(error).__name__, json.dumps(told)) from error


def struck(strike: Strike) -> Any:
    """What a task answers that meets a fault."""
    errors = {
        "throttle": "Lambda.TooManyRequestsException",
        "crash": "Runtime.ExitError",
        "timeout": "Sandbox.Timedout",
        "access-denied": "ClientError",
        "oversized": "States.DataLimitExceeded",
        "error": strike.error,
    }
    if strike.mode == "malformed":
        return {"Payload": {"unexpected": strike.cause}}
    raise StateError(errors[strike.mode], strike.cause)


def prepared(pipeline: Pipeline, case: Case) -> None:
    """The bucket and the ledger as the case finds them."""
    pipeline.put(KEY, BAD if case.setting == "a bad file" else GOOD)
    if case.setting in ("a good file", "a bad file"):
        return
    pipeline.sync(KEY)
    if case.setting == "a deleted file":
        pipeline.s3.delete_object(Bucket="source", Key=KEY)
        return
    if case.setting == "a newer success":
        later = iso_milliseconds(datetime.now(UTC) + timedelta(hours=1))
        changed(pipeline, "SET as_of = :later", {":later": {"S": later}})
        return
    found = Snapshot("validate", "source", KEY, 1, "").payload()
    claim = Claim(2, ADDING, "EVENT#x", 1, "SYNCED", "x", found, None, ("keys/none/2",))
    changed(
        pipeline,
        "SET claim = :claim, claim_state = :state, revision = :revision",
        {
            ":claim": claim.attributes(),
            ":state": {"S": ADDING},
            ":revision": {"N": "2"},
        },
    )
    pipeline.put(KEY, BAD)


def changed(pipeline: Pipeline, expression: str, values: Any) -> None:
    """The file's row, by hand."""
    pipeline.dynamodb.update_item(
        TableName="ledger",
        Key={"pk": {"S": f"s3://source/{KEY}"}, "sk": {"S": "CURRENT"}},
        UpdateExpression=expression,
        ExpressionAttributeValues=values,
    )


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_fault_takes_the_path_that_it_takes_on_the_engine(
    pipeline: Pipeline, machine: MotoStates, case: Case
) -> None:
    prepared(pipeline, case)
    ended = machine.run(pipeline.event(KEY), Faults(case))
    assert (ended.status, ended.error) == (case.ends, case.error)
    assert ended.attempts[case.state] == case.attempts
    left = case.by == SAFETY_NET or (case.state, case.fault) in UNCAUGHT
    assert audited(pipeline, ended) == (None if left else case.outcome)
    path = machine.path(ended.execution)
    assert (RECORD_LATE in path) == (case.by == RECORD_LATE or case.state == RECORD_LATE)
    problem = (pipeline.row(KEY) or {}).get("problem", {}).get("M")
    if left or case.problem is None:
        assert problem is None
    else:
        assert problem is not None
        told = {name: problem[name]["S"] for name in ("status", "state", "error", "execution")}
        assert told == {
            "status": case.outcome,
            "state": case.problem,
            "error": case.error,
            "execution": ended.execution,
        }
    put = case.outcome == "SYNCED" or case.setting in ("a newer success", "a bad file and a claim")
    put = put or (case.setting == "a deleted file" and case.outcome != "DELETED")
    assert len(pipeline.items()) == (1 if put else 0)


def audited(pipeline: Pipeline, ended: End) -> str | None:
    """The outcome that an execution recorded."""
    rows = [
        row
        for row in pipeline.dynamodb.scan(TableName="ledger")["Items"]
        if row["sk"]["S"].startswith("EVENT#") and row["execution"]["S"] == ended.execution
    ]
    assert len(rows) <= 1
    return rows[0]["outcome"]["S"] if rows else None
