"""Equal keys have one text, whichever service gave them back."""

from decimal import Decimal

import pytest
from tablekeeper.documents.numbers import format_number, parse_number
from tablekeeper.model.keys import ItemKey

NUMBERS = [
    pytest.param("0", id="zero"),
    pytest.param("-0.0", id="negative zero"),
    pytest.param("1.10", id="a trailing zero"),
    pytest.param("12E2", id="a small exponent"),
    pytest.param("1E37", id="38 digits"),
    pytest.param("1E38", id="39 digits"),
    pytest.param("1E+40", id="41 digits"),
    pytest.param("-1E+125", id="the largest exponent"),
    pytest.param("1E-130", id="the smallest exponent"),
    pytest.param("9.5E-39", id="39 decimals"),
]


@pytest.mark.parametrize("text", NUMBERS)
def test_a_number_has_one_text_however_dynamodb_writes_it(text: str) -> None:
    plain = f"{Decimal(text):f}"  # as DynamoDB gives it back: without exponent
    assert ItemKey.of({"pk": {"N": plain}}) == ItemKey.of({"pk": {"N": text}})


@pytest.mark.parametrize("text", NUMBERS)
def test_an_item_has_the_text_that_its_key_has(text: str) -> None:
    """Key lists and rows of earlier releases hold what `format_number` makes."""
    key = ItemKey.of({"pk": {"N": text}})
    assert key.attributes["pk"]["N"] == format_number(parse_number(text))
