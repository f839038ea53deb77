"""Traces: the path of one execution through its states, from its history.

The states of sync_object follow each other one at a time, and so they are read here: branches of a
Parallel or an inline Map, whose events interleave, are not told apart.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tablekeeper.errors import message_of
from tablekeeper.model.snapshot import iso_milliseconds

from tablekeeper_cli.errors import CommandError, UnknownError
from tablekeeper_cli.ledger import files
from tablekeeper_cli.stack import Stack

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
        """How long it took."""
        return _between(self.started, self.ended)


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
        """How long it took, waits between attempts and all."""
        return _between(self.entered, self.exited)


@dataclass
class Trace:
    """An execution. key is None when its input names no object; definition is the one that it ran
    with.
    """

    execution: str
    name: str
    key: str | None
    event: str
    status: str
    started: str
    stopped: str | None
    error: str | None
    cause: str | None
    redrives: int
    visits: list[Visit]
    definition: Mapping[str, Any]
    console_url: str | None

    @property
    def seconds(self) -> float | None:
        """How long it took."""
        return _between(self.started, self.stopped)

    @property
    def failed_in(self) -> str | None:
        """The state whose error ended the execution: that which a Catch led on from, if there is
        one.
        """
        if self.status in (SUCCEEDED, RUNNING):
            return None
        bad = [each for each in self.visits if each.status in (CAUGHT, FAILED) and each.error]
        same = [each for each in bad if each.error == self.error]
        return (same or bad)[-1].state if bad else None


def read(stack: Stack, what: str, *, data: bool = False) -> Trace:
    """The trace of an execution by its ARN or name, or of the newest execution of a file; with the
    inputs and outputs of its states, if `data`.

    Raises:
        UnknownError: nothing is known of it.
    """
    arn = execution_arn(stack, what)
    client = stack.client("stepfunctions")
    try:
        described = client.describe_execution(executionArn=arn)
    except (client.exceptions.ExecutionDoesNotExist, client.exceptions.InvalidArn):
        raise UnknownError(
            f"there is no execution {arn}: Step Functions forgets one 90 days after its end; "
            "`tablekeeper history KEY` shows what the ledger still knows"
        ) from None
    pages = client.get_paginator("get_execution_history").paginate(
        executionArn=arn, includeExecutionData=True
    )
    events = (event for page in pages for event in page["events"])
    definition = client.describe_state_machine_for_execution(executionArn=arn)["definition"]
    text = described.get("input", "{}")
    stop = described.get("stopDate")
    return Trace(
        execution=arn,
        name=arn.rpartition(":")[2],
        key=_key(text),
        event=text,
        status=described["status"],
        started=_iso(described["startDate"]),
        stopped=_iso(stop) if stop else None,
        error=described.get("error"),
        cause=message_of(described["cause"]) if described.get("cause") else None,
        redrives=described.get("redriveCount", 0),
        visits=visits(events, data=data),
        definition=json.loads(definition),
        console_url=_console_url(stack, arn),
    )


def _console_url(stack: Stack, arn: str) -> str | None:
    place = f"/states/home?region={stack.region}#/v2/executions/details/{arn}"
    return stack.console_url + place if stack.console_url else None


def execution_arn(stack: Stack, what: str) -> str:
    """The ARN of an execution by ARN, by key or by name. Raises CommandError."""
    arn = what if what.startswith("arn:") else _newest_arn(stack, what)
    if ":execution:" not in arn:
        raise CommandError(
            f"{arn} is not the ARN of a Standard execution; what an Express one did is in the "
            "state machine's log group, and what came of it in `tablekeeper history KEY`"
        )
    return arn


def _newest_arn(stack: Stack, what: str) -> str:
    try:
        found = files.file(stack, what)
    except UnknownError:
        newest = next(files.history(stack, what, 1), None)
        machine = stack.state_machine.replace(":stateMachine:", ":execution:")
        return newest.execution if newest else f"{machine}:{what}"
    if found.writing:  # it has not ended, so it has no audit row yet
        return found.writing
    newest = next(files.history(stack, what, 1), None)
    known = found.problem.execution if found.problem else found.execution
    return newest.execution if newest else known or what


def visits(events: Iterable[Event], *, data: bool = False) -> list[Visit]:
    """The visits that a history tells of, in its order."""
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
        kind, at = str(event["type"]), _iso(event["timestamp"])
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
        self._leads_to(details["name"])
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

    def _leads_to(self, state: str) -> None:
        if self.visits and self.visits[-1].exited:
            self.visits[-1].next = state

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


def _iso(moment: datetime) -> str:
    return iso_milliseconds(moment.astimezone(UTC))


def moment(time: str) -> datetime:
    """A time of a trace."""
    return datetime.fromisoformat(time)


def now() -> str:
    """The time, as in a trace."""
    return _iso(datetime.now(UTC))


def _between(begin: str | None, end: str | None) -> float | None:
    if not begin or not end:
        return None
    return (moment(end) - moment(begin)).total_seconds()


def _key(text: str) -> str | None:
    try:
        key = json.loads(text)["detail"]["object"]["key"]
    except (ValueError, LookupError, TypeError):
        return None
    return key if isinstance(key, str) else None


def duration(seconds: float | None) -> str:
    """A length of time in its largest units: 12 ms, 1.25 s, 3 min 20 s, 2 h 5 min."""
    if seconds is None:
        return "-"
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 59.995:
        return f"{seconds:.2f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes_left = divmod(minutes, 60)
    return f"{hours} h {minutes_left} min" if hours else f"{minutes} min {rest} s"


def edges(definition: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Every way from a state to a state: from, to, and by what: next, choice, default or catch."""
    for name, state in definition["States"].items():
        for choice in state.get("Choices", ()):
            if "Next" in choice:
                yield name, choice["Next"], "choice"
        if "Default" in state:
            yield name, state["Default"], "default"
        if "Next" in state:
            yield name, state["Next"], "next"
        for catcher in state.get("Catch", ()):
            yield name, catcher["Next"], "catch"
