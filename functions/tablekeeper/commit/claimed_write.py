"""Large writes: what does not fit one transaction is claimed, written in many, and closed.

Before anything is written, the claim names the lists of the keys that it may leave behind. Its
transactions run in lanes, side by side. Each one checks and advances the row of its lane, so a
write that lost its claim writes nothing more, and a write that was cut off continues where it
stopped. Items with new keys come first: only they can meet an item of another file. Until the last
of them is written, the earlier version is untouched and the write can be undone. Then the claim is
marked as REPLACING, items are overwritten, vanished items are deleted, and the claim is closed.
"""

from __future__ import annotations

from dataclasses import replace

from tablekeeper.commit import lanes
from tablekeeper.commit.claiming import ClaimAttempt
from tablekeeper.commit.conflicts import conflict
from tablekeeper.commit.digests import basis
from tablekeeper.commit.lanes import SupersededError
from tablekeeper.commit.large_write import LargeWrite, content
from tablekeeper.commit.transaction import FileTransactions
from tablekeeper.errors import (
    ItemRejectedError,
    KeyOwnershipError,
    StaleRevisionError,
)
from tablekeeper.ledger.reads import read_owners
from tablekeeper.ledger.rows import (
    ADDING,
    CURRENT,
    Claim,
    Row,
)
from tablekeeper.ledger.writes import audit_action
from tablekeeper.model.keys import ItemKey
from tablekeeper.model.outcome import CommitResult
from tablekeeper.staging.item_set import ItemSet


class ClaimedWrite:
    """What one attempt does with the claim of its file's row."""

    def __init__(self, file: FileTransactions, row: Row) -> None:
        self.file, self.row = file, row
        self.tables, self.snapshot, self.execution = file.tables, file.snapshot, file.execution
        self.claiming = ClaimAttempt(file, row)

    def write(self, outcome: str, new: ItemSet) -> CommitResult:
        """Claims the row, makes the table hold these items, and closes the claim. Raises as
        `FileCommit.items`, and RecordedError.
        """
        try:
            self._check_refusal()
        except (KeyOwnershipError, ItemRejectedError):
            self._undo_refused()
            raise
        before = self.row.claim
        wanted = Claim(
            revision=self.row.revision + 1,
            state=ADDING,
            owner=self.execution.audit_key,
            base=self.snapshot.revision,
            outcome=outcome,
            execution=self.execution.id,
            snapshot=self.snapshot.payload(),
            items=new.stage() if len(new) else None,
            pending=(),
            cut=lanes.cut(),
            answers=before.answers if before and self.claiming.is_mine else self.row.problem_id,
            basis=basis(self.tables) if len(new) else "",
        )
        writing = self._writing(self.claiming.take(wanted))
        try:
            writing.run()
            return writing.close(self.execution)
        except SupersededError:
            return self._superseded()
        except (KeyOwnershipError, ItemRejectedError) as error:
            try:
                writing.refuse(error, self.execution)
            except SupersededError:
                return self._superseded()
            raise self._refused() from error

    def _writing(self, claim: Claim) -> LargeWrite:
        return LargeWrite(self.file, claim, self.row)

    def _refused(self) -> StaleRevisionError:
        return StaleRevisionError(f"{self.file.uri}: the write met what it cannot write")

    def _undo_refused(self) -> None:
        """Goes on with the undo of this execution's refused write, which ran out of time. Raises
        StaleRevisionError when it is through.
        """
        before = self.row.claim
        if before is None or before.state != ADDING or not self.claiming.is_mine:
            return
        try:
            claim = self.claiming.take(replace(before, revision=self.row.revision + 1))
            self._writing(claim).undo(self.row.refusal)
        except SupersededError:
            pass
        raise self._refused()

    def _check_refusal(self) -> None:
        """Raises the noted refusal of this content again, as long as its cause is there.

        A forced execution ignores the notes of other executions. Its own note stops it: otherwise
        it would write and undo in turn.
        """
        refusal = self.row.refusal
        if not refusal or refusal["content"] != content(self.snapshot):
            return
        if self.execution.forced and refusal.get("execution") != self.execution.audit_key:
            return
        if "item" not in refusal:
            raise ItemRejectedError(refusal["message"])
        tables, uri = self.tables, self.file.uri
        keys = [ItemKey(refusal["item"])]
        keys += [ItemKey.of(each["item"]) for each in refusal.get("others", ())]
        keys = [key for key in keys if tables.table_key.fits(key)]
        owners = read_owners(tables.client, tables.items, tables.table_key, keys)
        taken = [(key, owners[key]) for key in keys if owners.get(key, uri) != uri]
        if taken:
            raise conflict(taken)

    def _superseded(self) -> CommitResult:
        """Records SUPERSEDED, on condition that this execution has no outcome and that the claim is
        another's. A claim of its own was taken by a later attempt, which continues the write.

        Raises RecordedError and StaleRevisionError.
        """
        revision, superseded = self.file.read_row().revision, CommitResult("SUPERSEDED")
        audit = audit_action(self.tables, self.snapshot, self.execution, superseded, revision)
        others = {
            "ConditionCheck": {
                "TableName": self.tables.ledger,
                "Key": {"pk": {"S": self.file.uri}, "sk": {"S": CURRENT}},
                "ConditionExpression": "claimed_by <> :mine",
                "ExpressionAttributeValues": {":mine": {"S": self.execution.audit_key}},
            }
        }
        self.file.commit(lambda _: [audit, others])
        return superseded
