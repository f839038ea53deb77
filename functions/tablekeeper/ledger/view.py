"""What was read of the ledger before the object."""

from __future__ import annotations

from typing import NamedTuple

from tablekeeper.ledger.rows import Row


class LedgerView(NamedTuple):
    """A file's ledger row, and when it was about to be read."""

    row: Row
    entered: str
