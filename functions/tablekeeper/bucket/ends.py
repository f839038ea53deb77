"""How the files of a batch ended, and what a reconcile finds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tablekeeper.ledger.view import LedgerView

TRACED = "TRACED"
"""The end of a file that is left to an execution of its own."""


@dataclass(frozen=True)
class End:
    """How a file ended: what was different, and the outcome; an error when that is a bad one."""

    key: str
    finding: str
    outcome: str | None = None
    error: str | None = None

    def payload(self) -> dict[str, str]:
        """As a part of a state's output."""
        values = {"finding": self.finding, "outcome": self.outcome, "error": self.error}
        return {"key": self.key, **{name: each for name, each in values.items() if each}}


File = tuple[str, str, LedgerView | None]
"""A key, what is different, and what was read of it."""


UNKNOWN, STALE, OUTDATED = "UNKNOWN", "STALE", "OUTDATED"


PROBLEM, CLAIM, ORPHAN = "PROBLEM", "CLAIM", "ORPHAN"


FINDINGS: Mapping[str, str] = {
    UNKNOWN: "the ledger has no row of the object, or one of an object that is gone",
    STALE: "the object is another than the one that was written",
    OUTDATED: "it was written by other settings, or by an earlier version of its dataset",
    PROBLEM: "it is INVALID or FAILED",
    CLAIM: "a large write was cut off",
    ORPHAN: "the object is gone or outside of KeyPrefix, and its items or its problem are there",
}
"""What can be different, and what it means."""


ORPHANS = "orphans"
"""The folder of a run's results, in the staging bucket, that names them."""
