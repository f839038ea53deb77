"""Metrics: each function prints them as lines of its log, from which CloudWatch takes them.

They are for alarms; exact counts are the ledger's. A function that is invoked twice for one
outcome, because its answer was lost, counts it twice. Powertools' Metrics is loaded with the first
metric, which comes after the work is done, like the logger.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from tablekeeper.model.execution import occurred_at
from tablekeeper.model.outcome import NO_DATASET, PARTIAL, SYNCED

if TYPE_CHECKING:
    from aws_lambda_powertools.metrics import EphemeralMetrics

    from tablekeeper.model.execution import Execution
    from tablekeeper.model.outcome import CommitResult
    from tablekeeper.model.snapshot import Snapshot

NAMESPACE = "Tablekeeper"


class Metric(NamedTuple):
    """A metric's unit, and its dimensions beside `service`, which is the stack's name.

    CloudWatch charges for each metric and each combination of values of its dimensions, so there is
    none whose values are not few: https://aws.amazon.com/cloudwatch/pricing/
    """

    unit: str
    dimensions: tuple[str, ...] = ()


METRICS: Mapping[str, Metric] = {
    "Files": Metric("Count", ("dataset", "outcome")),
    "ItemsPut": Metric("Count", ("dataset", "outcome")),
    "ItemsRemoved": Metric("Count", ("dataset", "outcome")),
    "ItemsKept": Metric("Count", ("dataset", "outcome")),
    "RecordsSetAside": Metric("Count", ("dataset", "outcome")),
    "Bytes": Metric("Bytes", ("dataset", "outcome")),
    "Lag": Metric("Seconds"),
    "ReadAgain": Metric("Count"),
    "OpenProblems": Metric("Count", ("status",)),
    "PassedOver": Metric("Count", ("job",)),
    "Differences": Metric("Count", ("finding",)),
}


def count_commit(snapshot: Snapshot, execution: Execution, committed: CommitResult) -> None:
    """An execution that ended well: its file and, unless an earlier attempt had committed, its
    items, its bad records, the object's size, and how long after the event it was.
    """
    values: dict[str, float | None] = {"Files": 1}
    aside = snapshot.set_aside if committed.outcome == PARTIAL else None
    if committed.items_put is not None:
        values |= {
            "ItemsPut": committed.items_put or None,
            "ItemsRemoved": committed.items_removed or None,
            "ItemsKept": committed.items_kept or None,
            "RecordsSetAside": aside.records if aside else None,
            "Bytes": snapshot.size if committed.outcome in (SYNCED, PARTIAL) else None,
            "Lag": lag(snapshot, execution, datetime.now(UTC)),
        }
    _publish(values, dataset=snapshot.dataset or NO_DATASET, outcome=committed.outcome)


def count_bad_end(dataset: str | None, outcome: str) -> None:
    """An execution that ended INVALID or FAILED. One that ended badly after its commit was counted
    by that.
    """
    if outcome in ("INVALID", "FAILED"):
        _publish({"Files": 1}, dataset=dataset or NO_DATASET, outcome=outcome)


def count_read_again() -> None:
    """An execution that looks at the ledger and the bucket once more."""
    _publish({"ReadAgain": 1})


def gauge_problems(problems: Mapping[str, int]) -> None:
    """How many files have a problem now, by status. Zeros too: a missing value is an alarm."""
    for status, count in problems.items():
        _publish({"OpenProblems": count}, status=status)


def count_passed_over(job: str, count: int) -> None:
    """Rows, files and executions that a job of the sweep could do nothing with. Zeros too: a
    missing value is an alarm.
    """
    _publish({"PassedOver": count}, job=job)


def gauge_differences(findings: Mapping[str, int]) -> None:
    """How many files a run over the whole bucket found different from the ledger, by finding. Zeros
    too: they end an alarm.
    """
    for finding, count in findings.items():
        _publish({"Differences": count}, finding=finding)


def lag(snapshot: Snapshot, execution: Execution, now: datetime) -> float | None:
    """The seconds from the event to now.

    None when this is no answer to an event: it has no time, or another execution that looked later
    had ended when this one read the ledger. So a file that is reprocessed, whose event is old, does
    not count as late.
    """
    occurred = occurred_at(execution.event)
    if occurred is None:
        return None
    answered = snapshot.answered_until
    if answered and occurred <= datetime.fromisoformat(answered):
        return None
    return max(0.0, (now - occurred).total_seconds())


def _publish(values: Mapping[str, float | None], **dimensions: str) -> None:
    """One line for all metrics of the same dimensions; those without a value are left out."""
    from aws_lambda_powertools.metrics import EphemeralMetrics

    lines: dict[tuple[str, ...], EphemeralMetrics] = {}
    for name, value in values.items():
        if value is None:
            continue
        metric = METRICS[name]
        if metric.dimensions not in lines:
            line = lines[metric.dimensions] = EphemeralMetrics(namespace=NAMESPACE)
            for dimension in metric.dimensions:
                line.add_dimension(dimension, dimensions[dimension])
        lines[metric.dimensions].add_metric(name, metric.unit, value)
    for line in lines.values():
        # One write: what prints the end of the line by itself mixes it with the lines of other
        # threads, and CloudWatch takes no metrics from two in a line.
        text = json.dumps(line.serialize_metric_set(), separators=(",", ":"))
        sys.stdout.write(text + "\n")
