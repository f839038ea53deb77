"""An execution of the state machine, and the event that caused it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from tablekeeper.model.times import iso_milliseconds

RELEASE = "release_items"
"""The flag of an input that the sweep sets. A release before this one had `release`, by which Fetch
Object removed all items of a file.
"""


def event_text(event: Any) -> str:
    """An execution's input as the ledger keeps it."""
    return (
        event
        if isinstance(event, str)
        else json.dumps(event, ensure_ascii=False, separators=(",", ":"))
    )


@dataclass(frozen=True)
class Execution:
    """An execution of the state machine; start is ISO 8601, event the text of its input."""

    id: str
    name: str
    start: str
    redrive: int = 0
    event: str = "{}"

    @property
    def audit_key(self) -> str:
        """The sort key of the one audit row of this execution, whichever function writes it."""
        return f"EVENT#{iso_milliseconds(self.start)}#{self.name}#{self.redrive}"

    @property
    def near_audit_keys(self) -> tuple[str, str, str]:
        """`audit_key`, and what it is for a start a millisecond earlier and later: two APIs need
        not round a start to the same one.
        """
        start = datetime.fromisoformat(self.start)
        moved = (timedelta(), timedelta(milliseconds=-1), timedelta(milliseconds=1))
        mine, before, after = (replace(self, start=(start + by).isoformat()) for by in moved)
        return mine.audit_key, before.audit_key, after.audit_key

    @property
    def forced(self) -> bool:
        """Whether the input has the flag `force`: every item is written, also what is the same."""
        return self._has_flag("force")

    @property
    def releases(self) -> bool:
        """Whether the input has the flag with which the sweep starts a file of a knot."""
        return self._has_flag(RELEASE)

    def _has_flag(self, name: str) -> bool:
        try:
            return json.loads(self.event).get(name) is True
        except (ValueError, AttributeError, RecursionError):
            return False


def execution_of(payload: Mapping[str, Any]) -> Execution:
    """The execution that a state passes on."""
    values = payload["execution"]
    return Execution(
        id=values["id"],
        name=values["name"],
        start=values["start"],
        redrive=int(values["redrive"]),
        event=event_text(values.get("event", "{}")),
    )


def occurred_at(event: str) -> datetime | None:
    """The `time` of the event in an execution's input; None in one that was started by hand."""
    try:
        time = datetime.fromisoformat(json.loads(event)["time"])
    except (ValueError, LookupError, TypeError, RecursionError):
        return None
    return time if time.tzinfo else None
