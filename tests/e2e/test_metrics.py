"""Metrics and logs on the engine: what the functions print is found in their log groups."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from tablekeeper.runtime.metrics import METRICS, NAMESPACE

from local.stack import Stack
from tests.e2e.observer import Observer, until

FUNCTIONS = (
    "FetchObject",
    "ValidateRecords",
    "TransformRecords",
    "WriteItems",
    "DeleteItems",
    "SafetyNet",
    "Sweep",
)
SECRET = "what-only-the-document-knows"

Published = dict[str, tuple[float, dict[str, str]]]


class Logs:
    """The functions' logs; the engine gives each invocation a stream of its own."""

    def __init__(self, stack: Stack) -> None:
        self.stack, self.client = stack, stack.client("logs")
        self.since = int(time.time() * 1000)

    def lines(self, function: str) -> list[tuple[str, str]]:
        """Stream and text of what a function printed since this was made."""
        pages = self.client.get_paginator("filter_log_events").paginate(
            logGroupName=self._physical(f"{function}LogGroup"), startTime=self.since
        )
        return [(e["logStreamName"], e["message"]) for page in pages for e in page["events"]]

    def invocation(
        self, function: str, wanted: Callable[[dict[str, Any]], bool], *but: str
    ) -> list[Any]:
        """The lines of JSON of the first invocation that has ended and printed a wanted one, waited
        for; some streams left aside.
        """
        return until(lambda: self.found(function, wanted, *but), f"{function} did not print it")

    def found(
        self, function: str, wanted: Callable[[dict[str, Any]], bool], *but: str
    ) -> list[Any]:
        """The same, if it is there."""
        streams: dict[str, list[str]] = {}
        for stream, text in self.lines(function):
            streams.setdefault(stream, []).append(text)
        for stream, texts in streams.items():
            if stream in but or not any(text.startswith("REPORT ") for text in texts):
                continue
            printed = [json.loads(text) for text in texts if text.startswith("{")]
            if any(map(wanted, printed)):
                return printed
        return []

    def invoke(self, function: str) -> None:
        """Invokes a function, as its schedule does."""
        self.stack.client("lambda").invoke(
            FunctionName=self._physical(f"{function}Function"), Payload=b"{}"
        )

    def _physical(self, logical_id: str) -> str:
        name: str = self.stack.client("cloudformation").describe_stack_resource(
            StackName=self.stack.stack_name, LogicalResourceId=logical_id
        )["StackResourceDetail"]["PhysicalResourceId"]
        return name


def published(lines: list[Any]) -> Published:
    """The metrics in lines of the embedded metric format, by name: value and dimensions.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
    """
    found = {}
    for line in lines:
        for directive in line.get("_aws", {}).get("CloudWatchMetrics", ()):
            assert directive["Namespace"] == NAMESPACE
            (names,) = directive["Dimensions"]
            for metric in directive["Metrics"]:
                name, (value,) = metric["Name"], line[metric["Name"]]
                assert {*names} == {"service", *METRICS[name].dimensions}
                each = {"status", "job"} & {*names}
                label = " ".join([name, *(line[of] for of in each)])
                found[label] = (value, {each: line[each] for each in names})
    return found


@pytest.fixture
def seen(stack: Stack) -> Observer:
    """The shared stack as a test sees it."""
    return Observer(stack)


def test_every_metric_and_every_outcome_is_in_the_logs_and_no_content(seen: Observer) -> None:
    logs, service = Logs(seen.stack), seen.stack.stack_name
    good, bad, failing = (f"notes/metrics-{each}.json" for each in ("good", "bad", "failing"))

    def of(key: str, outcome: str) -> Callable[[dict[str, Any]], bool]:
        return lambda line: (line.get("key"), line.get("outcome")) == (key, outcome)

    def dimensions(outcome: str) -> dict[str, str]:
        return {"service": service, "dataset": "notes", "outcome": outcome}

    # A commit, in the second round.
    seen.stack.faults.inject("WriteItemsFunction", error="StaleRevisionError", match=good)
    seen.put(good, [{"pk": "metrics", "sk": name, "text": SECRET} for name in "ab"])
    assert seen.outcome(good) == "SYNCED"
    lines = logs.invocation("WriteItems", of(good, "SYNCED"))
    metrics = published(lines)
    lag, _ = metrics.pop("Lag")
    assert 0 <= lag < 120
    size = seen.s3.head_object(Bucket=seen.bucket, Key=good)["ContentLength"]
    assert metrics == {
        "Files": (1, dimensions("SYNCED")),
        "ItemsPut": (2, dimensions("SYNCED")),
        "Bytes": (size, dimensions("SYNCED")),
    }
    (row,) = seen.audit_rows(good)
    assert row["execution"]["S"] in [each.get("execution") for each in lines]
    again = logs.invocation("FetchObject", lambda line: "ReadAgain" in line)
    assert published(again) == {"ReadAgain": (1, {"service": service})}

    # The same input by hand: no lag.
    seen.changed(good)
    assert seen.start(row["event"]["S"]) == "SUCCEEDED"
    lines = logs.invocation("WriteItems", of(good, "UNCHANGED"))
    assert published(lines) == {"Files": (1, dimensions("UNCHANGED"))}

    # A bad file, and one that fails: the safety net tells.
    seen.stack.faults.inject("FetchObjectFunction", error="RuntimeError", match=failing)
    seen.put(failing, [])
    seen.put(bad, SECRET.encode())
    for key, outcome in ((bad, "INVALID"), (failing, "FAILED")):
        assert seen.outcome(key) == outcome
        lines = logs.invocation("SafetyNet", of(key, outcome))
        assert published(lines) == {"Files": (1, dimensions(outcome))}
        assert seen.problem(key)["execution"] in [each.get("execution") for each in lines]

    # The sweep sees them as they are.
    before = {stream for stream, _ in logs.lines("Sweep")}

    def swept() -> list[Any]:
        logs.invoke("Sweep")  # It does nothing while another sweep runs.
        return logs.found("Sweep", lambda line: bool(line.get("problems")), *before)

    gauges = published(until(swept, "no sweep saw them"))
    gauges.pop("PassedOver executions", None)  # Another sweep may be at them.
    assert {name: each[1] for name, each in gauges.items()} == {
        f"OpenProblems {status}": {"service": service, "status": status}
        for status in ("FAILED", "INVALID", "PARTIAL", "INCOMPLETE")
    } | {"PassedOver files": {"service": service, "job": "files"}}
    assert gauges["OpenProblems FAILED"][0] >= 1
    assert gauges["OpenProblems INVALID"][0] >= 1

    # What is gone; and nothing is left behind.
    for key in (good, bad, failing):
        seen.delete(key)
        assert seen.outcome(key) == "DELETED"
    lines = logs.invocation("DeleteItems", of(good, "DELETED"))
    assert published(lines).keys() - {"Lag"} == {"Files", "ItemsRemoved"}
    assert published(lines)["ItemsRemoved"] == (2, dimensions("DELETED"))
    for function in FUNCTIONS:
        assert not [text for _, text in logs.lines(function) if SECRET in text], function
