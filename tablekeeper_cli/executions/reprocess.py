"""Reprocessing: new executions, from the inputs that the ledger keeps, started within a rate and
followed to their ends.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from tablekeeper.causes import message_of
from tablekeeper.model.execution import Execution
from tablekeeper.model.times import iso_milliseconds

from tablekeeper_cli.executions.outcomes import outcome_of
from tablekeeper_cli.ledger.history import REPROCESSED_BY, STARTED_BY_RUN, read_input
from tablekeeper_cli.ledger.problems import PROBLEMS
from tablekeeper_cli.stack import Stack
from tablekeeper_cli.terminal.showing import plural

BATCH = 100
"""Keys of one BatchGetItem.
https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html
"""
POLL_SECONDS, LONGEST_POLL_SECONDS = 0.3, 5.0
DESCRIBE_AFTER_SECONDS = 30.0
"""An execution without an outcome for this long is described: an aborted one gets its row later,
from the safety net.
"""
Thing = TypeVar("Thing")
BAD = (*PROBLEMS, "TIMED_OUT", "ABORTED")


@dataclass(frozen=True)
class StartedExecution:
    key: str
    execution: str
    audit_key: str
    at: float


@dataclass(frozen=True)
class ExecutionEnd:
    """How an execution ended; error and message are of a bad end. set_aside is the number of the
    file's bad records that have no item, also where it ended UNCHANGED.
    """

    key: str
    execution: str
    outcome: str
    error: str | None = None
    message: str | None = None
    set_aside: int | None = None

    @property
    def is_bad(self) -> bool:
        """Whether the file still has a problem."""
        return self.outcome in BAD or bool(self.set_aside)


OF_ONE_EXECUTION = ("force", "release", REPROCESSED_BY, STARTED_BY_RUN)
"""Members of an input that an execution which is started again does not inherit."""


def input_of(stack: Stack, key: str, kept: str | None = None, **flags: bool) -> str:
    """The input to start with: that of the execution that failed, else one that names the object,
    or none where the failed input named none: it fails again. Flags, and the ARN of the command's
    credentials, stand beside `detail`.
    """
    event = read_input(kept or "")
    if event is None:
        uri, bucket = stack.uri(key), {"name": stack.bucket}
        named = {"bucket": bucket, "object": {"key": uri.removeprefix(stack.address)}}
        event = {"detail": named} if uri.startswith(stack.address) else {}
    event = {name: value for name, value in event.items() if name not in OF_ONE_EXECUTION}
    event |= {REPROCESSED_BY: stack.caller} if stack.caller else {}
    return json.dumps({**event, **{name: True for name, on in flags.items() if on}})


def start(stack: Stack, key: str, text: str) -> StartedExecution:
    """Starts one execution, under a name that says where it came from."""
    moment = datetime.now(UTC)
    name = f"reprocess-{moment:%Y%m%dT%H%M%S}-{secrets.token_hex(6)}"
    answer = stack.client("stepfunctions").start_execution(
        stateMachineArn=stack.state_machine, name=name, input=text
    )
    arn = answer["executionArn"]
    begun = iso_milliseconds(answer["startDate"])
    return StartedExecution(key, arn, Execution(arn, name, begun).audit_key, time.monotonic())


def within_rate(things: Iterable[Thing], rate: float) -> Iterator[Thing]:
    """The things, at most `rate` a second."""
    begun = time.monotonic()
    for number, thing in enumerate(things):
        pause = begun + number / rate - time.monotonic()
        if pause > 0:
            time.sleep(pause)
        yield thing


def follow(
    stack: Stack,
    started: Sequence[StartedExecution],
    on_end: Callable[[ExecutionEnd], None] = lambda _: None,
) -> list[ExecutionEnd]:
    """Waits until each has ended; passes on every end as it is seen.

    Outcomes are read from the ledger, a hundred at a time: DescribeExecution allows fifteen a
    second.
    """
    open_ones, ended, pause = list(started), [], POLL_SECONDS
    while open_ones:
        ends = _outcomes(stack, open_ones)
        for each in ends:
            on_end(each)
        ended += ends
        names = {each.execution for each in ends}
        open_ones = [each for each in open_ones if each.execution not in names]
        if open_ones:
            pause = POLL_SECONDS if ends else min(pause * 1.5, LONGEST_POLL_SECONDS)
            time.sleep(pause)
    return ended


def _outcomes(stack: Stack, started: Sequence[StartedExecution]) -> list[ExecutionEnd]:
    ends: list[ExecutionEnd] = []
    for place in range(0, len(started), BATCH):
        ends += _batch(stack, started[place : place + BATCH])
    return ends


def _batch(stack: Stack, started: Sequence[StartedExecution]) -> list[ExecutionEnd]:
    keys = {(stack.uri(each.key), each.audit_key): each for each in started}
    asked = {stack.ledger: {"Keys": [{"pk": {"S": pk}, "sk": {"S": sk}} for pk, sk in keys]}}
    rows = stack.client("dynamodb").batch_get_item(RequestItems=asked)["Responses"][stack.ledger]
    ends = []
    for row in rows:
        each = keys.pop((row["pk"]["S"], row["sk"]["S"]))
        text = {name: value["S"] for name, value in row.items() if "S" in value}
        aside = int(row["set_aside"]["N"]) if "set_aside" in row else None
        message = f"{plural(aside, 'bad record')} set aside" if aside else None
        if "cause" in text:
            message = message_of(text["cause"])
        ended = (each.key, each.execution, text["outcome"], text.get("error"), message, aside)
        ends.append(ExecutionEnd(*ended))
    overdue = time.monotonic() - DESCRIBE_AFTER_SECONDS
    ends += [
        end for each in keys.values() if each.at < overdue and (end := _described(stack, each))
    ]
    return ends


def _described(stack: Stack, each: StartedExecution) -> ExecutionEnd | None:
    said = stack.client("stepfunctions").describe_execution(executionArn=each.execution)
    if said["status"] == "RUNNING":
        return None
    cause = said.get("cause")
    return ExecutionEnd(
        each.key,
        each.execution,
        outcome_of(stack, each.key, said),
        said.get("error"),
        message_of(cause) if cause else None,
    )
