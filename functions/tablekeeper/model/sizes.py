"""How large an item is for DynamoDB, and what fits into one transaction."""

from __future__ import annotations

from tablekeeper.model.items import AttributeValue, Item

TRANSACTION_ITEMS = 98
"""A transaction has 100 actions; the ledger row and the audit row take two."""


TRANSACTION_BYTES = 3_500_000
"""A transaction has 4 MB; this leaves room for the ledger row with its item keys, and the audit
row.
"""


ROW_KEY_BYTES = 100_000
"""The most bytes of item keys in a ledger row, as text; more are kept in the staging bucket. A row
has 400 KB, and a problem has its room beside the keys.
"""


_LINEAGE_BYTES = 1_600
"""Not less than what `_source` takes with the longest key that the ledger holds, a bucket's name of
63 bytes, an execution's ARN with two names of 80, and the version ids that S3 makes (32 bytes).
"""


def size_bound(text: str) -> int:
    """Not less than `item_size` of the item with this text: DynamoDB JSON names a type where
    DynamoDB counts a byte or three, and a number takes fewer bytes than digits, or one more.
    """
    return _LINEAGE_BYTES + len(text) * (1 if text.isascii() else 4)


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
    if kind == "B":
        return len(content) * 3 // 4
    if kind in ("SS", "NS", "BS"):
        return sum(attribute_size({kind[0]: each}) for each in content)
    if kind == "L":
        return 3 + sum(1 + attribute_size(each) for each in content)
    if kind == "M":
        return 3 + sum(
            1 + len(name.encode()) + attribute_size(each) for name, each in content.items()
        )
    return 1
