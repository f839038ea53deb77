"""The lists of item keys that a row keeps in the staging bucket, each with the digests of its items
as a second set under the same prefix.

What vanished from a file is found by subtracting the lines of two lists, so a line is a key and
nothing else.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial

from tablekeeper.commit.digests import is_of_table
from tablekeeper.errors import StagedSetMissingError, TransientServiceError
from tablekeeper.ledger.rows import ADDING, Claim, Row
from tablekeeper.model import sizes
from tablekeeper.model.keys import ItemKey
from tablekeeper.staging import partitioned_lines
from tablekeeper.staging.partitioned_lines import (
    Lines,
    LinesWriter,
    copied_manifest,
    copied_objects,
    copy_set,
    delete_copy,
)
from tablekeeper.tables import Tables

KEYS = "keys"
"""The prefix of key lists in the staging bucket, which no lifecycle removes."""
Known = dict[str, str | None]
"""The texts of the keys that a row stands for, and the digests of their items; None: unknown."""


def key_lists(row: Row) -> list[str]:
    """The prefixes of the key lists that a row refers to."""
    return [*([row.keys_at] if row.keys_at else []), *(row.claim.pending if row.claim else ())]


class KnownItems:
    """The items that a row stands for, each with its digest where that is bound to `basis`; with an
    empty `basis`, without digests. Reading raises as `Lines` does.
    """

    def __init__(self, tables: Tables, row: Row, basis: str) -> None:
        self.basis = basis
        held = row.digests
        digests = held.by_key if held and basis and held.basis == basis else {}
        self.is_of_table = partial(is_of_table, tables)
        keys = [key for key in row.item_keys if self.is_of_table(key)]
        self.inline: Known = {
            key.text: digests[key].hex() if key in digests else None for key in keys
        }
        self.listed = KeyList(tables.staging_bucket, row.keys_at) if row.keys_at else None

    @classmethod
    def as_stored(cls, tables: Tables, row: Row) -> KnownItems:
        """With the digests that the row has, whatever they are bound to; but with none where a
        claim may have overwritten items.
        """
        if row.claim and row.claim.state != ADDING:
            return cls(tables, row, "")
        if row.keys_at:
            return cls(tables, row, KeyList(tables.staging_bucket, row.keys_at).basis())
        return cls(tables, row, row.digests.basis if row.digests else "")

    def __bool__(self) -> bool:
        return bool(self.inline or self.listed)

    @property
    def is_few(self) -> bool:
        """Whether all of them may be read at once."""
        return not self.listed or len(self.listed.keys) <= 4 * sizes.TRANSACTION_ITEMS

    def all(self) -> Known:
        """Every item at once: for few."""
        known = dict(self.inline)
        for partition in range(partitioned_lines.PARTITIONS if self.listed else 0):
            known.update(self._listed(partition, self.basis))
        return known

    def partition(self, number: int) -> Known:
        """Those of a partition."""
        known = self._listed(number, self.basis)
        for text, digest in self._inline(number).items():
            known.setdefault(text, digest)
        return known

    def keys(self, number: int) -> set[str]:
        """The keys of a partition."""
        listed = self.listed and keys_of_table(self.listed.keys, number, self.is_of_table)
        keys = set(listed or ())
        keys.update(self._inline(number))
        return keys

    def _inline(self, number: int) -> Known:
        return {
            text: digest for text, digest in self.inline.items() if partition_of(text) == number
        }

    def _listed(self, number: int, basis: str) -> Known:
        known = self.listed.partition(number, basis) if self.listed else {}
        first = next(iter(known), None)
        return known if first and self.is_of_table(ItemKey(first)) else {}


class KeyList:
    """A key list and its digests, by their prefix."""

    def __init__(self, bucket: str, prefix: str) -> None:
        self.keys = Lines(bucket, copied_manifest(prefix))
        self._digests = Lines(bucket, copied_manifest(_digests_of(prefix)))

    def partition(self, number: int, basis: str) -> Known:
        """Keys and digests of a partition; the digests are unknown where there are none, or where
        they are bound to another basis.
        """
        known: Known = dict.fromkeys(self.keys.partition(number))
        if basis and self.basis() == basis:
            with suppress(StagedSetMissingError):
                digests = list(self._digests.partition(number))
                if len(digests) == len(known):
                    known.update(zip(known, digests, strict=True))
        return known

    def basis(self) -> str:
        """What its digests are bound to; "" where there are none."""
        try:
            return str(self._digests.manifest.get("basis", ""))
        except StagedSetMissingError:
            return ""


def keep_list(tables: Tables, items: Mapping[str, str], prefix: str, basis: str) -> None:
    """Copies the keys of a staged set, and the digests if it has any, to a prefix; the keys last,
    so that a list is whole or not there. Raises as `Lines`.
    """
    bucket = tables.staging_bucket
    if "digests" in items and basis:
        copy_set(bucket, items["digests"], _digests_of(prefix), basis=basis)
    copy_set(bucket, items["keys"], prefix)


def write_list(tables: Tables, prefix: str, parts: Iterable[Known], basis: str) -> None:
    """Writes a list of these items, and their digests where all are known. Raises
    TransientServiceError.
    """
    keys = LinesWriter(tables.staging_bucket, prefix)
    digests = LinesWriter(tables.staging_bucket, _digests_of(prefix))
    for part in parts:
        for text, digest in part.items():
            keys.add(partition_of(text), text)
            if digest:
                digests.add(partition_of(text), digest)
    if basis and digests.lines == keys.lines:
        digests.close(copied_manifest(_digests_of(prefix)), basis=basis)
    keys.close(copied_manifest(prefix))


def damaged(tables: Tables, row: Row, *, has_written: Callable[[], bool]) -> list[str]:
    """Those key lists of a row of which an object is gone. Of a claim's list all may be missing, as
    long as it was not seen and the claim has written no item. Raises TransientServiceError.
    """
    lists, claim = [], row.claim
    for prefix in key_lists(row):
        there = copied_objects(tables.staging_bucket, prefix)
        if copied_manifest(prefix) in there:
            parts = list_at(tables, prefix).manifest["parts"]
            is_damaged = not there.issuperset(part["key"] for part in parts)
        else:
            is_damaged = (
                claim is None
                or prefix == row.keys_at
                or prefix in claim.seen
                or (prefix == claim.own and has_written())
            )
        if is_damaged:
            lists.append(prefix)
    return lists


def seen_lists(
    tables: Tables,
    lists: Iterable[str],
    before: Claim | None,
    *,
    has_written: Callable[[], bool],
) -> tuple[str, ...]:
    """Those of a claim's lists that are there, or were when the claim before was made, or before
    that claim wrote an item.
    """
    seen = before.seen if before else ()
    own = before.own if before else None
    return tuple(
        each
        for each in lists
        if each in seen or list_at(tables, each).exists() or (each == own and has_written())
    )


def is_unseen(before: Claim | None, seen: Collection[str]) -> bool:
    """Whether the claim before had no list of its own when it was looked at, nor had put an item.
    Whoever takes it over does so on condition that it still has put none.
    """
    return before is not None and before.own is not None and before.own not in seen


def discard(tables: Tables, lists: Sequence[str]) -> None:
    """Deletes key lists that no row needs any more; what fails is left to the next commit."""
    try:
        for prefix in lists:
            delete_copy(tables.staging_bucket, prefix)
    except TransientServiceError:
        pass


def own_list(uri: str, revision: int) -> str:
    """A prefix that no list had before: a restored ledger gives the same revisions again."""
    file = hashlib.sha256(uri.encode()).hexdigest()[:32]
    return f"{KEYS}/{file}/{revision}-{secrets.token_hex(4)}"


def partition_of(key: str) -> int:
    """The partition of a key, by its text."""
    return partitioned_lines.key_hash(key) % partitioned_lines.PARTITIONS


def keys_of_table(
    keys: Lines, partition: int, is_of_table: Callable[[ItemKey], bool]
) -> Iterator[str]:
    """Keys of a partition of a list; none where the table has another key by now."""
    lines = keys.partition(partition)
    first = next(lines, None)
    if first and is_of_table(ItemKey(first)):
        yield first
        yield from lines


def list_at(tables: Tables, prefix: str) -> Lines:
    return Lines(tables.staging_bucket, copied_manifest(prefix))


def _digests_of(prefix: str) -> str:
    return f"{prefix}/digests"
