"""Numbers that DynamoDB holds and that boto3's Table resource cannot read back.

boto3 reads numbers in a decimal context of 38 digits that raises where it would round
(`boto3.dynamodb.types.DYNAMODB_CONTEXT`), and DynamoDB answers with all digits written out: 1E+100
has 101 of them. The client, which gives numbers as text, reads every number.
"""

from __future__ import annotations

import re
from decimal import Decimal

from tablekeeper.documents.numbers import DIGITS

SMALLEST_PLACE = -165
"""The last decimal place that boto3's context has: its Emin, -128, less the 37 digits behind it."""

WHAT = (
    "a number that DynamoDB holds and boto3's Table resource cannot read back (it raises "
    "decimal.Rounded or decimal.Underflow)"
)
ADVICE = (
    "Read the table with boto3's client, or make the number text: to_string(FIELD) in `attributes`."
)

_WITH_EXPONENT = re.compile(r'"N":"(-?[0-9.]+E[+-][0-9]+)"')


def is_readable(text: str) -> bool:
    """Whether boto3's resource reads every number of an item, given as DynamoDB JSON on one line.

    Only numbers that `format_number` writes with an exponent can be unreadable.
    """
    return all(_reads(number) for number in _WITH_EXPONENT.findall(text))


def _reads(number: str) -> bool:
    value = Decimal(number)
    place = value.as_tuple().exponent
    return value.adjusted() < DIGITS and isinstance(place, int) and place >= SMALLEST_PLACE
