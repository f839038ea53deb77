"""Traces: the path of one execution through its states, from its history.

The states of sync_object follow each other one at a time, and so they are read here: branches of a
Parallel or an inline Map, whose events interleave, are not distinguished.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tablekeeper.causes import message_of
from tablekeeper.model.times import iso_milliseconds

from tablekeeper_cli.errors import CommandError, UnknownError
from tablekeeper_cli.executions.running import object_key, of_file
from tablekeeper_cli.executions.visits import (
    CAUGHT,
    FAILED,
    RUNNING,
    SUCCEEDED,
    Visit,
    _between,
    visits,
)
from tablekeeper_cli.ledger import files, history
from tablekeeper_cli.stack import Stack


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
        UnknownError: there is no such execution.
    """
    arn = execution_arn(stack, what)
    client = stack.client("stepfunctions")
    try:
        described = client.describe_execution(executionArn=arn)
    except (client.exceptions.ExecutionDoesNotExist, client.exceptions.InvalidArn):
        raise UnknownError(
            f"there is no execution {arn}: Step Functions keeps one for 90 days after its end; "
            "`tablekeeper history KEY` shows what the ledger has of it"
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
        key=object_key(stack, text),
        event=text,
        status=described["status"],
        started=iso_milliseconds(described["startDate"]),
        stopped=iso_milliseconds(stop) if stop else None,
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
    if now := of_file(stack, what):
        return now[0].execution
    try:
        file = files.file(stack, what)
    except UnknownError:
        newest = next(history.history(stack, what, 1), None)
        machine = stack.state_machine.replace(":stateMachine:", ":execution:")
        return newest.execution if newest else f"{machine}:{what}"
    if file.writing:  # it has not ended, so it has no audit row yet
        return file.writing
    newest = next(history.history(stack, what, 1), None)
    known = file.problem.execution if file.problem else file.execution
    return newest.execution if newest else known or what
