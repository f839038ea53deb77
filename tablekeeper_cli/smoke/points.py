"""The points of a smoke run, and which of them try what docs/limits.md lists as not run on AWS."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

HELD, BROKEN, NOT_REACHED = "held", "broken", "not reached"


@dataclass(frozen=True)
class Point:
    """One promise: its name, the verdict, and what was seen, or what was in the way."""

    name: str
    verdict: str
    seen: str


class BrokenError(Exception):
    """Raised when a promise is not kept; the message is what was seen."""


class NotReachedError(Exception):
    """Raised when a promise cannot be tried; the message is why."""


LIMITS: Mapping[str, tuple[str, ...]] = {
    "deployment, IAM roles": ("a new file", "a vanished object", "a reconcile"),
    "KmsKeyArn": ("a new file", "a large file", "a reconcile"),
    "enforcement of the roles": ("a new file", "a large file", "a bad file"),
    "the dead-letter queue of the rule": ("the failed events queue",),
    "the state machine's own time-out": (),
    "the text of a cancelled transaction's cause": ("a bad file",),
    "CloudWatch taking the metrics": ("metrics", "alarms", "the dashboard"),
    "links from the command": (),
    "X-Ray tracing, log delivery": ("logs",),
    "the Distributed Map": ("a reconcile",),
    "EventBridge Scheduler": (),
    "the rule `StepFunctionsGetEvents": ("a traced backfill",),
    "Express workflows": ("a new file",),
    "cold starts": (),
    "the delay of ListExecutions": ("ListExecutions",),
    "the quotas of ListExecutions": (),
    "the filter of ListExecutions": ("ListExecutions",),
    "PENDING files": (),
    "States Language": ("a new file", "a trace", "a bad file", "an input that names no object"),
    "JSONata": ("a new file", "a bad file", "an input that names no object"),
    "that Sync Failed may pass on": ("an aborted execution",),
    "an empty `Prefix`": ("the whole bucket",),
    "that Lambda keeps lines without a level": ("metrics",),
    "a rollback": (),
    "archived objects": (),
    "which error name a throttled call": (),
}
"""The rows of docs/limits.md that were not run on AWS, by how they begin, and the points that try
them. A row without points takes a failure of AWS's own, a person, or days.
"""
