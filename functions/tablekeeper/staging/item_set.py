"""The items of a file on their way from Transform Records to Write Items: few travel inline, many
wait in the staging bucket.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from itertools import chain
from typing import Any

from tablekeeper.errors import StagedSetMissingError
from tablekeeper.model import sizes
from tablekeeper.model.items import Item, item_digest, item_key, item_text
from tablekeeper.model.keys import ItemKey, TableKey
from tablekeeper.model.snapshot import INLINE_BYTES
from tablekeeper.staging.partitioned_lines import (
    PARTITIONS,
    SMALL_PART_BYTES,
    Lines,
    LinesWriter,
    key_hash,
)
from tablekeeper.staging.repeated_hashes import RepeatedHashes

STAGED = "items"
"""The prefix of staged sets; a lifecycle rule removes them."""


class ItemSetWriter:
    """Takes items one by one, in flat memory; use it as a context.

    Two items with the same key are suspected by a 64-bit hash. `suspects` gives the hashes; the
    caller reads the records again to find which of them have one key.
    """

    def __init__(self, bucket: str, table_key: TableKey) -> None:
        self.bucket, self.table_key = bucket, table_key
        self.count = 0
        self.inline: list[tuple[int, str, str, str]] | None = []
        self.inline_characters = 0
        self.hashes = RepeatedHashes()

    def __enter__(self) -> ItemSetWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.hashes.close()

    def add(self, item: Item, line: str) -> None:
        """Adds an item, and its text. Raises TransientServiceError."""
        key = item_key(item, self.table_key).text
        hashed = key_hash(key)
        self.count += 1
        self.hashes.add(hashed)
        digest = item_digest(item).hex()
        if self.inline is None:
            self._stage(hashed, key, digest, line)
            return
        self.inline.append((hashed, key, digest, line))
        self.inline_characters += len(json.dumps(line))  # as Step Functions counts them: escaped
        if self.count > sizes.TRANSACTION_ITEMS or self.inline_characters > INLINE_BYTES:
            self._begin_staging()

    def suspects(self) -> set[int]:
        """Hashes that several keys share, at most a thousand."""
        return self.hashes.repeated()

    def close(self) -> dict[str, Any]:
        """How the set travels: `{"items": [...]}` or `{"staged": {...}}`. Raises
        TransientServiceError.
        """
        if self.inline is not None:
            return {"items": [json.loads(line) for *_, line in self.inline]}
        return {"staged": {"count": self.count, **self.sets.close()}}

    def _begin_staging(self) -> None:
        self.sets = _Sets(self.bucket)
        collected, self.inline = self.inline or [], None
        for each in collected:
            self._stage(*each)

    def _stage(self, hashed: int, key: str, digest: str, line: str) -> None:
        self.sets.add(hashed % PARTITIONS, key, digest, line)


class _Sets:
    """The sets of a staged file: items, their keys and their digests, line for line the same."""

    def __init__(self, bucket: str) -> None:
        self.items = LinesWriter(bucket, STAGED)
        self.keys, self.digests = (LinesWriter(bucket, STAGED, SMALL_PART_BYTES) for _ in range(2))

    def add(self, partition: int, key: str, digest: str, line: str) -> None:
        self.items.add(partition, line)
        self.keys.add(partition, key)
        self.digests.add(partition, digest)

    def close(self) -> dict[str, Any]:
        return {
            "items": self.items.close(),
            "keys": self.keys.close(),
            "digests": self.digests.close(),
        }


class ItemSet:
    """The items of a file, by what travels between the states; reading raises as `Lines` does.

    Raises KeyError for anything else: a set that is not understood must not pass for an empty one.
    """

    def __init__(self, bucket: str, payload: Mapping[str, Any], table_key: TableKey) -> None:
        self.bucket, self.table_key = bucket, table_key
        self.staged: Mapping[str, Any] | None = payload.get("staged")
        self.inline: list[Item] = [] if self.staged else payload["items"]

    def __len__(self) -> int:
        return len(self.inline) if self.staged is None else int(self.staged["count"])

    def all(self) -> list[Item]:
        """Every item at once: for few."""
        if self.staged is None:
            return self.inline
        lines = Lines(self.bucket, self.staged["items"])
        return [json.loads(line) for part in range(PARTITIONS) for line in lines.partition(part)]

    def fits_table(self) -> bool:
        """Whether its items have the key of the table: a deployment changes it in one function
        after the other. True where the staged set is gone: whoever reads on raises.
        """
        if self.staged is None:
            kinds = self.table_key.attributes
            return all(kind in item.get(name, ()) for item in self.inline for name, kind in kinds)
        keys = Lines(self.bucket, self.staged["keys"])
        texts = chain.from_iterable(map(keys.partition, range(PARTITIONS)))
        first = None
        with suppress(StagedSetMissingError):
            first = next(texts, None)
        return first is None or self.table_key.fits(ItemKey(first))

    def stage(self) -> dict[str, Any]:
        """Where the set is staged, which it is after this. Raises TransientServiceError."""
        if self.staged is None:
            sets = _Sets(self.bucket)
            for item in self.inline:
                key, digest = item_key(item, self.table_key).text, item_digest(item).hex()
                sets.add(key_hash(key) % PARTITIONS, key, digest, item_text(item))
            self.staged = {"count": len(self), **sets.close()}
        return dict(self.staged)
