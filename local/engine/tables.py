"""DynamoDB: throttling, errors and lost answers, names, and scans of large tables."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import lru_cache
from types import FunctionType
from typing import Any

from ministack.core.responses import error_response_json
from ministack.services import dynamodb

from local.engine.patches import Json, mends
from local.engine.state import (
    CHAOS,
)

NAME_BYTES = 65_535

# AWS: an expression costs nothing that its caller notices. Stock: reading the same conditions again
# takes a tenth of the engine's time.
dynamodb._condition_syntax_error = lru_cache(dynamodb._condition_syntax_error)


# AWS: now and then it throttles, fails, or its answer is lost. Stock: never.
def _fails_by_chaos(operation: str) -> None:
    @mends(dynamodb, f"_{operation}", "data")
    def _operation(stock: Callable[..., Any], data: Json) -> Any:
        struck = CHAOS.answer(operation)
        if struck is None:
            return stock(data)
        (name, message), after = struck
        if after:
            stock(data)
        status = 500 if name == "InternalServerError" else 400
        reasons = [{"Code": "TransactionConflict"}] * len(data.get("TransactItems", ()))
        more = {"CancellationReasons": reasons} if name.startswith("Transaction") else None
        return error_response_json(name, message, status, more)


for _name in ("get_item", "batch_get_item", "query", "put_item", "update_item", "delete_item"):
    _fails_by_chaos(_name)
_fails_by_chaos("transact_write_items")


# AWS: a name of an attribute has 1 to 65,535 bytes, at the top of an item; else the whole
# transaction is invalid. Stock: any length.
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
@mends(dynamodb, "_transact_write_items", "data")
def _transact(stock: Callable[..., Any], data: Json) -> Any:
    for action in data.get("TransactItems", ()):
        for name in action.get("Put", {}).get("Item", {}):
            if not 1 <= len(name.encode()) <= NAME_BYTES:
                return error_response_json(
                    "ValidationException",
                    "One or more parameter values were invalid: an attribute name has 1 to "
                    f"{NAME_BYTES} bytes",
                    400,
                )
    return stock(data)


# AWS: a page of a scan takes no longer in a large table. Stock: it sorts the whole table for each,
# and of a segment it hashes each item's partition key: of a million items, five seconds a page.
@mends(dynamodb, "_scan", "data")
def _scan(stock: Any, data: Json) -> Any:
    name = dynamodb._normalize_table_name(data.get("TableName"))
    table = dynamodb._tables.get(name)
    if not table or data.get("IndexName") or _type_of(table, table["pk_name"]) != "S":
        return stock(data)
    tables = {name: {**table, "items": _page(table, data)}}
    on_page = FunctionType(stock.__code__, {**stock.__globals__, "_tables": tables})
    return on_page(data)


def _type_of(table: Json, attribute: str) -> str:
    kinds = {each["AttributeName"]: each["AttributeType"] for each in table["AttributeDefinitions"]}
    return str(kinds[attribute])


def _page(table: Json, data: Json) -> dict[str, dict[str, Any]]:
    """As many items behind ExclusiveStartKey, in the order of the stock function, as a page holds,
    and one more.
    """
    keys = [each for each in (table["pk_name"], table.get("sk_name")) if each]
    segment, segments = data.get("Segment"), data.get("TotalSegments")
    start = data.get("ExclusiveStartKey")
    behind = [dynamodb._extract_key_val((start or {}).get(each)) for each in keys]
    page: dict[str, dict[str, Any]] = {}
    size = 0
    for partition in sorted(each for each in table["items"] if each >= behind[0]):
        number = int.from_bytes(hashlib.sha1(partition.encode()).digest()[:4], "big")
        if segment is not None and segments and number % int(segments) != int(segment):
            continue
        items = table["items"][partition]
        for sort_key in sorted(items):
            item = items[sort_key]
            if start and [dynamodb._extract_key_val(item.get(each)) for each in keys] <= behind:
                continue
            page.setdefault(partition, {})[sort_key] = item
            if size > dynamodb._DDB_PAGE_SIZE_BYTES:
                return page
            size += dynamodb._item_size_bytes(item)
    return page
