"""Files that have a problem: they are counted, and those that can pass by now are tried again.

A file that FAILED because of something that passes is tried again later and later. A file that was
refused because of an item's owner is tried again once the item has another owner, or none. If the
owner is itself refused because of an item's owner, the files may wait for each other, in a circle
of any length: the owner is started with a flag, and removes the items that it no longer makes.
"""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_right
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence, Set
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain
from typing import TYPE_CHECKING, Any

from tablekeeper.aws import transient_errors
from tablekeeper.causes import values_of
from tablekeeper.errors import KeyOwnershipError
from tablekeeper.ledger.reads import read_items, read_owners
from tablekeeper.ledger.rows import CURRENT, INCOMPLETE
from tablekeeper.model.execution import RELEASE, event_text
from tablekeeper.model.keys import ItemKey
from tablekeeper.model.outcome import PARTIAL
from tablekeeper.recovery import clock
from tablekeeper.recovery.notes import Notes
from tablekeeper.recovery.quotas import STARTS_A_SECOND, Pace
from tablekeeper.recovery.schedule import next_try
from tablekeeper.tables import Tables

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient

MAX_STARTS = int(60 * STARTS_A_SECOND)
"""Files of each kind that one sweep starts again: a minute of each. The next one goes on behind
them: Step Functions answers for an execution that still runs as for a new one.
"""
MAX_LOOKS = 2000
"""Refused files whose items' owners one sweep looks at."""
LAST_SECONDS = 150.0
"""Left to the executions."""
FLAGS = ("force", "release", RELEASE)
"""Of one execution; what is started again has none."""
PROBLEM_OF_ROW = (("pk", "S"), ("revision", "N"), ("problem_at", "S"))
"""Attributes that name a problem of a file, and their types."""
Row = Mapping[str, Any]
"""A CURRENT row in DynamoDB JSON."""
FAILED, REFUSED = "FAILED", "REFUSED"
"""The cursors of sweeps through files that are more than one of them gets done."""


@dataclass
class OpenProblems:
    """Files with a problem: how many by status, a file that is incomplete having another one as
    well; those that FAILED and are due; and those that were refused because of an item's owner.
    Both by their partition key in the ledger.
    """

    counts: dict[str, int] = field(
        default_factory=lambda: {"FAILED": 0, "INVALID": 0, PARTIAL: 0, INCOMPLETE: 0}
    )
    due: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


def count_files(tables: Tables, notes: Notes) -> OpenProblems:
    """From the index `problems`. Raises TransientServiceError, ServicesDownError."""
    waiting, now = OpenProblems(), clock.now()
    for status in ("FAILED", "INVALID", PARTIAL):
        pages = tables.client.get_paginator("query").paginate(
            TableName=tables.ledger,
            IndexName="problems",
            KeyConditionExpression="problem_status = :status",
            ExpressionAttributeValues={":status": {"S": status}},
        )
        with transient_errors():
            for entry in chain.from_iterable(page["Items"] for page in pages):
                # For a hundred thousand entries, notes.passing_over takes as long again.
                try:
                    _count(waiting, status, entry, now)
                except Exception as error:  # noqa: BLE001 - one bad row does not keep the rest
                    notes.pass_over("files", str(entry.get("pk")), error)
    return waiting


def _count(waiting: OpenProblems, status: str, entry: Mapping[str, Any], now: datetime) -> None:
    waiting.counts[status] += 1
    error, at = entry["problem_error"]["S"], entry["problem_at"]["S"]
    # A write that replaces items since the problem may be the one that mends it.
    mixed = entry.get("incomplete_since", {}).get("S")
    if mixed and datetime.fromisoformat(mixed) <= datetime.fromisoformat(at) + clock.CLOCKS_DIFFER:
        waiting.counts[INCOMPLETE] += 1
    if error == KeyOwnershipError.__name__:
        waiting.refused.append(entry["pk"]["S"])
    # Rows of a release that did not note the first failure have the last one.
    due = next_try(status, error, entry.get("problem_since", {}).get("S", at), at)
    if due and due <= now:
        waiting.due.append(entry["pk"]["S"])


class WaitingFiles:
    """Starts files again; `remaining` is the function's, in seconds."""

    def __init__(
        self,
        states: SFNClient,
        tables: Tables,
        state_machine: str,
        remaining: Callable[[], float],
        notes: Notes,
    ) -> None:
        self.states, self.tables, self.state_machine = states, tables, state_machine
        self.remaining, self.notes = remaining, notes
        self._starts = Pace(STARTS_A_SECOND)

    def try_again(self, waiting: OpenProblems) -> int:
        """How many files were started. Raises TransientServiceError, ServicesDownError."""
        started = self._started(self._due(waiting.due))
        return started + self._started(self._refused(waiting.refused))

    def _rows(self, uris: Sequence[str]) -> Iterator[Mapping[str, Any]]:
        """Those CURRENT rows that still have a problem, read consistently, in this order."""
        for place in range(0, len(uris), 100):
            some = uris[place : place + 100]
            keys = [{"pk": {"S": uri}, "sk": {"S": CURRENT}} for uri in some]
            rows = {
                row["pk"]["S"]: row
                for row in read_items(self.tables.client, self.tables.ledger, keys)
            }
            yield from (rows[uri] for uri in some if "problem" in rows.get(uri, {}))

    def _due(self, due: Sequence[str]) -> Generator[tuple[Row, bool], None, None]:
        """Files that FAILED and are due; the second value is false."""
        uris = self._turn(FAILED, due)[:MAX_STARTS]
        yield from ((row, False) for row in self._rows(uris))
        self._end_turn(FAILED, uris)

    def _refused(self, refused: Sequence[str]) -> Generator[tuple[Row, bool], None, None]:
        """Refused files whose item has another owner by now than the one named, or none; and owners
        that are to release items, for which the second value is true.
        """
        uris, done = self._turn(REFUSED, refused)[:MAX_LOOKS], list[str]()
        try:
            for place in range(0, len(uris), 100):
                some = uris[place : place + 100]
                free, owners = self._free(list(self._rows(some)), frozenset(refused))
                yield from ((row, False) for row in free)
                yield from ((row, True) for row in self._rows(owners) if _may_release(row))
                done = some
        finally:
            self._end_turn(REFUSED, done)

    def _turn(self, cursor: str, uris: Sequence[str]) -> list[str]:
        """These, from behind the file at which the last sweep stopped."""
        if not uris:
            return []
        with transient_errors():
            row = self.tables.client.get_item(TableName=self.tables.ledger, Key=_key_of(cursor))
        after, ordered = row.get("Item", {}).get("after", {}).get("S", ""), sorted(uris)
        behind = bisect_right(ordered, after)
        return [*ordered[behind:], *ordered[:behind]]

    def _end_turn(self, cursor: str, done: Sequence[str]) -> None:
        if done:
            row: Any = _key_of(cursor) | {"after": {"S": done[-1]}}
            with transient_errors():
                self.tables.client.put_item(TableName=self.tables.ledger, Item=row)

    def _free(self, rows: Sequence[Row], refused: Set[str]) -> tuple[list[Row], list[str]]:
        """Of refused files those that may pass by now, and the owners that keep the others out: of
        the one that a file's sentence names, and of those that are refused themselves.
        """
        free: list[Row] = []
        blocked: list[tuple[Row, ItemKey, str | None]] = []
        knotted: list[tuple[ItemKey, str | None]] = []
        for row in rows:
            if row.get("problem_error", {}).get("S") != KeyOwnershipError.__name__:
                continue
            with self.notes.passing_over("files", row["pk"]["S"]):
                values = values_of(row["problem"]["M"]["cause"]["S"])
                item = ItemKey.of(values["item"]) if "item" in values else None
                if item and self.tables.table_key.fits(item):
                    blocked.append((row, item, values["owner"]))
                    knotted += [
                        (ItemKey.of(each["item"]), each["owner"])
                        for each in values.get("others", ())
                        if each["owner"] in refused
                    ]
                else:
                    # Of before a change of the table's key: no item of the table stands there. Or
                    # of a release whose problems had no values: this try gives it some.
                    free.append(row)
        tables = self.tables
        knotted += [(item, named) for _, item, named in blocked]
        asked = list(dict.fromkeys(item for item, _ in knotted))
        owners: dict[ItemKey, str | None] = {}
        for place in range(0, len(asked), 100):
            some = asked[place : place + 100]
            owners |= read_owners(tables.client, tables.items, tables.table_key, some)
        free += [row for row, item, named in blocked if item not in owners or owners[item] != named]
        held = {named for item, named in knotted if named and owners.get(item) == named}
        return free, sorted(held)

    def _started(self, rows: Generator[tuple[Row, bool], None, None]) -> int:
        started = 0
        with closing(rows):
            for row, releases in rows:
                if started >= MAX_STARTS or self.remaining() < LAST_SECONDS:
                    break
                with self.notes.passing_over("files", row["pk"]["S"]):
                    self._starts.wait()
                    started += self._start(row, releases)
        return started

    def _start(self, row: Row, releases: bool) -> bool:
        """Starts the file's input again, with or without the flag; its name makes that happen once
        a revision. A ledger that was set back has revisions anew, and other problems with them.
        """
        from botocore.exceptions import ClientError

        state = " ".join(row[name][kind] for name, kind in PROBLEM_OF_ROW)
        state += f" {RELEASE}" if releases else ""
        name = hashlib.sha256(state.encode()).hexdigest()[:40]
        event = _without_flags(row["problem"]["M"]["input"]["S"])
        try:
            with transient_errors():
                self.states.start_execution(
                    stateMachineArn=self.state_machine,
                    name=f"sweep-{name}",
                    input=event_text(event | {RELEASE: True} if releases else event),
                )
        except ClientError as error:
            if error.response["Error"]["Code"] != "ExecutionAlreadyExists":
                raise
            return False
        return True


def _key_of(cursor: str) -> dict[str, Any]:
    return {"pk": {"S": "SWEEP"}, "sk": {"S": cursor}}


def _may_release(row: Row) -> bool:
    """Whether a file was refused because of an item's owner, and has released no items for this
    content yet. Only a new refusal removes the mark, so no file is released again and again.
    """
    status, error = (row.get(name, {}).get("S") for name in ("problem_status", "problem_error"))
    refused = status == "INVALID" and error == KeyOwnershipError.__name__
    return refused and "released" not in row["problem"]["M"]


def _without_flags(text: str) -> dict[str, Any]:
    event = json.loads(text)
    return {name: value for name, value in event.items() if name not in FLAGS}
