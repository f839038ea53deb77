"""What runs now, and what waits in the queue."""

from __future__ import annotations

from dataclasses import dataclass

from tablekeeper_cli.ledger.queries import iso
from tablekeeper_cli.stack import Stack


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


def work(stack: Stack, most: int = 1000) -> Work:
    """What is under way; counts running executions up to `most`."""
    running = []
    pages = (
        stack.client("stepfunctions")
        .get_paginator("list_executions")
        .paginate(
            stateMachineArn=stack.state_machine,
            statusFilter="RUNNING",
            PaginationConfig={"MaxItems": most + 1},
        )
    )
    for page in pages:
        running += page["executions"]
    more = len(running) > most
    oldest = min((each["startDate"] for each in running), default=None)
    queue = stack.client("sqs").get_queue_attributes(
        QueueUrl=stack.failed_events,
        AttributeNames=["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"],
    )["Attributes"]
    return Work(
        running=min(len(running), most),
        running_at_least=more,
        oldest_running=None if more or oldest is None else iso(oldest),
        failed_events=sum(int(count) for count in queue.values()),
    )
