"""Any JSON text: each value is stored with exactly its value, or its file is rejected with the
place.

Texts are made at random, spelled in every way that JSON allows, and read back raw from DynamoDB.
What they mean is told by a reading of its own, which shares nothing with the project's.
"""

from __future__ import annotations

import gzip
import json
import os
import random
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest

from local.stack import Stack
from tests.e2e.observer import Observer

pytestmark = pytest.mark.xdist_group("exact values")

SEED = int(os.environ.get("EXACT_SEED", "20261123"))
SPACE = ("", "", "", " ", "\n", "\t ", " \r\n")
GOOD_NUMBERS = (
    "0", "-0", "0.0", "0e5", "-0.0E-3", "0e999999", "1.10", "1e3", "1E+3", "10.00",
    "123456789012345678", "9" * 38, "-" + "9" * 38, "1" + "0" * 125, "1E125", f"9.{'9' * 37}E125",
    "1E-130", "-1e-130", "0.1", "3.1415926535897932384626433832795028841", "1.50e-7",
    "0." + "0" * 20 + "1", "18446744073709551616", "0.30000000000000004",
)  # fmt: skip
BAD_NUMBERS = ("1" * 39, "1E126", "1e-131", "5e-324", "1e999999", f"-1.{'0' * 39}1")
GOOD_STRINGS = (
    '""', '" "', '"a"', r'"\u0000"', r'"\/\b\f\n\r\t\"\\"', r'"\ud83d\ude00"', '"😀é\u2028\u2029"',
    r'"\u00e9"', '"1.10"', '"true"', '"null"', '"e\u0301"', '"\ufeff"', '"\u202e"', '"</script>"',
    '"' + "long" * 500 + '"', '"\x7f"', r'"\u2028"',
)  # fmt: skip
BAD = {
    "NumberRangeError": BAD_NUMBERS,
    "NonFiniteNumberError": ("NaN", "Infinity", "-Infinity"),
    "LoneSurrogateError": (r'"\ud800"', r'"a\udc00b"'),
}
FILES_OF_A_KIND = 4
DEPTH = 3


@dataclass(frozen=True)
class Text:
    """A file, and what must come of it: items by sort key, or an error and words of its cause."""

    key: str
    body: bytes
    items: dict[str, dict[str, Any]]
    error: str = ""
    words: tuple[str, ...] = ()


def texts(rng: random.Random) -> Iterator[Text]:
    """Files of every format and size, good ones and ones with a single bad place."""
    number = 0
    for kind in ("json", "jsonl"):
        for count in (1, 30, 130):
            for turn in range(FILES_OF_A_KIND):
                number += 1
                yield _file(rng, f"{number}", kind, count, turn % 2 == 1, bad=None)
        for error in [*BAD, "DuplicateJsonKeyError", "NestingError"]:
            for count in (5, 130):
                number += 1
                yield _file(rng, f"{number}", kind, count, rng.random() < 0.5, bad=error)


def _file(
    rng: random.Random, name: str, kind: str, count: int, zipped: bool, bad: str | None
) -> Text:
    key = f"notes/exact-{SEED}-{name}.{kind}{'.gz' if zipped else ''}"
    pk = f"exact-{name}"
    place = rng.randrange(count) if bad else -1
    lines: list[str] = []
    items: dict[str, dict[str, Any]] = {}
    words: tuple[str, ...] = ()
    for index in range(count):
        path: tuple[str | int, ...] = ()
        value = _value(rng, DEPTH)
        if index == place and bad:
            value, path = _bad_value(rng, bad)
            prefix = "" if kind == "jsonl" else f"/{index}"
            pointer = "".join(f"/{step}" for step in ("value", *path))
            said = f"line {index + 1} " if kind == "jsonl" else ""
            words = (said, f'"{prefix}{pointer}"')
            if bad == "NestingError":
                words = (f"record {index}",)
        text = f'{{"pk":{_s(rng)}"{pk}", "sk": "{index}","value":{_s(rng)}{value}}}'
        text = text.replace("\n", " ").replace("\r", " ") if kind == "jsonl" else text
        lines.append(text)
        items[str(index)] = {"pk": {"S": pk}, "sk": {"S": str(index)}} | (
            {} if index == place else {"value": _meaning(text)}
        )
    separator = "\n" if kind == "jsonl" else f"{_s(rng)},{_s(rng)}"
    body = separator.join(lines)
    body = body if kind == "jsonl" else f"{_s(rng)}[{_s(rng)}{body}{_s(rng)}]{_s(rng)}"
    encoded = (b"\xef\xbb\xbf" if rng.random() < 0.3 else b"") + body.encode()
    encoded = gzip.compress(encoded) if zipped else encoded
    return Text(key, encoded, {} if bad else items, bad or "", words)


def _s(rng: random.Random) -> str:
    return rng.choice(SPACE)


def _value(rng: random.Random, depth: int) -> str:
    roll = rng.random()
    if depth and roll < 0.2:
        inner = [_value(rng, depth - 1) for _ in range(rng.randrange(4))]
        return f"[{_s(rng)}" + f"{_s(rng)},{_s(rng)}".join(inner) + f"{_s(rng)}]"
    if depth and roll < 0.4:
        names = rng.sample(['" "', '"a"', '"_"', '"é"', r'"\u0061b"', '"a.b"', '"#"', '"😀"'], 3)
        members = [f"{name}{_s(rng)}:{_s(rng)}{_value(rng, depth - 1)}" for name in names]
        return "{" + f"{_s(rng)},{_s(rng)}".join(members[: rng.randrange(4)]) + "}"
    if roll < 0.43 and depth == DEPTH:
        return "[" * 32 + "]" * 32
    if roll < 0.7:
        return rng.choice(GOOD_NUMBERS)
    if roll < 0.8:
        digits = str(rng.randrange(10 ** rng.randrange(1, 38)))
        exponent = rng.choice(["e", "E", "e+", "E-"]) + str(rng.randrange(80))
        return rng.choice(["", "-"]) + digits + exponent
    if roll < 0.95:
        return rng.choice(GOOD_STRINGS)
    return rng.choice(["true", "false", "null"])


def _bad_value(rng: random.Random, error: str) -> tuple[str, tuple[str | int, ...]]:
    """A value with one bad place in it, and the path to that place."""
    if error == "NestingError":
        return "[" * 40 + "]" * 40, ()
    path: list[str | int] = []
    if error == "DuplicateJsonKeyError":
        text = f'{{"twice":{_value(rng, 1)}, "twice":{_value(rng, 1)}}}'
        path.append("twice")
    else:
        text = rng.choice(BAD[error])
    for _ in range(rng.randrange(4)):
        before = [_value(rng, 1) for _ in range(rng.randrange(3))]
        if rng.random() < 0.5:
            text = "[" + ",".join([*before, text, _value(rng, 1)]) + "]"
            path.insert(0, len(before))
        else:
            text = f'{{"first":{_value(rng, 1)},"here":{text}}}'
            path.insert(0, "here")
    return text, tuple(path)


class _Number(str):
    """A number's text."""


def _meaning(record: str) -> dict[str, Any]:
    """The attribute `value` in DynamoDB JSON, its numbers as Decimal."""
    parsed = json.loads(record, parse_int=_Number, parse_float=_Number)
    return _typed(parsed["value"])


def _typed(value: Any) -> dict[str, Any]:
    if isinstance(value, _Number):
        return {"N": Decimal(value)}
    if isinstance(value, str):
        return {"S": value}
    if value is None:
        return {"NULL": True}
    if isinstance(value, bool):
        return {"BOOL": value}
    if isinstance(value, list):
        return {"L": [_typed(each) for each in value]}
    return {"M": {name: _typed(each) for name, each in value.items()}}


def _raw(attribute: Any) -> Any:
    """A raw attribute with its numbers as Decimal, its types kept."""
    ((kind, content),) = attribute.items()
    if kind == "N":
        return {"N": Decimal(content)}
    if kind == "L":
        return {"L": [_raw(each) for each in content]}
    if kind == "M":
        return {"M": {name: _raw(each) for name, each in content.items()}}
    return {kind: content}


@pytest.fixture(scope="module")
def uploaded(stack: Stack) -> tuple[Observer, list[Text]]:
    """All the files, uploaded side by side."""
    see = Observer(stack)
    made = list(texts(random.Random(SEED)))
    for text in made:
        see.put(text.key, text.body)
    return see, made


def test_every_value_of_a_good_file_arrives_as_it_is(
    uploaded: tuple[Observer, list[Text]],
) -> None:
    see, made = uploaded
    for text in made:
        if text.error:
            continue
        assert see.outcome(text.key) == "SYNCED", f"seed {SEED}: {see.problem(text.key)}"
        pk = next(iter(text.items.values()))["pk"]
        pages = see.dynamodb.get_paginator("query").paginate(
            TableName=see.stack.outputs["ItemsTableName"],
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": pk},
            ConsistentRead=True,
        )
        stored = {
            item["sk"]["S"]: {name: _raw(each) for name, each in item.items() if name != "_source"}
            for page in pages
            for item in page["Items"]
        }
        assert stored == text.items, f"seed {SEED}, {text.key}"


def test_one_value_that_cannot_be_kept_rejects_its_file_with_its_place(
    uploaded: tuple[Observer, list[Text]],
) -> None:
    see, made = uploaded
    for text in made:
        if not text.error:
            continue
        assert see.outcome(text.key) == "INVALID", f"seed {SEED}, {text.key}"
        problem = see.problem(text.key)
        assert problem["error"] == text.error, f"seed {SEED}, {text.key}: {problem}"
        cause = json.loads(problem["cause"])["errorMessage"]
        for word in text.words:
            assert word in cause, f"seed {SEED}, {text.key}"
        assert see.items(text.key) == []
