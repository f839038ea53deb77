"""What a large write has to do, partition by partition: the same whoever asks, and when, as long as
its claim stands. A count of transactions is therefore all the progress that has to be remembered.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from tablekeeper.commit.key_lists import list_at
from tablekeeper.commit.lanes import Action, partition_of
from tablekeeper.ledger.rows import Claim, Row
from tablekeeper.model.items import item_key, lineage
from tablekeeper.model.keys import ItemKey
from tablekeeper.model.snapshot import Snapshot
from tablekeeper.staging.partitioned_lines import Lines, copy_set
from tablekeeper.tables import Tables


class Plan:
    """The actions of a claim on the row that it was made of. All that is read raises
    StagedSetMissingError and TransientServiceError.
    """

    def __init__(self, tables: Tables, claim: Claim, row: Row) -> None:
        self.tables = tables
        self.source = lineage(Snapshot.read(claim.snapshot), claim.execution)
        bucket = tables.staging_bucket
        self.old = [list_at(tables, row.keys_at)] if row.keys_at else []
        self.inline: dict[int, set[str]] = {}
        for key in row.item_keys:
            self.inline.setdefault(partition_of(key.text), set()).add(key.text)
        self.has_old = bool(self.old or self.inline)
        self.staged = Lines(bucket, claim.items["items"]) if claim.items else None
        self.keys = Lines(bucket, claim.items["keys"]) if claim.items else None
        self.own = claim.pending[-1] if claim.items else None
        others = [list_at(tables, each) for each in claim.pending if each != self.own]
        self.others = [each for each in others if each.exists()]

    def keep_keys(self) -> None:
        """Copies the keys of the items to the claim's own list, before the first is written."""
        if self.own and self.keys and not list_at(self.tables, self.own).exists():
            copy_set(self.tables.staging_bucket, self.keys.manifest_key, self.own)

    def added(self, partition: int) -> Iterator[Action]:
        """Puts of items whose keys are new."""
        return self._puts(partition, self._old(partition) if self.has_old else set(), old=False)

    def replaced(self, partition: int) -> Iterator[Action]:
        """Puts of items whose keys the row has."""
        old = self._old(partition)
        return self._puts(partition, old, old=True) if old else iter(())

    def vanished(self, partition: int) -> Iterator[Action]:
        """Deletions of what the row and earlier claims may have left, and the file has no more."""
        vanished = self._old(partition)
        for each in self.others:
            vanished.update(each.partition(partition))
        if vanished and self.keys:
            vanished.difference_update(self.keys.partition(partition))
        for text in sorted(vanished):
            yield ItemKey(text), None, ""

    def added_before(self, partition: int) -> Iterator[Action]:
        """Deletions of whatever claims may have added to what the row has."""
        added: set[str] = set()
        for each in self.others:
            added.update(each.partition(partition))
        if self.keys:
            added.update(self.keys.partition(partition))
        for text in sorted(added - self._old(partition)):
            yield ItemKey(text), None, ""

    def _puts(self, partition: int, keys: set[str], *, old: bool) -> Iterator[Action]:
        if self.staged is None:
            return
        for line in self.staged.partition(partition):
            item = json.loads(line)
            key = item_key(item, self.tables.table_key)
            if (key.text in keys) is old:
                yield key, {**item, "_source": self.source}, line

    def _old(self, partition: int) -> set[str]:
        keys = set(self.inline.get(partition, ()))
        for each in self.old:
            keys.update(each.partition(partition))
        return keys
