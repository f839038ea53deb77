"""Every state meets every class of fault, on the engine; what must follow stands in matrix.py."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from tablekeeper.ledger.rows import ADDING, Claim
from tablekeeper.model.snapshot import Snapshot

from tests.e2e.failures import (
    LIVE,
    PREFIX,
    SWEEP,
    WAIT_SCALE,
    Workshop,
    good_file,
    milliseconds,
)
from tests.e2e.matrix import (
    CASES,
    COMMIT,
    LASTING,
    RECORD,
    RECORD_LATE,
    SAFETY_NET,
    WRITE,
    Case,
)

pytest_plugins = ["tests.e2e.workshop"]
pytestmark = pytest.mark.xdist_group("workshop")

AT_ONCE = 16
AHEAD = timedelta(hours=1)
BAD_FILE = b'[{"pk": "bad", "sk": "a", "stars": 9}]'


@dataclass(frozen=True)
class Run:
    """An execution that met its faults."""

    name: str
    execution: str
    event: dict[str, object]

    @property
    def key(self) -> str:
        """The object."""
        return f"{PREFIX}{self.name}.json"


@pytest.fixture(scope="module")
def run_of(workshop: Workshop, request: pytest.FixtureRequest) -> Iterator[Callable[[Case], Run]]:
    """The run of a case; the cases that were chosen run side by side."""
    chosen = [
        cast("Case", item.callspec.params["case"])
        for item in request.session.items
        if isinstance(item, pytest.Function)
        and item.path == request.path
        and hasattr(item, "callspec")
    ]
    settings = workshop.settings(off=(LIVE, SWEEP), wait_scale=WAIT_SCALE)
    with settings, ThreadPoolExecutor(AT_ONCE) as pool:
        runs: dict[str, Future[Run]] = {
            case.name: pool.submit(_run, workshop, case) for case in chosen
        }
        yield lambda case: runs[case.name].result()
        for run in runs.values():
            run.cancel()


def _run(workshop: Workshop, case: Case) -> Run:
    name = f"{case.name}-{uuid.uuid4().hex[:8]}"
    key = f"{PREFIX}{name}.json"
    event = workshop.event(key)
    workshop.put(key, BAD_FILE if case.setting == "a bad file" else good_file(name))
    if case.setting == "a bad file and a claim":
        assert workshop.sync(key)["status"] == "SUCCEEDED"
        _leave_a_claim(workshop, key)
        workshop.put(key, BAD_FILE)
    if case.setting == "a deleted file":
        assert workshop.sync(key)["status"] == "SUCCEEDED"
        workshop.delete(key)
    if case.setting == "a newer success":
        assert workshop.sync(key)["status"] == "SUCCEEDED"
        _date_ahead(workshop, key)
    _inject(workshop, case, key)
    execution = workshop.start(event)
    workshop.ended(execution)
    return Run(name, execution, event)


def _inject(workshop: Workshop, case: Case, match: str) -> None:
    for strike in case.strikes:
        workshop.stack.faults.inject(
            strike.target,
            strike.mode,
            error=strike.error,
            cause=strike.cause,
            times=strike.times,
            after=strike.after,
            match=match,
        )


def _date_ahead(workshop: Workshop, key: str) -> None:
    """Makes the last commit one of a later look at the bucket than that of any execution now.

    tests/e2e/test_safety_net.py waits for the clock instead.
    """
    workshop.client("dynamodb").update_item(
        TableName=workshop.stack.outputs["LedgerTableName"],
        Key={"pk": {"S": workshop.uri(key)}, "sk": {"S": "CURRENT"}},
        UpdateExpression="SET as_of = :later",
        ExpressionAttributeValues={":later": {"S": milliseconds(datetime.now(UTC) + AHEAD)}},
    )


def _leave_a_claim(workshop: Workshop, key: str) -> None:
    """As a large write leaves it that ends just after it has claimed the row."""
    found = Snapshot("validate", workshop.bucket, key, 1, "").payload()
    claim = Claim(2, ADDING, "EVENT#x", 1, "SYNCED", "x", found, None, ("keys/none/2",))
    workshop.client("dynamodb").update_item(
        TableName=workshop.stack.outputs["LedgerTableName"],
        Key={"pk": {"S": workshop.uri(key)}, "sk": {"S": "CURRENT"}},
        UpdateExpression="SET claim = :claim, claim_state = :state, revision = :revision",
        ExpressionAttributeValues={
            ":claim": claim.attributes(),
            ":state": {"S": ADDING},
            ":revision": {"N": "2"},
        },
    )


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_fault_ends_in_one_recorded_outcome(
    workshop: Workshop, run_of: Callable[[Case], Run], case: Case
) -> None:
    run = run_of(case)
    ended = workshop.describe(run.execution)
    assert (ended["status"], ended.get("error")) == (case.ends, case.error), ended.get("cause")

    row = _recorded(workshop, run, case)
    visits = workshop.visits(run.execution)
    assert row["outcome"] == case.outcome
    states = {visit.state for visit in visits}
    assert _writer(row, ended["stopDate"], states) == case.by
    assert sum(visit.attempts for visit in visits if visit.state == case.state) == case.attempts
    assert json.loads(row["event"]) == run.event

    problem = workshop.problem(run.key)
    if case.problem is None:
        assert problem is None
    else:
        assert problem is not None
        told = {name: problem[name] for name in ("status", "state", "error", "cause", "execution")}
        assert told == {
            "status": case.outcome,
            "state": case.problem,
            "error": case.error,
            "cause": ended.get("cause", ""),
            "execution": run.execution,
        }
        assert problem["cause"]
        assert json.loads(problem["input"]) == run.event
    if case.outcome in ("FAILED", "INVALID"):
        assert (row["state"], row["error"]) == (case.problem or WRITE, case.error)

    put = case.outcome == "SYNCED" or case.setting == "a newer success"
    kept = case.setting == "a bad file and a claim"
    kept = kept or (case.setting == "a deleted file" and case.outcome != "DELETED")
    assert len(workshop.items(run.name)) == (1 if put or kept else 0)

    if case.ends == "FAILED":
        # Whoever comes second, or again, changes nothing.
        told_again = {"detail": {"executionArn": run.execution}}
        assert workshop.invoke("SafetyNetFunction", told_again) == {"recorded": False}
        assert workshop.outcome(run.key, run.execution) == row
        assert workshop.problem(run.key) == problem


def _recorded(workshop: Workshop, run: Run, case: Case) -> dict[str, Any]:
    """The outcome. What ends in one second with four others the safety net leaves to the sweep."""
    if case.by == SAFETY_NET:
        with suppress(AssertionError):
            return workshop.recorded(run.key, run.execution, 5)
        workshop.invoke("SweepFunction", {})
    return workshop.recorded(run.key, run.execution)


def _writer(row: dict[str, str], stopped: datetime, states: set[str]) -> str:
    """Who wrote an audit row: what is written after the end was not written by the execution."""
    if row["at"] > milliseconds(stopped):
        return SAFETY_NET
    if row["outcome"] not in ("FAILED", "INVALID"):
        return COMMIT
    return RECORD_LATE if RECORD_LATE in states else RECORD


def test_no_two_cases_have_one_name() -> None:
    assert len({case.name for case in CASES}) == len(CASES)


def test_a_fault_that_does_not_last_strikes_less_often_than_the_state_is_tried() -> None:
    for case in CASES:
        passing = [each.times for each in case.strikes if each.times < LASTING]
        if case.ends == "SUCCEEDED" and case.fault != "malformed result":
            assert passing
            assert sum(passing) == case.attempts - 1, case.name
