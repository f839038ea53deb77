"""Items in DynamoDB JSON: their keys, owners, lineage and sizes, and how many are written at once.

Sizes:
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tablekeeper.errors import ItemKey
from tablekeeper.model.snapshot import Found, now
from tablekeeper.settings import TableKey

TRANSACTION_ITEMS = 98
"""A transaction has 100 actions; the ledger row and the audit row take two."""
TRANSACTION_BYTES = 3_500_000
"""A transaction has 4 MB; this leaves room for the ledger row with its item keys, and the audit
row.
"""
LANES = 8
"""How many transactions of one large write are under way at once; each has a row in the ledger."""
_LINEAGE_BYTES = 800

AttributeValue = dict[str, Any]
Item = dict[str, AttributeValue]
"""An item in DynamoDB JSON: `{"price": {"N": "1.1"}}`."""

item_text = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
"""An item in DynamoDB JSON as text on one line."""


def size_bound(text: str) -> int:
    """Not less than `item_size` of the item with this text: DynamoDB JSON names a type where
    DynamoDB counts a byte or three, and a number takes fewer bytes than digits, or one more.
    """
    return _LINEAGE_BYTES + len(text) * (1 if text.isascii() else 4)


def item_key(item: Mapping[str, AttributeValue], table_key: TableKey) -> ItemKey:
    """The primary key of an item."""
    return ItemKey.of({name: item[name] for name in table_key.names})


def lineage(found: Found, execution: str) -> AttributeValue:
    """The attribute `_source`: who wrote an item, from what. Ownership looks at bucket and key."""
    values = {
        "bucket": found.bucket,
        "key": found.key,
        "version_id": found.version_id,
        "etag": found.etag,
        "dataset": found.dataset,
        "digest": found.digest,
        "execution": execution,
        "time": now(),
    }
    return {"M": {name: {"S": value} for name, value in values.items() if value is not None}}


def owner(item: Mapping[str, Any]) -> str | None:
    """The file that an item belongs to, as s3://bucket/key; None: Tablekeeper did not write it."""
    source = item.get("_source", {}).get("M", {})
    bucket, key = (source.get(name, {}).get("S") for name in ("bucket", "key"))
    return f"s3://{bucket}/{key}" if bucket and key else None


def item_size(item: Item) -> int:
    """Bytes that DynamoDB counts for an item, its lineage included."""
    return _LINEAGE_BYTES + sum(
        len(name.encode()) + attribute_size(value) for name, value in item.items()
    )


def attribute_size(value: AttributeValue) -> int:
    """Bytes that DynamoDB counts for an attribute value, its name left aside; numbers are rounded
    up.
    """
    ((kind, content),) = value.items()
    if kind == "S":
        return len(content.encode())
    if kind == "N":
        return min(21, len(content) // 2 + 2)
    if kind == "L":
        return 3 + sum(1 + attribute_size(each) for each in content)
    if kind == "M":
        return 3 + sum(
            1 + len(name.encode()) + attribute_size(each) for name, each in content.items()
        )
    return 1
