"""The executions of the last hour, minute by minute: how many ended how, how long they took, and
how long after their events the newest ones ended.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from statistics import quantiles
from typing import Any

from tablekeeper.model.execution import occurred_at
from tablekeeper.model.times import iso_milliseconds

from tablekeeper_cli.stack import Stack

MINUTES = 60
RATE_MINUTES = 5
MOST = 3000
"""The most executions that are listed: three requests."""
ASKED = 20
"""Executions described for their lag in one read: DescribeExecution allows ten a second."""
SAMPLE = 200
"""Executions whose lag is kept."""
STARTED_AGAIN = ("reprocess-", "redrive-", "sweep-")


@dataclass(frozen=True)
class Spread:
    """The median and the 95th percentile of `count` lengths of time, in seconds."""

    median: float
    slowest: float
    count: int


@dataclass(frozen=True)
class Hour:
    """ended and bad count executions by minute, the newest minute last. took is from the start of
    an execution to its end, lag from the event to the end, of the newest executions that an event
    started. Of more than MOST executions only the newest are counted, since a time.
    """

    ended: list[int]
    bad: list[int]
    took: Spread | None
    lag: Spread | None
    since: str | None

    @property
    def total(self) -> int:
        return sum(self.ended)

    @property
    def rate(self) -> float:
        """Executions that ended in a minute, of the last RATE_MINUTES."""
        return sum(self.ended[-RATE_MINUTES:]) / RATE_MINUTES

    @property
    def bars(self) -> list[tuple[int, int, float, float]]:
        """By minute: executions that ended, and badly; heights of those that ended well, and badly,
        in percent of the highest.
        """
        top = max(*self.ended, 1) / 100
        return [
            (ended, bad, (ended - bad) / top, bad / top)
            for ended, bad in zip(self.ended, self.bad, strict=True)
        ]


class Recent:
    """Reads the last hour, and keeps lags."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.lags: dict[str, float | None] = {}

    def _lag(self, ended: list[Any]) -> Spread | None:
        """Of executions that succeeded. Each is described once, for the quota."""
        newest = [
            each
            for each in ended
            if each["status"] == "SUCCEEDED" and not each["name"].startswith(STARTED_AGAIN)
        ]
        arns = {each["executionArn"] for each in newest[:SAMPLE]}
        self.lags = {arn: lag for arn, lag in self.lags.items() if arn in arns}
        new = [each for each in newest[:SAMPLE] if each["executionArn"] not in self.lags]
        for each in new[:ASKED]:
            self.lags[each["executionArn"]] = self._lag_of(each)
        return _spread([lag for lag in self.lags.values() if lag is not None])

    def _lag_of(self, execution: Any) -> float | None:
        described = self.stack.client("stepfunctions").describe_execution(
            executionArn=execution["executionArn"]
        )
        occurred = occurred_at(described.get("input", ""))
        # S3's clock is another one.
        return max(0, (execution["stopDate"] - occurred).total_seconds()) if occurred else None

    def read(self) -> Hour:
        now = datetime.now(UTC)
        begin = now - timedelta(minutes=MINUTES)
        listed: list[Any] = []
        pages = (
            self.stack.client("stepfunctions")
            .get_paginator("list_executions")
            .paginate(
                stateMachineArn=self.stack.state_machine,
                PaginationConfig={"MaxItems": MOST, "PageSize": 1000},
            )
        )
        for page in pages:
            listed += page["executions"]
            # The newest start comes first; one that began before the hour rarely ends within it.
            if listed and listed[-1]["startDate"] < begin:
                break
        ended = [0] * MINUTES
        bad = [0] * MINUTES
        done = []
        for each in listed:
            stop = each.get("stopDate")
            if stop is None or stop < begin:
                continue
            minute = min(int((stop - begin).total_seconds() // 60), MINUTES - 1)
            ended[minute] += 1
            bad[minute] += each["status"] != "SUCCEEDED"
            done.append(each)
        took = [(each["stopDate"] - each["startDate"]).total_seconds() for each in done]
        more = len(listed) >= MOST and listed[-1]["startDate"] > begin
        return Hour(
            ended=ended,
            bad=bad,
            took=_spread(took),
            lag=self._lag(done),
            since=iso_milliseconds(listed[-1]["startDate"]) if more else None,
        )


def _spread(seconds: list[float]) -> Spread | None:
    if len(seconds) < 2:
        return Spread(seconds[0], seconds[0], 1) if seconds else None
    parts = quantiles(seconds, n=20, method="inclusive")
    return Spread(parts[9], parts[18], len(seconds))
