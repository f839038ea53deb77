"""The audit rows of one file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from tablekeeper import causes

from tablekeeper_cli.ledger.queries import Attributes, Query, rows_of, text_of
from tablekeeper_cli.stack import Stack

EVENT_PREFIX = "EVENT#"
PERMANENTLY_DELETED = "Permanently Deleted"
"""https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html"""
REPROCESSED_BY = "reprocessed_by"
"""The member of an input with the ARN whose credentials reprocessed the file."""
STARTED_BY_RUN = "AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID"
"""The member of an input that has the execution of a run over the whole bucket."""


@dataclass(frozen=True)
class Event:
    """How one execution ended: a row of the audit trail.

    event is the execution's input, as text. reason is what happened to the object, requester who
    did that, as S3 says; who is what started the execution. details are what else the row holds.
    """

    at: str
    outcome: str
    execution: str
    event: str
    reason: str
    requester: str
    who: str
    details: dict[str, str | int]


def history(stack: Stack, key: str, limit: int | None = None) -> Iterator[Event]:
    """How the executions of a file ended, the newest start first; none when it is unknown."""
    condition = "pk = :pk AND begins_with(sk, :event)"
    values = {":pk": {"S": stack.uri(key)}, ":event": {"S": EVENT_PREFIX}}
    newer: Event | None = None
    for number, row in enumerate(rows_of(stack, Query(None, condition, values, backwards=True))):
        if newer:
            yield _after(newer, row["outcome"]["S"])
        if number == limit:
            return
        newer = event_of(
            row["execution"]["S"],
            row["at"]["S"],
            row["outcome"]["S"],
            text_of(row, "event") or "{}",
        )
        newer.details.update(_details(row))
    if newer:
        yield newer


def event_of(execution: str, at: str, outcome: str, text: str) -> Event:
    reason, requester = hint(text)
    return Event(at, outcome, execution, text, reason, requester, origin(text, execution), {})


def _details(row: Attributes) -> dict[str, str | int]:
    shown = ("at", "outcome", "execution", "event", "pk", "sk", "expires_at")
    details: dict[str, str | int] = {
        name: int(value["N"]) if "N" in value else str(next(iter(value.values())))
        for name, value in row.items()
        if name not in shown
    }
    if "cause" in details:
        details["cause"] = causes.message_of(str(details["cause"]))
    return details


def _after(event: Event, outcome_before: str) -> Event:
    """The event, which came after one with this outcome.

    S3 reports the removal of a delete marker as the removal of any version. It is the one that
    brings an object back.
    """
    is_back = outcome_before == "DELETED" and event.outcome not in ("DELETED", "IGNORED")
    if is_back and event.reason == f"Object Deleted ({PERMANENTLY_DELETED})":
        return replace(event, reason="Object Deleted (delete marker removed)")
    return event


def origin(text: str, execution: str) -> str:
    """What started an execution: an event, a run over the whole bucket, the sweep, or a person."""
    event = read_input(text) or {}
    machine, _, name = execution.partition(":execution:")[2].rpartition(":")
    if name.startswith("sweep-"):
        return "sweep"
    if name.startswith("reprocess-"):
        by = event.get(REPROCESSED_BY)
        return f"reprocess by {by}" if isinstance(by, str) else "reprocess"
    if STARTED_BY_RUN in event or "/" in machine or name.startswith("bulk-"):
        return "reconcile"
    if name.startswith("redrive-"):
        return "event, redriven"
    return "event" if "detail-type" in event else "by hand"


def hint(text: str) -> tuple[str, str]:
    """What happened to the object and who did it, by an execution's input.

    S3 names the account or the service principal that made the request:
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html
    """
    event = read_input(text)
    detail = event.get("detail", {}) if event is not None else None
    if event is None or not isinstance(detail, dict):
        return "not an event", ""
    kind = str(event.get("detail-type") or "started by hand")
    reason = detail.get("reason") or detail.get("deletion-type")
    requester = str(detail.get("requester") or "")
    if address := detail.get("source-ip-address"):
        requester = f"{requester} from {address}".strip()
    return f"{kind} ({reason})" if reason else kind, requester


def read_input(text: str) -> dict[str, Any] | None:
    """An execution's input; None when it is no JSON object."""
    try:
        event = json.loads(text)
    except ValueError:
        return None
    return event if isinstance(event, dict) else None
