"""Items in DynamoDB JSON: their keys, owners, lineage and sizes, and how many are written at once.

Sizes:
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
"""

from __future__ import annotations

import hashlib
import json
from base64 import b64decode
from collections.abc import Mapping
from typing import Any

from tablekeeper.model.keys import ItemKey, TableKey
from tablekeeper.model.snapshot import Snapshot
from tablekeeper.model.times import now

AttributeValue = dict[str, Any]
Item = dict[str, AttributeValue]
"""An item in DynamoDB JSON: `{"price": {"N": "1.1"}}`."""

item_text = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
"""An item in DynamoDB JSON as text on one line."""


DIGEST_BYTES = 16
_SETS = ('"SS":', '"NS":', '"BS":')
_canonical = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode


def item_digest(item: Mapping[str, AttributeValue]) -> bytes:
    """16 bytes of an item without its lineage: equal for equal items, however their attributes and
    the members of their sets are ordered. Numbers have one text by now.
    """
    text = _canonical(item)
    if any(each in text for each in _SETS):
        text = _canonical(_ordered(item))
    return hashlib.blake2b(text.encode(), digest_size=DIGEST_BYTES).digest()


def _ordered(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            name: sorted(each) if name in ("SS", "NS", "BS") and _is_set(each) else _ordered(each)
            for name, each in value.items()
        }
    return [_ordered(each) for each in value] if isinstance(value, list) else value


def _is_set(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def for_client(values: Mapping[str, AttributeValue]) -> dict[str, Any]:
    """DynamoDB JSON as boto3's client takes it: binary, which is base64 as text, as bytes."""
    return {name: _for_client(value) for name, value in values.items()}


def _for_client(value: AttributeValue) -> dict[str, Any]:
    ((kind, content),) = value.items()
    if kind == "M":
        return {"M": for_client(content)}
    if kind == "L":
        return {"L": [_for_client(each) for each in content]}
    if kind == "B":
        return {"B": b64decode(content)}
    return {"BS": [b64decode(each) for each in content]} if kind == "BS" else value


def item_key(item: Mapping[str, AttributeValue], table_key: TableKey) -> ItemKey:
    """The primary key of an item."""
    return ItemKey.of({name: item[name] for name in table_key.names})


def lineage(snapshot: Snapshot, execution: str) -> AttributeValue:
    """The attribute `_source`: from what an item was made. Ownership compares bucket and key."""
    values = {
        "bucket": snapshot.bucket,
        "key": snapshot.key,
        "version_id": snapshot.version_id,
        "etag": snapshot.etag,
        "dataset": snapshot.dataset,
        "digest": snapshot.digest,
        "execution": execution,
        "time": now(),
    }
    return {"M": {name: {"S": value} for name, value in values.items() if value is not None}}


IS_OF_FILE = "#source.#bucket = :bucket AND #source.#key = :key"
"""An expression's condition that an item is of a file; `of_file` has its names and values."""


def of_file(snapshot: Snapshot) -> dict[str, dict[str, Any]]:
    """The names and values of IS_OF_FILE, as members of a request."""
    return {
        "ExpressionAttributeNames": {"#source": "_source", "#bucket": "bucket", "#key": "key"},
        "ExpressionAttributeValues": {
            ":bucket": {"S": snapshot.bucket},
            ":key": {"S": snapshot.key},
        },
    }


def owner(item: Mapping[str, Any]) -> str | None:
    """The file that an item belongs to, as s3://bucket/key; None: Tablekeeper did not write it."""
    source = item.get("_source", {}).get("M", {})
    bucket, key = (source.get(name, {}).get("S") for name in ("bucket", "key"))
    return f"s3://{bucket}/{key}" if bucket and key else None
