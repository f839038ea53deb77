"""One attempt at a large write: phases of transactions under a claim."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from tablekeeper.commit.key_lists import discard, key_lists
from tablekeeper.commit.lanes import (
    ADD,
    REMOVE,
    REPLACE,
    UNDO,
    Lanes,
    SupersededError,
    delete_lanes,
)
from tablekeeper.commit.patience import patiently
from tablekeeper.commit.plan import Plan
from tablekeeper.commit.questions import Questions
from tablekeeper.commit.transaction import CancelledError, FileTransactions
from tablekeeper.errors import InvalidFileError, KeyOwnershipError, UnfinishedWriteError
from tablekeeper.ledger.rows import (
    ADDING,
    PROBLEM,
    REPLACING,
    Claim,
    Row,
    attribute,
    texts,
)
from tablekeeper.ledger.writes import (
    NO_CLAIM,
    audit_action,
    committed,
    object_attributes,
    update_row,
)
from tablekeeper.model.execution import Execution
from tablekeeper.model.outcome import CommitResult
from tablekeeper.model.snapshot import Snapshot
from tablekeeper.model.times import now


def content(snapshot: Snapshot) -> list[str | None]:
    """The content that a refusal is about."""
    return [snapshot.etag, snapshot.version_id, snapshot.digest]


class LargeWrite:
    """One attempt at a claimed write."""

    def __init__(self, file: FileTransactions, claim: Claim, row: Row) -> None:
        self.file, self.tables, self.claim, self.row = file, file.tables, claim, row
        self.snapshot = Snapshot.read(claim.snapshot)
        self.state = claim.state
        self.plan = Plan(file.tables, claim, row)
        self.lanes = Lanes(file, claim.revision)

    def run(self) -> None:
        """Writes everything, the close left aside."""
        self.lanes.read()
        self.plan.keep_keys()
        self.lanes.run(ADD, self.plan.added)
        if self.plan.old:
            if self.state == ADDING or self.claim.superseded:
                self._ask_and_mark()
            self.lanes.run(REPLACE, self.plan.replaced)
        if self.plan.old or self.plan.others:
            self.lanes.run(REMOVE, self.plan.vanished)

    def _ask_and_mark(self) -> None:
        if not self.plan.staged:
            self._mark()
            return
        questions = Questions(self.file, self.plan, self.row.keys_at)
        try:
            questions.ask()
            self._mark()
        except UnfinishedWriteError:
            questions.keep()
            raise

    def _mark(self) -> None:
        """From here on neither the earlier version nor a superseded write can be restored."""
        self.claim, self.state = replace(self.claim, superseded=None), REPLACING
        changes = {
            "claim": self.claim.attributes(),
            "claim_state": attribute(REPLACING),
            "incomplete_since": attribute(now()),
        }
        self._update(changes)

    def close(self, execution: Execution | None) -> CommitResult:
        """Ends the claim: the table holds just its items. With an execution, as its outcome."""
        outcome = self.claim.outcome
        put, removed = self.lanes.counts()
        own = self.plan.own
        discarded = [each for each in key_lists(self.row) if each != own]
        discarded += [each for each in self.claim.pending if each not in (own, *discarded)]
        changes = {
            "status": attribute(outcome),
            "item_keys": None,
            "item_digests": None,
            "items_table": attribute(self.tables.items),
            "keys_at": attribute(own) if own else None,
            "discarded": texts(discarded),
            **object_attributes(self.snapshot, outcome),
            **NO_CLAIM,
        }
        if not self.claim.trusts:  # else nobody doubted before it, and who did since may go on
            changes["doubted"] = None
        if execution:
            changes["claimed_by"] = None
        count = int(self.claim.items["count"]) if self.claim.items else 0
        result = CommitResult(outcome, put, removed, max(count - put, 0))
        recorded = self._update(changes, closes=True, execution=execution, result=result)
        discard(self.tables, discarded)
        return CommitResult(recorded) if recorded else result

    def refuse(self, error: InvalidFileError, execution: Execution) -> None:
        """Records the conflicting item in the ledger, and undoes the write while nothing was
        replaced. The note comes first: the next attempt continues an undo that ran out of time,
        and adds nothing again.
        """
        refusal = {
            "content": content(self.snapshot),
            "message": str(error),
            "execution": execution.audit_key,
        }
        if isinstance(error, KeyOwnershipError):
            refusal["item"] = error.item.text
            refusal["others"] = error.values.get("others", [])
        self._update({"refusal": attribute(json.dumps(refusal, ensure_ascii=False))})
        if self.state == ADDING:
            self.undo(refusal)

    def undo(self, refusal: Mapping[str, Any] | None) -> None:
        """Deletes what the claim added and ends it; the earlier version stands."""
        self.lanes.read()
        self.lanes.run(UNDO, self.plan.added_before)
        noted = attribute(json.dumps(refusal, ensure_ascii=False)) if refusal else None
        discarded = list(self.claim.pending)
        mark = [self.row.digests.mark] if self.row.digests else []
        changes = {
            "claim": None,
            "claim_state": None,
            "refusal": noted,
            "discarded": texts([*discarded, *mark]),
        }
        if not self.claim.trusts:
            changes["doubted"] = attribute(1)
        self._update(changes, closes=True)
        discard(self.tables, discarded)

    def _update(
        self,
        changes: dict[str, Any],
        *,
        closes: bool = False,
        execution: Execution | None = None,
        result: CommitResult | None = None,
    ) -> str | None:
        """Changes the row while the claim stands. Returns the outcome that the execution had."""
        recorded = None
        while True:
            row = self.file.read_row()
            if not row.claim or row.claim.revision != self.claim.revision:
                raise SupersededError
            all_changes = changes
            if closes and "status" in changes:
                all_changes = {**changes, **self._as_committed(row, execution)}
            actions = [
                update_row(
                    self.tables.ledger,
                    self.file.uri,
                    all_changes,
                    seen=row.revision,
                )
            ]
            if closes:
                actions += delete_lanes(self.tables.ledger, self.file.uri)
            if execution and result and not recorded:
                actions.append(
                    audit_action(self.tables, self.snapshot, execution, result, row.revision + 1)
                )
            try:
                call = partial(self.file.transact, partial(_same, actions))
                patiently(self.file.uri, self.file.remaining, call)
            except CancelledError as cancelled:
                if execution and cancelled.place == len(actions) - 1:
                    recorded = self.file.read_outcome()
            else:
                return recorded

    def _as_committed(self, row: Row, execution: Execution | None) -> dict[str, Any]:
        """The changes of a commit. A problem that was recorded after the look at the bucket stays,
        unless it is a failure of an execution that began before the look.
        """
        outcome = self.claim.outcome
        changes = committed(
            self.snapshot, outcome, execution.id if execution else self.claim.execution
        )
        problem = row.problem
        answered = row.problem_id == self.claim.answers or (
            problem is not None
            and problem["status"]["S"] == "FAILED"
            and problem["started"]["S"] <= self.snapshot.as_of
        )
        if problem and not answered:
            for name in PROBLEM:
                changes.pop(name, None)
        return changes


def _same(actions: list[dict[str, Any]], _deleted: int) -> list[dict[str, Any]]:
    return actions
