"""Which numbers of an item boto3's Table resource reads, by boto3's own deserializer."""

from __future__ import annotations

import random
from decimal import Context, Decimal

import pytest
from boto3.dynamodb.types import TypeDeserializer
from tablekeeper.documents.numbers import format_number
from tablekeeper.model.items import item_text

from tablekeeper_cli.compare.readable_numbers import is_readable

WIDE = Context(prec=400, Emin=-999, Emax=999)


def boto3_reads(value: Decimal) -> bool:
    """Whether it does, when DynamoDB answers with all digits written out."""
    try:
        TypeDeserializer().deserialize({"N": f"{value.normalize(WIDE):f}"})
    except ArithmeticError:
        return False
    return True


@pytest.mark.parametrize(
    ("text", "readable"),
    [
        pytest.param("1E+100", False, id="a large power of ten"),
        pytest.param("1E+38", False, id="39 digits"),
        pytest.param("1E+37", True, id="38 digits"),
        pytest.param("-1E+38", False, id="39 digits and a sign"),
        pytest.param("1E-130", True, id="the smallest number"),
        pytest.param("1.2E-129", True, id="a small number of few digits"),
        pytest.param("1." + "1" * 37 + "E-129", False, id="a small number of 38 digits"),
        pytest.param("9." + "9" * 37 + "E+125", False, id="the largest number"),
        pytest.param("0", True, id="zero"),
    ],
)
def test_a_number_is_readable_where_boto3_reads_it(text: str, readable: bool) -> None:
    value = Decimal(text)
    assert boto3_reads(value) is readable
    item = {"pk": {"S": 'a "N":"1E+99"'}, "x": {"L": [{"M": {"n": {"N": format_number(value)}}}]}}
    assert is_readable(item_text(item)) is readable


def test_random_numbers_are_judged_as_boto3_reads_them() -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    rng = random.Random(seed)
    for _ in range(2_000):
        digits = rng.randint(1, 10 ** rng.randint(1, 38) - 1)
        exponent = rng.randint(-130, 125) - len(str(digits)) + 1
        value = Decimal(digits).scaleb(exponent, WIDE)
        text = item_text({"n": {"N": format_number(value)}})
        assert is_readable(text) is boto3_reads(value), text
