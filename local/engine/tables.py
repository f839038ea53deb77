"""DynamoDB: throttling, errors and lost answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ministack.core.responses import error_response_json
from ministack.services import dynamodb

from local.engine.patches import Json, mends
from local.engine.state import (
    CHAOS,
)


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
