"""Large writes: what does not fit one transaction is claimed, written in many, and closed.

A claim notes, before anything is written, where the keys are that it may leave behind. Its
transactions go in lanes, side by side; each checks and advances its lane's row, so that a write
that has lost its claim cannot write any more, and a write that was cut off goes on where it was.
Items with new keys come first, for only they can meet an item of another file; until the last of
them is in, nothing of the earlier version is touched, and the write can be undone. Then the claim
is marked as REPLACING, items are overwritten, what vanished is deleted, and the claim is closed.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tablekeeper.aws import transient_errors
from tablekeeper.commit import lanes
from tablekeeper.commit.key_lists import discard, own_list
from tablekeeper.commit.lanes import UNDO, Progress, SupersededError, lane_action
from tablekeeper.commit.large_write import LargeWrite, Remaining, content
from tablekeeper.commit.transaction import (
    CancelledError,
    Tables,
    recorded_or_stale,
    transact,
)
from tablekeeper.errors import (
    ItemRejectedError,
    KeyOwnershipError,
    StagedSetMissingError,
    StaleRevisionError,
)
from tablekeeper.ledger.reads import read_outcome, read_row
from tablekeeper.ledger.rows import (
    ADDING,
    CURRENT,
    INCOMPLETE,
    REPLACING,
    Claim,
    Row,
    attribute,
    lane_key,
)
from tablekeeper.ledger.writes import (
    audit_action,
    update_row,
)
from tablekeeper.model.execution import Execution
from tablekeeper.model.items import owner
from tablekeeper.model.keys import ItemKey
from tablekeeper.model.outcome import Committed
from tablekeeper.model.snapshot import Snapshot
from tablekeeper.model.times import now
from tablekeeper.staging.item_set import ItemSet


def is_mine(row: Row, found: Snapshot, execution: Execution) -> bool:
    """Whether the row's claim was made by an earlier attempt of just this write."""
    claim = row.claim
    return claim is not None and (claim.owner, claim.base) == (
        execution.audit_key,
        found.revision,
    )


def write(
    tables: Tables,
    found: Snapshot,
    execution: Execution,
    row: Row,
    outcome: str,
    new: ItemSet,
    remaining: Remaining,
) -> Committed:
    """Claims the row, makes the table hold these items, and closes the claim. Raises as
    `commit_items`.
    """
    try:
        _check_refusal(tables, found, execution, row)
    except (KeyOwnershipError, ItemRejectedError):
        _undo_refused(tables, found, execution, row, remaining)
        raise
    mine = is_mine(row, found, execution)
    wanted = Claim(
        revision=row.revision + 1,
        state=ADDING,
        owner=execution.audit_key,
        base=found.revision,
        outcome=outcome,
        execution=execution.id,
        found=found.payload(),
        items=new.stage() if len(new) else None,
        pending=(),
        cut=lanes.cut(),
        answers=row.claim.answers if mine and row.claim else row.problem_id,
    )
    try:
        claim = _claim(tables, found, execution, row, wanted)
    except CancelledError:
        return recorded_or_stale(tables, found, execution)
    writing = LargeWrite(tables, found, claim, row, remaining)
    try:
        writing.run()
        return writing.close(execution)
    except SupersededError:
        return _superseded(tables, found, execution)
    except (KeyOwnershipError, ItemRejectedError) as error:
        try:
            writing.refuse(error, execution)
        except SupersededError:
            return _superseded(tables, found, execution)
        raise StaleRevisionError(f"{found.uri}: the write met what it cannot write") from error


def _undo_refused(
    tables: Tables, found: Snapshot, execution: Execution, row: Row, remaining: Remaining
) -> None:
    """Goes on with the undo of this execution's refused write, which ran out of time. Raises
    StaleRevisionError when it is through.
    """
    before = row.claim
    if before is None or before.state != ADDING or not is_mine(row, found, execution):
        return
    wanted = replace(before, revision=row.revision + 1)
    try:
        claim = _claim(tables, found, execution, row, wanted)
        LargeWrite(tables, found, claim, row, remaining).undo(row.refusal)
    except (CancelledError, SupersededError):
        pass
    raise StaleRevisionError(f"{found.uri}: the write met what it cannot write")


def settle(tables: Tables, found: Snapshot, execution: Execution, remaining: Remaining) -> str:
    """Ends the claim that stands in the way of a file that has turned bad: UNDONE, when it had
    replaced nothing; else FINISHED from what it staged, or INCOMPLETE when that is gone.

    Raises:
        StaleRevisionError: the row moved, or has no such claim.
        UnfinishedWriteError: the time is up; a retry goes on.
        TransientServiceError: a retry helps.
    """
    row = read_row(tables.client, tables.ledger, found.uri)
    claim = row.claim
    if not claim or (row.revision != found.revision and not is_mine(row, found, execution)):
        raise StaleRevisionError(f"{found.uri} is no longer at revision {found.revision}")
    if claim.state == INCOMPLETE:
        return INCOMPLETE
    discard(tables, row.discarded)
    wanted = replace(
        claim, revision=row.revision + 1, owner=execution.audit_key, base=found.revision
    )
    if claim.state == ADDING:
        wanted = replace(wanted, outcome=UNDO, items=None)
    elif row.refusal:
        return _give_up(tables, found, row)
    try:
        claim = _claim(tables, found, execution, row, wanted)
    except CancelledError:
        raise StaleRevisionError(f"{found.uri} is no longer as it was read") from None
    writing = LargeWrite(tables, Snapshot.read(claim.found), claim, row, remaining)
    try:
        if claim.outcome == UNDO:
            writing.undo(None)
            return "UNDONE"
        writing.run()
        writing.close(None)
    except SupersededError:
        raise StaleRevisionError(f"{found.uri}: another execution has the claim") from None
    except (KeyOwnershipError, ItemRejectedError, StagedSetMissingError):
        return _give_up(tables, found, read_row(tables.client, tables.ledger, found.uri), claim)
    return "FINISHED"


def _give_up(tables: Tables, found: Snapshot, row: Row, claim: Claim | None = None) -> str:
    changes: dict[str, Any] = {"claim_state": None, "incomplete_since": attribute(now())}
    update = update_row(
        tables.ledger,
        found.uri,
        changes,
        seen=row.revision,
        claim=claim.revision if claim else None,
    )
    try:
        transact(tables, found, lambda _: [update])
    except CancelledError:
        raise StaleRevisionError(f"{found.uri} is no longer as it was read") from None
    return INCOMPLETE


def _check_refusal(tables: Tables, found: Snapshot, execution: Execution, row: Row) -> None:
    """Raises again what a large write of this content met, while it still stands in the way.

    A forced execution passes over what others have noted, and is stopped by its own note: else it
    would write and undo in turn.
    """
    refusal = row.refusal
    if not refusal or refusal["content"] != content(found):
        return
    if execution.forced and refusal.get("execution") != execution.audit_key:
        return
    if "item" not in refusal:
        raise ItemRejectedError(refusal["message"])
    key = ItemKey(refusal["item"])
    with transient_errors():
        answer = tables.client.get_item(
            TableName=tables.items, Key=key.attributes, ConsistentRead=True
        )
    if "Item" in answer and owner(answer["Item"]) != found.uri:
        raise KeyOwnershipError(key, owner(answer["Item"]))


def _claim(tables: Tables, found: Snapshot, execution: Execution, row: Row, wanted: Claim) -> Claim:
    """Takes the row's claim, over from whoever has it. Raises CancelledError.

    A note of a refusal is of the claim before, unless the same execution goes on. A problem stays:
    it may be newer than the look at the bucket, and only the close knows.
    """
    before = row.claim
    continues = before is not None and before.writes_the_same(wanted)
    if execution.forced and before and before.owner != execution.audit_key:
        continues = False
    pending = before.pending if before else ()
    if wanted.items and not continues:
        pending = (*pending, own_list(found.uri, wanted.revision))
    state = REPLACING if before and before.state != ADDING else ADDING
    claim = replace(wanted, pending=pending, state=state)
    changes = {
        "claim": claim.attributes(),
        "claim_state": attribute(state),
        "claimed_by": attribute(execution.audit_key),
        "incomplete_since": None,
    }
    if before is None or before.owner != wanted.owner:
        changes["refusal"] = None
    actions: list[dict[str, Any]] = [
        {
            "ConditionCheck": {
                "TableName": tables.ledger,
                "Key": {"pk": {"S": found.uri}, "sk": {"S": execution.audit_key}},
                "ConditionExpression": "attribute_not_exists(pk)",
            }
        },
        update_row(tables.ledger, found.uri, changes, seen=row.revision),
    ]
    for lane in range(lanes.LANES):
        progress = None if continues else Progress()
        actions.append(
            lane_action(tables, lane_key(found.uri, lane), claim.revision, None, progress)
        )
    transact(tables, found, lambda _: actions)
    return claim


def _superseded(tables: Tables, found: Snapshot, execution: Execution) -> Committed:
    """SUPERSEDED, unless this execution has an outcome, or it was a later attempt of it that took
    the claim: that one goes on, and this one is nobody's any more. Whose the claim is, and that
    there is no outcome, holds in the transaction that records it.
    """
    outcome = read_outcome(tables.client, tables.ledger, found.uri, execution)
    if outcome:
        return Committed(outcome)
    row = read_row(tables.client, tables.ledger, found.uri)
    audit = audit_action(tables, found, execution, Committed("SUPERSEDED"), row.revision)
    others = {
        "ConditionCheck": {
            "TableName": tables.ledger,
            "Key": {"pk": {"S": found.uri}, "sk": {"S": CURRENT}},
            "ConditionExpression": "claimed_by <> :mine",
            "ExpressionAttributeValues": {":mine": {"S": execution.audit_key}},
        }
    }
    try:
        transact(tables, found, lambda _: [audit, others])
    except CancelledError:
        return recorded_or_stale(tables, found, execution)
    return Committed("SUPERSEDED")
