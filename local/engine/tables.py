"""DynamoDB: throttling, errors and lost answers."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
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
