"""Events of the failed events queue are started, whatever stays there."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from typer.testing import CliRunner

from tablekeeper_cli.app import app
from tablekeeper_cli.errors import DIFFERENT, OK
from tablekeeper_cli.executions import failed_events
from tablekeeper_cli.stack import Stack


class Queue:
    """A queue in no order, whose messages are there again after a time; each receive takes a
    second.
    """

    def __init__(self, events: int, bad: int) -> None:
        self.now, self.rng = 0, random.Random(1)
        self.hidden = dict.fromkeys(range(events + bad), 0)
        self.bad = bad

    def receive_message(self, MaxNumberOfMessages: int, **_: Any) -> Any:  # noqa: N803
        self.now += 1
        there = [number for number, until in self.hidden.items() if until <= self.now]
        there = self.rng.sample(there, min(MaxNumberOfMessages, len(there)))
        self.hidden |= dict.fromkeys(there, self.now + failed_events.HOLD_SECONDS)
        return {"Messages": [self._message(each) for each in there]} if there else {}

    def _message(self, number: int) -> Any:
        key = {} if number < self.bad else {"key": f"notes/{number}.json"}
        body = {"id": str(number), "detail": {"bucket": {"name": "b"}, "object": key}}
        receipt = {"MessageId": str(number), "ReceiptHandle": str(number)}
        return {**receipt, "Body": json.dumps(body), "Attributes": {"SentTimestamp": "1"}}

    def delete_message(self, ReceiptHandle: str, **_: Any) -> None:  # noqa: N803
        del self.hidden[int(ReceiptHandle)]

    def change_message_visibility_batch(self, **_: Any) -> None:
        pass

    def get_queue_attributes(self, AttributeNames: list[str], **_: Any) -> Any:  # noqa: N803
        count = len([until for until in self.hidden.values() if until > self.now])
        return {"Attributes": dict.fromkeys(AttributeNames, str(count))}

    def start_execution(self, name: str, **_: Any) -> Any:
        return {"executionArn": name}


def stack_of(queue: Queue) -> Stack:
    outputs = {"FailedEventsQueueUrl": "q", "StateMachineArn": "arn:x:stateMachine:y"}
    outputs["SourceBucketName"] = "b"
    return Stack("s", "r", outputs, _clients={"sqs": queue, "stepfunctions": queue})


def redriven(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> list[failed_events.Redrive]:
    monkeypatch.setattr(failed_events, "within_rate", lambda each, _: each)
    return list(failed_events.redrive(stack_of(queue), 10))


@pytest.mark.parametrize(("events", "bad"), [(300, 1), (300, 20), (0, 0)])
def test_what_stays_keeps_no_other_event_from_its_start(
    events: int, bad: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = Queue(events, bad)
    done = redriven(queue, monkeypatch)
    assert len([each for each in done if each.execution]) == events
    assert len([each for each in done if each.problem]) == bad
    assert sorted(queue.hidden) == list(range(bad))


def test_more_that_stays_than_is_seen_within_the_hold_comes_to_an_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    queue = Queue(0, 3 * failed_events.HOLD_SECONDS)
    assert len(redriven(queue, monkeypatch)) > failed_events.HOLD_SECONDS


@pytest.mark.parametrize("words", [["events"], ["events", "redrive"]])
@pytest.mark.parametrize(("there", "held"), [(0, 3), (0, 0), (1, 3)])
def test_events_that_another_reader_holds_wait(
    words: list[str], there: int, held: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = Queue(there + held, 0)
    queue.hidden |= dict.fromkeys(range(held), 500)
    monkeypatch.setattr(Stack, "find", lambda *_, **__: stack_of(queue))
    told = CliRunner().invoke(app, words)
    left = there if words == ["events"] else 0
    assert told.exit_code == (DIFFERENT if held or left else OK)
    said = "3 events are held by another reader, for two minutes at most" in told.stdout
    assert said == (held > 0 and not left)
    assert sorted(queue.hidden) == list(range(held + left))


def test_what_this_reader_had_itself_is_not_held_by_another() -> None:
    """SQS counts it for a moment after it is there again."""
    queue = Queue(3, 0)
    others = failed_events.OtherReaders(stack_of(queue))
    queue.receive_message(10)
    assert others.held() == 0
