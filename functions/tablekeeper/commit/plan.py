"""The actions of a large write, partition by partition. They are the same for every attempt as long
as the claim stands, so a count of transactions is all the progress that has to be stored.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from threading import BoundedSemaphore
from typing import TypeVar

from tablekeeper.commit import lanes
from tablekeeper.commit.key_lists import KnownItems, keep_list, keys_of_table, list_at
from tablekeeper.commit.lanes import Action
from tablekeeper.ledger.rows import Claim, Row
from tablekeeper.model.items import item_digest, lineage
from tablekeeper.model.keys import ItemKey
from tablekeeper.model.snapshot import Snapshot
from tablekeeper.staging.partitioned_lines import Lines
from tablekeeper.tables import Tables

T = TypeVar("T")

COMPARED_AT_ONCE = 2
"""Of the lanes' partitions."""


class Plan:
    """The actions of a claim on the row that it was made of. All that is read raises
    StagedSetMissingError and TransientServiceError.

    A claim with `trusts` puts no item whose digest the row has. The keys of a partition are held
    while they are compared and no longer, and by few lanes at a time: of a million items they take
    megabytes.
    """

    def __init__(self, tables: Tables, claim: Claim, row: Row) -> None:
        self.tables, self.claim = tables, claim
        self.source = lineage(Snapshot.read(claim.snapshot), claim.execution)
        self.old = KnownItems(tables, row, claim.basis if claim.trusts else "")
        self.staged = _StagedItems(tables.staging_bucket, claim.items) if claim.items else None
        self.own = claim.own
        others = {each: list_at(tables, each) for each in claim.pending if each != self.own}
        self.others = [at for each, at in others.items() if each in claim.seen or at.exists()]
        self.comparing = BoundedSemaphore(COMPARED_AT_ONCE)

    def keep_keys(self) -> None:
        """Copies the keys of the items to the claim's own list, before the first is written."""
        if self.own and self.claim.items and not list_at(self.tables, self.own).exists():
            keep_list(self.tables, self.claim.items, self.own, self.claim.basis)

    def added(self, partition: int) -> Iterator[Action]:
        """Puts of items whose keys are new."""

        def due(staged: _StagedItems) -> bytes:
            old = self.old.keys(partition)
            return bytes(key not in old for key in staged.keys.partition(partition))

        return self._puts(partition, due)

    def replaced(self, partition: int) -> Iterator[Action]:
        """Puts of items whose keys the row has, and whose digests differ."""

        def due(staged: _StagedItems) -> bytes:
            old = self.old.partition(partition)
            keys, digests = staged.keys.partition(partition), staged.digests_of(partition)
            each = zip(keys, digests, strict=True)
            return bytes(key in old and old[key] != digest for key, digest in each)

        return self._puts(partition, due)

    def vanished(self, partition: int) -> Iterator[Action]:
        """Deletions of items of the row and of earlier claims that the file no longer has."""

        def texts() -> list[str]:
            vanished = self.old.keys(partition)
            vanished.update(self._of_others(partition))
            if vanished and self.staged:
                vanished.difference_update(self.staged.keys.partition(partition))
            return sorted(vanished)

        return _deletions(self._compared(texts))

    def added_before(self, partition: int) -> Iterator[Action]:
        """Deletions of the items that claims may have added to those of the row."""

        def texts() -> list[str]:
            added = set(self._of_others(partition))
            if self.staged:
                added.update(self.staged.keys.partition(partition))
            return sorted(added - self.old.keys(partition))

        return _deletions(self._compared(texts))

    def _of_others(self, partition: int) -> Iterator[str]:
        for each in self.others:
            yield from keys_of_table(each, partition, self.old.is_of_table)

    def _puts(self, partition: int, due: Callable[[_StagedItems], bytes]) -> Iterator[Action]:
        """Puts of the staged items of a partition for which `due` gives 1."""
        staged = self.staged
        if staged is None:
            return
        are_due = self._compared(lambda: due(staged))
        if any(are_due):
            keys, lines = staged.keys.partition(partition), staged.items.partition(partition)
            for key, is_due, line in zip(keys, are_due, lines, strict=True):
                if is_due:
                    yield ItemKey(key), {**json.loads(line), "_source": self.source}, line

    def _compared(self, work: Callable[[], T]) -> T:
        """What the work returns, done in a thread that ends with it.

        The C library keeps for each thread what the thread has freed, until the thread ends: in the
        lanes' own threads the tables of keys would be kept eight times.
        """
        found: list[T] = []
        with self.comparing:
            lanes.in_parallel([lambda: found.append(work())])
        return found[0]


def _deletions(texts: list[str]) -> Iterator[Action]:
    return ((ItemKey(text), None, "") for text in texts)


class _StagedItems:
    """The items to write, their keys and their digests, which a release before did not stage."""

    def __init__(self, bucket: str, items: Mapping[str, str]) -> None:
        self.items, self.keys = Lines(bucket, items["items"]), Lines(bucket, items["keys"])
        self.digests = Lines(bucket, items["digests"]) if "digests" in items else None

    def digests_of(self, partition: int) -> Iterator[str]:
        """The digests of the items of a partition."""
        if self.digests:
            return self.digests.partition(partition)
        return (item_digest(json.loads(line)).hex() for line in self.items.partition(partition))
