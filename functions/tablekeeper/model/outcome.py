"""How an execution ended."""

from __future__ import annotations

from typing import Any, NamedTuple

NO_DATASET = "-"
"""In place of a name: there is none, or the execution failed before it was looked for."""
SYNCED, PARTIAL = "SYNCED", "PARTIAL"
"""The outcomes with which the items of a file are in the table. PARTIAL: those of its good records,
and that the bad ones are set aside is a problem of the file.
"""


class CommitResult(NamedTuple):
    """How an execution ended; the counts are None when an earlier attempt had ended it. Items kept
    are in the file and in the table, the same in both, and were not written.
    """

    outcome: str
    items_put: int | None = None
    items_removed: int | None = None
    items_kept: int | None = None

    def payload(self) -> dict[str, Any]:
        """As the execution's output."""
        return self._asdict()
