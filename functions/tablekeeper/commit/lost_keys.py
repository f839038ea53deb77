"""Key lists of which something was deleted, made again from the lineage of the items."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import replace
from functools import partial
from typing import Any

from tablekeeper import aws
from tablekeeper.aws import transient_errors
from tablekeeper.commit import lanes
from tablekeeper.commit.key_lists import damaged, discard, list_at, own_list, write_list
from tablekeeper.commit.lanes import Lanes, new_lanes
from tablekeeper.commit.patience import patiently
from tablekeeper.commit.transaction import FileTransactions
from tablekeeper.errors import StagedSetMissingError, StaleRevisionError, UnfinishedWriteError
from tablekeeper.ledger.rows import ADDING, REPLACING, Row, attribute
from tablekeeper.ledger.writes import update_row
from tablekeeper.model.items import IS_OF_FILE, item_key, of_file
from tablekeeper.model.keys import ItemKey
from tablekeeper.model.times import now
from tablekeeper.staging.partitioned_lines import read_object

SEGMENTS = 8
"""Parts of the table that are read side by side."""


def check_keys(file: FileTransactions, row: Row) -> None:
    """Makes one key list of those of a row, from the lineage of the items, if an object of one was
    deleted.

    It reads the whole table, in memory for the keys of the file. What does not fit the time is left
    to the retry, which reads on where this attempt stopped.

    Raises:
        StaleRevisionError: there is a list again, or another commit deletes one that its row no
            longer has; read the row again.
        UnfinishedWriteError: the time is up; a retry reads on.
        TransientServiceError: a retry helps.
    """
    written = Lanes(file, row.claim.revision if row.claim else 0)
    tables, lost = file.tables, damaged(file.tables, row, has_written=written.any)
    if not lost:
        return
    if file.read_row().revision != row.revision:
        raise file.stale()
    segments = [_Segment(file, lost[0], number) for number in range(SEGMENTS)]
    try:
        lanes.in_parallel([each.read for each in segments])
    except UnfinishedWriteError:
        for each in segments:
            each.keep()
        raise
    prefix = own_list(file.uri, row.revision + 1)
    write_list(tables, prefix, [dict.fromkeys(sorted(each.keys)) for each in segments], "")
    changes = _with_the_list(row, lost, prefix)
    actions = [update_row(tables.ledger, file.uri, changes, seen=row.revision)]
    if row.claim:
        own = row.claim.own
        unwritten = own and own not in lost and not list_at(tables, own).exists()
        actions += new_lanes(tables.ledger, file.uri, row.revision + 1, unwritten=bool(unwritten))
    file.commit(lambda _: actions)
    discard(tables, lost)
    raise StaleRevisionError(f"{file.uri}: its list of keys was damaged, and is made again")


def _with_the_list(row: Row, lost: Collection[str], prefix: str) -> dict[str, Any]:
    """The changes with which a row names the list of all that its file has in the table. A claim is
    made anew: what it counted does not hold, and whoever has it writes nothing more.

    If the lists that are lost are of a claim alone, the list is one more of the claim: the earlier
    version is known, and an undo deletes the rest. If the row's own list is lost, what a claim
    added cannot be told from the earlier version: the claim counts as one that has replaced items,
    so that it is finished and not undone, and an undo leaves the file incomplete.
    """
    claim = row.claim
    if claim is None:
        return {"keys_at": attribute(prefix)}
    may_have_added = bool(claim.pending)
    pending = [each for each in claim.pending if each not in lost and each != claim.own]
    if row.keys_at not in lost:
        pending.append(prefix)
    seen = tuple(each for each in pending if each == prefix or each in claim.seen)
    if claim.own:
        pending.append(claim.own)
    claim = replace(claim, revision=row.revision + 1, pending=tuple(pending), seen=seen)
    changes: dict[str, Any] = {"claim": claim.attributes()}
    if row.keys_at in lost:
        changes["keys_at"] = attribute(prefix)
    if row.keys_at in lost and may_have_added:
        changes["doubted"] = attribute(1)
        if claim.state == ADDING:
            changes["incomplete_since"] = attribute(now())
            if claim.outcome != lanes.UNDO:
                changes["claim_state"] = attribute(REPLACING)
    return changes


class _Segment:
    """A part of the table, and the file's keys in it. How far it was read is kept below the prefix
    of the lost list: no commit of the file adds items before there is a list again, but that of a
    claim, whose own list names them.
    """

    def __init__(self, file: FileTransactions, lost: str, number: int) -> None:
        self.file, self.tables, self.number = file, file.tables, number
        self.place = f"{lost}/read/{number}-of-{SEGMENTS}.json"
        self.keys: list[str] = []
        self.after: str | None = None
        self.is_read = False

    def read(self) -> None:
        """Raises UnfinishedWriteError and TransientServiceError."""
        self._go_on()
        while not self.is_read:
            self._take(patiently(self.file.uri, self.file.remaining, self._page))

    def keep(self) -> None:
        """For the attempt that reads on. Raises TransientServiceError."""
        kept = {
            "table": self.tables.items,
            "after": self.after,
            "is_read": self.is_read,
            "keys": self.keys,
        }
        with transient_errors():
            aws.s3().put_object(
                Bucket=self.tables.staging_bucket, Key=self.place, Body=json.dumps(kept).encode()
            )

    def _page(self) -> Any:
        names = self.tables.table_key.names
        query: dict[str, Any] = {
            "TableName": self.tables.items,
            "ConsistentRead": True,
            "Segment": self.number,
            "TotalSegments": SEGMENTS,
            "FilterExpression": IS_OF_FILE,
            "ProjectionExpression": ", ".join(f"#{place}" for place in range(len(names))),
            **of_file(self.file.snapshot),
        }
        query["ExpressionAttributeNames"] |= {f"#{n}": name for n, name in enumerate(names)}
        if self.after:
            query["ExclusiveStartKey"] = ItemKey(self.after).attributes
        with transient_errors():
            return self.tables.client.scan(**query)

    def _take(self, page: Any) -> None:
        key = partial(item_key, table_key=self.tables.table_key)
        self.keys += [key(item).text for item in page["Items"]]
        last = page.get("LastEvaluatedKey")
        self.after = key(last).text if last else None
        self.is_read = last is None

    def _go_on(self) -> None:
        try:
            kept = json.loads(read_object(self.tables.staging_bucket, self.place))
        except StagedSetMissingError:
            return
        if kept["table"] == self.tables.items:
            self.keys, self.after, self.is_read = kept["keys"], kept["after"], kept["is_read"]
