"""The commit: items, ledger row and audit row change in one transaction, or not at all.

It is conditional on the ledger row's revision as it was read before the bucket was, so a commit's
view of the bucket is never older than that of the commit before it. docs/architecture.md says why
that makes the table converge. What does not fit one transaction is claimed first: see claims.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import inf
from typing import Any

from tablekeeper.commit import claim, key_lists
from tablekeeper.commit.transaction import (
    CancelledError,
    Tables,
    recorded_or_stale,
    transact,
)
from tablekeeper.ledger.reads import read_row
from tablekeeper.ledger.rows import RELEASED, Row, attribute
from tablekeeper.ledger.writes import audit_action, committed, object_attributes, update_row
from tablekeeper.model import sizes
from tablekeeper.model.execution import Execution
from tablekeeper.model.items import Item, item_key, lineage
from tablekeeper.model.keys import ItemKey
from tablekeeper.model.outcome import Committed
from tablekeeper.model.sizes import item_size
from tablekeeper.model.snapshot import Snapshot
from tablekeeper.staging.item_set import ItemSet
from tablekeeper.staging.partitioned_lines import delete_copy

ROW_KEY_BYTES = 100_000
"""The most bytes of item keys in the row, as text; more are kept in the staging bucket. A row has
400 KB, and a problem has its room beside the keys.
"""
Remaining = Callable[[], float]
"""How many seconds are left to the function."""


def commit_items(
    tables: Tables,
    found: Snapshot,
    execution: Execution,
    new: ItemSet,
    remaining: Remaining = lambda: inf,
    row: Row | None = None,
) -> Committed:
    """Makes the table hold exactly these items of this file. `row` is the ledger row that `found`
    comes from, where it is at hand.

    Raises:
        StaleRevisionError: the row moved; read ledger and bucket again.
        KeyOwnershipError: an item belongs to another file, or Tablekeeper did not write it.
        ItemRejectedError: DynamoDB refuses an item.
        UnfinishedWriteError: the time is up; a retry goes on.
        TransientServiceError: a retry helps.
    """
    return _commit(tables, found, execution, "SYNCED", new, remaining, row)


def commit_absence(
    tables: Tables,
    found: Snapshot,
    execution: Execution,
    remaining: Remaining = lambda: inf,
    row: Row | None = None,
) -> Committed:
    """Removes this file's items: the object is gone (DELETED), not to be read (IGNORED), or was
    refused and is to let go what others wait for (RELEASED). Raises as `commit_items`.
    """
    outcome = {"ignore": "IGNORED", "release": RELEASED}.get(found.action, "DELETED")
    nothing = ItemSet(tables.staging_bucket, {"items": []}, tables.table_key)
    return _commit(tables, found, execution, outcome, nothing, remaining, row)


def commit_unchanged(tables: Tables, found: Snapshot, execution: Execution) -> Committed:
    """Records that the table holds this content already. Raises as `commit_items`.

    It raises the revision all the same: an execution that read the bucket earlier must not commit
    any more.
    """
    changes = object_attributes(found, "UNCHANGED")
    try:
        return _transact(tables, found, execution, "UNCHANGED", {}, set(), changes)
    except CancelledError:
        return recorded_or_stale(tables, found, execution)


def _commit(
    tables: Tables,
    found: Snapshot,
    execution: Execution,
    outcome: str,
    new: ItemSet,
    remaining: Remaining,
    row: Row | None,
) -> Committed:
    if row is None or row.claim or row.keys_at:
        row = read_row(tables.client, tables.ledger, found.uri)
    if claim.is_mine(row, found, execution):
        return claim.write(tables, found, execution, row, outcome, new, remaining)
    if row.revision != found.revision:
        return recorded_or_stale(tables, found, execution)
    named = key_lists.key_lists(row)
    for prefix in row.discarded:
        if prefix not in named:
            delete_copy(tables.staging_bucket, prefix)
    old = key_lists.few_keys(tables, row)
    if row.claim or old is None or len(new) > sizes.TRANSACTION_ITEMS:
        return claim.write(tables, found, execution, row, outcome, new, remaining)
    source = lineage(found, execution.id)
    puts = {item_key(item, tables.table_key): {**item, "_source": source} for item in new.all()}
    vanished = old - puts.keys()
    if not _fits(puts, vanished):
        return claim.write(tables, found, execution, row, outcome, new, remaining)
    keys = {"L": [{"M": key.attributes} for key in sorted(puts)]} if puts else None
    lists = key_lists.key_lists(row)
    changes = {
        "status": attribute(outcome),
        "item_keys": keys,
        "keys_at": None,
        "discarded": {"L": [{"S": each} for each in lists]} if lists else None,
        "refusal": None,
        **object_attributes(found, outcome),
    }
    try:
        ended = _transact(tables, found, execution, outcome, puts, vanished, changes)
    except CancelledError:
        return recorded_or_stale(tables, found, execution)
    key_lists.discard(tables, lists)
    return ended


def _fits(puts: Mapping[ItemKey, Item], vanished: set[ItemKey]) -> bool:
    size = sum(map(item_size, puts.values()))
    return (
        len(puts) + len(vanished) <= sizes.TRANSACTION_ITEMS
        and size <= sizes.TRANSACTION_BYTES
        and sum(len(key.text.encode()) for key in puts) <= ROW_KEY_BYTES
    )


def _transact(
    tables: Tables,
    found: Snapshot,
    execution: Execution,
    outcome: str,
    puts: Mapping[ItemKey, Item],
    vanished: set[ItemKey],
    changes: Mapping[str, Any],
) -> Committed:
    changes = {**committed(found, outcome, execution.id), **changes}

    def ledger_rows(removed: int) -> list[Any]:
        revision = found.revision + 1
        return [
            audit_action(
                tables, found, execution, Committed(outcome, len(puts), removed), revision
            ),
            update_row(tables.ledger, found.uri, changes, seen=found.revision),
        ]

    removed = transact(tables, found, ledger_rows, puts, sorted(vanished))
    return Committed(outcome, len(puts), len(removed))
