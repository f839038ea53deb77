"""Large writes: what does not fit one transaction is claimed, written in many, and closed.

A claim notes, before anything is written, where the keys are that it may leave behind. Its
transactions go in lanes, side by side; each checks and advances its lane's row, so that a write
that has lost its claim cannot write any more, and a write that was cut off goes on where it was.
Items with new keys come first, for only they can meet an item of another file; until the last of
them is in, nothing of the earlier version is touched, and the write can be undone. Then the claim
is marked as REPLACING, items are overwritten, what vanished is deleted, and the claim is closed.
"""

from __future__ import annotations

import hashlib
import json
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from tablekeeper.aws import transient_errors
from tablekeeper.commit.transaction import (
    CancelledError,
    Committed,
    Tables,
    audit_action,
    object_attributes,
    recorded_or_stale,
    transact,
)
from tablekeeper.errors import (
    InvalidFileError,
    ItemKey,
    ItemRejectedError,
    KeyOwnershipError,
    StagedSetMissingError,
    StaleRevisionError,
    TransientServiceError,
    UnfinishedWriteError,
)
from tablekeeper.ledger.rows import (
    ADDING,
    INCOMPLETE,
    NO_CLAIM,
    PROBLEM,
    REPLACING,
    Claim,
    Row,
    attribute,
    committed,
    lane_key,
    read_outcome,
    read_row,
    update_row,
    without_problem,
)
from tablekeeper.model import items
from tablekeeper.model.items import Item, item_key, lineage, owner
from tablekeeper.model.snapshot import Execution, Found, now
from tablekeeper.staging import partitioned_lines
from tablekeeper.staging.item_set import ItemSet
from tablekeeper.staging.partitioned_lines import (
    Lines,
    copied_manifest,
    copy_set,
    delete_copy,
    key_hash,
)

Remaining = Callable[[], float]
"""How many seconds are left to the function."""

KEYS = "keys"
"""The prefix of key lists in the staging bucket, which no lifecycle removes."""
UNDO = "UNDO"
PHASES = (UNDO, "ADD", "REPLACE", "REMOVE")
"""In the order in which a lane passes them; after an undo it begins again."""
MARGIN = 30.0
"""Seconds before the end of a function's time at which a write stops: a transaction with its
retries takes less."""
PATIENCE = 300.0
"""Seconds for which one transaction is tried again before the write stops."""
LONGEST_PAUSE = 20.0


_Action = tuple[ItemKey, Item | None, str]
"""An item to put, with its text, or None to delete what has the key."""


class _SupersededError(Exception):
    """Another execution has taken the claim over; it has read the bucket later."""


def is_mine(row: Row, found: Found, execution: Execution) -> bool:
    """Whether the row's claim was made by an earlier attempt of just this write."""
    claim = row.claim
    return claim is not None and (claim.owner, claim.base) == (
        execution.audit_key,
        found.revision,
    )


def key_lists(row: Row) -> list[str]:
    """The prefixes of the key lists that a row refers to."""
    return [*([row.keys_at] if row.keys_at else []), *(row.claim.pending if row.claim else ())]


def few_keys(tables: Tables, row: Row) -> set[ItemKey] | None:
    """The keys of a row's items; None when they are many.

    What a claim has left in the table can be told only by whoever has taken the claim over: until
    then its owner may go on.
    """
    keys = set(row.item_keys)
    if row.keys_at:
        listed = _list(tables, row.keys_at)
        if len(listed) > 4 * items.TRANSACTION_ITEMS:
            return None
        for partition in range(partitioned_lines.PARTITIONS):
            keys.update(map(ItemKey, listed.partition(partition)))
    return keys


def discard(tables: Tables, lists: Sequence[str]) -> None:
    """Deletes key lists that nobody needs any more; what fails is left to the next commit."""
    try:
        for prefix in lists:
            delete_copy(tables.staging_bucket, prefix)
    except TransientServiceError:
        pass


def delete_lanes(tables: Tables, uri: str) -> list[dict[str, Any]]:
    """The actions that end the lanes of a claim."""
    return [
        {"Delete": {"TableName": tables.ledger, "Key": lane_key(uri, lane)}}
        for lane in range(items.LANES)
    ]


def write(
    tables: Tables,
    found: Found,
    execution: Execution,
    row: Row,
    outcome: str,
    new: ItemSet,
    remaining: Remaining,
) -> Committed:
    """Claims the row, makes the table hold these items, and closes the claim. Raises as
    `commit_items`.
    """
    _check_refusal(tables, found, row)
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
    )
    try:
        claim = _claim(tables, found, execution, row, wanted)
    except CancelledError:
        return recorded_or_stale(tables, found, execution)
    writing = _Write(tables, found, claim, row, remaining)
    try:
        writing.run()
        return writing.close(execution)
    except _SupersededError:
        return _superseded(tables, found, execution)
    except (KeyOwnershipError, ItemRejectedError) as error:
        try:
            writing.refuse(error)
        except _SupersededError:
            return _superseded(tables, found, execution)
        raise StaleRevisionError(f"{found.uri}: the write met what it cannot write") from error


def settle(tables: Tables, found: Found, execution: Execution, remaining: Remaining) -> str:
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
    writing = _Write(tables, Found.read(claim.found), claim, row, remaining)
    try:
        if claim.outcome == UNDO:
            writing.undo(None)
            return "UNDONE"
        writing.run()
        writing.close(None)
    except _SupersededError:
        raise StaleRevisionError(f"{found.uri}: another execution has the claim") from None
    except (KeyOwnershipError, ItemRejectedError, StagedSetMissingError):
        return _give_up(tables, found, read_row(tables.client, tables.ledger, found.uri), claim)
    return "FINISHED"


def _give_up(tables: Tables, found: Found, row: Row, claim: Claim | None = None) -> str:
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


def _check_refusal(tables: Tables, found: Found, row: Row) -> None:
    """Raises again what a large write of this content met, while it still stands in the way."""
    refusal = row.refusal
    if not refusal or refusal["content"] != _content(found):
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


def _content(found: Found) -> list[str | None]:
    return [found.etag, found.version_id, found.digest]


def _claim(tables: Tables, found: Found, execution: Execution, row: Row, wanted: Claim) -> Claim:
    """Takes the row's claim, over from whoever has it. Raises CancelledError."""
    before = row.claim
    continues = before is not None and before.writes_the_same(wanted)
    pending = before.pending if before else ()
    if wanted.items and not continues:
        pending = (*pending, _own_list(found.uri, wanted.revision))
    state = REPLACING if before and before.state != ADDING else ADDING
    claim = replace(wanted, pending=pending, state=state)
    changes = {
        "claim": claim.attributes(),
        "claim_state": attribute(state),
        "claimed_by": attribute(execution.audit_key),
        "incomplete_since": None,
        **without_problem(wanted.outcome),
    }
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
    for lane in range(items.LANES):
        progress = None if continues else _Progress()
        actions.append(_lane_action(tables, found.uri, lane, claim.revision, None, progress))
    transact(tables, found, lambda _: actions)
    return claim


@dataclass(frozen=True)
class _Progress:
    """How far a lane is: the transactions done in its phase, and the items removed in all.

    Another attempt makes the same transactions in the same order. Where it deletes there may be
    more keys among them, of a list that came late, after its claim was lost and no item written:
    then the transactions that it skips hold no key that was not deleted before.
    """

    phase: str = PHASES[0]
    done: int = 0
    removed: int = 0


def _lane_action(
    tables: Tables,
    uri: str,
    lane: int,
    claim: int,
    held: int | None,
    progress: _Progress | None,
) -> dict[str, Any]:
    """Sets a lane's claim and progress, on condition that the claim `held` holds it."""
    sets, values = ["claim = :claim"], {":claim": {"N": str(claim)}}
    if progress:
        sets += ["phase = :phase", "done = :done", "removed = :removed"]
        values |= {
            ":phase": {"S": progress.phase},
            ":done": {"N": str(progress.done)},
            ":removed": {"N": str(progress.removed)},
        }
    update: dict[str, Any] = {
        "TableName": tables.ledger,
        "Key": lane_key(uri, lane),
        "UpdateExpression": "SET " + ", ".join(sets),
        "ExpressionAttributeValues": values,
    }
    if held is not None:
        update["ConditionExpression"] = "claim = :held"
        values[":held"] = {"N": str(held)}
    return {"Update": update}


def _own_list(uri: str, revision: int) -> str:
    return f"{KEYS}/{hashlib.sha256(uri.encode()).hexdigest()[:32]}/{revision}"


def _list(tables: Tables, prefix: str) -> Lines:
    return Lines(tables.staging_bucket, copied_manifest(prefix))


def _superseded(tables: Tables, found: Found, execution: Execution) -> Committed:
    """SUPERSEDED, unless this execution has an outcome, or it was a later attempt of it that took
    the claim: that one goes on, and this one is nobody's any more.
    """
    outcome = read_outcome(tables.client, tables.ledger, found.uri, execution)
    if outcome:
        return Committed(outcome)
    row = read_row(tables.client, tables.ledger, found.uri)
    if row.claimed_by == execution.audit_key:
        raise StaleRevisionError(f"{found.uri}: a later attempt of this execution had the claim")
    audit = audit_action(tables, found, execution, "SUPERSEDED", row.revision)
    try:
        transact(tables, found, lambda _: [audit])
    except CancelledError:
        return recorded_or_stale(tables, found, execution)
    return Committed("SUPERSEDED")


class _Write:
    """One attempt at a claimed write."""

    def __init__(
        self, tables: Tables, found: Found, claim: Claim, row: Row, remaining: Remaining
    ) -> None:
        self.tables, self.found, self.claim, self.row = tables, found, claim, row
        self.remaining = remaining
        self.state = claim.state
        self.source = lineage(found, claim.execution)
        bucket = tables.staging_bucket
        self.old = [_list(tables, row.keys_at)] if row.keys_at else []
        self.inline: dict[int, set[str]] = {}
        for key in row.item_keys:
            self.inline.setdefault(_partition(key.text), set()).add(key.text)
        self.has_old = bool(self.old or self.inline)
        self.staged = Lines(bucket, claim.items["items"]) if claim.items else None
        self.keys = Lines(bucket, claim.items["keys"]) if claim.items else None
        self.own = claim.pending[-1] if claim.items else None
        others = [_list(tables, each) for each in claim.pending if each != self.own]
        self.others = [each for each in others if each.exists()]
        self.progress: dict[int, _Progress] = {}

    def run(self) -> None:
        """Writes everything, the close left aside."""
        self._prepare()
        self._phase("ADD", self._added)
        if self.has_old:
            if self.state == ADDING:
                self._update({"claim_state": attribute(REPLACING)})
                self.state = REPLACING
            self._phase("REPLACE", self._replaced)
        if self.has_old or self.others:
            self._phase("REMOVE", self._vanished)

    def close(self, execution: Execution | None) -> Committed:
        """Ends the claim: the table holds just its items. With an execution, as its outcome."""
        outcome = self.claim.outcome
        removed = sum(each.removed for each in self.progress.values())
        discarded = [each for each in key_lists(self.row) if each != self.own]
        discarded += [each for each in self.claim.pending if each not in (self.own, *discarded)]
        changes = {
            "status": attribute(outcome),
            "item_keys": None,
            "keys_at": attribute(self.own) if self.own else None,
            "discarded": _texts(discarded),
            **object_attributes(self.found, outcome),
            **NO_CLAIM,
        }
        count = int(self.claim.items["count"]) if self.claim.items else 0
        recorded = self._update(changes, closes=True, execution=execution, counts=(count, removed))
        discard(self.tables, discarded)
        return Committed(recorded) if recorded else Committed(outcome, count, removed)

    def refuse(self, error: InvalidFileError) -> None:
        """Notes what stands in the way, and undoes the write while nothing was replaced."""
        refusal = {"content": _content(self.found), "message": str(error)}
        if isinstance(error, KeyOwnershipError):
            refusal["item"] = error.item.text
        if self.state == ADDING:
            self.undo(refusal)
        else:
            self._update({"refusal": attribute(json.dumps(refusal, ensure_ascii=False))})

    def undo(self, refusal: dict[str, Any] | None) -> None:
        """Deletes what the claim added and ends it; the earlier version stands."""
        self._read_progress()
        self._phase(UNDO, self._added_before)
        noted = attribute(json.dumps(refusal, ensure_ascii=False)) if refusal else None
        discarded = list(self.claim.pending)
        changes = {**NO_CLAIM, "refusal": noted, "discarded": _texts(discarded)}
        self._update(changes, closes=True)
        discard(self.tables, discarded)

    # ---- what there is to do, partition by partition ----

    def _added(self, partition: int) -> Iterator[_Action]:
        if self.staged:
            old = self._old(partition) if self.has_old else set()
            for line in self.staged.partition(partition):
                item = json.loads(line)
                key = item_key(item, self.tables.table_key)
                if key.text not in old:
                    yield key, {**item, "_source": self.source}, line

    def _replaced(self, partition: int) -> Iterator[_Action]:
        old = self._old(partition)
        if self.staged and old:
            for line in self.staged.partition(partition):
                item = json.loads(line)
                key = item_key(item, self.tables.table_key)
                if key.text in old:
                    yield key, {**item, "_source": self.source}, line

    def _vanished(self, partition: int) -> Iterator[_Action]:
        vanished = self._old(partition)
        for each in self.others:
            vanished.update(each.partition(partition))
        if vanished and self.keys:
            vanished.difference_update(self.keys.partition(partition))
        for text in sorted(vanished):
            yield ItemKey(text), None, ""

    def _added_before(self, partition: int) -> Iterator[_Action]:
        added: set[str] = set()
        for each in self.others:
            added.update(each.partition(partition))
        if self.keys:
            added.update(self.keys.partition(partition))
        for text in sorted(added - self._old(partition)):
            yield ItemKey(text), None, ""

    def _old(self, partition: int) -> set[str]:
        found = set(self.inline.get(partition, ()))
        for each in self.old:
            found.update(each.partition(partition))
        return found

    # ---- how it is done ----

    def _prepare(self) -> None:
        self._read_progress()
        if self.own and self.claim.items and not _list(self.tables, self.own).exists():
            copy_set(self.tables.staging_bucket, self.claim.items["keys"], self.own)

    def _read_progress(self) -> None:
        with transient_errors():
            answer = self.tables.client.query(
                TableName=self.tables.ledger,
                KeyConditionExpression="pk = :pk AND begins_with(sk, :claim)",
                ExpressionAttributeValues={
                    ":pk": {"S": self.found.uri},
                    ":claim": {"S": "CLAIM#"},
                },
                ConsistentRead=True,
            )
        for each in answer["Items"]:
            self.progress[int(each["sk"]["S"].removeprefix("CLAIM#"))] = _Progress(
                each["phase"]["S"], int(each["done"]["N"]), int(each["removed"]["N"])
            )

    def _phase(self, phase: str, work: Callable[[int], Iterator[_Action]]) -> None:
        stop = threading.Event()

        def lane(number: int) -> None:
            try:
                self._lane(number, phase, work, stop)
            except BaseException:
                stop.set()
                raise

        in_parallel([partial(lane, number) for number in range(items.LANES)])

    def _lane(
        self,
        lane: int,
        phase: str,
        work: Callable[[int], Iterator[_Action]],
        stop: threading.Event,
    ) -> None:
        progress = self.progress.get(lane, _Progress())
        if PHASES.index(progress.phase) > PHASES.index(phase) and phase != UNDO:
            return
        done = progress.done if progress.phase == phase else 0
        mine = range(lane, partitioned_lines.PARTITIONS, items.LANES)
        actions = (each for partition in mine for each in work(partition))
        for number, chunk in enumerate(_chunks(actions), start=1):
            if stop.is_set():
                return
            if number > done:
                self._write_chunk(lane, phase, number, chunk)

    def _write_chunk(
        self, lane: int, phase: str, number: int, chunk: dict[ItemKey, Item | None]
    ) -> None:
        puts = {key: item for key, item in chunk.items() if item is not None}
        deletes = [key for key, item in chunk.items() if item is None]
        before = self.progress.get(lane, _Progress()).removed

        def lane_row(deleted: int) -> list[dict[str, Any]]:
            progress = _Progress(phase, number, before + (deleted if phase == "REMOVE" else 0))
            held = self.claim.revision
            return [_lane_action(self.tables, self.found.uri, lane, held, held, progress)]

        try:
            deleted = self._patiently(
                lambda: transact(self.tables, self.found, lane_row, puts, deletes)
            )
        except CancelledError:
            raise _SupersededError from None
        removed = before + (len(deleted) if phase == "REMOVE" else 0)
        self.progress[lane] = _Progress(phase, number, removed)

    def _patiently(self, call: Callable[[], Any]) -> Any:
        """Tries again what passes by itself, slower and slower: throttling slows a write down and
        fails nothing.
        """
        begun, tries = time.monotonic(), 0
        while True:
            if self.remaining() < MARGIN:
                raise UnfinishedWriteError(f"{self.found.uri}: the time is up; a retry goes on")
            try:
                return call()
            except TransientServiceError as error:
                if time.monotonic() - begun > PATIENCE:
                    raise UnfinishedWriteError(f"{self.found.uri}: {error}") from error
                pause(random.uniform(0, min(LONGEST_PAUSE, 0.1 * 2**tries)))  # noqa: S311
                tries += 1

    def _update(
        self,
        changes: dict[str, Any],
        *,
        closes: bool = False,
        execution: Execution | None = None,
        counts: tuple[int, int] = (0, 0),
    ) -> str | None:
        """Changes the row while the claim stands; the outcome that the execution already had."""
        recorded = None
        while True:
            row = read_row(self.tables.client, self.tables.ledger, self.found.uri)
            if not row.claim or row.claim.revision != self.claim.revision:
                raise _SupersededError
            all_changes = changes
            if closes and "status" in changes:
                all_changes = {**changes, **self._as_committed(row, execution)}
            actions = [
                update_row(
                    self.tables.ledger,
                    self.found.uri,
                    all_changes,
                    seen=row.revision,
                    claim=self.claim.revision,
                )
            ]
            if closes:
                actions += delete_lanes(self.tables, self.found.uri)
            if execution and not recorded:
                outcome, revision = self.claim.outcome, row.revision + 1
                actions.append(
                    audit_action(self.tables, self.found, execution, outcome, revision, *counts)
                )
            try:
                self._patiently(partial(transact, self.tables, self.found, partial(_same, actions)))
            except CancelledError as cancelled:
                if execution and cancelled.place == len(actions) - 1:
                    recorded = read_outcome(
                        self.tables.client, self.tables.ledger, self.found.uri, execution
                    )
            else:
                return recorded

    def _as_committed(self, row: Row, execution: Execution | None) -> dict[str, Any]:
        """A problem that was recorded while the claim stood may know more, unless it is a failure
        of an execution that began before this write's look at the bucket.
        """
        outcome = self.claim.outcome
        changes = committed(
            self.found, outcome, execution.id if execution else self.claim.execution
        )
        problem = row.problem
        if problem and not (
            problem["status"]["S"] == "FAILED" and problem["started"]["S"] <= self.found.as_of
        ):
            for name in PROBLEM:
                changes.pop(name, None)
        return changes


def _chunks(
    actions: Iterator[_Action],
) -> Iterator[dict[ItemKey, Item | None]]:
    """What fits one transaction beside its lane's row."""
    chunk: dict[ItemKey, Item | None] = {}
    size = 0
    for key, item, text in actions:
        more = items.size_bound(text)
        if chunk and (
            len(chunk) > items.TRANSACTION_ITEMS or size + more > items.TRANSACTION_BYTES
        ):
            yield chunk
            chunk, size = {}, 0
        chunk[key] = item
        size += more
    if chunk:
        yield chunk


def _partition(key: str) -> int:
    return key_hash(key) % partitioned_lines.PARTITIONS


def _same(actions: list[dict[str, Any]], _deleted: int) -> list[dict[str, Any]]:
    return actions


def _texts(texts: Sequence[str]) -> dict[str, Any] | None:
    return {"L": [{"S": each} for each in texts]} if texts else None


def in_parallel(calls: Sequence[Callable[[], None]]) -> None:
    """Makes the calls side by side and waits for all; raises what the first to fail raised, a lost
    claim before anything else.
    """
    with ThreadPoolExecutor(len(calls)) as pool:
        failures = [each.exception() for each in [pool.submit(call) for call in calls]]
    raised = [each for each in failures if each]
    for error in raised:
        if isinstance(error, _SupersededError):
            raise error
    if raised:
        raise raised[0]


def pause(seconds: float) -> None:
    """Waits."""
    time.sleep(seconds)
