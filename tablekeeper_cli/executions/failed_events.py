"""The failed events queue: events that never started an execution."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from tablekeeper.model.times import iso_milliseconds

from tablekeeper_cli.executions.reprocess import within_rate
from tablekeeper_cli.executions.running import object_key
from tablekeeper_cli.ledger.history import hint
from tablekeeper_cli.stack import Stack

HOLD_SECONDS = 120
"""How long messages stay hidden from others while they are worked on."""
HIDDEN = "ApproximateNumberOfMessagesNotVisible"
MOST_AT_ONCE = 10
"""https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ReceiveMessage.html"""


@dataclass(frozen=True)
class FailedEvent:
    """A message of the queue; key is None when its body names no object.

    error is why EventBridge started no execution; sent is when it put the event here, ISO 8601.
    """

    message: str
    key: str | None
    reason: str
    requester: str
    error: str
    sent: str
    body: str
    receipt: str


def waiting(stack: Stack, most: int) -> list[FailedEvent]:
    """Events of the queue, at most so many, in no order; they are hidden from others while they
    are read, and there again when this returns.
    """
    events: list[FailedEvent] = []
    with _shown_again(stack, events):
        events.extend(islice(_all(stack, min(MOST_AT_ONCE, most)), most))
    return events


class OtherReaders:
    """Other readers of the queue, from before this one begins."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.before = self._hidden()

    def held(self) -> int:
        """How many events they still hold. SQS counts late: what this reader had may be among those
        that are hidden now.
        """
        return min(self.before, self._hidden()) if self.before else 0

    def _hidden(self) -> int:
        queue = self.stack.client("sqs").get_queue_attributes(
            QueueUrl=self.stack.failed_events, AttributeNames=[HIDDEN]
        )["Attributes"]
        return int(queue[HIDDEN])


@dataclass(frozen=True)
class Redrive:
    """What came of one event: started and removed, or why it stays."""

    event: FailedEvent
    execution: str | None
    problem: str | None


def redrive(stack: Stack, rate: float, most: int | None = None) -> Iterator[Redrive]:
    """Starts an execution for each event, and removes only the events that started one.

    The name of an execution is made of the event's id, so an event is started once even if its
    removal fails. What could not be started stays in the queue.
    """
    stay: list[FailedEvent] = []
    with _shown_again(stack, stay):
        for event in within_rate(islice(_all(stack, 1), most), rate):
            execution, problem = _start(stack, event)
            if execution:
                stack.client("sqs").delete_message(
                    QueueUrl=stack.failed_events, ReceiptHandle=event.receipt
                )
            else:
                stay.append(event)
            yield Redrive(event, execution, problem)


def _all(stack: Stack, at_once: int) -> Iterator[FailedEvent]:
    """Every message there is, once: one that stays is seen again after HOLD_SECONDS, when others
    may still wait behind it.
    """
    seen: set[str] = set()
    again = 0
    while again <= len(seen):
        answer = stack.client("sqs").receive_message(
            QueueUrl=stack.failed_events,
            MaxNumberOfMessages=at_once,
            VisibilityTimeout=HOLD_SECONDS,
            WaitTimeSeconds=1,
            MessageAttributeNames=["All"],
            MessageSystemAttributeNames=["SentTimestamp"],
        )
        messages = answer.get("Messages", ())
        if not messages:
            return
        new = [each for each in messages if each["MessageId"] not in seen]
        again = 0 if new else again + len(messages)
        seen |= {each["MessageId"] for each in new}
        yield from (_event(stack, each) for each in new)


def _event(stack: Stack, message: Any) -> FailedEvent:
    body = message["Body"]
    reason, requester = hint(body)
    attributes = {
        name: str(value.get("StringValue", ""))
        for name, value in message.get("MessageAttributes", {}).items()
    }
    why = (attributes.get("ERROR_CODE"), attributes.get("ERROR_MESSAGE"))
    sent = datetime.fromtimestamp(int(message["Attributes"]["SentTimestamp"]) / 1000, UTC)
    return FailedEvent(
        message=message["MessageId"],
        key=object_key(stack, body),
        reason=reason,
        requester=requester,
        error=": ".join(each for each in why if each),
        sent=iso_milliseconds(sent),
        body=body,
        receipt=message["ReceiptHandle"],
    )


def _start(stack: Stack, event: FailedEvent) -> tuple[str | None, str | None]:
    """The execution, or why there is none."""
    from botocore.exceptions import ClientError

    if event.key is None:
        return None, "it names no object: look at it, and delete it by hand"
    name = f"redrive-{event_name(event)}"
    machine = stack.state_machine
    try:
        answer = stack.client("stepfunctions").start_execution(
            stateMachineArn=machine, name=name, input=event.body
        )
    except ClientError as error:
        if error.response["Error"]["Code"] == "ExecutionAlreadyExists":
            return f"{machine.replace(':stateMachine:', ':execution:')}:{name}", None
        return None, error.response["Error"].get("Message") or str(error)
    return str(answer["executionArn"]), None


def event_name(event: FailedEvent) -> str:
    """The event's id, or the message's where it has none, as a part of an execution's name."""
    known = json.loads(event.body).get("id")
    text = known if isinstance(known, str) and known else event.message
    return re.sub(r"[^A-Za-z0-9_-]", "-", text)[:60]


@contextmanager
def _shown_again(stack: Stack, events: list[FailedEvent]) -> Iterator[None]:
    """Afterwards others see these events at once."""
    try:
        yield
    finally:
        for place in range(0, len(events), MOST_AT_ONCE):
            stack.client("sqs").change_message_visibility_batch(
                QueueUrl=stack.failed_events,
                Entries=[
                    {"Id": str(number), "ReceiptHandle": each.receipt, "VisibilityTimeout": 0}
                    for number, each in enumerate(events[place : place + MOST_AT_ONCE])
                ],
            )
