"""JMESPath on exact values: every function knows Decimal, and nothing is rounded."""

from decimal import Decimal
from typing import Any

import pytest
from tablekeeper.datasets.expressions import Expression
from tablekeeper.documents.numbers import Number
from tablekeeper.errors import DatasetDefinitionError, ExpressionError

A, B = Decimal("1.10"), Decimal("2.25")
SCOPE: dict[str, Any] = {
    "a": A,
    "n": 3,
    "list": [B, A, 3],
    "records": [{"v": B, "s": "b"}, {"v": A, "s": "a"}, {"v": 2, "s": "c"}],
    "text": "1.10",
    "precise": Decimal("0.12345678901234567890123456789012345678"),
    "none": None,
    "_object": {"parts": ["x", "y"], "version_id": "v"},
}


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("a", A),
        ("to_string(a)", "1.1"),
        ("to_string(n)", "3"),
        ("to_string(text)", "1.10"),
        ("to_string(none)", None),
        ("to_string(missing)", None),
        ("to_string(`false`)", "false"),
        ("to_string(list)", "[2.25,1.1,3]"),
        ("to_string(_object.parts)", '["x","y"]'),
        ("to_number(text)", A),
        ("to_number(a)", A),
        ("to_number('x')", None),
        ("to_number('NaN')", None),
        ("to_number(`true`)", None),
        ("type(a)", "number"),
        ("type(n)", "number"),
        ("type(none)", "null"),
        ("abs(a)", A),
        ("abs(precise)", SCOPE["precise"]),
        ("ceil(a)", 2),
        ("floor(a)", 1),
        ("sum(list)", Decimal("6.35")),
        ("avg(list[:2])", Decimal("1.675")),
        ("avg(`[]`)", None),
        ("max(list)", 3),
        ("min(list)", A),
        ("sort(list)", [A, B, 3]),
        ("sort_by(records, &v)[].s", ["a", "c", "b"]),
        ("max_by(records, &v).s", "b"),
        ("min_by(records, &v).s", "a"),
        ("records[?v > `2`].s", ["b"]),
        ("records[?v == `1.1`].s", ["a"]),
        ("records[?v >= `1.10` && v < `2.25`].s", ["a", "c"]),
        ("contains(list, `1.1`)", True),
        ("`1.5`", Decimal("1.5")),
        ('`{"x": [0.1]}`.x[0]', Decimal("0.1")),
        ("join('/', _object.parts)", "x/y"),
        ("not_null(missing, a)", A),
        ("missing.deeper", None),
    ],
)
def test_expressions_are_exact(expression: str, result: Any) -> None:
    found = Expression(expression)(SCOPE)
    assert found == result
    assert not isinstance(found, float)


@pytest.mark.parametrize(
    ("expression", "says"),
    [
        ("sum(text)", "sum() takes array-number, not string"),
        ("join('-', list)", "join() takes array-string"),
        ("avg(list)", "cannot be kept exactly"),
        ("nothing(a)", "UnknownFunctionError"),
        ("abs(a, a)", "ArityError"),
    ],
)
def test_what_cannot_be_evaluated_is_an_error_without_values(expression: str, says: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        Expression(expression)(SCOPE | {"list": [1, 1, Decimal("1.1")]})
    assert says in str(caught.value)
    assert "1.10" not in str(caught.value)


@pytest.mark.parametrize("expression", ["a b", "a[", "", "`1e999`"])
def test_what_is_no_jmespath_is_a_bad_dataset(expression: str) -> None:
    with pytest.raises(DatasetDefinitionError):
        Expression(expression)


@pytest.mark.parametrize(
    ("expression", "fields"),
    [
        ("a", set()),
        ("_object.key", {"key"}),
        ("join('/', [_object.parts[0], _object.version_id])", {"parts", "version_id"}),
        ("to_string(_object)", {"*"}),
        ("to_string(@)", {"*"}),
        ("{x: _object.etag}", {"etag"}),
    ],
)
def test_the_used_fields_of_the_object_are_known(expression: str, fields: set[str]) -> None:
    assert Expression(expression).object_fields() == fields


def test_numbers_of_a_literal_stay_numbers() -> None:
    value: Number = Expression("`10`")({})
    assert isinstance(value, int)


@pytest.mark.parametrize(
    ("expression", "path"),
    [
        ("items", ("items",)),
        ("data.items.all", ("data", "items", "all")),
        ('"quoted. name".items', ("quoted. name", "items")),
        ("@", None),
        ("items[]", None),
        ("items[0]", None),
        ("items[*].a", None),
        ("data.items[?a]", None),
        ("data.*", None),
        ("data.{a: b}", None),
        ("data | items", None),
        ("data || items", None),
        ("not_null(data)", None),
        ("data.keys(@)", None),
        ("'items'", None),
    ],
)
def test_a_path_of_fields_is_told_from_other_expressions(
    expression: str, path: tuple[str, ...] | None
) -> None:
    assert Expression(expression).path == path
