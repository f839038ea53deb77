"""Events of the failed events queue are started, whatever stays there."""

from __future__ import annotations

import json
import random
from types import SimpleNamespace
from typing import Any

import pytest

from tablekeeper_cli.executions import failed_events


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

    def start_execution(self, name: str, **_: Any) -> Any:
        return {"executionArn": name}


def redriven(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> list[failed_events.Redrive]:
    monkeypatch.setattr(failed_events, "within_rate", lambda each, _: each)
    stack: Any = SimpleNamespace(
        client=lambda _: queue,
        key=str,
        failed_events="q",
        state_machine="arn:x:stateMachine:y",
    )
    return list(failed_events.redrive(stack, 10))


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
