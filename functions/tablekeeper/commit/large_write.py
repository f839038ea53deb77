"""One attempt at a large write: phases of transactions under a claim."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from tablekeeper.aws import transient_errors
from tablekeeper.commit import lanes
from tablekeeper.commit.key_lists import discard, key_lists
from tablekeeper.commit.lanes import (
    PHASES,
    UNDO,
    Action,
    Progress,
    SupersededError,
    chunks,
    delete_lanes,
    lane_action,
)
from tablekeeper.commit.plan import Plan
from tablekeeper.commit.transaction import CancelledError, FileTransactions
from tablekeeper.errors import (
    InvalidFileError,
    KeyOwnershipError,
    TransientServiceError,
    UnfinishedWriteError,
)
from tablekeeper.ledger.rows import (
    ADDING,
    PROBLEM,
    REPLACING,
    Claim,
    Row,
    attribute,
    lane_key,
)
from tablekeeper.ledger.writes import (
    NO_CLAIM,
    audit_action,
    committed,
    object_attributes,
    update_row,
)
from tablekeeper.model.execution import Execution
from tablekeeper.model.items import Item
from tablekeeper.model.keys import ItemKey
from tablekeeper.model.outcome import Committed
from tablekeeper.model.snapshot import Snapshot
from tablekeeper.staging import partitioned_lines

MARGIN = 30.0
"""Seconds before the end of a function's time at which a write stops: a transaction with its
retries takes less."""


PATIENCE = 300.0
"""Seconds for which one transaction is tried again before the write stops."""


LONGEST_PAUSE = 20.0


def content(snapshot: Snapshot) -> list[str | None]:
    """What a refusal is of."""
    return [snapshot.etag, snapshot.version_id, snapshot.digest]


class LargeWrite:
    """One attempt at a claimed write."""

    def __init__(self, file: FileTransactions, claim: Claim, row: Row) -> None:
        self.file, self.tables, self.claim, self.row = file, file.tables, claim, row
        self.snapshot = Snapshot.read(claim.snapshot)
        self.state = claim.state
        self.plan = Plan(file.tables, claim, row)
        self.progress: dict[int, Progress] = {}

    def run(self) -> None:
        """Writes everything, the close left aside."""
        self._read_progress()
        self.plan.keep_keys()
        self._phase("ADD", self.plan.added)
        if self.plan.has_old:
            if self.state == ADDING:
                self._update({"claim_state": attribute(REPLACING)})
                self.state = REPLACING
            self._phase("REPLACE", self.plan.replaced)
        if self.plan.has_old or self.plan.others:
            self._phase("REMOVE", self.plan.vanished)

    def close(self, execution: Execution | None) -> Committed:
        """Ends the claim: the table holds just its items. With an execution, as its outcome."""
        outcome = self.claim.outcome
        removed = sum(each.removed for each in self.progress.values())
        own = self.plan.own
        discarded = [each for each in key_lists(self.row) if each != own]
        discarded += [each for each in self.claim.pending if each not in (own, *discarded)]
        changes = {
            "status": attribute(outcome),
            "item_keys": None,
            "keys_at": attribute(own) if own else None,
            "discarded": _texts(discarded),
            **object_attributes(self.snapshot, outcome),
            **NO_CLAIM,
        }
        count = int(self.claim.items["count"]) if self.claim.items else 0
        recorded = self._update(changes, closes=True, execution=execution, counts=(count, removed))
        discard(self.tables, discarded)
        return Committed(recorded) if recorded else Committed(outcome, count, removed)

    def refuse(self, error: InvalidFileError, execution: Execution) -> None:
        """Notes what stands in the way, and undoes the write while nothing was replaced. The note
        comes first: an undo that runs out of time is gone on with, and nothing is added again.
        """
        refusal = {
            "content": content(self.snapshot),
            "message": str(error),
            "execution": execution.audit_key,
        }
        if isinstance(error, KeyOwnershipError):
            refusal["item"] = error.item.text
        self._update({"refusal": attribute(json.dumps(refusal, ensure_ascii=False))})
        if self.state == ADDING:
            self.undo(refusal)

    def undo(self, refusal: Mapping[str, Any] | None) -> None:
        """Deletes what the claim added and ends it; the earlier version stands."""
        self._read_progress()
        self._phase(UNDO, self.plan.added_before)
        noted = attribute(json.dumps(refusal, ensure_ascii=False)) if refusal else None
        discarded = list(self.claim.pending)
        changes = {**NO_CLAIM, "refusal": noted, "discarded": _texts(discarded)}
        self._update(changes, closes=True)
        discard(self.tables, discarded)

    def _read_progress(self) -> None:
        with transient_errors():
            answer = self.tables.client.query(
                TableName=self.tables.ledger,
                KeyConditionExpression="pk = :pk AND begins_with(sk, :claim)",
                ExpressionAttributeValues={
                    ":pk": {"S": self.file.uri},
                    ":claim": {"S": "CLAIM#"},
                },
                ConsistentRead=True,
            )
        for each in answer["Items"]:
            self.progress[int(each["sk"]["S"].removeprefix("CLAIM#"))] = Progress(
                each["phase"]["S"], int(each["done"]["N"]), int(each["removed"]["N"])
            )

    def _phase(self, phase: str, work: Callable[[int], Iterator[Action]]) -> None:
        stop = threading.Event()

        def lane(number: int) -> None:
            try:
                self._lane(number, phase, work, stop)
            except BaseException:
                stop.set()
                raise

        lanes.in_parallel([partial(lane, number) for number in range(lanes.LANES)])

    def _lane(
        self,
        lane: int,
        phase: str,
        work: Callable[[int], Iterator[Action]],
        stop: threading.Event,
    ) -> None:
        progress = self.progress.get(lane, Progress())
        if PHASES.index(progress.phase) > PHASES.index(phase) and phase != UNDO:
            return
        done = progress.done if progress.phase == phase else 0
        mine = range(lane, partitioned_lines.PARTITIONS, lanes.LANES)
        actions = (each for partition in mine for each in work(partition))
        for number, chunk in enumerate(chunks(actions), start=1):
            if stop.is_set():
                return
            if number > done:
                self._write_chunk(lane, phase, number, chunk)

    def _write_chunk(
        self, lane: int, phase: str, number: int, chunk: dict[ItemKey, Item | None]
    ) -> None:
        puts = {key: item for key, item in chunk.items() if item is not None}
        deletes = [key for key, item in chunk.items() if item is None]
        before = self.progress.get(lane, Progress()).removed

        def lane_row(deleted: int) -> list[dict[str, Any]]:
            progress = Progress(phase, number, before + (deleted if phase == "REMOVE" else 0))
            held = self.claim.revision
            key = lane_key(self.file.uri, lane)
            return [lane_action(self.tables.ledger, key, held, held, progress)]

        try:
            deleted = self._patiently(lambda: self.file.transact(lane_row, puts, deletes))
        except CancelledError:
            raise SupersededError from None
        removed = before + (len(deleted) if phase == "REMOVE" else 0)
        self.progress[lane] = Progress(phase, number, removed)

    def _patiently(self, call: Callable[[], Any]) -> Any:
        """Tries again what passes by itself, slower and slower: throttling slows a write down and
        fails nothing.
        """
        begun, tries = time.monotonic(), 0
        while True:
            if self.file.remaining() < MARGIN:
                raise UnfinishedWriteError(f"{self.file.uri}: the time is up; a retry goes on")
            try:
                return call()
            except TransientServiceError as error:
                if time.monotonic() - begun > PATIENCE:
                    raise UnfinishedWriteError(f"{self.file.uri}: {error}") from error
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
                    claim=self.claim.revision,
                )
            ]
            if closes:
                actions += delete_lanes(self.tables.ledger, self.file.uri)
            if execution and not recorded:
                result = Committed(self.claim.outcome, *counts)
                actions.append(
                    audit_action(self.tables, self.snapshot, execution, result, row.revision + 1)
                )
            try:
                self._patiently(partial(self.file.transact, partial(_same, actions)))
            except CancelledError as cancelled:
                if execution and cancelled.place == len(actions) - 1:
                    recorded = self.file.read_outcome()
            else:
                return recorded

    def _as_committed(self, row: Row, execution: Execution | None) -> dict[str, Any]:
        """A problem that was recorded after the look at the bucket may know more. It stays,
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


def _texts(texts: Sequence[str]) -> dict[str, Any] | None:
    return {"L": [{"S": each} for each in texts]} if texts else None


def pause(seconds: float) -> None:
    """Waits."""
    time.sleep(seconds)
