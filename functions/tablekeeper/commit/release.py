"""Knots: files that wait for each other's items. A file that was refused because of another file's
item, and has an item that a third file waits for, removes the items that it no longer makes.

The commit that records its refusal removes them, so no item goes that newer content still makes.
The other items stay as they are, with their digests. The problem stays, marked as released for this
content.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tablekeeper.commit import lanes
from tablekeeper.commit.key_lists import (
    Known,
    KnownItems,
    discard,
    is_unseen,
    key_lists,
    own_list,
    seen_lists,
    write_list,
)
from tablekeeper.commit.lanes import UNDO, SupersededError, new_lanes
from tablekeeper.commit.large_write import LargeWrite
from tablekeeper.commit.settlement import Settlement
from tablekeeper.commit.transaction import FileTransactions
from tablekeeper.errors import WRITE, KeyOwnershipError, StaleRevisionError
from tablekeeper.ledger.failures import Failure, problem_changes
from tablekeeper.ledger.rows import (
    ADDING,
    RELEASED,
    REPLACING,
    Claim,
    ItemDigests,
    Row,
    attribute,
    item_keys,
    texts,
)
from tablekeeper.ledger.writes import (
    audit_action,
    committed,
    no_outcome,
    object_attributes,
    update_row,
)
from tablekeeper.model import sizes
from tablekeeper.model.items import item_key
from tablekeeper.model.keys import ItemKey
from tablekeeper.model.outcome import CommitResult
from tablekeeper.staging import partitioned_lines
from tablekeeper.staging.item_set import ItemSet
from tablekeeper.staging.partitioned_lines import Lines


class Release:
    """One attempt of a refused file, whose current content makes the items `new`."""

    def __init__(
        self, file: FileTransactions, row: Row, new: ItemSet, why: KeyOwnershipError
    ) -> None:
        self.file, self.row, self.new, self.why = file, row, new, why
        self.tables, self.execution = file.tables, file.execution
        self.old = KnownItems.as_stored(self.tables, row)

    def commit(self) -> CommitResult:
        """Records the refusal. Raises as `FileCommit.items`."""
        row, claim = self.row, self.row.claim
        if row.revision != self.file.snapshot.revision:
            raise self.file.stale()
        if claim and claim.state == REPLACING:
            # What can still be finished is: it leaves a whole version.
            Settlement(self.file, row).settle()
            raise StaleRevisionError(f"{self.file.uri}: its large write was ended")
        if claim is None:
            if not self._any_gone():
                return self._mark({}, 0, [])
            if self.old.is_few:
                old, new = self.old.all(), self._new_keys()
                stays = {text: digest for text, digest in old.items() if text in new}
                gone = sorted(ItemKey(text) for text in old.keys() - new)
                few = max(len(stays), len(gone)) <= sizes.TRANSACTION_ITEMS
                if few and sum(len(text.encode()) for text in stays) <= sizes.ROW_KEY_BYTES:
                    return self._at_once(stays, gone)
        claim = self._claim()
        try:
            LargeWrite(self.file, claim, self.file.read_row()).undo(None)
        except SupersededError:
            raise StaleRevisionError(f"{self.file.uri}: another execution has the claim") from None
        raise StaleRevisionError(f"{self.file.uri}: what its content no longer has is gone")

    def _at_once(self, stays: Known, gone: list[ItemKey]) -> CommitResult:
        row = self.row
        lists = key_lists(row)
        keys = sorted(map(ItemKey, stays))
        digests = {key: bytes.fromhex(stays[key.text] or "") for key in keys}
        held = None
        if keys and self.old.basis and all(digests.values()):
            held = ItemDigests(own_list(self.file.uri, row.revision + 1), self.old.basis, digests)
        discarded = [*lists, *([held.mark] if held else [])]
        changes = {
            "item_keys": item_keys(keys),
            "item_digests": held.attributes() if held else None,
            "keys_at": None,
            "discarded": texts(discarded),
        }
        ended = self._mark(changes, len(keys), gone)
        discard(self.tables, lists)
        return ended

    def _mark(self, changes: Mapping[str, Any], kept: int, gone: list[ItemKey]) -> CommitResult:
        """Records the refusal, and that nothing more has to go for this content."""
        snapshot, tables = self.file.snapshot, self.tables
        changes = {**self._changes(released=True), "claimed_by": None, **changes}

        def ledger_rows(removed: int) -> list[Any]:
            result = CommitResult(RELEASED, 0, removed, kept)
            revision = snapshot.revision + 1
            return [
                audit_action(tables, snapshot, self.execution, result, revision),
                update_row(tables.ledger, snapshot.uri, changes, seen=snapshot.revision),
            ]

        removed = self.file.commit(ledger_rows, {}, gone)
        return CommitResult(RELEASED, 0, len(removed), kept)

    def _any_gone(self) -> bool:
        return any(
            not self.old.keys(number) <= self._new_keys(number)
            for number in range(partitioned_lines.PARTITIONS)
        )

    def _claim(self) -> Claim:
        """Moves the keys that go from the row's list to the lists of a claim, so that any undo of
        the claim deletes their items.
        """
        uri, ledger, before = self.file.uri, self.tables.ledger, self.row.claim
        pending = self._pending()
        written = lanes.Lanes(self.file, before.revision if before else 0)
        claim = Claim(
            revision=self.row.revision + 1,
            state=ADDING,
            owner=self.execution.audit_key,
            base=self.file.snapshot.revision,
            outcome=UNDO,
            execution=self.execution.id,
            snapshot=self.file.snapshot.payload(),
            items=None,
            pending=pending,
            seen=seen_lists(self.tables, pending, before, has_written=written.any),
            cut=lanes.cut(),
            trusts=before.trusts if before else True,
        )
        changes = {
            **self._changes(released=False),
            "claim": claim.attributes(),
            "claim_state": attribute(ADDING),
            "claimed_by": attribute(self.execution.audit_key),
            "item_keys": None,
            "item_digests": None,
            "keys_at": attribute(self._list_of_what_stays()),
        }
        actions = [
            no_outcome(ledger, uri, self.execution),
            update_row(ledger, uri, changes, seen=self.row.revision),
            *new_lanes(ledger, uri, claim.revision, unwritten=is_unseen(before, claim.seen)),
        ]
        self.file.commit(lambda _: actions)
        return claim

    def _pending(self) -> tuple[str, ...]:
        """The lists of all that the file may have in the table."""
        pending = list(self.row.claim.pending) if self.row.claim else []
        if self.row.keys_at:
            pending.append(self.row.keys_at)
        if self.row.item_keys:
            prefix = own_list(self.file.uri, self.row.revision + 1)
            write_list(self.tables, prefix, [dict.fromkeys(self.old.inline)], "")
            pending.append(prefix)
        return tuple(pending)

    def _list_of_what_stays(self) -> str:
        prefix = own_list(self.file.uri, self.row.revision + 1)
        partitions = map(self._what_stays, range(partitioned_lines.PARTITIONS))
        write_list(self.tables, prefix, partitions, self.old.basis)
        return prefix

    def _what_stays(self, partition: int) -> Known:
        new = self._new_keys(partition)
        old = self.old.partition(partition)
        return {text: digest for text, digest in old.items() if text in new}

    def _new_keys(self, partition: int | None = None) -> set[str]:
        """The keys of what the current content makes; of a partition where it is named."""
        if self.new.staged is None:
            return {item_key(item, self.tables.table_key).text for item in self.new.inline}
        lines = Lines(self.tables.staging_bucket, self.new.staged["keys"])
        numbers = range(partitioned_lines.PARTITIONS) if partition is None else [partition]
        return {text for number in numbers for text in lines.partition(number)}

    def _changes(self, *, released: bool) -> dict[str, Any]:
        snapshot, name = self.file.snapshot, KeyOwnershipError.__name__
        cause = {"errorMessage": str(self.why), "errorType": name}
        failure = Failure(WRITE, name, json.dumps(cause, ensure_ascii=False))
        problem = problem_changes(self.execution, "INVALID", failure, snapshot)
        if released:
            problem["problem"]["M"]["released"] = {"BOOL": True}
        return {
            **committed(snapshot, RELEASED, self.execution.id),
            **object_attributes(snapshot, RELEASED),
            **problem,
            "status": attribute(RELEASED),
            "refusal": None,
        }
