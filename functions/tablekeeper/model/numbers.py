"""The one text of a number, in items and in keys."""

from __future__ import annotations

from decimal import Context, Decimal

DIGITS = 38
"""Significant digits of a DynamoDB number.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
"""
_NORMAL = Context(prec=DIGITS, Emin=-999, Emax=999)


def shortest_text(value: Decimal) -> str:
    """The shortest text of a number that DynamoDB holds, in a form that DynamoDB and JSON both
    read: `1.1` for 1.10.
    """
    if not value:
        return "0"
    normal = value.normalize(_NORMAL)
    return f"{normal:f}" if -DIGITS <= normal.adjusted() < DIGITS else str(normal)
