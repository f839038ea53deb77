"""The commit: items, ledger row and audit row change in one transaction, or not at all.

It is conditional on the ledger row's revision as it was read before the bucket was, so a commit's
view of the bucket is never older than that of the commit before it. docs/architecture.md says why
that makes the table converge. What does not fit one transaction is claimed first: see
claimed_write.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from math import inf
from typing import Any

from tablekeeper.commit import key_lists
from tablekeeper.commit.claimed_write import ClaimedWrite
from tablekeeper.commit.digests import basis
from tablekeeper.commit.key_lists import KnownItems
from tablekeeper.commit.lost_keys import check_keys
from tablekeeper.commit.release import Release
from tablekeeper.commit.settlement import Settlement
from tablekeeper.commit.transaction import FileTransactions, RecordedError, Remaining
from tablekeeper.errors import KeyOwnershipError, StaleRevisionError
from tablekeeper.ledger.rows import ItemDigests, Row, attribute, item_keys, texts
from tablekeeper.ledger.writes import audit_action, committed, object_attributes, update_row
from tablekeeper.model import sizes
from tablekeeper.model.execution import Execution
from tablekeeper.model.items import Item, item_digest, item_key, lineage
from tablekeeper.model.keys import ItemKey
from tablekeeper.model.outcome import PARTIAL, SYNCED, CommitResult
from tablekeeper.model.sizes import item_size
from tablekeeper.model.snapshot import Snapshot
from tablekeeper.staging.item_set import ItemSet
from tablekeeper.tables import Tables


class FileCommit:
    """One attempt of one execution to commit one file. `row` is the ledger row that the snapshot
    comes from, where it is at hand.

    Each of its methods ends the attempt. They raise, but for `settle`, which says what it raises:
        StaleRevisionError: the row moved, or the items are of before the table had another key;
            read ledger and bucket again.
        KeyOwnershipError: an item belongs to another file, or Tablekeeper did not write it.
        ItemRejectedError: DynamoDB refuses an item.
        UnfinishedWriteError: the time is up; a retry goes on.
        TransientServiceError: a retry helps.
    """

    def __init__(
        self,
        tables: Tables,
        snapshot: Snapshot,
        execution: Execution,
        remaining: Remaining = lambda: inf,
        row: Row | None = None,
    ) -> None:
        self.tables, self.snapshot, self.execution = tables, snapshot, execution
        self.row = row
        self.file = FileTransactions(tables, snapshot, execution, remaining)

    def items(self, new: ItemSet) -> CommitResult:
        """Makes the table hold exactly these items of this file: SYNCED, or PARTIAL where they are
        those of its good records. An execution that the sweep started for a knot and that is
        refused for ownership removes the items that the file no longer has: RELEASED.
        """
        if not new.fits_table():
            uri = self.file.uri
            raise StaleRevisionError(f"{uri}: its items were made for a table with other keys")
        outcome = PARTIAL if self.snapshot.set_aside else SYNCED
        try:
            return _recorded(lambda: self._commit(outcome, new))
        except KeyOwnershipError as error:
            if not self.execution.releases:
                raise
            release = Release(self.file, self.file.read_row(), new, error)
        return _recorded(release.commit)

    def absence(self) -> CommitResult:
        """Removes this file's items: the object is gone (DELETED), or not to be read (IGNORED).

        Raises StaleRevisionError for another action, which a function of 0.2.0 found.
        """
        outcome = {"delete": "DELETED", "ignore": "IGNORED"}.get(self.snapshot.action)
        if outcome is None:
            raise StaleRevisionError(f"{self.file.uri} is there: it is read again")
        nothing = ItemSet(self.tables.staging_bucket, {"items": []}, self.tables.table_key)
        return _recorded(lambda: self._commit(outcome, nothing))

    def unchanged(self) -> CommitResult:
        """Records that the table holds this content already.

        It raises the revision all the same: an execution that read the bucket earlier must not
        commit any more.
        """
        changes = object_attributes(self.snapshot, "UNCHANGED")
        return _recorded(lambda: self._transact("UNCHANGED", changes))

    def settle(self) -> str:
        """Ends the claim of an unfinished large write whose file now has bad content:
        UNDONE, when it had replaced nothing; else FINISHED from what it staged, or INCOMPLETE
        when that is gone.

        Raises:
            StaleRevisionError: the row moved, or has no such claim.
            UnfinishedWriteError: the time is up; a retry goes on.
            TransientServiceError: a retry helps.
        """
        return Settlement(self.file, self.file.read_row()).settle()

    def _commit(self, outcome: str, new: ItemSet) -> CommitResult:
        row = self._row(new)
        write = ClaimedWrite(self.file, row)
        if write.claiming.is_mine:
            return write.write(outcome, new)
        if row.revision != self.snapshot.revision:
            raise self.file.stale()
        check_keys(self.file, row)
        key_lists.discard(self.tables, row.discarded)
        bound = basis(self.tables) if len(new) else ""
        known = KnownItems(self.tables, row, "" if self.execution.forced or row.doubted else bound)
        if row.claim or not known.is_few or len(new) > sizes.TRANSACTION_ITEMS:
            return write.write(outcome, new)
        items = {item_key(item, self.tables.table_key): item for item in new.all()}
        digests = {key: item_digest(item) for key, item in items.items()}
        old = known.all()
        source = lineage(self.snapshot, self.execution.id)
        puts = {
            key: {**item, "_source": source}
            for key, item in items.items()
            if old.get(key.text) != digests[key].hex()
        }
        vanished = {ItemKey(text) for text in old} - items.keys()
        if not _fits(items, puts.keys(), vanished):
            return write.write(outcome, new)
        lists = key_lists.key_lists(row)
        mark = key_lists.own_list(self.file.uri, self.snapshot.revision + 1)
        held = ItemDigests(mark, bound, digests) if bound and items else None
        discarded = [*lists, *([mark] if held else [])]
        changes = {
            "status": attribute(outcome),
            "item_keys": item_keys(items),
            "item_digests": held.attributes() if held else None,
            "doubted": None,
            "items_table": attribute(self.tables.items),
            "keys_at": None,
            "discarded": texts(discarded),
            "refusal": None,
            "claimed_by": None,
            "incomplete_since": None,
            **object_attributes(self.snapshot, outcome),
        }
        ended = self._transact(outcome, changes, puts, vanished, len(items) - len(puts))
        key_lists.discard(self.tables, lists)
        return ended

    def _row(self, new: ItemSet) -> Row:
        """The ledger row. For an object that was never committed it is not read, if one transaction
        can hold its items: the condition of that says that there is no row.
        """
        if self.row is None and not self.snapshot.revision and new.staged is None:
            items = {item_key(item, self.tables.table_key): item for item in new.inline}
            if _fits(items, items.keys(), set()):
                return Row()
        if self.row is None or self.row.claim or self.row.keys_at:
            return self.file.read_row()
        return self.row

    def _transact(
        self,
        outcome: str,
        changes: Mapping[str, Any],
        puts: Mapping[ItemKey, Item] | None = None,
        vanished: set[ItemKey] | None = None,
        kept: int = 0,
    ) -> CommitResult:
        tables, snapshot, execution = self.tables, self.snapshot, self.execution
        puts, vanished = puts or {}, vanished or set()
        changes = {**committed(snapshot, outcome, execution.id), **changes}

        def ledger_rows(removed: int) -> list[Any]:
            result = CommitResult(outcome, len(puts), removed, kept)
            return [
                audit_action(tables, snapshot, execution, result, snapshot.revision + 1),
                update_row(tables.ledger, snapshot.uri, changes, seen=snapshot.revision),
            ]

        removed = self.file.commit(ledger_rows, puts, sorted(vanished))
        return CommitResult(outcome, len(puts), len(removed), kept)


def _recorded(work: Callable[[], CommitResult]) -> CommitResult:
    """What the work returns, or the outcome that an earlier attempt of the execution recorded."""
    try:
        return work()
    except RecordedError as earlier:
        return CommitResult(earlier.outcome)


def _fits(items: Mapping[ItemKey, Item], puts: Set[ItemKey], vanished: Set[ItemKey]) -> bool:
    """Whether one transaction can put and delete these, and the row hold the keys of all items."""
    return (
        len(puts) + len(vanished) <= sizes.TRANSACTION_ITEMS
        and sum(item_size(items[key]) for key in puts) <= sizes.TRANSACTION_BYTES
        and sum(len(key.text.encode()) for key in items) <= sizes.ROW_KEY_BYTES
    )
