"""Nothing is silent: whatever ends an execution, the ledger says so within a minute."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tablekeeper.model.times import CLOCK_SKEW

from local.faults import Faults
from tests.e2e.failures import (
    LIVE,
    PREFIX,
    SWEEP,
    UNCAUGHT,
    WAIT_SCALE,
    Workshop,
    good_file,
    milliseconds,
)
from tests.e2e.observer import until

pytest_plugins = ["tests.e2e.workshop"]
pytestmark = pytest.mark.xdist_group("workshop")

WITHIN = timedelta(minutes=1)
LASTING = 1_000
HELD = 240.0
"""Longer than any test: what is held so long is ended from outside, or let go."""
MACHINE_SECONDS = 5
"""Enough to come to Write Items with functions that have started, if the machine is not busy."""


@pytest.fixture(scope="module", autouse=True)
def _settings(workshop: Workshop) -> Iterator[None]:
    """Nothing starts but what a test starts; nothing sweeps but where a test says so, not between
    two tests either.
    """
    with workshop.settings(off=(LIVE, SWEEP), wait_scale=WAIT_SCALE):
        yield


@pytest.fixture(autouse=True)
def _faults(workshop: Workshop) -> Iterator[None]:
    """Each test has faults of its own."""
    yield
    workshop.stack.faults.clear()


@dataclass(frozen=True)
class Subject:
    """A file, and an execution that is to fail."""

    name: str
    key: str
    event: dict[str, Any]
    execution: str


def _upload(workshop: Workshop, word: str) -> tuple[str, str]:
    name = f"{word}-{uuid.uuid4().hex[:8]}"
    key = f"{PREFIX}{name}.json"
    workshop.put(key, good_file(name))
    return name, key


def _subject(workshop: Workshop, word: str, inject: Callable[[Faults, str], None]) -> Subject:
    """Starts an execution for a new file; the faults are matched by the key."""
    name, key = _upload(workshop, word)
    event = workshop.event(key)
    inject(workshop.stack.faults, key)
    return Subject(name, key, event, workshop.start(event))


# ---- ends that no Catch sees ----


def _aborted(workshop: Workshop) -> Subject:
    subject = _subject(
        workshop,
        "aborted",
        lambda faults, key: faults.inject("Validate Records", "delay", seconds=HELD, match=key),
    )
    _entered(workshop, subject.execution, "Validate Records")
    workshop.client("stepfunctions").stop_execution(executionArn=subject.execution)
    return subject


def _timed_out(workshop: Workshop) -> Subject:
    _, started = _upload(workshop, "started")
    assert workshop.sync(started)["status"] == "SUCCEEDED"

    def held() -> Subject | None:
        subject = _subject(
            workshop,
            "timed-out",
            lambda faults, key: faults.inject("Write Items", "delay", seconds=HELD, match=key),
        )
        workshop.ended(subject.execution)
        states = [visit.state for visit in workshop.visits(subject.execution)]
        return subject if "Write Items" in states else None

    with _short_lived(workshop):
        subject = until(held, "no execution comes to Write Items in time")
    assert subject
    return subject


def _too_large(workshop: Workshop) -> Subject:
    return _subject(
        workshop,
        "too-large",
        lambda faults, key: faults.inject("TransformRecordsFunction", "oversized", match=key),
    )


def _unwritable(workshop: Workshop) -> Subject:
    def inject(faults: Faults, key: str) -> None:
        faults.inject("Write Items", error="RuntimeError", cause="first", match=key)
        faults.inject(
            "Record Failure", error="DynamoDb.ThrottlingException", times=LASTING, match=key
        )

    return _subject(workshop, "unwritable", inject)


@dataclass(frozen=True)
class End:
    """How an execution ends, and what must be recorded of it."""

    begin: Callable[[Workshop], Subject]
    status: str
    state: str
    error: str


ENDS = {
    "aborted": End(_aborted, "ABORTED", "Validate Records", "ExecutionAborted"),
    "timed out": End(_timed_out, "TIMED_OUT", "Write Items", "States.Timeout"),
    "result too large": End(_too_large, "FAILED", "Transform Records", "States.DataLimitExceeded"),
    "Record Failure could not write": End(_unwritable, "FAILED", "Write Items", "RuntimeError"),
}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_an_end_that_no_catch_sees_is_recorded(workshop: Workshop, end: End) -> None:
    subject = end.begin(workshop)
    row = _holds_the_failure(workshop, subject, end)
    stopped = workshop.describe(subject.execution)["stopDate"]
    assert row["at"] <= milliseconds(stopped + WITHIN)


def test_the_sweep_alone_records_them_all_when_events_are_lost(workshop: Workshop) -> None:
    workshop.disable(UNCAUGHT)
    try:
        subjects = {name: end.begin(workshop) for name, end in ENDS.items()}
        for subject in subjects.values():
            workshop.ended(subject.execution)
            assert workshop.outcome(subject.key, subject.execution) is None
        assert workshop.invoke("SweepFunction", {})["recorded"] >= len(subjects)
        for name, subject in subjects.items():
            _holds_the_failure(workshop, subject, ENDS[name])
    finally:
        workshop.enable(UNCAUGHT)


def test_what_is_recorded_is_not_recorded_again_by_any_number_of_sweeps(
    workshop: Workshop,
) -> None:
    subject = _too_large(workshop)
    row = workshop.recorded(subject.key, subject.execution)
    current = workshop.current(subject.key)
    for _ in range(3):
        assert workshop.invoke("SweepFunction", {})["recorded"] == 0
    assert workshop.audit_rows(subject.key) == [row]
    assert workshop.current(subject.key) == current


def _holds_the_failure(workshop: Workshop, subject: Subject, end: End) -> dict[str, Any]:
    """The ledger says how the execution ended; the audit row."""
    assert workshop.ended(subject.execution)["status"] == end.status
    row = workshop.recorded(subject.key, subject.execution)
    assert (row["outcome"], row["state"], row["error"]) == ("FAILED", end.state, end.error)
    assert row["cause"]
    assert json.loads(row["event"]) == subject.event
    assert len(workshop.audit_rows(subject.key)) == 1
    _has_problem(workshop, subject, end.state, end.error, row["cause"])
    assert workshop.items(subject.name) == []
    return row


def _has_problem(workshop: Workshop, subject: Subject, state: str, error: str, cause: str) -> None:
    current = workshop.current(subject.key)
    problem = current["problem"]
    assert current["problem_status"] == problem["status"] == "FAILED"
    assert current["problem_error"] == problem["error"] == error
    assert (problem["state"], problem["cause"]) == (state, cause)
    assert problem["execution"] == subject.execution
    assert json.loads(problem["input"]) == subject.event


def _entered(workshop: Workshop, execution: str, state: str) -> None:
    until(
        lambda: state in [visit.state for visit in workshop.visits(execution)],
        f"{execution} never came to {state}",
    )


@contextmanager
def _short_lived(workshop: Workshop) -> Iterator[None]:
    """The state machine with a short TimeoutSeconds, for executions that start within."""
    states = workshop.client("stepfunctions")
    machine = states.describe_state_machine(stateMachineArn=workshop.machine)
    short = {**json.loads(machine["definition"]), "TimeoutSeconds": MACHINE_SECONDS}
    states.update_state_machine(stateMachineArn=workshop.machine, definition=json.dumps(short))
    try:
        yield
    finally:
        states.update_state_machine(
            stateMachineArn=workshop.machine, definition=machine["definition"]
        )


# ---- failures that the definition records itself ----


def test_a_lasting_fault_ends_red_with_everything_in_the_ledger(workshop: Workshop) -> None:
    subject = _subject(
        workshop,
        "lasting",
        lambda faults, key: faults.inject(
            "TransformRecordsFunction",
            error="PermissionError",
            cause="it lasts",
            times=LASTING,
            match=key,
        ),
    )
    ended = workshop.ended(subject.execution)
    assert (ended["status"], ended["error"]) == ("FAILED", "PermissionError")
    assert "it lasts" in ended["cause"]
    _has_problem(workshop, subject, "Transform Records", "PermissionError", ended["cause"])
    at = workshop.current(subject.key)["problem_at"]
    listed = workshop.client("dynamodb").query(
        TableName=workshop.stack.outputs["LedgerTableName"],
        IndexName="problems",
        KeyConditionExpression="problem_status = :status AND problem_at = :at",
        ExpressionAttributeValues={":status": {"S": "FAILED"}, ":at": {"S": at}},
    )
    assert workshop.uri(subject.key) in [item["pk"]["S"] for item in listed["Items"]]


def test_a_new_execution_with_the_recorded_input_mends_the_file(workshop: Workshop) -> None:
    subject = _too_large(workshop)
    workshop.recorded(subject.key, subject.execution)
    problem = workshop.problem(subject.key)
    assert problem
    again = workshop.ended(workshop.start(json.loads(problem["input"])))
    assert json.loads(again["output"])["outcome"] == "SYNCED"
    assert workshop.problem(subject.key) is None
    assert len(workshop.items(subject.name)) == 1
    assert len(workshop.audit_rows(subject.key)) == 2


# ---- older and newer ----


def _hold(workshop: Workshop, state: str, event: dict[str, Any], let_go: Path) -> None:
    """The event's execution stays in a state until there is a file."""
    workshop.stack.faults.inject(state, "delay", seconds=HELD, match=event["id"], until=str(let_go))


def test_the_failure_of_an_older_execution_never_overwrites_the_success_of_a_newer_one(
    workshop: Workshop, tmp_path: Path
) -> None:
    """Recorded by the execution itself, and from outside by the safety net."""
    faults, let_go = workshop.stack.faults, tmp_path / "let go"
    older: list[Subject] = []
    for word, fault in (("late", "RuntimeError"), ("late-uncaught", "States.DataLimitExceeded")):
        name, key = _upload(workshop, word)
        event = workshop.event(key)
        _hold(workshop, "Fetch Object", event, let_go)
        faults.inject("Write Items", error=fault, match=event["id"])
        older.append(Subject(name, key, event, workshop.start(event)))
    started = max(workshop.describe(each.execution)["startDate"] for each in older)
    until(lambda: datetime.now(UTC) > started + CLOCK_SKEW, "the clock stands still")

    newer = [workshop.start(workshop.event(each.key)) for each in older]
    assert [workshop.ended(each)["status"] for each in newer] == ["SUCCEEDED"] * 2
    synced = [workshop.current(each.key) for each in older]
    assert [row["execution"] for row in synced] == newer
    for subject in older:
        assert workshop.describe(subject.execution)["status"] == "RUNNING", "it ended too early"
    let_go.touch()

    for subject, row in zip(older, synced, strict=True):
        assert workshop.ended(subject.execution)["status"] == "FAILED"
        recorded = workshop.recorded(subject.key, subject.execution)
        assert recorded["outcome"] == "FAILED"
        assert workshop.current(subject.key) == row
        assert len(workshop.audit_rows(subject.key)) == 2
        assert len(workshop.items(subject.name)) == 1
    visited = [{visit.state for visit in workshop.visits(each.execution)} for each in older]
    assert ["Record Late Failure" in states for states in visited] == [True, False]


def test_a_newer_failure_is_never_cleared_by_an_older_success(
    workshop: Workshop, tmp_path: Path
) -> None:
    """What the older execution read before the failure counts no more: it has to look again."""
    name, key = _upload(workshop, "cleared")
    event, faults, let_go = workshop.event(key), workshop.stack.faults, tmp_path / "let go"
    _hold(workshop, "Write Items", event, let_go)
    older = workshop.start(event)
    _entered(workshop, older, "Write Items")
    # Its second look is the end of it, so that nothing but its first could clear the problem.
    faults.inject("Fetch Object", error="States.DataLimitExceeded", match=event["id"])

    failing = workshop.event(key)
    faults.inject("Write Items", error="RuntimeError", match=failing["id"])
    newer = workshop.start(failing)
    assert workshop.ended(newer)["status"] == "FAILED"
    assert workshop.describe(older)["status"] == "RUNNING", "it ended too early"
    problem = workshop.problem(key)
    assert problem
    assert problem["execution"] == newer

    let_go.touch()
    assert workshop.ended(older)["error"] == "States.DataLimitExceeded"
    states = [visit.state for visit in workshop.visits(older)]
    assert states[-3:] == ["Write Items", "Read Again", "Fetch Object"]
    workshop.recorded(key, older)
    assert workshop.current(key)["problem_status"] == "FAILED"
    assert workshop.items(name) == []


def test_a_failure_is_cleared_by_a_look_at_the_bucket_that_is_newer(
    workshop: Workshop, tmp_path: Path
) -> None:
    name, key = _upload(workshop, "mended")
    event, faults, let_go = workshop.event(key), workshop.stack.faults, tmp_path / "let go"
    _hold(workshop, "Write Items", event, let_go)
    older = workshop.start(event)
    _entered(workshop, older, "Write Items")
    failing = workshop.event(key)
    faults.inject("Write Items", error="RuntimeError", match=failing["id"])
    assert workshop.ended(workshop.start(failing))["status"] == "FAILED"
    failed = workshop.current(key)

    assert workshop.describe(older)["status"] == "RUNNING", "it ended too early"
    let_go.touch()
    assert workshop.ended(older)["status"] == "SUCCEEDED"
    assert "Read Again" in [visit.state for visit in workshop.visits(older)]
    mended = workshop.current(key)
    assert "problem" not in mended
    assert int(mended["revision"]) > int(failed["revision"])
    assert len(workshop.items(name)) == 1
