"""Numbers that arrive with the same value, or not at all.

Limits: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html (38
significant digits, magnitudes from 1E-130 to 9.9999999999999999999999999999999999999E+125, and
zero).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Context, Decimal, Inexact, InvalidOperation, Overflow, localcontext
from typing import Any, TypeGuard

from tablekeeper.model.numbers import DIGITS as DIGITS
from tablekeeper.model.numbers import shortest_text

SMALLEST_EXPONENT, LARGEST_EXPONENT = -130, 125

Number = int | Decimal


def is_number(value: Any) -> TypeGuard[Number]:
    """Whether a value of a document is a number: to Python, booleans are."""
    return isinstance(value, int | Decimal) and not isinstance(value, bool)


class OutOfRangeError(ValueError):
    """Raised for a number that DynamoDB cannot hold exactly; the message says why, never the
    number.
    """


def parse_number(text: str) -> Number:
    """The exact value of a JSON number: int for a plain integer and for zero, else Decimal.

    Raises:
        OutOfRangeError: DynamoDB cannot hold the value exactly.
    """
    if len(text) <= DIGITS and text.lstrip("-").isdecimal():
        return int(text)
    if not text.partition("e")[0].partition("E")[0].strip("-0."):
        return 0  # whatever its exponent: Decimal has zeros that no arithmetic takes
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise OutOfRangeError("its exponent is out of all bounds") from None
    check_number(value)
    return int(value) if text.lstrip("-").isdecimal() else value


def check_number(value: Number) -> None:
    """Raises OutOfRangeError when DynamoDB cannot hold the value exactly."""
    if isinstance(value, int):
        if abs(value) < 10**DIGITS:
            return
        if abs(value) >= 10 ** (LARGEST_EXPONENT + 1):
            raise OutOfRangeError("its magnitude is over 9.99E+125")
        value = Decimal(value)
    if not value:
        return
    _, digits, _ = value.as_tuple()
    significant = len(digits)
    while digits[significant - 1] == 0:
        significant -= 1
    if significant > DIGITS:
        raise OutOfRangeError(f"it has {significant} significant digits, more than {DIGITS}")
    if value.adjusted() > LARGEST_EXPONENT:
        raise OutOfRangeError("its magnitude is over 9.99E+125")
    if value.adjusted() < SMALLEST_EXPONENT:
        raise OutOfRangeError("its magnitude is under 1E-130")


def format_number(value: Number) -> str:
    """The shortest text of a checked number, in a form that DynamoDB and JSON both read: `1.1` for
    1.10.
    """
    if isinstance(value, int) and abs(value) < 10**DIGITS:
        return str(value)
    return shortest_text(Decimal(value))


EXACT = Context(prec=400, Emin=-99999, Emax=99999, traps=[InvalidOperation, Overflow, Inexact])
"""Wide enough for DynamoDB numbers, and never rounds.

400 digits: from 1E-130 to 9.99E+125 a quotient has at most 256 digits before its point, and 38
behind.
"""


@contextmanager
def exact_arithmetic() -> Iterator[None]:
    """Within it, decimal arithmetic is `EXACT`."""
    with localcontext(EXACT):
        yield
