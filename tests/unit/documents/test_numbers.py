"""Numbers keep their value on the way to DynamoDB's text."""

from decimal import Decimal, Inexact

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tablekeeper.documents.numbers import (
    Number,
    OutOfRangeError,
    check_number,
    exact_arithmetic,
    format_number,
    parse_number,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Decimal("1.10"), "1.1"),
        (Decimal("-0.0"), "0"),
        (10**38, "1E+38"),
        (10**37, "1" + "0" * 37),
        (Decimal("1E-130"), "1E-130"),
        (Decimal("0.001"), "0.001"),
        (-5, "-5"),
    ],
)
def test_the_text_is_short_and_plain_where_it_can_be(value: Number, text: str) -> None:
    assert format_number(value) == text


@given(st.integers(-(10**38) + 1, 10**38 - 1), st.integers(-92, 88))
def test_the_text_has_the_number_s_value(digits: int, exponent: int) -> None:
    value = Decimal(digits).scaleb(exponent) if abs(digits) < 10**27 else Decimal(digits)
    check_number(value)
    assert Decimal(format_number(value)) == value


@pytest.mark.parametrize(
    "text", ["0", "-0", "0.00", "0e5", "0E+400", "-0.0e-999999", "0e99999999999999999999"]
)
def test_zero_is_zero_whatever_its_exponent(text: str) -> None:
    value = parse_number(text)
    check_number(value)
    with exact_arithmetic():
        assert value * 3 == 0
        assert format_number(value) == "0"


@pytest.mark.parametrize(
    "value", [10**126, 10**4000, 10**38 + 1, Decimal("1E+126"), Decimal("1E-131")]
)
def test_what_dynamodb_cannot_hold_is_refused_without_naming_it(value: Number) -> None:
    with pytest.raises(OutOfRangeError) as caught:
        check_number(value)
    assert len(str(caught.value)) < 80


def test_arithmetic_is_exact_between_the_extremes() -> None:
    with exact_arithmetic():
        assert Decimal("9.9E+125") % Decimal("1E-130") == 0
        with pytest.raises(Inexact):
            Decimal(1) / 3
