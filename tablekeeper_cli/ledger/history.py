"""The audit rows of one file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from tablekeeper import errors

from tablekeeper_cli.ledger.queries import Attributes, _query, _text
from tablekeeper_cli.stack import Stack

EVENT_PREFIX = "EVENT#"


@dataclass(frozen=True)
class Event:
    """How one execution ended: a row of the audit trail.

    event is the execution's input, as text; details are what else the row holds.
    """

    at: str
    outcome: str
    execution: str
    event: str
    reason: str
    requester: str
    details: dict[str, str]


def history(stack: Stack, key: str, limit: int | None = None) -> Iterator[Event]:
    """How the executions of a file ended, the newest start first; none when it is unknown."""
    condition = "pk = :pk AND begins_with(sk, :event)"
    values = {":pk": {"S": stack.uri(key)}, ":event": {"S": EVENT_PREFIX}}
    rows = _query(stack, None, condition, values, backwards=True)
    for number, row in enumerate(rows):
        if number == limit:
            return
        yield _event(row)


def _event(row: Attributes) -> Event:
    shown = ("at", "outcome", "execution", "event", "pk", "sk", "expires_at")
    text = _text(row, "event") or "{}"
    reason, requester = hint(text)
    details = {
        name: str(next(iter(value.values()))) for name, value in row.items() if name not in shown
    }
    if "cause" in details:
        details["cause"] = errors.message_of(details["cause"])
    return Event(
        at=row["at"]["S"],
        outcome=row["outcome"]["S"],
        execution=row["execution"]["S"],
        event=text,
        reason=reason,
        requester=requester,
        details=details,
    )


def hint(text: str) -> tuple[str, str]:
    """What an execution's input says happened to the object, and who did it.

    S3 names the account or the service principal that made the request:
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html
    """
    try:
        event = json.loads(text)
        detail = event.get("detail", {})
    except (ValueError, AttributeError):
        return "not an event", ""
    if not isinstance(detail, dict):
        return "not an event", ""
    kind = str(event.get("detail-type") or "started by hand")
    reason = detail.get("reason") or detail.get("deletion-type")
    requester = str(detail.get("requester") or "")
    if address := detail.get("source-ip-address"):
        requester = f"{requester} from {address}".strip()
    return f"{kind} ({reason})" if reason else kind, requester
