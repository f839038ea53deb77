"""Plans without a stack: what files would become in an empty table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tablekeeper.datasets.catalogue import Catalogue
from tablekeeper.ledger.rows import Row
from tablekeeper.model.items import Item
from tablekeeper.model.keys import TableKey
from tablekeeper.settings import FetchSettings

from tablekeeper_cli.plan.claims import Claims
from tablekeeper_cli.plan.plan import Plan
from tablekeeper_cli.plan.planner import Planner

BUCKET = "offline"
"""The bucket of `_object.bucket`, and of the addresses in messages."""
IGNORE_PATTERNS = "_SUCCESS,_started*,_committed*,.*,*.tmp,*.crc,*_$folder$"
TTL_ATTRIBUTE = "expires_at"
MAX_DOCUMENT_BYTES = 2_000_000_000
"""The defaults of the template's parameters; a test compares them."""


@dataclass(frozen=True, kw_only=True)
class OfflinePlanner(Planner):
    """Makes plans of local files, one after the other, as if all of them went into one empty table:
    a file whose item another one has is refused.
    """

    claims: Claims = field(default_factory=Claims)

    @classmethod
    def with_keys(cls, catalogue: Catalogue, item_keys: TableKey) -> OfflinePlanner:
        """The planner of a table with this primary key, and of the template's defaults."""
        settings = FetchSettings(
            source_bucket=BUCKET,
            ledger_table="",
            items_table="",
            ignore_patterns=IGNORE_PATTERNS,
            key_prefix="",
            item_keys=item_keys,
            ttl_attribute=TTL_ATTRIBUTE,
            max_document_bytes=MAX_DOCUMENT_BYTES,
        )
        return cls(catalogue=catalogue, settings=settings, items_table="", staging_bucket="")

    def key_of(self, path: Path) -> str:
        """The key of a file: the longest end of its path that belongs to a dataset, else its whole
        path. `samples/products/tools.json` is `products/tools.json` where a dataset has the prefix
        `products/`.
        """
        parts = [each for each in path.parts if each not in (path.anchor, ".", "..")]
        ends = ["/".join(parts[place:]) for place in range(len(parts))]
        return next((end for end in ends if self.catalogue.find(end)), ends[0])

    def of_file(self, path: Path, key: str) -> Plan:
        """As Planner.of_file; the file has its items from now on."""
        made = super().of_file(path, key)
        self.claims.add(made)
        return made

    def read_items(self, keys: Sequence[Mapping[str, Any]]) -> Iterator[Item]:
        """The items that the files before have."""
        return self.claims.items(keys, (), self.settings)

    def _row(self, key: str) -> Row:
        return Row()

    def _has_versions(self) -> bool:
        return True
