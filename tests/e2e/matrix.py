"""What must become of an execution when a state meets a fault: the table that
tests/e2e/test_failure_matrix.py holds the engine against, and docs/failure-table.md shows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

FETCH, VALIDATE, TRANSFORM, WRITE, DELETE, SETTLE = (
    "Fetch Object",
    "Validate Records",
    "Transform Records",
    "Write Items",
    "Delete Items",
    "Settle Claim",
)
RECORD, RECORD_LATE = "Record Failure", "Record Late Failure"
FUNCTIONS = (FETCH, VALIDATE, TRANSFORM, WRITE, DELETE, SETTLE)

COMMIT, SAFETY_NET = "the commit", "the safety net"
LASTING = 1_000

Setting = Literal[
    "a good file", "a bad file", "a deleted file", "a newer success", "a bad file and a claim"
]


@dataclass(frozen=True)
class Strike:
    """A fault as local/faults.py takes it; a target that is a state's name strikes the state."""

    target: str
    mode: str = "error"
    error: str = "RuntimeError"
    cause: str = "injected"
    times: int = 1
    after: bool = False


@dataclass(frozen=True)
class Case:
    """One line of the table.

    `ends` is the execution's status and `error` its error; `outcome` is what the ledger holds, and
    `by` who wrote it. `attempts` is how often `state` was tried. `problem` is the state that the
    file's problem names; None when the file has no problem.
    """

    state: str
    fault: str
    strikes: tuple[Strike, ...]
    ends: str
    error: str | None
    outcome: str
    by: str
    attempts: int
    problem: str | None
    setting: Setting = "a good file"

    @property
    def name(self) -> str:
        """Words that a file's name can hold."""
        words = f"{self.state} {self.fault}".lower()
        return "-".join("".join(c if c.isalnum() else " " for c in words).split())


def _function(state: str) -> str:
    return state.replace(" ", "") + "Function"


def _functions() -> Iterator[Case]:
    """The faults of the states that are functions."""
    for state in FUNCTIONS:
        deletes = state == DELETE
        well = Case(
            state=state,
            fault="",
            strikes=(),
            ends="SUCCEEDED",
            error=None,
            outcome="DELETED" if deletes else "SYNCED",
            by=COMMIT,
            attempts=1,
            problem=None,
            setting="a deleted file" if deletes else "a good file",
        )
        ill = replace(well, ends="FAILED", outcome="FAILED", by=RECORD, problem=state)
        if state == SETTLE:
            # The claim is ended, and what the file is called then is what it is.
            ill = replace(ill, setting="a bad file and a claim")
            error = "SchemaViolationError"
            well = replace(ill, error=error, outcome="INVALID", problem=VALIDATE)
        function = Strike(_function(state))
        transient = replace(function, error="TransientServiceError")
        throttle = replace(function, mode="throttle")
        crash = replace(function, mode="crash")
        late = replace(function, mode="timeout")
        hangs = Strike(state, error="States.Timeout", cause="Task timed out")
        oversized = replace(function, mode="oversized")
        too_large = replace(ill, error="States.DataLimitExceeded", by=SAFETY_NET)

        yield _of(well, "transient error, twice", transient, times=2, attempts=3)
        yield _of(
            replace(ill, error="TransientServiceError"),
            "transient error, lasting",
            transient,
            times=LASTING,
            attempts=9,
        )
        yield _of(
            replace(ill, error="RuntimeError"), "lasting error", function, times=LASTING, attempts=1
        )
        yield _of(
            replace(ill, error="ClientError"),
            "access denied",
            replace(function, mode="access-denied"),
            times=LASTING,
            attempts=1,
        )
        yield _of(well, "throttled, twice", throttle, times=2, attempts=3)
        yield _of(
            replace(ill, error="Lambda.TooManyRequestsException"),
            "throttled, lasting",
            throttle,
            times=LASTING,
            attempts=41,
        )
        yield _of(well, "crash, once", crash, times=1, attempts=2)
        yield _of(
            well, "crash after its work, once", replace(crash, after=True), times=1, attempts=2
        )
        yield _of(
            replace(ill, error="Runtime.ExitError"),
            "crash, lasting",
            crash,
            times=LASTING,
            attempts=3,
        )
        yield _of(well, "function out of time, once", late, times=1, attempts=2)
        yield _of(
            replace(ill, error="Sandbox.Timedout"),
            "function out of time, lasting",
            late,
            times=LASTING,
            attempts=3,
        )
        yield _of(
            well, "time-out after its work, once", replace(hangs, after=True), times=1, attempts=2
        )
        yield _of(
            replace(ill, error="States.Timeout"),
            "time-out, lasting",
            hangs,
            times=LASTING,
            attempts=3,
        )
        yield _of(too_large, "oversized result", oversized, times=1, attempts=1)
        if state in (WRITE, DELETE):
            # The commit stands, and its audit row with it; only the execution is red.
            yield _of(
                replace(too_large, outcome=well.outcome, by=COMMIT, problem=None),
                "oversized result after its work",
                replace(oversized, after=True),
                times=1,
                attempts=1,
            )
        if state in (WRITE, DELETE, SETTLE):
            unfinished = replace(function, error="UnfinishedWriteError")
            yield _of(well, "out of time before its work is done", unfinished, times=2, attempts=3)
        yield _malformed(well, ill, replace(function, mode="malformed"))


def _malformed(well: Case, ill: Case, strike: Strike) -> Case:
    """A result of another shape: found out by whoever reads it first."""
    if well.state == SETTLE:
        # The claim still stands, so the second round settles it.
        return _of(well, "malformed result", strike, times=1, attempts=2)
    if well.state == VALIDATE:
        # Nothing reads its result: that it answered at all means that the file is good.
        expected = well
    elif well.state == TRANSFORM:
        expected = replace(ill, error="KeyError", problem=WRITE)
    else:
        expected = replace(ill, error="States.QueryEvaluationError")
    return _of(expected, "malformed result", strike, times=1, attempts=1)


def _record_failure() -> Iterator[Case]:
    """The faults of Record Failure, in an execution whose Write Items fails for good."""
    ill = Case(
        state=RECORD,
        fault="",
        strikes=(Strike(WRITE, cause="the first fault", times=LASTING),),
        ends="FAILED",
        error="RuntimeError",
        outcome="FAILED",
        by=RECORD,
        attempts=1,
        problem=WRITE,
    )
    missed = replace(ill, by=SAFETY_NET)
    throttle = Strike(RECORD, error="DynamoDb.ThrottlingException")
    hangs = Strike(RECORD, error="States.Timeout")
    conflict = Strike(
        RECORD,
        error="DynamoDb.TransactionCanceledException",
        cause="Transaction cancelled, please refer cancellation reasons for specific reasons "
        "[None, TransactionConflict]",
    )
    denied = Strike(RECORD, error="DynamoDb.DynamoDbException")
    oversized = Strike(RECORD, error="States.DataLimitExceeded")

    yield _of(ill, "throttled, twice", throttle, times=2, attempts=3)
    yield _of(missed, "throttled, lasting", throttle, times=LASTING, attempts=9)
    yield _of(ill, "time-out, twice", hangs, times=2, attempts=3)
    yield _of(missed, "time-out, lasting", hangs, times=LASTING, attempts=9)
    # The second attempt meets its own audit row, under the name that a conflict has too.
    yield _of(ill, "time-out after its work, once", replace(hangs, after=True), times=1, attempts=5)
    yield _of(ill, "conflict with a neighbour, twice", conflict, times=2, attempts=3)
    yield _of(missed, "conflict with a neighbour, lasting", conflict, times=LASTING, attempts=4)
    # A throttle of the account has the same name.
    yield _of(missed, "access denied", denied, times=LASTING, attempts=6)
    yield _of(
        replace(missed, error="States.DataLimitExceeded"),
        "oversized arguments",
        oversized,
        times=LASTING,
        attempts=1,
    )
    bad = replace(
        ill,
        strikes=(),
        error="SchemaViolationError",
        outcome="INVALID",
        problem=VALIDATE,
        setting="a bad file",
    )
    yield _of(bad, "throttled, twice, on a bad file", throttle, times=2, attempts=3)
    yield _of(
        replace(bad, by=SAFETY_NET, outcome="FAILED"),
        "throttled, lasting, on a bad file",
        throttle,
        times=LASTING,
        attempts=9,
    )


def _record_late_failure() -> Iterator[Case]:
    """The faults of Record Late Failure: a newer execution found the file good in between."""
    late = Case(
        state=RECORD_LATE,
        fault="",
        strikes=(Strike(WRITE, cause="the first fault", times=LASTING),),
        ends="FAILED",
        error="RuntimeError",
        outcome="FAILED",
        by=RECORD_LATE,
        attempts=1,
        problem=None,
        setting="a newer success",
    )
    missed = replace(late, by=SAFETY_NET)
    throttle = Strike(RECORD_LATE, error="DynamoDB.ThrottlingException")
    hangs = Strike(RECORD_LATE, error="States.Timeout")
    denied = Strike(RECORD_LATE, error="DynamoDB.AmazonDynamoDBException")

    yield replace(late, fault="none")
    yield _of(late, "throttled, twice", throttle, times=2, attempts=3)
    yield _of(missed, "throttled, lasting", throttle, times=LASTING, attempts=9)
    yield _of(
        late, "time-out after its work, once", replace(hangs, after=True), times=1, attempts=2
    )
    yield _of(missed, "time-out, lasting", hangs, times=LASTING, attempts=9)
    # A throttle of the account has the same name.
    yield _of(missed, "access denied", denied, times=LASTING, attempts=6)


def _of(expected: Case, fault: str, strike: Strike, *, times: int, attempts: int) -> Case:
    """The expected end of a fault that strikes so often."""
    strikes = (*expected.strikes, replace(strike, times=times))
    return replace(expected, fault=fault, strikes=strikes, attempts=attempts)


CASES: tuple[Case, ...] = (*_functions(), *_record_failure(), *_record_late_failure())

HEADINGS = ("State", "Fault", "Attempts", "Execution", "Outcome, written by", "File's problem")


def markdown(cases: Iterable[Case] = CASES) -> str:
    """The table for people."""
    rows = [HEADINGS, ("---",) * len(HEADINGS), *map(_row, cases)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _row(case: Case) -> tuple[str, ...]:
    ends = f"{case.ends}, `{case.error}`" if case.error else case.ends
    problem = f"{case.outcome} in {case.problem}" if case.problem else "none"
    return (
        case.state,
        case.fault,
        str(case.attempts),
        ends,
        f"{case.outcome}, {case.by}",
        problem,
    )
