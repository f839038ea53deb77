"""The executions of the last hour, minute by minute: how many ended how, how long they took, and
how long after their events the newest ones ended.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from statistics import median, quantiles
from threading import Lock
from typing import Any

from markupsafe import Markup
from tablekeeper.model.execution import occurred_at

from tablekeeper_cli.stack import Stack

MINUTES = 60
MOST = 3000
"""Executions that are listed at most: three requests."""
KEPT_SECONDS = 5.0
SAMPLE = 20
"""Executions whose lag is looked at: DescribeExecution allows fifteen a second."""
STARTED_AGAIN = ("reprocess-", "redrive-", "sweep-")
_WIDTH, _HEIGHT, _GAP = 1100, 150, 3


@dataclass(frozen=True)
class Hour:
    """ended and bad count executions by minute, the newest minute last; median and slowest (the
    95th percentile) are of how long executions took, in seconds. lag is from the event to the end,
    in seconds, the median of the newest executions that an event started. Of more than MOST
    executions only the newest are counted, since a time.
    """

    ended: list[int]
    bad: list[int]
    median: float | None
    slowest: float | None
    lag: float | None
    since: str | None

    @property
    def total(self) -> int:
        """Executions that ended within the hour."""
        return sum(self.ended)


class Recent:
    """Reads them at most every five seconds, however many look."""

    def __init__(self, stack: Stack) -> None:
        self.stack, self.lock = stack, Lock()
        self.read_at = float("-inf")
        self.hour: Hour | None = None
        self.lags: dict[str, float | None] = {}

    def read(self) -> Hour:
        """The last hour."""
        with self.lock:
            if self.hour is None or time.monotonic() - self.read_at > KEPT_SECONDS:
                self.hour = self._read()
                self.read_at = time.monotonic()
            return self.hour

    def _lag(self, ended: list[Any]) -> float | None:
        """Of executions that succeeded. Each is described once: that is not to be done often."""
        newest = [
            each
            for each in ended
            if each["status"] == "SUCCEEDED" and not each["name"].startswith(STARTED_AGAIN)
        ][:SAMPLE]
        self.lags = {
            each["executionArn"]: self.lags[each["executionArn"]]
            if each["executionArn"] in self.lags
            else self._lag_of(each)
            for each in newest
        }
        known = [lag for lag in self.lags.values() if lag is not None]
        return median(known) if known else None

    def _lag_of(self, execution: Any) -> float | None:
        described = self.stack.client("stepfunctions").describe_execution(
            executionArn=execution["executionArn"]
        )
        occurred = occurred_at(described.get("input", ""))
        return (execution["stopDate"] - occurred).total_seconds() if occurred else None

    def _read(self) -> Hour:
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
        parts = quantiles(took, n=20, method="inclusive") if len(took) > 1 else took * 19
        return Hour(
            ended=ended,
            bad=bad,
            median=parts[9] if parts else None,
            slowest=parts[18] if parts else None,
            lag=self._lag(done),
            since=f"{listed[-1]['startDate'].astimezone(UTC):%H:%M:%S}Z" if more else None,
        )


def chart(hour: Hour) -> Markup:
    """Bars of an hour, a minute each: what ended well above what did not."""
    top = max(*hour.ended, 1)
    step = _WIDTH / MINUTES
    parts = [
        Markup(
            '<svg class="timeline hour" role="img" aria-label="Executions that ended, by minute of '
            'the last hour" viewBox="0 0 {} {}">'
        ).format(_WIDTH, _HEIGHT + 22),
        Markup('<line class="axis" x1="0" x2="{}" y1="{y}" y2="{y}"/>').format(_WIDTH, y=_HEIGHT),
        Markup('<text class="when" x="0" y="12">{} a minute</text>').format(top),
    ]
    for minute, (all_of, bad) in enumerate(zip(hour.ended, hour.bad, strict=True)):
        x, y = minute * step, float(_HEIGHT)
        title = f"{MINUTES - minute} min ago: {all_of} ended, {bad} of them badly"
        for count, look in ((bad, "failed"), (all_of - bad, "ok")):
            height = count / top * (_HEIGHT - 18)
            y -= height
            if count:
                parts.append(
                    Markup(
                        '<rect class="bar {}" x="{:.1f}" y="{:.1f}" width="{:.1f}" '
                        'height="{:.1f}"><title>{}</title></rect>'
                    ).format(look, x, y, step - _GAP, height, title)
                )
    for ago in (60, 45, 30, 15, 0):
        x = _WIDTH * (MINUTES - ago) / MINUTES
        anchor = "start" if ago == MINUTES else "middle" if ago else "end"
        parts.append(
            Markup('<text class="when" x="{:.1f}" y="{}" text-anchor="{}">{}</text>').format(
                x, _HEIGHT + 16, anchor, f"{ago} min ago" if ago else "now"
            )
        )
    return Markup("\n").join([*parts, Markup("</svg>")])
