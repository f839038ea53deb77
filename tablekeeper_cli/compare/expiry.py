"""Times of expiry that DynamoDB takes and that may not be meant."""

from __future__ import annotations

from decimal import Decimal

from tablekeeper.model.items import Item

FIVE_YEARS = 5 * 365 * 86_400
"""An item that expired longer ago stays:
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/time-to-live-ttl-before-you-start.html
"""
DYNAMODB_BEGAN = 1_326_844_800
"""In January 2012. No time before it can be meant."""


def odd_expiry(item: Item, ttl_attribute: str, now: float) -> str | None:
    """What is to be said of an item that has expired by now, in epoch seconds."""
    expires = item.get(ttl_attribute, {}).get("N")
    age = int(now) - Decimal(expires) if expires else Decimal(0)
    if age > FIVE_YEARS:
        return (
            "a `ttl` more than five years ago: DynamoDB never deletes its item. Is it a duration, "
            "or a number of days? `ttl` is a time in epoch seconds"
        )
    return "a `ttl` that has passed: DynamoDB deletes its item" if age > 0 else None
