"""Ends the claim of an unfinished large write whose file now has bad content."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tablekeeper.commit.claiming import ClaimAttempt
from tablekeeper.commit.digests import basis
from tablekeeper.commit.key_lists import discard
from tablekeeper.commit.lanes import UNDO, SupersededError
from tablekeeper.commit.large_write import LargeWrite
from tablekeeper.commit.lost_keys import check_keys
from tablekeeper.commit.transaction import FileTransactions, RecordedError
from tablekeeper.errors import (
    ItemRejectedError,
    KeyOwnershipError,
    StagedSetMissingError,
    StaleRevisionError,
)
from tablekeeper.ledger.rows import ADDING, INCOMPLETE, Claim, Row, attribute
from tablekeeper.ledger.writes import update_row
from tablekeeper.model.times import now
from tablekeeper.staging.item_set import ItemSet


class Settlement:
    """One attempt to settle the claim of a row."""

    def __init__(self, file: FileTransactions, row: Row) -> None:
        self.file, self.row, self.tables = file, row, file.tables

    def settle(self) -> str:
        """As `FileCommit.settle`."""
        try:
            return self._settle()
        except (RecordedError, SupersededError):
            uri = self.file.uri
            raise StaleRevisionError(f"{uri}: another execution has the claim") from None

    def _settle(self) -> str:
        row, claim = self.row, self.row.claim
        if not claim or (
            row.revision != self.file.snapshot.revision and not ClaimAttempt(self.file, row).is_mine
        ):
            raise self.file.stale()
        if claim.state == INCOMPLETE:
            return INCOMPLETE
        check_keys(self.file, row)
        discard(self.tables, row.discarded)
        if row.is_refused:
            return self._finish_superseded(row)
        wanted = self._taken_over(row, claim)
        if claim.state == ADDING:
            wanted = replace(wanted, outcome=UNDO, items=None)
        return self._finish(row, wanted)

    def _finish_superseded(self, row: Row, mine: Claim | None = None) -> str:
        """The claim's write is refused, or its staged items are gone. Finishes the write that the
        claim took over, as long as this claim has replaced nothing.
        """
        claim = row.claim
        if claim is None or (mine and claim.revision != mine.revision):
            raise SupersededError
        if claim.superseded is None:
            return self._mark_incomplete(row)
        return self._finish(row, self._taken_over(row, claim.finishing(claim.superseded)))

    def _finish(self, row: Row, wanted: Claim) -> str:
        claim = ClaimAttempt(self.file, row).take(wanted)
        writing = LargeWrite(self.file, claim, row)
        try:
            if claim.outcome == UNDO:
                writing.undo(None)
                return "UNDONE"
            self._check_staged(claim)
            writing.run()
            writing.close(None)
        except (KeyOwnershipError, ItemRejectedError, StagedSetMissingError):
            return self._finish_superseded(self.file.read_row(), claim)
        return "FINISHED"

    def _check_staged(self, claim: Claim) -> None:
        made: dict[str, Any] = {"staged": claim.items, "items": []}
        items = ItemSet(self.tables.staging_bucket, made, self.tables.table_key)
        if not items.fits_table():
            raise StagedSetMissingError(f"{self.file.uri}: its items had other keys")

    def _taken_over(self, row: Row, claim: Claim) -> Claim:
        return replace(
            claim,
            revision=row.revision + 1,
            owner=self.file.execution.audit_key,
            base=self.file.snapshot.revision,
            # Progress in another table does not count, nor do digests of another release.
            basis=claim.basis if claim.basis and claim.basis == basis(self.tables) else "",
        )

    def _mark_incomplete(self, row: Row) -> str:
        changes: dict[str, Any] = {"claim_state": None, "incomplete_since": attribute(now())}
        update = update_row(
            self.tables.ledger,
            self.file.uri,
            changes,
            seen=row.revision,
        )
        self.file.commit(lambda _: [update])
        return INCOMPLETE
