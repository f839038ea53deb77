"""What runs now, how far it is, and what waits in the queue."""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from tablekeeper.model.objects import object_uri
from tablekeeper.model.times import iso_milliseconds

from tablekeeper_cli.executions.visits import FAILED, visits
from tablekeeper_cli.stack import Stack

DESCRIBED = 100
"""Running executions that are described: DescribeExecution has a bucket of 250, which fills by ten
a second.
https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html
"""
THREADS = 8


@dataclass(frozen=True)
class Work:
    """What is under way: executions that run, and events that could not start one.

    oldest_running is when the oldest execution that runs began; None with more than `running`
    shows, or when nothing runs.
    """

    running: int
    running_at_least: bool
    oldest_running: str | None
    failed_events: int


@dataclass(frozen=True)
class Running:
    """An execution that runs. key is None when its input names no object; started is ISO 8601;
    event is the text of its input.
    """

    execution: str
    key: str | None
    started: str
    event: str


@dataclass(frozen=True)
class Progress:
    """How far an execution is: its state, the number of the attempt there, and why the attempt
    before it failed.
    """

    execution: str
    started: str
    event: str
    state: str | None
    attempt: int
    error: str | None
    cause: str | None

    @property
    def sentence(self) -> str:
        """`Write Items, attempt 3: TransientServiceError: SlowDown`."""
        where = self.state or "starting"
        tried = f", attempt {self.attempt}" if self.attempt > 1 else ""
        why = ": ".join(filter(None, (self.error, (self.cause or "").partition("\n")[0])))
        return f"{where}{tried}" + (f"; before: {why}" if why else "")


def work(stack: Stack, most: int = 1000) -> Work:
    """What is under way; counts running executions up to `most`."""
    return work_of(stack, listed(stack, most + 1), most)


def work_of(stack: Stack, running: Sequence[Any], most: int) -> Work:
    """What is under way, by executions that are listed: one more than `most` if there are more."""
    more = len(running) > most
    oldest = min((each["startDate"] for each in running), default=None)
    queue = stack.client("sqs").get_queue_attributes(
        QueueUrl=stack.failed_events,
        AttributeNames=["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"],
    )["Attributes"]
    return Work(
        running=min(len(running), most),
        running_at_least=more,
        oldest_running=None if more or oldest is None else iso_milliseconds(oldest),
        failed_events=sum(int(count) for count in queue.values()),
    )


def running(stack: Stack, most: int = DESCRIBED) -> list[Running]:
    """The executions that run, the newest first; with more than `most` of them, the newest."""
    return described(stack, [each["executionArn"] for each in listed(stack, most)])


def described(stack: Stack, arns: Sequence[str]) -> list[Running]:
    """Those of these executions that run, with their inputs."""
    if not arns:
        return []
    client = stack.client("stepfunctions")  # clients are not made in threads
    with ThreadPoolExecutor(THREADS) as pool:
        return [
            Running(
                each["executionArn"],
                object_key(stack, each.get("input", "")),
                iso_milliseconds(each["startDate"]),
                each.get("input", "{}"),
            )
            for each in pool.map(lambda arn: client.describe_execution(executionArn=arn), arns)
            if each["status"] == "RUNNING"
        ]


def of_file(stack: Stack, key: str) -> list[Running]:
    name = stack.key(stack.uri(key))
    return [each for each in running(stack) if each.key == name]


def progress(stack: Stack, each: Running) -> Progress:
    pages = (
        stack.client("stepfunctions")
        .get_paginator("get_execution_history")
        .paginate(executionArn=each.execution, includeExecutionData=True)
    )
    seen = visits(event for page in pages for event in page["events"])
    last = seen[-1] if seen else None
    attempts = last.attempts if last else []
    bad = [attempt for attempt in attempts if attempt.status == FAILED]
    waits = len(bad) == len(attempts)  # for the next attempt
    return Progress(
        execution=each.execution,
        started=each.started,
        event=each.event,
        state=last.state if last else None,
        attempt=len(attempts) + (1 if bad and waits else 0),
        error=bad[-1].error if bad else None,
        cause=bad[-1].cause if bad else None,
    )


def object_key(stack: Stack, text: str) -> str | None:
    """The key of the object that an execution's input names; as `Stack.key` has it, so that an
    object of another bucket is not taken for one of this.
    """
    try:
        detail = json.loads(text)["detail"]
        bucket, key = detail["bucket"]["name"], detail["object"]["key"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return None
    named = isinstance(bucket, str) and isinstance(key, str)
    return stack.key(object_uri(bucket, key)) if named else None


def listed(stack: Stack, most: int) -> list[Any]:
    """The executions that run, the newest first, as ListExecutions lists them."""
    pages = (
        stack.client("stepfunctions")
        .get_paginator("list_executions")
        .paginate(
            stateMachineArn=stack.state_machine,
            statusFilter="RUNNING",
            PaginationConfig={"MaxItems": most},
        )
    )
    return [each for page in pages for each in page["executions"]]
