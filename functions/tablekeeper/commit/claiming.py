"""Claims: which execution may write in several transactions, and how another takes over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tablekeeper.commit.key_lists import is_unseen, own_list, seen_lists
from tablekeeper.commit.lanes import Lanes, Progress, new_lanes
from tablekeeper.commit.transaction import FileTransactions
from tablekeeper.ledger.rows import ADDING, REPLACING, Claim, Row, attribute
from tablekeeper.ledger.writes import no_outcome, update_row


class ClaimAttempt:
    """The claim of a row, and what one attempt may make of it."""

    def __init__(self, file: FileTransactions, row: Row) -> None:
        self.file, self.row, self.execution = file, row, file.execution

    @property
    def is_mine(self) -> bool:
        """Whether the row's claim was made by an earlier attempt of just this write."""
        claim = self.row.claim
        return claim is not None and (claim.owner, claim.base) == (
            self.execution.audit_key,
            self.file.snapshot.revision,
        )

    def take(self, wanted: Claim) -> Claim:
        """Takes the row's claim, also from another execution. Raises RecordedError and
        StaleRevisionError.

        The note of a refusal belongs to the claim before, unless the same execution continues. A
        problem stays: it may be newer than the look at the bucket, which the close compares.
        """
        before, uri = self.row.claim, self.file.uri
        continues = before is not None and before.writes_the_same(wanted)
        if before and before.owner != wanted.owner and self._is_distrustful:
            continues = False
        pending = before.pending if before else ()
        written = Lanes(self.file, before.revision if before else 0)
        seen = seen_lists(self.file.tables, pending, before, has_written=written.any)
        if wanted.items and not continues:
            pending = (*pending, own_list(uri, wanted.revision))
        state = REPLACING if before and before.state != ADDING else ADDING
        trusts = before.trusts if before and continues else self._trusts
        superseded = self._superseded(wanted) if not continues else before and before.superseded
        claim = replace(
            wanted,
            pending=pending,
            seen=seen,
            state=state,
            trusts=trusts,
            superseded=superseded or None,
        )
        changes: dict[str, Any] = {
            "claim": claim.attributes(),
            "claim_state": attribute(state),
            "claimed_by": attribute(self.execution.audit_key),
        }
        if before is None or before.owner != wanted.owner:
            changes["refusal"] = None
        ledger, progress = self.file.tables.ledger, None if continues else Progress()
        actions = [
            no_outcome(ledger, uri, self.execution),
            update_row(ledger, uri, changes, seen=self.row.revision),
            *new_lanes(ledger, uri, claim.revision, progress, unwritten=is_unseen(before, seen)),
        ]
        self.file.commit(lambda _: actions)
        return claim

    def _superseded(self, wanted: Claim) -> Mapping[str, Any] | None:
        """The write that can be finished if what is wanted is refused before it has replaced
        anything.
        """
        before = self.row.claim
        if before is None or before.state != REPLACING:
            return None
        superseded = before.superseded or before.write
        return None if superseded == wanted.write else superseded

    @property
    def _is_distrustful(self) -> bool:
        """Whether every item has to be written, whatever digests the row has."""
        return self.execution.forced or self.row.doubted

    @property
    def _trusts(self) -> bool:
        """Whether the row's digests count: not where a claim may have overwritten the items, nor
        where they did not count for the claim before.
        """
        before = self.row.claim
        if before and (before.state != ADDING or not before.trusts):
            return False
        return not self._is_distrustful
