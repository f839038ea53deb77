"""The lists of item keys that a row keeps in the staging bucket."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence

from tablekeeper.errors import TransientServiceError
from tablekeeper.ledger.rows import Row
from tablekeeper.model import sizes
from tablekeeper.model.keys import ItemKey
from tablekeeper.staging import partitioned_lines
from tablekeeper.staging.partitioned_lines import (
    Lines,
    copied_manifest,
    delete_copy,
)
from tablekeeper.tables import Tables

KEYS = "keys"
"""The prefix of key lists in the staging bucket, which no lifecycle removes."""


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
        listed = list_at(tables, row.keys_at)
        if len(listed) > 4 * sizes.TRANSACTION_ITEMS:
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


def own_list(uri: str, revision: int) -> str:
    """A prefix that no list had before: a ledger that was set back gives revisions again."""
    file = hashlib.sha256(uri.encode()).hexdigest()[:32]
    return f"{KEYS}/{file}/{revision}-{secrets.token_hex(4)}"


def list_at(tables: Tables, prefix: str) -> Lines:
    return Lines(tables.staging_bucket, copied_manifest(prefix))
