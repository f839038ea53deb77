"""JMESPath on exact values: every function knows Decimal, and nothing is rounded."""

from decimal import Decimal
from typing import Any

import pytest
from tablekeeper.datasets.expressions import Expression
from tablekeeper.documents.json_reader import FIELD, MEMBERS, VALUES
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
        ("text < `5`", None),
        ("`true` < `5`", None),
        ('`[1, 2, "x"]`[?@ > `1`]', [2]),
        ("text > '1'", True),
        ("`0.12345678901234567890`", Decimal("0.12345678901234567890")),
        ("`12345678901234567.25`", Decimal("12345678901234567.25")),
        ('`{"a\\`b": [1.50]}`', {"a`b": [Decimal("1.50")]}),
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
    ("expression", "result"),
    [
        ("`true` == `1`", False),
        ("`[1, 0]` == `[true, false]`", False),
        ('`{"a": 1}` != `{"a": true}`', True),
        ('`{"a": [{"b": 0}]}` == `{"a": [{"b": false}]}`', False),
        ('`{"a": [1.0, true]}` == `{"a": [1, true]}`', True),
        ("contains(`[0, 1]`, `true`)", False),
        ("contains(`[[true]]`, `[1]`)", False),
        ("contains(`[true]`, `true`)", True),
        ("contains('a1', `1`)", False),
        ("contains('a1', '1')", True),
        ("`[[1], [true]]`[?@ == `[true]`]", [[True]]),
    ],
)
def test_true_is_not_1_at_any_depth(expression: str, result: Any) -> None:
    assert repr(Expression(expression)({})) == repr(result)


@pytest.mark.parametrize(
    ("expression", "says"),
    [
        ("sum(text)", "sum() takes array-number, not string"),
        ("join('-', list)", "join() takes array-string"),
        ("avg(list)", "cannot be kept exactly"),
        ("nothing(a)", "there is no function nothing(); there are abs, avg, ceil, "),
        ("abs(a, a)", "abs() takes 1 argument, and got 2"),
        ("not_null()", "not_null() takes at least 1 argument, and got 0"),
        ("split(text)", "split() takes 2 or 3 arguments, and got 1"),
        ("split(text, '')", "split() takes a separator that is not empty"),
        ("split(text, '.', `-1`)", "whole number as its number of splits, 0 or more"),
        ("replace(text, '', 'x')", "a text to look for that is not empty"),
        ("substring(text, `0.5`)", "a whole number as its start"),
        ("substring(text, `0`, `-1`)", "a whole number as its length, 0 or more"),
        ("to_number('1e400')", "a text whose number cannot be kept: its magnitude is over"),
        ("upper(a)", "upper() takes string, not number"),
        (
            "lower(missing)",
            "lower() takes string, not null (where a field may be missing: "
            "`field && lower(field)`)",
        ),
        ("sha256(a)", "sha256() takes string, not number"),
        ("to_epoch(text, 'iso8601')", "got no time of the format iso8601"),
        ("to_epoch(text, 'seconds')", "got no time of the format seconds"),
        ("to_epoch(text, 'unix')", "there are seconds, milliseconds, microseconds, "),
        ("to_iso(`253402300800`, 'seconds')", "in the years 1 to 9999"),
        ("from_items(list)", "from_items() takes pairs"),
        ('from_items(`[["a", 1], ["a", 2]]`)', "from_items() takes each name once"),
    ],
)
def test_what_cannot_be_evaluated_is_an_error_without_values(expression: str, says: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        Expression(expression)(SCOPE | {"list": [1, 1, Decimal("1.1")]})
    assert says in str(caught.value)
    assert "1.10" not in str(caught.value)


ODD = {"name": " Ünïcode ß ", "path": "a/b/c/d", "tags": {"x": A, "y": None}, "emoji": "a😀b"}


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("lower(name)", " ünïcode ß "),
        ("upper(name)", " ÜNÏCODE SS "),
        ("trim(name)", "Ünïcode ß"),
        ("replace(path, '/', '::')", "a::b::c::d"),
        ("replace(path, 'nothing', 'x')", "a/b/c/d"),
        ("split(path, '/')", ["a", "b", "c", "d"]),
        ("split(path, '/', `1`)", ["a", "b/c/d"]),
        ("split(path, '/', `0`)", ["a/b/c/d"]),
        ("split(path, '/', `1e30`)", ["a", "b", "c", "d"]),
        ("split(path, '#')", ["a/b/c/d"]),
        ("substring(path, `2`)", "b/c/d"),
        ("substring(path, `2`, `3`)", "b/c"),
        ("substring(path, `-3`, `2`)", "c/"),
        ("substring(path, `-99`, `1`)", "a"),
        ("substring(path, `99`)", ""),
        ("substring(emoji, `1`, `1`)", "😀"),
        (
            "sha256('abc')",
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        ),
        ("items(tags)", [["x", A], ["y", None]]),
        ("from_items(items(tags))", {"x": A, "y": None}),
        ("from_items(items(tags)[?[0] != 'y'])", {"x": A}),
        ("from_items(`[]`)", {}),
        ("tags.z && upper(tags.z)", None),
    ],
)
def test_what_jmespath_lacks(expression: str, result: Any) -> None:
    assert Expression(expression)(ODD) == result


@pytest.mark.parametrize(
    ("value", "time_format", "seconds", "iso"),
    [
        pytest.param(0, "seconds", 0, "1970-01-01T00:00:00Z", id="seconds"),
        pytest.param(
            1893456000123,
            "milliseconds",
            Decimal("1893456000.123"),
            "2030-01-01T00:00:00.123Z",
            id="milliseconds",
        ),
        pytest.param(
            -1,
            "microseconds",
            Decimal("-0.000001"),
            "1969-12-31T23:59:59.999999Z",
            id="microseconds",
        ),
        pytest.param(
            1893456000000000001,
            "nanoseconds",
            Decimal("1893456000.000000001"),
            "2030-01-01T00:00:00.000000001Z",
            id="nanoseconds",
        ),
        pytest.param(Decimal("1E+3"), "milliseconds", 1, "1970-01-01T00:00:01Z", id="an exponent"),
        pytest.param(
            Decimal("0.1"),
            "nanoseconds",
            Decimal("1E-10"),
            "1970-01-01T00:00:00.0000000001Z",
            id="a part of a nanosecond",
        ),
        pytest.param(
            "2030-01-01T01:00:00.50+01:00",
            "iso8601",
            Decimal("1893456000.5"),
            "2030-01-01T00:00:00.5Z",
            id="an offset",
        ),
        pytest.param(
            "2029-12-31t23:30:00-0030",
            "iso8601",
            1893456000,
            "2030-01-01T00:00:00Z",
            id="an offset without a colon",
        ),
        pytest.param("2030-01-01 00:00:00", "utc", 1893456000, "2030-01-01T00:00:00Z", id="SQL"),
        pytest.param(
            "2030-01-01T00:00:00.25",
            "utc",
            Decimal("1893456000.25"),
            "2030-01-01T00:00:00.25Z",
            id="no offset",
        ),
        pytest.param("2030-01-01", "date", 1893456000, "2030-01-01T00:00:00Z", id="a day"),
        pytest.param(
            "Tue, 01 Jan 2030 01:00:00 +0100",
            "rfc2822",
            1893456000,
            "2030-01-01T00:00:00Z",
            id="mail",
        ),
        pytest.param(
            "1 Jan 2030 00:00:00 GMT",
            "rfc2822",
            1893456000,
            "2030-01-01T00:00:00Z",
            id="HTTP without a weekday",
        ),
        pytest.param(
            "Mon, 31 Dec 2029 19:00:00 EST",
            "rfc2822",
            1893456000,
            "2030-01-01T00:00:00Z",
            id="a zone of RFC 2822",
        ),
        pytest.param(
            "0001-01-01T00:00:00Z",
            "iso8601",
            -62135596800,
            "0001-01-01T00:00:00Z",
            id="the first",
        ),
        pytest.param(
            "9999-12-31T23:59:59.9Z",
            "iso8601",
            Decimal("253402300799.9"),
            "9999-12-31T23:59:59.9Z",
            id="the last",
        ),
    ],
)
def test_times_keep_every_digit(value: Any, time_format: str, seconds: Any, iso: str) -> None:
    found = Expression(f"to_epoch(t, '{time_format}')")({"t": value})
    assert found == seconds
    assert type(found) is type(seconds)
    assert Expression(f"to_iso(t, '{time_format}')")({"t": value}) == iso
    assert Expression("to_epoch(t, 'iso8601')")({"t": iso}) == seconds


@pytest.mark.parametrize(
    ("value", "time_format"),
    [
        ("2030-01-01T00:00:00", "iso8601"),
        ("2030-01-01T00:00:00Z", "utc"),
        ("2030-02-30", "date"),
        ("2030-01-01T24:00:01Z", "iso8601"),
        ("٢٠٣٠-01-01", "date"),
        ("soon", "rfc2822"),
        ("Tue, 01 Jan 0030 00:00:00 GMT", "rfc2822"),
        ("Tue, 01 Jan 2030 00:00:00 CET", "rfc2822"),
        ("Tue, 01 Jan 2030 00:00:00 X", "rfc2822"),
        ("1893456000", "seconds"),
        (1893456000, "date"),
        (Decimal("1E+100"), "nanoseconds"),
    ],
)
def test_what_is_no_time_of_a_format(value: Any, time_format: str) -> None:
    with pytest.raises(ExpressionError, match=f"got no time of the format {time_format}") as caught:
        Expression(f"to_epoch(t, '{time_format}')")({"t": value})
    assert str(value) not in str(caught.value)


@pytest.mark.parametrize(
    ("expression", "hint"),
    [
        ("$.x", "in JMESPath write `x`"),
        ("$", "in JMESPath write `@`"),
        ("$.features[*].id", "in JMESPath write `features[*].id`"),
        ("user-id", r'stands in double quotes: "user-id", which is \"user-id\" in the schema file'),
        ("join('-', [a.user-id])", 'stands in double quotes: "user-id"'),
        ("@timestamp", 'stands in double quotes: "@timestamp"'),
        ("a.@version", 'stands in double quotes: "@version"'),
        ("a == 1", "A number stands in backticks: `1`"),
        ("split(a, '-', 2)", "A number stands in backticks: `2`"),
    ],
)
def test_what_was_meant_is_said(expression: str, hint: str) -> None:
    with pytest.raises(DatasetDefinitionError) as caught:
        Expression(expression)
    assert hint in str(caught.value)


@pytest.mark.parametrize("expression", ["'user-id' b", "a b", "{a:b} c", '"@x" b', "a["])
def test_no_hint_where_nothing_is_known(expression: str) -> None:
    with pytest.raises(DatasetDefinitionError) as caught:
        Expression(expression)
    assert "stands in" not in str(caught.value)


@pytest.mark.parametrize("expression", ["a b", "a[", "", "`1e999`"])
def test_what_is_no_jmespath_is_a_bad_dataset(expression: str) -> None:
    with pytest.raises(DatasetDefinitionError):
        Expression(expression)


@pytest.mark.parametrize(
    "expression",
    ['`"\\ud800"`', '"\\udfff"', '{"\\ud800": a}'],
    ids=["a literal", "a name", "a name that is made"],
)
def test_half_of_a_surrogate_pair_is_no_part_of_an_expression(expression: str) -> None:
    with pytest.raises(DatasetDefinitionError, match="half of a surrogate pair"):
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
        ("data.*", ("data", "*")),
        ("*", ("*",)),
        ("values(data.items)", ("data", "items", "values")),
        ("values(@)", ("values",)),
        ("values(data[0])", None),
        ("data.*.items", None),
        ("keys(data)", None),
        ("@", None),
        ("items[]", None),
        ("items[0]", None),
        ("items[*].a", None),
        ("data.items[?a]", None),
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
    location = Expression(expression).location
    kinds = {FIELD: (), MEMBERS: ("*",), VALUES: ("values",)}
    assert (None if location.select else (*location.fields, *kinds[location.kind])) == path


@pytest.mark.parametrize("literal", ["1e400", "1e-400", "NaN", "1" * 39])
def test_a_literal_that_cannot_be_kept_is_refused_each_time(literal: str) -> None:
    """jmespath keeps the syntax trees of texts, and what failed with one must not be in it."""
    for _ in range(2):
        with pytest.raises(DatasetDefinitionError, match="a number in a JMESPath literal"):
            Expression(f"[`1.5`, `{literal}`]")


@pytest.mark.parametrize(
    ("expression", "fields"),
    [
        ("_object.etag", {"etag"}),
        ("*.etag | [0]", {"*"}),
        ("sha256(to_string(*))", {"*"}),
        ("a.*", set()),
        ("values(@)", {"*"}),
    ],
)
def test_what_an_expression_uses_of_the_object(expression: str, fields: set[str]) -> None:
    """A new version of an equal file counts where its items may differ."""
    assert Expression(expression).object_fields() == fields


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("_document.a.b", ("a", "b")),
        ("_document.a[0]", ("a",)),
        ("_document.a.b[0].c", ("a", "b")),
        ("_document.a[*]", ("a",)),
        ("_document.a[].b", ("a",)),
        ("_document.a[?b == c].d", ("a",)),
        ("_document.a[1:2]", ("a",)),
        ("_document.a.*.b", ("a",)),
        ("_document.a.[b, c]", ("a",)),
        ("_document.a.{b: c}", ("a",)),
        ("join('-', _document.a[*].b)", ("a",)),
        ("_document[0]", ()),
        ("_document.*", ()),
        ("_document.[a, b]", ()),
        ("_document.{a: b}", ()),
    ],
    ids=[
        *("names", "element", "element behind names", "all", "flattened", "filtered", "slice"),
        *("values", "list behind a name", "object behind a name", "in a function"),
        *("element alone", "values alone", "list", "object"),
    ],
)
def test_the_fields_of_a_document_are_those_up_to_the_first_of_which_more_is_taken(
    text: str, path: tuple[str, ...]
) -> None:
    """All that is behind them is kept beside the records."""
    assert Expression(text).document_paths() == {path}
