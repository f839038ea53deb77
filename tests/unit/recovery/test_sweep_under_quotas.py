"""The handler of the sweep over hours of a clock of its own, under the published quotas.

Half of each quota belongs to somebody else. A sweep begins every minute, also while another one is
still at work; whatever waits, waits on the simulated clock.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from unittest.mock import patch

import pytest
from handlers import sweep as handler_module
from tablekeeper import aws, tables
from tablekeeper.recovery import clock
from tablekeeper.runtime import metrics

from tests.support.fakes import FakeDynamoDB, client_error

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
QUOTAS = {"ListExecutions": (100, 2), "DescribeExecution": (250, 10), "StartExecution": (800, 150)}
"""The bucket, and its refill a second, in the smallest regions.
https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html
"""
SECONDS = {"ListExecutions": 0.15, "DescribeExecution": 0.03, "DynamoDB": 0.008, "page": 0.03}
"""How long a call takes, and a page of a query."""
FILES = int(os.environ.get("SWEEP_FILES", "10000"))
SHARE = FILES / 100_000
LISTED, QUERIED = int(1000 * SHARE), int(3000 * SHARE)
"""Executions and files of a page: fewer than AWS has, so that all take the requests of 100,000."""


class Quota:
    """A bucket of calls, half of whose refill somebody else uses up."""

    def __init__(self, world: World, name: str) -> None:
        self.world, self.name = world, name
        self.size, self.refill = QUOTAS[name][0] / 2, QUOTAS[name][1] / 2
        self.tokens, self.at = self.size, world.now

    def take(self) -> None:
        """Raises ThrottlingException."""
        passed = (self.world.now - self.at).total_seconds()
        self.tokens = min(self.size, self.tokens + passed * self.refill)
        self.at = self.world.now
        if self.tokens < 1:
            self.world.throttled += 1
            raise client_error("ThrottlingException")
        self.tokens -= 1


class World:
    """The clock, Step Functions and DynamoDB; `recorded` says of each end whether it did so itself.

    Ends come evenly over so many hours, oldest first.
    """

    def __init__(self, recorded: list[bool], hours: float) -> None:
        self.now, self.tick, self.throttled, self.depth = BEGIN, BEGIN, 0, 0
        self.gap = timedelta(hours=hours) / len(recorded)
        self.quotas = {name: Quota(self, name) for name in QUOTAS}
        self.known = {f"e{place}" for place, itself in enumerate(recorded) if itself}
        self.stops = [BEGIN + self.gap * place for place in range(len(recorded))]
        self.dynamodb = Dynamo(self)
        self.described: list[int] = []
        self.gauges: list[tuple[datetime, int]] = []

    def spend(self, seconds: float) -> None:
        """Time passes; a sweep that is due begins within it."""
        self.now += timedelta(seconds=seconds)
        while self.tick + MINUTE <= self.now:
            self.tick += MINUTE
            self.sweep()

    def sweep(self) -> None:
        end = self.now + timedelta(seconds=300)
        handler_module.handler({}, Context(self, end))

    def gauged(self, problems: Mapping[str, int]) -> None:
        self.gauges.append((self.now, problems["INVALID"]))

    # ---- Step Functions ----

    def list_executions(
        self,
        statusFilter: str,  # noqa: N803
        maxResults: int,  # noqa: N803
        nextToken: str = "",  # noqa: N803
        **_: Any,
    ) -> Any:
        self.spend(SECONDS["ListExecutions"])
        self.quotas["ListExecutions"].take()
        if statusFilter != "FAILED":
            return {"executions": []}
        last = int(nextToken) if nextToken else bisect_right(self.stops, self.now)
        first = max(0, last - min(maxResults, LISTED))
        page = [
            {
                "executionArn": f"arn:e{place}",
                "name": f"e{place}",
                "startDate": self.stops[place] - timedelta(seconds=5),
                "stopDate": self.stops[place],
            }
            for place in range(last - 1, first - 1, -1)
        ]
        return {"executions": page, **({"nextToken": str(first)} if first else {})}

    def describe_execution(self, executionArn: str) -> Any:  # noqa: N803
        self.spend(SECONDS["DescribeExecution"])
        self.quotas["DescribeExecution"].take()
        place = int(executionArn.removeprefix("arn:e"))
        self.described.append(place)
        return {
            "executionArn": executionArn,
            "name": f"e{place}",
            "status": "FAILED",
            "startDate": self.stops[place] - timedelta(seconds=5),
            "input": f'{{"detail":{{"bucket":{{"name":"b"}},"object":{{"key":"k{place}"}}}}}}',
        }

    def get_execution_history(self, **_: Any) -> Any:
        self.spend(SECONDS["DescribeExecution"])
        return {"events": []}


class Dynamo(FakeDynamoDB):
    """A ledger in which each end that recorded itself has its row and its file's problem."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world
        self.entry = {
            "pk": {"S": "s3://b/k"},
            "problem_error": {"S": "SchemaViolationError"},
            "problem_at": {"S": "2026-01-01T00:00:00.000Z"},
        }

    def batch_get_item(self, RequestItems: Any) -> Any:  # noqa: N803
        self.world.spend(SECONDS["DynamoDB"])
        (name,) = RequestItems
        found = [
            {
                **key,
                "object": {"S": "s3://b/k"},
                "outcome": {"S": "INVALID"},
                "error": {"S": "SchemaViolationError"},
            }
            for key in RequestItems[name]["Keys"]
            if key["pk"]["S"].removeprefix("END#") in self.world.known
            or (key["pk"]["S"], key["sk"]["S"]) in self.tables[name]
        ]
        return {"Responses": {name: found}}

    def put_item(self, **put: Any) -> Any:
        self.world.spend(SECONDS["DynamoDB"])
        return super().put_item(**put)

    def paginate(self, **query: Any) -> Iterator[Any]:
        if query["ExpressionAttributeValues"][":status"]["S"] == "FAILED":
            return
        count = bisect_right(self.world.stops, self.world.now)
        for first in range(0, count, QUERIED):
            self.world.spend(SECONDS["page"])
            yield {"Items": [self.entry] * min(QUERIED, count - first)}


class Context:
    """Lambda's."""

    def __init__(self, world: World, end: datetime) -> None:
        self.world, self.end = world, end

    def get_remaining_time_in_millis(self) -> float:
        return (self.end - self.world.now).total_seconds() * 1000


@pytest.fixture(autouse=True)
def _settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "LEDGER_TABLE": "ledger",
        "ITEMS_TABLE": "items",
        "ITEM_KEYS": "pk:S,sk:S",
        "AUDIT_RETENTION_SECONDS": "34560000",
        "STATE_MACHINE_ARN": "m",
    }.items():
        monkeypatch.setenv(name, value)


def swept(world: World, until: int) -> timedelta:
    """Sweeps until so many executions have been described, and the watermark is past all ends; how
    long that took.
    """
    with (
        patch.object(clock, "now", lambda: world.now),
        patch.object(clock, "sleep", world.spend),
        patch.object(aws, "states", lambda: world),
        patch.object(tables, "dynamodb", lambda: world.dynamodb),
        patch.object(metrics, "gauge_problems", world.gauged),
        patch.object(metrics, "count_bad_end", lambda *_: None),
    ):
        row: Any = world.dynamodb.tables.setdefault("ledger", {})
        while not (
            len(world.described) >= until
            and row.get(("SWEEP", "CURRENT"), {}).get("swept_to", {}).get("S", "")
            > world.stops[-1].isoformat()
        ):
            world.spend(1)
            assert world.now < BEGIN + timedelta(days=2)
    return world.now - BEGIN


@pytest.mark.parametrize(
    ("ends", "silent", "hours"),
    [(FILES, int(50 * SHARE), 1), (2_500, 1, 0.5)],
    ids=["bad files in an hour, some unrecorded", "ends without a record"],
)
def test_bad_ends_are_worked_off_with_gauges_on_time(ends: int, silent: int, hours: float) -> None:
    """In twice the time in which they come, at most."""
    world = World([bool(place % silent) for place in range(ends)], hours)
    unrecorded = len(range(0, ends, silent))
    took = swept(world, unrecorded)
    assert took < timedelta(hours=2 * hours)
    # Each once, the oldest first within a sweep, and none of those that recorded themselves.
    assert sorted(world.described) == list(range(0, ends, silent))
    assert world.throttled == 0
    times = [at for at, _ in world.gauges]
    late = max(b - a for a, b in pairwise(times))
    assert late < timedelta(seconds=90)
    for at, count in world.gauges:
        assert count >= bisect_right(world.stops, at - MINUTE)
    print(f"worked off after {took}, gauges at most {late} apart")
