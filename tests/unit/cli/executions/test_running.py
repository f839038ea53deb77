"""What runs now, and outcomes as they come, by a state machine that does what a test says."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tablekeeper.model.times import iso_milliseconds

from tablekeeper_cli.executions import outcomes, running
from tablekeeper_cli.executions.outcomes import LeftOut, Outcome, Watch
from tablekeeper_cli.ledger.history import STARTED_BY_RUN, event_of, history, origin
from tablekeeper_cli.stack import Stack

BEGIN = datetime(2026, 11, 25, 22, 0, tzinfo=UTC)
MACHINE = "arn:aws:states:eu-west-1:1:execution:sync"


class States:
    """Step Functions, and the ledger's audit rows, in memory."""

    def __init__(self) -> None:
        self.executions: dict[str, dict[str, Any]] = {}
        self.histories: dict[str, list[dict[str, Any]]] = {}
        self.recorded: dict[str, str] = {}
        self.described = 0

    def start(self, name: str, key: str, bucket: str = "b") -> str:
        arn, number = f"{MACHINE}:{name}", len(self.executions)
        self.executions[arn] = {
            "executionArn": arn,
            "name": name,
            "status": "RUNNING",
            "startDate": BEGIN + timedelta(seconds=number),
            "input": json.dumps({"detail": {"bucket": {"name": bucket}, "object": {"key": key}}}),
        }
        return arn

    def end(self, arn: str, outcome: str, error: str | None = None) -> None:
        execution = self.executions[arn]
        stop = execution["startDate"] + timedelta(seconds=1.5)
        if error:
            execution |= {"status": "FAILED", "error": error, "cause": "why", "stopDate": stop}
            self.recorded[arn] = outcome
        else:
            output = json.dumps({"outcome": outcome})
            execution |= {"status": "SUCCEEDED", "output": output, "stopDate": stop}

    def list_executions(
        self,
        maxResults: int = 1000,  # noqa: N803
        nextToken: str = "0",  # noqa: N803
        **_: Any,
    ) -> Any:
        newest, begin = list(reversed(self.executions.values())), int(nextToken)
        end = begin + maxResults
        page = [{k: v for k, v in each.items() if k != "input"} for each in newest[begin:end]]
        return {"executions": page} | ({"nextToken": str(end)} if newest[end:] else {})

    def describe_execution(self, executionArn: str) -> Any:  # noqa: N803
        self.described += 1
        return self.executions[executionArn]

    def get_paginator(self, name: str) -> Any:
        states = self

        class Pages:
            def paginate(self, **asked: Any) -> Iterator[Any]:
                if name == "get_execution_history":
                    yield {"events": states.histories[asked["executionArn"]]}
                elif name == "query":
                    since = asked["ExpressionAttributeValues"].get(":since", {"S": ""})["S"]
                    rows = states.rows() if "PARTIAL" in str(asked) else []
                    yield {"Items": [row for row in rows if row["problem_at"]["S"] >= since]}
                else:
                    listed = states.list_executions()["executions"]
                    wanted = asked["statusFilter"]
                    yield {"executions": [each for each in listed if each["status"] == wanted]}

        return Pages()

    def rows(self) -> list[dict[str, Any]]:
        """The ledger's rows of files that are PARTIAL."""
        rows = []
        for each in self.executions.values():
            if '"PARTIAL"' in each.get("output", ""):
                key = json.loads(each["input"])["detail"]["object"]["key"]
                values = dict.fromkeys(("state", "error", "cause", "input", "at"), "x")
                values |= {"status": "PARTIAL", "execution": each["executionArn"]}
                rows.append(
                    {
                        "pk": {"S": f"s3://b/{key}"},
                        "problem_status": {"S": "PARTIAL"},
                        "problem_error": {"S": "BadRecordsError"},
                        "problem_dataset": {"S": "d"},
                        "problem_at": {"S": iso_milliseconds(each["stopDate"])},
                        "problem": {"M": {name: {"S": value} for name, value in values.items()}},
                    }
                )
        return rows

    def batch_get_item(self, RequestItems: Any) -> Any:  # noqa: N803
        ((table, asked),) = RequestItems.items()
        found = []
        for key in asked["Keys"]:
            if key["sk"]["S"] == "CURRENT":
                found += [{**row, **key} for row in self.rows() if row["pk"] == key["pk"]]
            elif outcome := self.recorded.get(f"{MACHINE}:{key['sk']['S'].split('#')[2]}"):
                found.append({**key, "outcome": {"S": outcome}})
        return {"Responses": {table: found}}


@pytest.fixture
def states() -> States:
    """A state machine without executions."""
    return States()


@pytest.fixture
def stack(states: States) -> Stack:
    """A stack whose clients are the fake."""
    outputs = {"SourceBucketName": "b", "LedgerTableName": "l", "StateMachineArn": "m"}
    clients: Any = {"stepfunctions": states, "dynamodb": states}
    return Stack("s", "eu-west-1", outputs, _clients=clients)


def event(kind: str, second: float, **details: Any) -> dict[str, Any]:
    """An event of a history."""
    return {"type": kind, "timestamp": BEGIN + timedelta(seconds=second), **details}


def test_a_file_that_is_processed_is_found_with_its_attempt_and_its_reason(
    states: States, stack: Stack
) -> None:
    states.end(states.start("before", "a.json"), "SYNCED")
    states.start("other", "b.json")
    arn = states.start("now", "a.json")
    failed = {"error": "TransientServiceError", "cause": json.dumps({"errorMessage": "SlowDown"})}
    states.histories[arn] = [
        event("TaskStateEntered", 0, stateEnteredEventDetails={"name": "Write Items"}),
        event("TaskScheduled", 0),
        event("TaskFailed", 1, taskFailedEventDetails=failed),
        event("TaskScheduled", 2),
    ]
    (found,) = running.of_file(stack, "s3://b/a.json")
    assert (found.execution, found.key) == (arn, "a.json")
    told = running.progress(stack, found)
    assert told.sentence == "Write Items, attempt 2; before: TransientServiceError: SlowDown"
    states.histories[arn].append(event("TaskFailed", 3, taskFailedEventDetails=failed))
    assert running.progress(stack, found).sentence.startswith("Write Items, attempt 3; before")
    states.histories[arn] = []
    assert running.progress(stack, found).sentence == "starting"
    assert running.of_file(stack, "c.json") == []


def keys(found: Iterator[Outcome | LeftOut]) -> list[Any]:
    """What outcomes are of, in short."""
    return [each.left_out if isinstance(each, LeftOut) else (each.key, each.outcome)
            for each in found]  # fmt: skip


def test_each_outcome_is_told_once_in_the_order_of_the_ends(states: States, stack: Stack) -> None:
    watch = Watch(stack)
    first, second = states.start("1", "a.json"), states.start("2", "b.json")
    assert keys(watch.poll()) == []
    states.end(second, "INVALID", "SchemaViolationError")
    states.end(first, "SYNCED")
    assert keys(watch.poll()) == [("a.json", "SYNCED"), ("b.json", "INVALID")]
    assert keys(watch.poll()) == []
    aborted = states.start("3", "c.json")
    states.executions[aborted] |= {"status": "ABORTED", "stopDate": BEGIN + timedelta(seconds=9)}
    assert keys(watch.poll()) == [("c.json", "ABORTED")]


def test_only_problems_under_a_prefix_are_told(states: States, stack: Stack) -> None:
    watch = Watch(stack, prefix="a/", problems=True)
    for number, (key, error) in enumerate(
        [("a/1", None), ("a/2", "Boom"), ("b/3", "Boom"), ("a/4", "Boom")]
    ):
        states.end(states.start(str(number), key), "SYNCED" if not error else "FAILED", error)
    states.end(states.start("5", "a/5"), "PARTIAL")
    states.end(states.start("6", "b/6"), "PARTIAL")
    states.end(states.start("7", "a/7"), "SYNCED")
    assert keys(watch.poll()) == [("a/2", "FAILED"), ("a/4", "FAILED"), ("a/5", "PARTIAL")]
    assert keys(watch.poll()) == []


def test_an_execution_that_outlives_the_list_is_still_told(
    states: States, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch, old = Watch(stack), states.start("old", "old.json")
    assert keys(watch.poll()) == []
    monkeypatch.setattr(outcomes, "LISTED", 1)
    states.end(states.start("new", "new.json"), "SYNCED")
    states.end(old, "SYNCED")
    assert keys(watch.poll()) == [("old.json", "SYNCED"), ("new.json", "SYNCED")]


def test_more_executions_between_two_looks_than_a_page_has_are_told(
    states: States, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outcomes, "LISTED", 2)
    monkeypatch.setattr(outcomes, "DESCRIBED", 3)
    for number in range(5):
        states.end(states.start(f"old-{number}", "old.json"), "SYNCED")
    watch = Watch(stack)
    assert len(keys(watch.poll())) == 2, "what was there before is not read to its end"
    for number in range(7):
        states.end(states.start(str(number), f"{number}.json"), "SYNCED")
    running = [states.start(f"slow-{number}", f"slow-{number}.json") for number in range(6)]
    told = [each for _ in range(3) for each in keys(watch.poll())]
    assert told == [(f"{number}.json", "SYNCED") for number in range(7)]
    for number in range(8):
        states.end(states.start(f"new-{number}", "new.json"), "SYNCED")
    for arn in running:
        states.end(arn, "INVALID", "Boom")
    told = [each for _ in range(5) for each in keys(watch.poll())]
    assert Counter(outcome for _, outcome in told) == {"SYNCED": 8, "INVALID": 6}


def test_a_page_with_an_old_execution_that_runs_tells_nothing_twice(
    states: States, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outcomes, "LISTED", 3)
    monkeypatch.setattr(outcomes, "DESCRIBED", 1)
    watch = Watch(stack)
    states.end(states.start("old", "old.json"), "SYNCED")
    assert keys(watch.poll()) == [("old.json", "SYNCED")]
    for number in range(5):
        states.start(f"slow-{number}", "slow.json")
    told = keys(watch.poll())
    for names in ("a", "bc"):  # `old` ends a page, is on none that is read, and ends one again
        for name in names:
            states.end(states.start(name, name), "SYNCED")
        told += [each for _ in names for each in keys(watch.poll())]
    assert told == [("a", "SYNCED"), ("b", "SYNCED"), ("c", "SYNCED")]


def test_more_outcomes_than_can_be_read_are_counted(
    states: States, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outcomes, "WAITING", 5)
    monkeypatch.setattr(outcomes, "DESCRIBED", 3)
    for number in range(9):
        states.end(states.start(str(number), f"{number}.json"), "SYNCED")
    watch = Watch(stack)
    assert keys(watch.poll()) == [4, *((f"{number}.json", "SYNCED") for number in (4, 5, 6))]
    assert states.described == 3
    assert keys(watch.poll()) == [("7.json", "SYNCED"), ("8.json", "SYNCED")]


@pytest.mark.parametrize(
    ("text", "execution", "who"),
    [
        ('{"detail-type": "Object Created"}', f"{MACHINE}:5a0e", "event"),
        ('{"detail-type": "Object Created"}', f"{MACHINE}:redrive-5a0e", "event, redriven"),
        ('{"detail-type": "Object Created"}', f"{MACHINE}:sweep-5a0e", "sweep"),
        ('{"reprocessed_by": "arn:ada"}', f"{MACHINE}:reprocess-1", "reprocess by arn:ada"),
        ("{}", f"{MACHINE}:reprocess-1", "reprocess"),
        (json.dumps({STARTED_BY_RUN: "arn"}), f"{MACHINE}:5a0e", "reconcile"),
        ("{}", f"{MACHINE}-bucket/EachBatch:5a0e", "reconcile"),
        ("{}", f"{MACHINE}:bulk-5a0e", "reconcile"),
        ("{", f"{MACHINE}:mine", "by hand"),
    ],
    ids=[
        "event",
        "redriven",
        "sweep",
        "reprocess",
        "old-reprocess",
        "run",
        "bulk",
        "orphan",
        "hand",
    ],
)
def test_an_execution_says_what_started_it(text: str, execution: str, who: str) -> None:
    assert origin(text, execution) == who
    assert event_of(execution, "now", "SYNCED", text).who == who


def test_a_delete_marker_that_was_removed_is_called_that() -> None:
    def row(outcome: str, kind: str, deletion: str | None = None) -> dict[str, Any]:
        text = json.dumps({"detail-type": kind, "detail": {"deletion-type": deletion}})
        return {
            "execution": {"S": f"{MACHINE}:1"},
            "at": {"S": "2026-11-25T22:00:00.000Z"},
            "outcome": {"S": outcome},
            "event": {"S": text},
            "items_put": {"N": "3"},
        }

    newest_first = [
        row("SYNCED", "Object Deleted", "Permanently Deleted"),
        row("UNCHANGED", "Object Deleted", "Permanently Deleted"),
        row("SYNCED", "Object Deleted", "Permanently Deleted"),
        row("DELETED", "Object Deleted", "Delete Marker Created"),
        row("SYNCED", "Object Created"),
    ]

    class Ledger:
        def get_paginator(self, _: str) -> Any:
            return self

        def paginate(self, **_: Any) -> Iterator[Any]:
            yield {"Items": newest_first}

    clients: Any = {"dynamodb": Ledger()}
    stack = Stack("s", "r", {"SourceBucketName": "b", "LedgerTableName": "l"}, _clients=clients)
    found = list(history(stack, "a.json"))
    assert [each.reason for each in found] == [
        "Object Deleted (Permanently Deleted)",
        "Object Deleted (Permanently Deleted)",
        "Object Deleted (delete marker removed)",
        "Object Deleted (Delete Marker Created)",
        "Object Created",
    ]
    assert found[0].details == {"items_put": 3}
    assert [each.reason for each in history(stack, "a.json", 3)] == [
        each.reason for each in found[:3]
    ]


def test_an_object_of_another_bucket_is_not_taken_for_one_of_this(
    states: States, stack: Stack
) -> None:
    """Every page and list names it as the ledger's rows are shown."""
    here, there = states.start("here", "a.json"), states.start("there", "a.json", "other")
    assert [each.execution for each in running.of_file(stack, "a.json")] == [here]
    (found,) = running.of_file(stack, "s3:///other/a.json")
    assert (found.execution, found.key) == (there, "s3:///other/a.json")
    assert [each.key for each in running.running(stack)] == ["s3:///other/a.json", "a.json"]
    states.start("odd", "s3://b/a.json")
    assert running.running(stack)[0].key == "s3://b/s3://b/a.json"
    states.end(there, "FAILED", "InvalidEventError")
    assert keys(Watch(stack).poll()) == [("s3:///other/a.json", "FAILED")]


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", "[" * 10_000, '{"detail": {"object": {"key": "a"}}}', '{"detail": 1}']
)
def test_an_input_may_name_no_object(text: str, stack: Stack) -> None:
    assert running.object_key(stack, text) is None
