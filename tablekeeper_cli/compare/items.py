"""Items as the table holds them, many read at once, and where two differ."""

from __future__ import annotations

import hashlib
import json
import time
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from tablekeeper import aws
from tablekeeper.documents.numbers import format_number
from tablekeeper.errors import TransientServiceError
from tablekeeper.model.items import Item
from tablekeeper.model.keys import ItemKey, TableKey

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

BATCH_KEYS = 100
"""What one BatchGetItem takes.
https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html
"""


@dataclass(frozen=True)
class Change:
    """A place in an item where the table holds something else: before and after are in DynamoDB
    JSON, None where there is nothing. `path` is a JSON Pointer.
    """

    path: str
    before: Any
    after: Any


def read_items(
    client: DynamoDBClient, table: str, keys: Sequence[Mapping[str, Any]]
) -> Iterator[Item]:
    """The items with these keys, at most a hundred, as far as there are any; read consistently.

    Raises TransientServiceError when the table keeps refusing a part of them.
    """
    wanted: Any = {table: {"Keys": list(keys), "ConsistentRead": True}}
    pause = 0.05
    while wanted:
        with aws.transient_errors():
            answer = client.batch_get_item(RequestItems=wanted)
        got: Any = answer["Responses"].get(table, ())
        yield from got
        wanted = answer.get("UnprocessedKeys")
        if wanted and not got:
            if pause > 10:
                raise TransientServiceError(f"BatchGetItem: {table} keeps refusing")
            time.sleep(pause)
            pause *= 2


def stored_key(item: Item, key: TableKey) -> ItemKey:
    """An item's key with numbers as Tablekeeper writes them, however the table gives them."""
    return ItemKey.of({name: _normal(item[name]) for name in key.names})


def fingerprint(item: Item) -> bytes:
    """16 bytes that are the same for items with the same values, lineage left aside."""
    values = {name: _normal(value) for name, value in item.items() if name != "_source"}
    text = json.dumps(values, sort_keys=True, separators=(",", ":"), default=repr)
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


def changes(before: Item, after: Item) -> Iterator[Change]:
    """Where two items differ, by the value of numbers and not by their text."""
    one, other = ({name: _normal(each) for name, each in item.items()} for item in (before, after))
    yield from _members(one, other, "")


def _members(before: Mapping[str, Any], after: Mapping[str, Any], path: str) -> Iterator[Change]:
    for name in dict.fromkeys((*before, *after)):
        step = name.replace("~", "~0").replace("/", "~1")
        yield from _differences(before.get(name), after.get(name), f"{path}/{step}")


def _differences(before: Any, after: Any, path: str) -> Iterator[Change]:
    if before is None or after is None or before.keys() != after.keys():
        yield Change(path, before, after)
        return
    ((kind, old),), ((_, new),) = before.items(), after.items()
    if kind == "M":
        yield from _members(old, new, path)
    elif kind == "L":
        for place in range(max(len(old), len(new))):
            one, other = (each[place] if place < len(each) else None for each in (old, new))
            yield from _differences(one, other, f"{path}/{place}")
    elif old != new:
        yield Change(path, before, after)


def _normal(value: Any) -> Any:
    """A value in DynamoDB JSON, numbers as Tablekeeper writes them and sets in one order."""
    ((kind, content),) = value.items()
    if kind == "N":
        return {"N": format_number(Decimal(content))}
    if kind == "M":
        return {"M": {name: _normal(each) for name, each in content.items()}}
    if kind == "L":
        return {"L": [_normal(each) for each in content]}
    if kind == "B":
        return {"B": _base64(content)}
    if kind == "NS":
        return {"NS": sorted(format_number(Decimal(each)) for each in content)}
    if kind in ("SS", "BS"):
        return {kind: sorted(map(_base64, content))}
    return value


def _base64(content: str | bytes) -> str:
    """What boto3's client gives as bytes, as it is in DynamoDB JSON."""
    return content if isinstance(content, str) else b64encode(content).decode()
