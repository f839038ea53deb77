"""The states that an execution passed through, with their attempts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from typing import Any

from tablekeeper.causes import message_of
from tablekeeper.model.times import iso_milliseconds

SUCCEEDED, FAILED, CAUGHT, RUNNING = "SUCCEEDED", "FAILED", "CAUGHT", "RUNNING"


Event = Mapping[str, Any]
"""An event of GetExecutionHistory.
https://docs.aws.amazon.com/step-functions/latest/apireference/API_HistoryEvent.html
"""


@dataclass
class Attempt:
    """One try of a Task: times are ISO 8601, waited is how long it came after the one before, in
    seconds.
    """

    started: str
    waited: float = 0.0
    ended: str | None = None
    status: str = RUNNING
    error: str | None = None
    cause: str | None = None

    @property
    def seconds(self) -> float | None:
        return _between(self.started, self.ended)


@dataclass(frozen=True)
class Attempts:
    """Attempts that follow each other and ended alike; seconds are from the first one's start to
    the last one's end, with the waits between them.
    """

    first: int
    count: int
    status: str
    seconds: float | None
    error: str | None
    cause: str | None

    @property
    def sentence(self) -> str:
        """`attempt 3`, or `9 attempts`."""
        return f"{self.count} attempts" if self.count > 1 else f"attempt {self.first}"


def attempts_by_error(attempts: Sequence[Attempt]) -> list[Attempts]:
    """The attempts of a visit, repeated errors as one group; the cause is the last one's."""
    groups: list[Attempts] = []
    place = 0
    for (status, error), group in groupby(attempts, lambda each: (each.status, each.error)):
        same = list(group)
        seconds = _between(same[0].started, same[-1].ended)
        groups.append(Attempts(place + 1, len(same), status, seconds, error, same[-1].cause))
        place += len(same)
    return groups


@dataclass
class Visit:
    """One pass through a state. status is CAUGHT when it failed and a Catch led on; sizes are in
    bytes; data of input and output are there when they were asked for.
    """

    state: str
    type: str
    entered: str
    exited: str | None = None
    status: str = RUNNING
    next: str | None = None
    error: str | None = None
    cause: str | None = None
    input_bytes: int | None = None
    output_bytes: int | None = None
    attempts: list[Attempt] = field(default_factory=list)
    input: str | None = None
    output: str | None = None

    @property
    def seconds(self) -> float | None:
        return _between(self.entered, self.exited)


def visits(events: Iterable[Event], *, data: bool = False) -> list[Visit]:
    reader = _Reader(data)
    for event in events:
        reader.read(event)
    return reader.visits


class _Reader:
    def __init__(self, data: bool) -> None:
        self.visits: list[Visit] = []
        self.data = data
        self.cut: dict[str, Any] | None = None
        """How the last visit ended with the execution, before that was redriven."""

    def read(self, event: Event) -> None:
        kind, at = str(event["type"]), iso_milliseconds(event["timestamp"])
        if kind.endswith("StateEntered"):
            self._enter(event["stateEnteredEventDetails"], kind.removesuffix("StateEntered"), at)
        elif kind.endswith("StateExited"):
            self._exit(event["stateExitedEventDetails"], at)
        elif kind in ("ExecutionFailed", "ExecutionTimedOut", "ExecutionAborted"):
            self._end(kind, event, at)
        elif kind == "ExecutionRedriven":
            self._go_on()
        elif kind in ("TaskScheduled", "LambdaFunctionScheduled"):
            self._schedule(at)
        elif kind.startswith(("Task", "LambdaFunction", "EvaluationFailed")):
            self._attempt(kind, event, at)

    def _enter(self, details: Mapping[str, Any], kind: str, at: str) -> None:
        if self.cut:  # redriven into a visit of its own
            vars(self.visits[-1]).update(self.cut)
            self.cut = None
        if self.visits and self.visits[-1].exited:
            self.visits[-1].next = details["name"]
        text = details.get("input")
        self.visits.append(
            Visit(
                details["name"],
                kind,
                at,
                input_bytes=_size(text),
                input=text if self.data else None,
            )
        )

    def _exit(self, details: Mapping[str, Any], at: str) -> None:
        visit = next(
            (
                each
                for each in reversed(self.visits)
                if each.state == details["name"] and not each.exited
            ),
            None,
        )
        if visit is None:
            return
        self.cut = None
        text = details.get("output")
        visit.exited, visit.output_bytes = at, _size(text)
        visit.output = text if self.data else None
        last = visit.attempts[-1] if visit.attempts else None
        if visit.error or (last and last.status == FAILED):
            visit.status = CAUGHT
            visit.error = visit.error or (last.error if last else None)
            visit.cause = visit.cause or (last.cause if last else None)
        else:
            visit.status = SUCCEEDED

    def _schedule(self, at: str) -> None:
        if not self.visits:
            return
        visit, attempts = self.visits[-1], self.visits[-1].attempts
        visit.error = visit.cause = None
        before = attempts[-1].ended if attempts else None
        attempts.append(Attempt(at, waited=_between(before, at) or 0.0 if before else 0.0))

    def _go_on(self) -> None:
        """A redriven execution goes on in the state that it ended in."""
        if self.visits and self.visits[-1].type != "Fail":
            visit = self.visits[-1]
            again = {"exited": None, "status": RUNNING, "error": None, "cause": None}
            self.cut = {name: getattr(visit, name) for name in again}
            vars(visit).update(again)

    def _attempt(self, kind: str, event: Event, at: str) -> None:
        if not self.visits:
            return
        visit = self.visits[-1]
        if kind.endswith("Succeeded"):
            if visit.attempts:
                visit.attempts[-1].ended, visit.attempts[-1].status = at, SUCCEEDED
            return
        if not kind.endswith(("Failed", "TimedOut")):
            return
        error, cause = _why(event, "States.Timeout" if kind.endswith("TimedOut") else None)
        if kind == "EvaluationFailed" or not visit.attempts:
            visit.error, visit.cause = error, cause
            return
        attempt = visit.attempts[-1]
        attempt.ended, attempt.status = at, FAILED
        attempt.error, attempt.cause = error, cause

    def _end(self, kind: str, event: Event, at: str) -> None:
        if not self.visits or self.visits[-1].exited:
            return
        visit = self.visits[-1]
        ends = {"ExecutionTimedOut": "States.Timeout", "ExecutionAborted": "ExecutionAborted"}
        error, cause = _why(event, ends.get(kind))
        visit.exited, visit.status = at, FAILED
        if visit.type != "Fail":
            visit.error, visit.cause = visit.error or error, visit.cause or cause
            for attempt in visit.attempts[-1:]:
                if attempt.status == RUNNING:
                    attempt.ended, attempt.status, attempt.error = at, FAILED, error


def _why(event: Event, otherwise: str | None) -> tuple[str | None, str | None]:
    """The error and the message that an event's details hold."""
    for name, details in event.items():
        if name.endswith("EventDetails") and isinstance(details, Mapping):
            cause = details.get("cause")
            return details.get("error") or otherwise, message_of(cause) if cause else None
    return otherwise, None


def _size(text: str | None) -> int | None:
    return None if text is None else len(text.encode())


def moment(time: str) -> datetime:
    return datetime.fromisoformat(time)


def _between(begin: str | None, end: str | None) -> float | None:
    if not begin or not end:
        return None
    return (moment(end) - moment(begin)).total_seconds()
