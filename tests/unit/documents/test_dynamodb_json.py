"""DynamoDB JSON is plain JSON to schemas and expressions, and becomes the same item again."""

from __future__ import annotations

import base64
import contextlib
import json
import tracemalloc
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

import pytest
from boto3.dynamodb.types import Binary, TypeDeserializer
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from jsonschema_rs import Draft202012Validator as FastValidator
from tablekeeper import errors
from tablekeeper.datasets.dataset import Dataset
from tablekeeper.datasets.items_of_records import make_items
from tablekeeper.datasets.records import read_records
from tablekeeper.documents.dynamodb_json import read_dynamodb_json
from tablekeeper.model.items import for_client
from tablekeeper.model.keys import TableKey
from tablekeeper.model.sizes import attribute_size
from tablekeeper.model.snapshot import Snapshot

from tablekeeper_cli.compare.items import changes, fingerprint

FOUND = Snapshot(action="validate", bucket="b", key="d/a.json", revision=0, as_of="")


def dataset(**keyword: Any) -> Dataset:
    """A dataset of DynamoDB JSON."""
    return Dataset.read(
        "any", {"x-tablekeeper": {"prefix": "", "format": "dynamodb-json", **keyword}}
    )


def read(text: str) -> list[Any]:
    """The plain values of the items, with their lines."""
    return [(each.line, each.value) for each in read_records([text], "a.json", dataset())]


def items(text: str, **keyword: Any) -> list[Mapping[str, Any]]:
    """The items that are made, in DynamoDB JSON."""
    made_of = dataset(**keyword)
    records = read_records([text], "a.json", made_of)
    made = make_items(records, FOUND, made_of, TableKey.parse("pk:S"), "expires_at")
    return [json.loads(each.text) for each in made]


def test_an_export_and_a_scan_are_read() -> None:
    one, other = {"pk": {"S": "a"}}, {"pk": {"S": "b"}, "n": {"N": "1.10"}}
    values = [{"pk": "a"}, {"pk": "b", "n": Decimal("1.1")}]
    export = f"{json.dumps({'Item': one})}\n{json.dumps({'Item': other})}\n"
    assert read(export) == [(1, values[0]), (2, values[1])]
    scan = json.dumps({"Items": [one, other], "Count": 2, "ConsumedCapacity": None}, indent=1)
    assert [value for _, value in read(scan)] == values
    assert [value for _, value in read(json.dumps({"Items": []}) + export)] == values
    assert read("") == []


def test_the_item_keeps_its_types_and_expressions_see_plain_json() -> None:
    item = {
        "pk": {"S": "a"},
        "b": {"B": "AAE="},
        "s": {"SS": ["z", "a"]},
        "m": {"M": {"n": {"NS": ["2", "1.0"]}, "l": {"L": [{"BS": ["/w==", "AA=="]}]}}},
        "no": {"NULL": True},
        "yes": {"BOOL": True},
    }
    kept = {
        **item,
        "s": {"SS": ["a", "z"]},
        "m": {"M": {"n": {"NS": ["1", "2"]}, "l": {"L": [{"BS": ["AA==", "/w=="]}]}}},
    }
    text = json.dumps({"Item": item})
    assert items(text) == [kept]
    chosen = {
        "b": "b",
        "n": "m.n",
        "first": "s[0]",
        "count": "length(s)",
        "text": "to_string(b)",
        "joined": "join('-', s)",
        "has": "contains(s, 'z')",
        "total": "sum(m.n)",
    }
    assert items(text, attributes={**chosen, "pk": "pk"}) == [
        {
            "b": {"B": "AAE="},
            "n": {"NS": ["1", "2"]},
            "first": {"S": "a"},
            "count": {"N": "2"},
            "text": {"S": "AAE="},
            "joined": {"S": "a-z"},
            "has": {"BOOL": True},
            "total": {"N": "3"},
            "pk": {"S": "a"},
        }
    ]


def test_both_validators_see_plain_json() -> None:
    text = (
        '{"Item": {"pk": {"S": "a"}, "b": {"B": "AA=="}, "s": {"SS": ["x"]}, "n": {"NS": ["1"]}}}'
    )
    ((_, value),) = read(text)
    properties = {
        "b": {"type": "string", "minLength": 4},
        "s": {"type": "array", "items": {"type": "string"}},
        "n": {"type": "array", "items": {"type": "integer"}, "maxItems": 1},
    }
    assert Draft202012Validator({"properties": properties}).is_valid(value)
    wrong = {"properties": {"s": {"type": "string"}}}
    assert not Draft202012Validator(wrong).is_valid(value)
    with contextlib.suppress(ValueError):  # it does not know the type, and the reference is asked
        assert not FastValidator(wrong).is_valid(value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"Item": {"a": {"X": "1"}}}', 'at JSON Pointer "/Item/a": "X" is no type'),
        ('{"Item": {"a": {"S": 1}}}', 'at JSON Pointer "/Item/a": "S" is no type'),
        ('{"Item": {"a": "plain"}}', 'at JSON Pointer "/Item/a": this is no DynamoDB JSON'),
        ('{"Item": {"a": {"S": "x", "N": "1"}}}', 'at JSON Pointer "/Item/a": this is no DynamoDB'),
        ('{"Item": {"a": {"N": "0x1"}}}', 'at JSON Pointer "/Item/a/N": this is no number'),
        ('{"Item": {"a": {"N": 1}}}', 'at JSON Pointer "/Item/a/N": this is no number'),
        ('{"Item": {"a": {"B": "#"}}}', 'at JSON Pointer "/Item/a/B": this is no base64'),
        ('{"Item": {"a": {"B": "é"}}}', 'at JSON Pointer "/Item/a/B": this is no base64'),
        ('{"Item": {"a": {"SS": []}}}', 'at JSON Pointer "/Item/a/SS": DynamoDB has no empty sets'),
        ('{"Item": {"a": {"SS": ["x", "x"]}}}', 'at JSON Pointer "/Item/a/SS": a set has one'),
        ('{"Item": {"a": {"NS": ["1", "1.0"]}}}', 'at JSON Pointer "/Item/a/NS": a set has one'),
        ('{"Item": {"a": {"SS": [1]}}}', 'at JSON Pointer "/Item/a/SS": a set of strings holds'),
        ('{"Item": []}', 'at JSON Pointer "/Item": an item is an object'),
        ("{}\n", 'the object has no "Item", as in an export, or "Items", as in a scan'),
        (
            '{"Item": {}}{"pk": {"S": "a"}}',
            "value 2 of the file, which begins at line 1, the object",
        ),
        ('{"Keys": {}, "NewImage": {}}', "this is an incremental export"),
        ("[]", 'the value is no object with "Item"'),
        (
            '"{}"',
            'the value is no object with "Item", as in an export, or "Items", as in a scan (was '
            "its JSON encoded twice?)",
        ),
    ],
    ids=[
        *(
            "unknown",
            "other",
            "plain",
            "two",
            "hexadecimal",
            "number",
            "base64",
            "letters",
            "empty",
        ),
        *("twice", "twice by value", "mixed", "array", "nothing", "second", "incremental"),
        *("value", "encoded twice"),
    ],
)
def test_what_is_no_item_is_named_with_its_place(text: str, message: str) -> None:
    with pytest.raises(errors.DocumentShapeError) as caught:
        read(text)
    assert str(caught.value).startswith(message)


def test_what_is_left_of_cut_json_is_no_value() -> None:
    with pytest.raises(errors.MalformedJsonError, match="behind value 1: line 1 column 7"):
        read('"Item": {"pk": {"S": "a"}}}')


@pytest.mark.parametrize("scan", [False, True], ids=["export", "scan"])
def test_an_item_may_be_as_deep_as_dynamodb_has_them(scan: bool) -> None:
    def text(levels: int) -> str:
        value: dict[str, Any] = {"S": "x"}
        for level in range(levels):
            value = {"L": [value]} if level % 2 else {"M": {"a": value}}
        item = {"pk": {"S": "a"}, "deep": value}
        return json.dumps({"Items": [item]} if scan else {"Item": item})

    (item,) = items(text(32))
    assert json.dumps(item) in text(32)
    with pytest.raises(errors.NestingError, match=r"record 0, .*nested deeper than 32 levels"):
        items(text(33))
    with pytest.raises(errors.NestingError, match=r"at JSON Pointer .*deeper than 40 levels"):
        items(text(60))


def test_a_number_that_dynamodb_cannot_hold_is_refused() -> None:
    with pytest.raises(errors.NumberRangeError, match='"/Item/a/L/0/N"'):
        read('{"Item": {"a": {"L": [{"N": "1E+126"}]}}}')


binaries = st.binary(max_size=5).map(lambda body: base64.b64encode(body).decode())
numbers = st.integers(-(10**30), 10**30).map(str) | st.decimals(
    allow_nan=False, allow_infinity=False, places=3, min_value=-1000, max_value=1000
).map(str)
leaves = st.one_of(
    st.text(max_size=5).map(lambda text: {"S": text}),
    numbers.map(lambda number: {"N": number}),
    binaries.map(lambda body: {"B": body}),
    st.booleans().map(lambda value: {"BOOL": value}),
    st.just({"NULL": True}),
    st.lists(st.text(max_size=3), min_size=1, max_size=4, unique=True).map(lambda s: {"SS": s}),
    st.lists(numbers, min_size=1, max_size=4, unique_by=Decimal).map(lambda s: {"NS": s}),
    st.lists(binaries, min_size=1, max_size=4, unique=True).map(lambda s: {"BS": s}),
)
names = st.text(min_size=1, max_size=4).filter(
    lambda name: not name.startswith("\ufeff") and name not in ("pk", "expires_at")
)
values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda each: {"L": each})
        | st.dictionaries(names, inner, max_size=3).map(lambda each: {"M": each})
    ),
    max_leaves=8,
)


def meaning(item: Mapping[str, Any]) -> Any:
    """The values of an item by boto3's own reading, which shares nothing with the project's."""
    deserializer = TypeDeserializer()
    return {name: _plain(deserializer.deserialize(value)) for name, value in item.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, Binary):
        return value.__dict__["value"]
    if isinstance(value, set):
        return {_plain(each) for each in value}
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list) else value


@given(st.dictionaries(names, values, max_size=4))
def test_every_item_arrives_with_its_values_and_types(item: dict[str, Any]) -> None:
    item["pk"] = {"S": "a"}
    (made,) = items(json.dumps({"Item": item}))
    assert meaning(for_client(made)) == meaning(for_client(item))
    stored = for_client(item)  # as the table gives it: bytes, and sets in any order
    for value in stored.values():
        for kind in ("SS", "NS", "BS"):
            if kind in value:
                value[kind].reverse()
    assert fingerprint(stored) == fingerprint(dict(made))
    assert not list(changes(stored, dict(made)))
    assert all(attribute_size(value) >= 0 for value in made.values())


@pytest.mark.parametrize("kind", ["export", "scan"])
def test_little_is_held(kind: str) -> None:
    """Of 1 MB, as a table is exported, and as one scan has it."""
    count, item = 4_000, '{"pk":{"S":"a"},"text":{"S":"%s"},"n":{"N":"1.5"}}' % ("x" * 200)

    def chunks() -> Iterator[str]:
        yield '{"Items":[' if kind == "scan" else ""
        for number in range(count):
            comma = "," if number < count - 1 else "]}"
            yield f"{item}{comma}" if kind == "scan" else f'{{"Item":{item}}}\n'

    tracemalloc.start()
    assert sum(1 for _ in read_dynamodb_json(chunks())) == count
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 200_000
