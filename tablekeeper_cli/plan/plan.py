"""A plan: what would become of one file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tablekeeper.model.outcome import PARTIAL

from tablekeeper_cli.ledger.problems import PROBLEMS
from tablekeeper_cli.plan.fault import Fault
from tablekeeper_cli.plan.planned_item import ACTIONS, PUT, PlannedItem
from tablekeeper_cli.plan.store import LocalStore

GOOD = ("SYNCED", "UNCHANGED", "DELETED")


@dataclass
class Plan:
    """What an execution would do with one key. Close it when it is no longer needed.

    outcome is the execution's, error the name that it would be PARTIAL, INVALID or FAILED with.
    records is the number of records that were read, set_aside that of the bad ones that would be
    set aside, or are, where nothing would change. counts has the number of items by action. `now`
    is what the ledger shows for the file: a problem's status, else the status, None for an unknown
    file. assumptions say in words what a plan takes for granted, warnings what may not be meant.
    """

    key: str
    dataset: str | None
    digest: str | None
    outcome: str
    revision: int
    now: str | None
    error: str | None = None
    cause: str | None = None
    records: int = 0
    set_aside: int = 0
    violation_count: int = 0
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(ACTIONS, 0))
    assumptions: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    _store: LocalStore | None = field(default=None, repr=False)

    @property
    def fine(self) -> bool:
        """Whether the table would be as the bucket is."""
        return self.outcome in GOOD and not self.set_aside

    def about(self) -> dict[str, Any]:
        """All but the violations and the items, which may be many."""
        return {name: value for name, value in vars(self).items() if not name.startswith("_")}

    @property
    def was_bad(self) -> bool:
        """Whether the ledger shows a problem of the file now."""
        return self.now in PROBLEMS

    @property
    def is_written(self) -> bool:
        """Whether the table would have the file's items."""
        return self.outcome in (*GOOD, PARTIAL)

    def puts(self) -> Iterator[str]:
        """The keys of the items that the file would have and nobody has."""
        return self._store.keys(PUT) if self._store else iter(())

    def lets_go(self) -> Iterator[str]:
        """The keys of the items that the file has and its content does not make: one that is
        refused for an item of another file gives up these, too, and any other bad one none.
        """
        if self._store is None or self.outcome == "UNCHANGED":
            return iter(())
        return self._store.vanished()

    def violations(self) -> Iterator[Fault]:
        """What is wrong with records, in their order."""
        return self._store.faults() if self._store else iter(())

    def items(self) -> Iterator[PlannedItem]:
        """What becomes of each item: in the order of the records, then those without one."""
        return self._store.entries() if self._store else iter(())

    def close(self) -> None:
        if self._store:
            self._store.close()
