"""A trace tells a history as it was."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

from tablekeeper_cli.executions.visits import Visit, visits
from tablekeeper_cli.terminal.showing import duration
from tablekeeper_cli.web.graph import edges

BEGIN = datetime(2026, 1, 31, 12, tzinfo=UTC)
Event = tuple[float, str, dict[str, Any]]


def history(*events: Event) -> list[dict[str, Any]]:
    """Events at so many seconds from the beginning."""
    told = []
    for number, (second, kind, details) in enumerate(events, start=1):
        name = kind[0].lower() + kind[1:]
        for state in ("StateEntered", "StateExited"):
            if kind.endswith(state):
                name = state[0].lower() + state[1:]
        told.append(
            {
                "id": number,
                "type": kind,
                "timestamp": BEGIN + timedelta(seconds=second),
                f"{name}EventDetails": details,
            }
        )
    return told


def entered(second: float, state: str, kind: str = "Task", text: str = "{}") -> Event:
    return second, f"{kind}StateEntered", {"name": state, "input": text}


def exited(second: float, state: str, kind: str = "Task", text: str = "{}") -> Event:
    return second, f"{kind}StateExited", {"name": state, "output": text}


def failed(second: float, error: str, message: str = "why") -> Event:
    return second, "TaskFailed", {"error": error, "cause": f'{{"errorMessage": "{message}"}}'}


def scheduled(second: float) -> Event:
    return second, "TaskScheduled", {"resource": "lambda"}


def succeeded(second: float) -> Event:
    return second, "TaskSucceeded", {"output": "{}"}


def told(each: Visit) -> tuple[Any, ...]:
    return each.state, each.status, each.seconds, each.next, each.error


def test_states_follow_each_other_with_their_times_and_sizes() -> None:
    events = history(
        (0, "ExecutionStarted", {}),
        entered(0, "Fetch Object", text='"ö"'),
        scheduled(0),
        succeeded(0.5),
        exited(0.5, "Fetch Object", text="[1]"),
        entered(0.5, "What Now?", "Choice"),
        exited(0.5, "What Now?", "Choice"),
        (0.6, "ExecutionSucceeded", {"output": "{}"}),
    )
    first, second = visits(events)
    assert told(first) == ("Fetch Object", "SUCCEEDED", 0.5, "What Now?", None)
    assert told(second) == ("What Now?", "SUCCEEDED", 0.0, None, None)
    assert (first.input_bytes, first.output_bytes) == (4, 3)
    assert (first.input, first.output) == (None, None)
    assert [each.input for each in visits(events, data=True)] == ['"ö"', "{}"]


def test_attempts_and_the_waits_between_them_are_told() -> None:
    (visit,) = visits(
        history(
            entered(0, "Write Items"),
            scheduled(0),
            failed(1, "TransientServiceError"),
            scheduled(3),
            (5, "TaskTimedOut", {"error": "States.Timeout"}),
            scheduled(5.5),
            succeeded(6),
            exited(6, "Write Items"),
        )
    )
    assert told(visit) == ("Write Items", "SUCCEEDED", 6.0, None, None)
    assert [(a.status, a.seconds, a.waited, a.error) for a in visit.attempts] == [
        ("FAILED", 1.0, 0.0, "TransientServiceError"),
        ("FAILED", 2.0, 2.0, "States.Timeout"),
        ("SUCCEEDED", 0.5, 0.5, None),
    ]
    assert visit.attempts[0].cause == "why"


def test_what_a_catch_led_on_from_has_its_error() -> None:
    caught, record, end = visits(
        history(
            entered(0, "Validate Records"),
            scheduled(0),
            failed(1, "SchemaViolationError", "many"),
            exited(1, "Validate Records"),
            entered(1, "Record Failure"),
            scheduled(1),
            succeeded(2),
            exited(2, "Record Failure"),
            entered(2, "Sync Failed", "Fail"),
            (2, "ExecutionFailed", {"error": "SchemaViolationError", "cause": "many"}),
        )
    )
    assert told(caught) == (
        "Validate Records", "CAUGHT", 1.0, "Record Failure", "SchemaViolationError",
    )  # fmt: skip
    assert caught.cause == "many"
    assert (record.status, end.status, end.error) == ("SUCCEEDED", "FAILED", None)


def test_a_state_that_is_entered_again_is_another_visit() -> None:
    states = ["Fetch Object", "Write Items", "Read Again", "Fetch Object"]
    found = visits(
        history(*(each(n, s) for n, s in enumerate(states) for each in (entered, exited)))
    )
    assert [(each.state, each.next) for each in found] == [*pairwise([*states, None])]


def test_an_execution_that_is_cut_off_failed_where_it_was() -> None:
    for kind, error in (("TimedOut", "States.Timeout"), ("Aborted", "ExecutionAborted")):
        (visit,) = visits(
            history(entered(0, "Write Items"), scheduled(0), (9, f"Execution{kind}", {}))
        )
        assert told(visit) == ("Write Items", "FAILED", 9.0, None, error)
        assert (visit.attempts[0].status, visit.attempts[0].error) == ("FAILED", error)


def test_what_runs_is_running() -> None:
    (visit,) = visits(history(entered(0, "Write Items"), scheduled(0)))
    assert told(visit) == ("Write Items", "RUNNING", None, None, None)
    assert visit.attempts[0].status == "RUNNING"


def test_an_expression_that_fails_is_its_state_s_error() -> None:
    (visit,) = visits(
        history(
            entered(0, "What Now?", "Choice"),
            (0, "EvaluationFailed", {"error": "States.QueryEvaluationError", "cause": "no field"}),
            (0, "ExecutionFailed", {"error": "States.QueryEvaluationError", "cause": "no field"}),
        )
    )
    assert (visit.status, visit.error) == ("FAILED", "States.QueryEvaluationError")


def test_a_redriven_execution_goes_on_in_its_state() -> None:
    found = visits(
        history(
            entered(0, "Write Items"),
            scheduled(0),
            (1, "ExecutionAborted", {}),
            (5, "ExecutionRedriven", {"redriveCount": 1}),
            scheduled(5),
            succeeded(6),
            exited(6, "Write Items"),
        )
    )
    assert [(each.state, each.status, each.seconds) for each in found] == [
        ("Write Items", "SUCCEEDED", 6.0)
    ]
    assert [each.status for each in found[0].attempts] == ["FAILED", "SUCCEEDED"]


def test_a_wait_that_was_cut_off_goes_on_or_is_entered_again() -> None:
    begin: list[Event] = [entered(0, "Read Again", "Wait"), (1, "ExecutionAborted", {})]
    redriven: Event = (5, "ExecutionRedriven", {})
    (visit,) = visits(history(*begin, redriven, exited(6, "Read Again", "Wait")))
    assert told(visit) == ("Read Again", "SUCCEEDED", 6.0, None, None)
    again = (entered(5, "Read Again", "Wait"), exited(6, "Read Again", "Wait"))
    first, second = visits(history(*begin, redriven, *again))
    assert (first.status, first.seconds, second.status) == ("FAILED", 1.0, "SUCCEEDED")


def test_an_expression_that_failed_counts_no_more_once_its_state_was_tried_again() -> None:
    (visit,) = visits(
        history(
            entered(0, "Write Items"),
            (0, "EvaluationFailed", {"error": "States.QueryEvaluationError", "cause": "no field"}),
            scheduled(1),
            succeeded(2),
            exited(2, "Write Items"),
        )
    )
    assert (visit.status, visit.error) == ("SUCCEEDED", None)


def test_durations_are_short() -> None:
    lengths = {
        0.0123: "12 ms",
        0.9999: "1.00 s",
        59.999: "1 min 0 s",
        1.256: "1.26 s",
        200: "3 min 20 s",
        7500: "2 h 5 min",
        None: "-",
    }
    assert {length: duration(length) for length in lengths} == lengths


def test_every_way_between_states_is_an_edge() -> None:
    definition = {
        "States": {
            "A": {"Next": "B", "Catch": [{"Next": "C"}]},
            "B": {"Choices": [{"Next": "A"}], "Default": "C"},
            "C": {"Type": "Fail"},
        }
    }
    assert list(edges(definition)) == [
        ("A", "B", "next"), ("A", "C", "catch"), ("B", "A", "choice"), ("B", "C", "default"),
    ]  # fmt: skip
