"""Transform Records: records become items that the table can hold, or the file is rejected."""

from decimal import Decimal
from typing import Any

import pytest
from handlers import transform_records
from tablekeeper import errors
from tablekeeper.datasets.dataset import Dataset
from tablekeeper.datasets.items_of_records import make_items
from tablekeeper.datasets.records import Record
from tablekeeper.model.items import Item
from tablekeeper.model.keys import TableKey
from tablekeeper.model.sizes import attribute_size
from tablekeeper.model.snapshot import Snapshot

from tests.unit.conftest import Pipeline

FOUND = Snapshot("validate", "b", "d/2026/x.json", 0, "", etag="e", version_id="v", size=1)


def items(
    *records: Any, keyword: Any = None, table_key: str = "pk:S,sk:S", found: Snapshot = FOUND
) -> list[Item]:
    dataset = Dataset.read("d", {"x-tablekeeper": {"prefix": "d/", **(keyword or {})}})
    numbered = [Record(place, each) for place, each in enumerate(records)]
    made = make_items(numbered, found, dataset, TableKey.parse(table_key), "expires_at")
    return [each.item for each in made]


def nested(levels: int) -> Any:
    value: Any = "x"
    for _ in range(levels):
        value = [value]
    return value


def test_every_json_type_has_its_dynamodb_type() -> None:
    record = {
        "pk": "a",
        "sk": "b",
        "s": "",
        "n": Decimal("1.10"),
        "i": 10**38,
        "t": True,
        "z": None,
        "l": [1, "1", []],
        "m": {"x": {}},
    }
    assert items(record) == [
        {
            "pk": {"S": "a"},
            "sk": {"S": "b"},
            "s": {"S": ""},
            "n": {"N": "1.1"},
            "i": {"N": "1E+38"},
            "t": {"BOOL": True},
            "z": {"NULL": True},
            "l": {"L": [{"N": "1"}, {"S": "1"}, {"L": []}]},
            "m": {"M": {"x": {"M": {}}}},
        }
    ]


def test_keys_and_attributes_may_be_computed() -> None:
    keyword = {
        "key": {"pk": "_object.parts[1]", "sk": "to_string(_index)"},
        "attributes": {"who": "name", "size": "_object.size", "missing": "nothing"},
    }
    assert items({"name": "x"}, {"name": "y"}, keyword=keyword) == [
        {"pk": {"S": "2026"}, "sk": {"S": "0"}, "who": {"S": "x"}, "size": {"N": "1"}},
        {"pk": {"S": "2026"}, "sk": {"S": "1"}, "who": {"S": "y"}, "size": {"N": "1"}},
    ]


FIELDS = {"pk": "a", "sk": "b", "x": 1, "none": None, "deep": {"y": 2, "z": None}}
KEPT = {"pk": {"S": "a"}, "sk": {"S": "b"}}


@pytest.mark.parametrize(
    ("attributes", "more"),
    [
        pytest.param(
            {"*": "@", "deep": None, "none": None}, {"x": {"N": "1"}}, id="all fields, but"
        ),
        pytest.param(
            {"*": "@", "deep": None, "who": "_object.name"},
            {"x": {"N": "1"}, "none": {"NULL": True}, "who": {"S": "x.json"}},
            id="all fields, and",
        ),
        pytest.param(
            {"*": "@", "x": "to_string(x)", "deep": "deep.none", "none": "none"},
            {"x": {"S": "1"}},
            id="another value, and nothing",
        ),
        pytest.param(
            {"*": "deep", "pk": "pk", "sk": "sk", "y": None},
            {"z": {"NULL": True}},
            id="the members of a field",
        ),
        pytest.param({"*": "missing", "pk": "pk", "sk": "sk"}, {}, id="the members of nothing"),
        pytest.param({"*": "@", "missing": None}, None, id="all, but what is not there"),
    ],
)
def test_attributes_may_be_all_fields_but_some_and_others(attributes: Any, more: Any) -> None:
    (item,) = items(FIELDS, keyword={"attributes": attributes})
    (plain,) = items(FIELDS)
    assert item == (plain if more is None else {**KEPT, **more})


def test_all_fields_have_to_be_an_objects() -> None:
    with pytest.raises(errors.ExpressionError, match='record 0: "x" gives no object'):
        items(FIELDS, keyword={"attributes": {"*": "x", "pk": "pk", "sk": "sk"}})


@pytest.mark.parametrize(
    "keyword",
    [
        pytest.param({"key": {"sk": "lower(missing)"}}, id="key"),
        pytest.param({"attributes": {"*": "@", "x": "lower(missing)"}}, id="attributes"),
        pytest.param({"attributes": {"*": "lower(missing)"}}, id="all fields"),
        pytest.param({"ttl": "lower(missing)"}, id="ttl"),
    ],
)
def test_an_expression_that_fails_names_the_record(keyword: Any) -> None:
    says = r'^record 0: "lower\(missing\)": lower\(\) takes string, not null'
    with pytest.raises(errors.ExpressionError, match=says):
        items({"pk": "a", "sk": "b"}, keyword=keyword)


def test_a_key_that_is_left_out_is_missing() -> None:
    with pytest.raises(errors.KeyMissingError, match="neither `key` nor `attributes`"):
        items(FIELDS, keyword={"attributes": {"*": "@", "sk": None}})


def test_all_fields_use_nothing_of_the_object() -> None:
    """Else every new version of an equal file would be written again."""
    keyword = {"prefix": "", "attributes": {"*": "@", "a": "_object.name"}}
    assert Dataset.read("d", {"x-tablekeeper": keyword}).object_fields == {"name"}


@pytest.mark.parametrize(
    "attributes",
    [
        pytest.param({"x": None}, id="left out of nothing"),
        pytest.param({"*": None}, id="all fields of null"),
        pytest.param({"*": 1}, id="all fields of a number"),
    ],
)
def test_null_leaves_out_beside_all_fields_only(attributes: Any) -> None:
    with pytest.raises(errors.DatasetDefinitionError, match="only strings"):
        Dataset.read("d", {"x-tablekeeper": {"prefix": "", "attributes": attributes}})


def test_a_table_may_have_a_number_for_a_key_and_no_sort_key() -> None:
    (item,) = items({"id": 7}, table_key="id:N")
    assert item == {"id": {"N": "7"}}


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (1_900_000_000, "1900000000"),
        (Decimal("1900000000.0"), "1900000000"),
        ("2030-03-17T17:46:40Z", "1900000000"),
        ("2030-03-17T18:46:40.5+01:00", "1900000000"),
        (None, None),
    ],
)
def test_ttl_is_epoch_seconds(value: Any, seconds: str | None) -> None:
    (item,) = items({"pk": "a", "sk": "b", "until": value}, keyword={"ttl": "until"})
    assert item.get("expires_at") == (None if seconds is None else {"N": seconds})


@pytest.mark.parametrize(
    ("record", "error", "says"),
    [
        ({"pk": "a"}, errors.KeyMissingError, '"sk"'),
        ({"pk": "a", "sk": 1}, errors.KeyTypeError, "a number; the key of the table is a string"),
        ({"pk": "a", "sk": None}, errors.KeyTypeError, "null"),
        ({"pk": "", "sk": "b"}, errors.KeyLengthError, "empty"),
        ({"pk": "x" * 2049, "sk": "b"}, errors.KeyLengthError, "2,049"),
        ({"pk": "a", "sk": "é" * 513}, errors.KeyLengthError, "1,026"),
        ({"pk": "a", "sk": "b", "x": "x" * 410_000}, errors.ItemTooLargeError, "record 0"),
        ({"pk": "a", "sk": "b", "x": nested(33)}, errors.NestingError, "32 levels"),
        ({"pk": "a", "sk": "b", "x": [10**39 + 1]}, errors.NumberRangeError, '"/x/0"'),
        ({"pk": "a", "sk": "b", "": 1}, errors.FieldNameError, "a field has an empty name"),
        (
            {"pk": "a", "sk": "b", "x": [{"y": {"": 1}}]},
            errors.FieldNameError,
            'a field inside "/x/0/y" has an empty name',
        ),
        (
            {"pk": "a", "sk": "b", "\ufeffid": 1},
            errors.FieldNameError,
            'the name of the field "id" begins with a byte order mark',
        ),
        (
            {"pk": "a", "sk": "b", "x": {"é" * 32_768: 1}},
            errors.FieldNameError,
            "65,536 bytes, more than 65,535",
        ),
        (
            {"pk": "a", "sk": "b", "expires_at": 1_790_000_000},
            errors.ReservedAttributeError,
            'in "expires_at", the TTL attribute of the table, and its dataset has no `ttl`',
        ),
    ],
)
def test_what_the_table_cannot_hold_is_rejected(record: Any, error: Any, says: str) -> None:
    with pytest.raises(error) as caught:
        items(record)
    assert says in str(caught.value)
    assert "record 0" in str(caught.value)


@pytest.mark.parametrize(
    ("keyword", "says"),
    [
        ({}, "no such field, and `key` no expression for it"),
        ({"key": {"sk": "_object.parts[7]"}}, "expression in `key` finds none: _object.parts[7]"),
        ({"attributes": {"pk": "pk", "sk": "no"}}, "expression in `attributes` finds none: no"),
        ({"attributes": {"pk": "pk"}}, "neither `key` nor `attributes` has an expression for it"),
    ],
)
def test_a_key_that_is_missing_is_told_with_the_reason(keyword: Any, says: str) -> None:
    with pytest.raises(errors.KeyMissingError) as caught:
        items({"pk": "a"}, keyword=keyword)
    assert str(caught.value).startswith('record 0 gives no value for the key attribute "sk": ')
    assert str(caught.value).endswith(says)


@pytest.mark.parametrize(
    "record",
    [
        {"pk": "x" * 2048, "sk": "é" * 512},
        {"pk": "a", "sk": "b", "x": nested(32)},
        {"pk": "a", "sk": "b", "x": "x" * 407_900},
        {"pk": "a", "sk": "b", "é" * 32_767 + "x": 1},
        {"pk": "a", "sk": "b", "x\ufeff": 1},
        {"pk": "a", "sk": "b", "expires_at": "1790000000"},
    ],
)
def test_what_is_just_within_the_limits_is_an_item(record: Any) -> None:
    assert len(items(record)) == 1


def test_two_records_with_one_key_are_both_named(pipeline: Pipeline) -> None:
    same = {"pk": "a", "sk": "b"}
    pipeline.put("notes/a.json", [same, {"pk": "a", "sk": "c"}, same])
    with pytest.raises(errors.DuplicateItemKeyError, match="records 0 and 2"):
        transform_records.handler(pipeline.fetch("notes/a.json"), None)


def test_numbers_that_are_equal_are_one_key(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ITEM_KEYS", "id:N")
    pipeline.put("notes/a.json", b'[{"id": 1.0}, {"id": 1}]')
    with pytest.raises(errors.DuplicateItemKeyError):
        transform_records.handler(pipeline.fetch("notes/a.json"), None)


@pytest.mark.parametrize(
    "keyword",
    [
        {"key": {"pk": "other"}},
        {"attributes": {"pk": "pk", "sk": "sk", "_source": "pk"}},
        {"attributes": {"pk": "pk", "sk": "sk", "expires_at": "pk"}, "ttl": "`1900000000`"},
    ],
)
def test_no_field_is_dropped_for_one_that_tablekeeper_sets(keyword: Any) -> None:
    with pytest.raises(errors.ReservedAttributeError):
        items({"pk": "a", "sk": "b", "other": "c"}, keyword=keyword)


@pytest.mark.parametrize(
    "value",
    [
        *("soon", "2030-01-01", "2030-01-01T00:00:00", Decimal("1.5"), True),
        "9999-12-31T23:59:59-05:00",
    ],
)
def test_a_ttl_that_is_no_time_is_rejected(value: Any) -> None:
    with pytest.raises(errors.TtlError):
        items({"pk": "a", "sk": "b", "until": value}, keyword={"ttl": "until"})


@pytest.mark.parametrize(
    ("value", "unit"),
    [
        (253_402_300_800, "milliseconds"),
        (1_893_456_000_000, "milliseconds"),
        (Decimal("1893456000000.0"), "milliseconds"),
        (1_893_456_000_000_000, "microseconds"),
        (1_893_456_000_000_000_000, "nanoseconds"),
    ],
)
def test_a_ttl_in_another_unit_is_named_by_it(value: Any, unit: str) -> None:
    with pytest.raises(errors.TtlError, match=f"record 0: `ttl` gives {unit}, not epoch seconds"):
        items({"pk": "a", "sk": "b", "until": value}, keyword={"ttl": "until"})


@pytest.mark.parametrize("until", ["9999-12-31T23:59:59Z", "9999-12-31T23:59:59.999999999Z"])
def test_the_last_second_of_the_year_9999_is_a_ttl(until: str) -> None:
    record = {"pk": "a", "sk": "b", "until": until}
    (item,) = items(record, keyword={"ttl": "until"})
    assert item["expires_at"] == {"N": "253402300799"}


@pytest.mark.parametrize("ttl", ["until", "`null`"])
def test_a_record_without_a_ttl_may_not_bring_one_of_its_own(ttl: str) -> None:
    """DynamoDB would delete it, although its dataset says that it stays."""
    record = {"pk": "a", "sk": "b", "expires_at": 1_790_000_000}
    with pytest.raises(errors.ReservedAttributeError, match="`ttl` gives nothing for it"):
        items(record, keyword={"ttl": ttl})


def test_a_field_in_the_ttl_attribute_may_be_the_ttl() -> None:
    record = {"pk": "a", "sk": "b", "expires_at": 1_790_000_000}
    (item,) = items(record, keyword={"ttl": "expires_at"})
    assert item["expires_at"] == {"N": "1790000000"}


@pytest.mark.parametrize("key", ["to_string(id)", "to_string(deep.er)", "to_string(none)"])
def test_the_text_of_nothing_is_no_key(key: str) -> None:
    """JMESPath makes "null" of it, which would be one key for all such records."""
    with pytest.raises(errors.KeyMissingError, match="expression in `key` finds none"):
        items({"sk": "b", "none": None}, keyword={"key": {"pk": key}})


@pytest.mark.parametrize(
    ("value", "size"),
    [
        ({"S": "é"}, 2),
        ({"BOOL": True}, 1),
        ({"NULL": True}, 1),
        ({"L": [{"S": "ab"}]}, 6),
        ({"M": {"ab": {"S": "c"}}}, 7),
    ],
)
def test_sizes_are_what_dynamodb_counts(value: Any, size: int) -> None:
    assert attribute_size(value) == size


def test_items_travel_inline_or_staged(pipeline: Pipeline) -> None:
    pipeline.put("notes/a.json", [{"pk": "a", "sk": "1"}])
    answer = transform_records.handler(pipeline.fetch("notes/a.json"), None)
    assert answer == {"items": [{"pk": {"S": "a"}, "sk": {"S": "1"}}]}
    pipeline.put("notes/a.json", [{"pk": "a", "sk": "1", "text": "x" * 201_000}])
    assert list(transform_records.handler(pipeline.fetch("notes/a.json"), None)) == ["staged"]
