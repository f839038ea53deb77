"""Hostile input: whatever comes in is taken exactly or refused by name, in bounded time and memory,
and what it holds stays out of the log.
"""

from __future__ import annotations

import bz2
import contextlib
import gc
import gzip
import json
import logging
import re
import sys
import tempfile
import time
import tracemalloc
from collections import deque
from collections.abc import Callable, Iterator
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from handlers import fetch_object
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tablekeeper import errors
from tablekeeper.datasets import jmespath_exact
from tablekeeper.datasets.catalogue import SCHEMAS, Catalogue
from tablekeeper.datasets.dataset import KEYWORD, Dataset
from tablekeeper.datasets.expressions import Expression
from tablekeeper.datasets.items_of_records import RecordItem, make_items
from tablekeeper.datasets.records import Record, read_records
from tablekeeper.documents.json_lines import read_json_lines
from tablekeeper.documents.json_stream import Document, parse
from tablekeeper.documents.pointers import PLACE_CHARACTERS
from tablekeeper.documents.text import Text, text_of
from tablekeeper.ledger.failures import uri_of
from tablekeeper.model.execution import occurred_at
from tablekeeper.model.keys import TableKey
from tablekeeper.model.snapshot import Snapshot
from tablekeeper.runtime import context
from tablekeeper.steps.events import object_of
from tablekeeper.validation.full_check import MAX_VIOLATIONS
from tablekeeper.validation.validator import violations

from tablekeeper_cli.schemas.check import check
from tablekeeper_cli.schemas.finding import ERROR
from tests.support.quick import quick_pipeline
from tests.unit.conftest import Pipeline

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

LIMIT = 100_000
FOUND = Snapshot(
    action="validate",
    bucket="source",
    key="d/a.json",
    revision=0,
    as_of="2026-01-01T00:00:00.000Z",
    dataset="d",
    digest="0" * 32,
    etag="0" * 32,
    version_id="v",
    size=1,
    last_modified="2026-01-01T00:00:00.000Z",
)
KNOWN = tuple(
    each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, Exception)
)
STREAMS = {
    "whole": Dataset.read("d", {KEYWORD: {"prefix": ""}}),
    "fields": Dataset.read("d", {KEYWORD: {"prefix": "", "records": "a.b"}}),
    "members": Dataset.read("d", {KEYWORD: {"prefix": "", "records": "a.*"}}),
    "around": Dataset.read(
        "d", {KEYWORD: {"prefix": "", "records": "a.b", "key": {"pk": "_document.a.c"}}}
    ),
    "csv": Dataset.read("d", {KEYWORD: {"prefix": "", "format": "csv"}}),
    "semicolons": Dataset.read(
        "d",
        {
            "properties": {"a": {"type": ["number", "boolean", "null"]}},
            KEYWORD: {
                "prefix": "",
                "format": "csv",
                "csv": {"delimiter": ";", "quote": "", "header": ["a"], "empty": "text"},
            },
        },
    ),
    "dynamodb": Dataset.read("d", {KEYWORD: {"prefix": "", "format": "dynamodb-json"}}),
    "expression": Dataset.read("d", {KEYWORD: {"prefix": "", "records": "a[]"}}),
    "lines": Dataset.read("d", {KEYWORD: {"prefix": "", "format": "jsonl"}}),
}


@pytest.fixture
def pipeline(monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    return quick_pipeline(monkeypatch)


def cut(body: bytes, size: int) -> Iterator[bytes]:
    """The body in chunks of a size."""
    return (body[start : start + size] for start in range(0, len(body), size))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=12,
)
json_texts = json_values.map(json.dumps) | json_values.map(
    lambda value: json.dumps(value, ensure_ascii=False, indent=1)
)
snippets = st.sampled_from(
    [
        *'[]{}":,\\',
        *("\n", "\x00", "\ufeff", "\u2028", "\x1c"),
        *(
            "1e999",
            "-",
            "NaN",
            '"a":1,',
            "\\ud800",
            "\\u",
            '{"a":{"b":[',
            "[" * 2000,
            '{"a":' * 2000,
        ),
        *('{"Item":{"a":{"N":"1"}}}', '{"Items":[', '{"S":"x"}', '"SS":["b","a"]', '"B":"AA="'),
        *("a,b\n", '"a""b"', '"x\r\n', ";", "\r"),
        *("7" * 5000, "\\" * 1001, '"' + '\\"' * 1000, "[[1],{}]"),
    ]
)


@st.composite
def mutated(draw: st.DrawFn, texts: st.SearchStrategy[str]) -> str:
    """A text of which parts are taken out and doubled, and into which others are put."""
    text = draw(texts)
    for _ in range(draw(st.integers(0, 4))):
        start, stop = sorted(draw(st.tuples(*[st.integers(0, len(text))] * 2)))
        middle = draw(st.sampled_from(["", text[start:stop] * 2]) | snippets | st.text(max_size=3))
        text = text[:start] + middle + text[stop:]
    return text


PACKERS: list[Callable[[bytes], bytes]] = [gzip.compress, bz2.compress, zstd.compress]


@st.composite
def packed(draw: st.DrawFn, bodies: st.SearchStrategy[bytes]) -> bytes:
    """Bytes as they are, or compressed; that may be cut, nested, damaged, of members, or go on."""
    body = draw(bodies)
    how = draw(st.sampled_from(["plain", "whole", "cut", "members", "nested", "tail", "damaged"]))
    pack = draw(st.sampled_from(PACKERS))
    if how == "plain":
        return body
    place = draw(st.integers(0, len(body)))
    whole = pack(body)
    spot = draw(st.integers(0, len(whole) - 1))
    return {
        "whole": whole,
        "cut": whole[: spot + 1],
        "members": pack(body[:place]) + pack(b"") + pack(body[place:]),
        "nested": pack(whole),
        "tail": whole + body[place:],
        "damaged": whole[:spot] + bytes([whole[spot] ^ 1 << place % 8]) + whole[spot + 1 :],
    }[how]


texts = mutated(json_texts | st.lists(json_texts, max_size=5).map("\n".join))
bodies = st.binary(max_size=300) | texts.map(lambda text: text.encode("utf-8", "surrogatepass"))
quick = settings(
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@quick
@given(packed(bodies), st.integers(1, 400), st.sampled_from(sorted(STREAMS)))
def test_a_document_of_any_bytes_is_read_or_refused_by_name(
    body: bytes, size: int, stream: str
) -> None:
    with contextlib.suppress(errors.InvalidFileError):
        text = Text(list(cut(body, size)), LIMIT)
        deque(read_records(text, "k", STREAMS[stream]), maxlen=0)


@quick
@given(texts)
def test_what_is_accepted_is_what_the_standard_library_reads(text: str) -> None:
    try:
        value = parse(text)
    except errors.InvalidFileError:
        return
    plain = text.removeprefix("\ufeff")
    assert value == json.loads(plain, parse_float=Decimal)


@quick
@given(texts, st.integers(1, 50))
def test_lines_that_are_accepted_are_what_the_standard_library_reads(text: str, size: int) -> None:
    chunks = [text[start : start + size] for start in range(0, len(text), size)]
    try:
        found = list(read_json_lines(chunks))
    except errors.InvalidFileError:
        return
    lines = text.removeprefix("\ufeff").split("\n")
    numbers = [number for number, line in enumerate(lines, 1) if line.strip()]
    assert list(dict.fromkeys(each.line for each in found)) == numbers
    decoder = json.JSONDecoder(parse_float=Decimal)
    for number in numbers:
        of_line = [each for each in found if each.line == number]
        if not any(each.error for each in of_line):
            rest = lines[number - 1].removeprefix("\ufeff").strip(" \t\r")
            for each in of_line:
                value, end = decoder.raw_decode(rest)
                assert each.value == value
                rest = rest[end:]
            assert rest == ""


def _lines(text: str) -> None:
    deque(read_json_lines([text]), maxlen=0)


def _unpacked(body: bytes) -> None:
    deque(text_of([body], 10**9), maxlen=0)


def _records(stream: str, text: str) -> None:
    deque(read_records([text], "k", STREAMS[stream]), maxlen=0)


GROWING: dict[str, tuple[Callable[[Any], Any], int, Callable[[int], Any]]] = {
    "one key many times": (parse, 20_000, lambda n: "{" + ",".join(['"a":1'] * n) + "}"),
    "many keys and one twice": (
        parse,
        10_000,
        lambda n: "{" + ",".join(f'"{i}":1' for i in range(n)) + ',"0":1}',
    ),
    "escapes": (parse, 100_000, lambda n: '"' + "\\u0041" * n + '"'),
    "pairs of surrogates": (parse, 10_000, lambda n: "[" + '"\\ud83d\\ude00",' * n + "1]"),
    "escaped quotes, then an error": (parse, 5_000, lambda n: '["' + '\\"' * n + '\\q"]'),
    "escaped quotes, then a line feed": (parse, 5_000, lambda n: '["' + '\\"' * n + '\n"]'),
    "escaped quotes without end": (parse, 50_000, lambda n: '["' + '\\"' * n),
    "backslashes": (parse, 100_000, lambda n: '"' + "\\\\" * n + "\\"),
    "digits": (parse, 250_000, lambda n: "[" + "7" * n + "]"),
    "zeros": (parse, 100_000, lambda n: "[1" + "0" * n + "]"),
    "decimals": (parse, 250_000, lambda n: "[1." + "3" * n + "]"),
    "an exponent": (parse, 250_000, lambda n: "[1e" + "3" * n + "]"),
    "an exponent of zero": (parse, 250_000, lambda n: "[0e" + "3" * n + "]"),
    "deep arrays": (parse, 500_000, lambda n: "[" * n),
    "deep objects": (parse, 100_000, lambda n: '{"a":' * n),
    "arrays beside each other": (parse, 20_000, lambda n: "[" + "[[]]," * n + "NaN]"),
    "deep and wide": (parse, 5_000, lambda n: "[" * 300 + "1," * n + "NaN" + "]" * 300),
    "spaces": (parse, 1_000_000, lambda n: " " * n + "1"),
    "spaces between": (parse, 5_000, lambda n: "[" + (" " * 50 + "1" + "\n" * 50 + ",") * n + "1]"),
    "one long line": (_lines, 1_000_000, lambda n: '"' + "a" * n + '"\n'),
    "empty lines": (_lines, 50_000, lambda n: "\n" * n + "1"),
    "lines": (_lines, 20_000, lambda n: "{}\n" * n),
    "values of one line": (_lines, 5_000, lambda n: '{"a":1}' * n + "x"),
    "a key as long as the file": (parse, 500_000, lambda n: '{"' + "~" * n + '":NaN}'),
    "members of a gzip": (_unpacked, 2_000, lambda n: gzip.compress(b"") * n),
    "members of a bzip2": (_unpacked, 2_000, lambda n: bz2.compress(b"") * n),
    "frames of a zstd": (_unpacked, 2_000, lambda n: zstd.compress(b"") * n),
    "zeros behind a gzip": (_unpacked, 1_000_000, lambda n: gzip.compress(b"") + bytes(n)),
    "values": (partial(_records, "whole"), 4_000, lambda n: '{"a":1}' * n),
    "members": (
        partial(_records, "members"),
        4_000,
        lambda n: '{"a":{' + ",".join(f'"{i}":{{}}' for i in range(n)) + "}}",
    ),
    "rows": (partial(_records, "csv"), 8_000, lambda n: "a,b\n" + "1,2\n" * n),
    "columns": (partial(_records, "csv"), 20_000, lambda n: ",".join(map(str, range(n))) + "\n"),
    "quotes": (partial(_records, "csv"), 50_000, lambda n: 'a\n"' + '""' * n),
    "quoted line feeds": (partial(_records, "csv"), 50_000, lambda n: 'a\n"' + "\n" * n + '"x'),
    "items": (
        partial(_records, "dynamodb"),
        3_000,
        lambda n: '{"Items":[' + ",".join(['{"a":{"N":"1.5"}}'] * n) + "]}",
    ),
    "a bomb": (_unpacked, 5_000_000, lambda n: gzip.compress(b" " * n)),
    "small chunks": (
        lambda text: deque(Document(iter(text)).elements(), maxlen=0),
        5_000,
        lambda n: "[" + "1," * n + '"' + "a" * n + '"]',
    ),
}


def _seconds(read: Callable[[Any], Any], given: Any) -> float:
    """In processor time, which others on the machine do not take; without the garbage collector,
    whose time grows with what other tests have left.
    """
    gc.disable()
    try:
        start = time.process_time()
        with contextlib.suppress(errors.InvalidFileError):
            read(given)
        return time.process_time() - start
    finally:
        gc.enable()


@pytest.mark.parametrize("name", GROWING)
def test_time_grows_with_the_text_and_no_faster(name: str) -> None:
    """A quadratic reading takes 16 times as long for 4 times the text. The best times count."""
    read, size, make = GROWING[name]
    small, large = make(size), make(4 * size)
    of_small = [_seconds(read, small)]
    of_large = []
    for _ in range(8):
        of_small.append(_seconds(read, small))
        of_large.append(_seconds(read, large))
        ratio = min(of_large) / max(min(of_small), 0.0005)
        if ratio < 9:
            return
    pytest.fail(f"four times the text takes {ratio:.1f} times as long")


def _peak(work: Callable[[], Any]) -> int:
    tracemalloc.start()
    try:
        with contextlib.suppress(errors.InvalidFileError):
            work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("bad", ["NaN", '"\\ud800"', '"\\ud83d\\ude00"'])
def test_the_place_of_an_error_takes_no_memory_where_it_is_deep_and_wide(bad: str) -> None:
    text = "[" * 400 + "1," * 20_000 + bad + "]" * 400
    assert _peak(lambda: parse(text)) < 3_000_000


@pytest.mark.parametrize(
    "text", ['{"%s": NaN}', '{"%s": 1, "%s": 2}', '{"%s": "\\ud800"}', '{"%s": 1e999}']
)
def test_messages_are_short_where_keys_are_long(text: str) -> None:
    """A function's answer, a cause and a row have limits, and a key has none."""
    with pytest.raises(errors.InvalidFileError) as caught:
        parse(text.replace("%s", "k" * 500_000))
    assert PLACE_CHARACTERS < len(str(caught.value)) < PLACE_CHARACTERS + 200


def test_a_bomb_in_a_bomb_is_no_text() -> None:
    inner = gzip.compress(b" " * 1_000_000)
    with pytest.raises(errors.FileFormatError, match="compress it once"):
        deque(text_of([gzip.compress(inner)], LIMIT), maxlen=0)


def test_a_record_of_nothing_but_violations_is_told_up_to_a_limit() -> None:
    schema = {"properties": {"x": {"items": {"type": "string"}}}, KEYWORD: {"prefix": "d/"}}
    catalogue = Catalogue({"d": schema})
    record = Record(0, {"x": [1] * (MAX_VIOLATIONS + 5)})
    assert sum(1 for _ in violations([record], catalogue.datasets["d"], catalogue)) == 10_000


def made(value: Any, **keyword: Any) -> list[RecordItem]:
    """The items of a record in a dataset with this keyword."""
    dataset = Dataset.read("d", {KEYWORD: {"prefix": "", **keyword}})
    return list(make_items([Record(0, value)], FOUND, dataset, TableKey.parse("pk:S"), "ttl"))


def test_an_item_is_not_made_before_it_is_known_to_fit() -> None:
    """DynamoDB JSON takes a few hundred bytes of memory for each member of a list."""
    value = {"pk": "a", "x": [[1] * 1000] * 2000}

    def work() -> None:
        with pytest.raises(errors.ItemTooLargeError, match="more than 409,600 bytes"):
            made(value)

    assert _peak(work) < 5_000_000
    assert len(made({"pk": "a", "x": [[1] * 1000] * 100})) == 1


EXPLODING = [
    "[@, @]" + " | [@, @]" * 29,
    "{a: @, b: @}" + " | {a: @, b: @}" * 29,
    "[@, @][]" + " | [@, @][]" * 60,
    "[@, @]" + " | [@, @]" * 29 + " | [*]" + "[*]" * 28,
    "[@, @]" + " | [@, @]" * 90 + " | to_string(@)",
    "[@, @]" + " | [@, @]" * 90 + " | contains(@, [@])",
    "to_string(@)" + " | join('', [@, @])" * 60,
    "join(to_string(@), `" + json.dumps(["a"] * 1000) + "`)" + " | join(@, [@, @, @, @])" * 9,
    "[[@, @]" + " | [@, @]" * 60 + ", [@, @]" + " | [@, @]" * 60 + "] | [0] == [1]",
    "[@, @]" + " | [@, @][]" * 60 + " | [?a]",
    "to_string(@)" + " | replace(@, 'a', 'aaaaaaaa')" * 60,
    "from_items([['a', @]])" + " | from_items([['a', @], ['b', @]]) | items(@)" * 29,
]


@pytest.mark.parametrize("expression", EXPLODING)
def test_an_expression_that_explodes_is_an_error(
    expression: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each makes a billion values or more of the smallest record."""
    monkeypatch.setattr(jmespath_exact, "MAX_MADE", 50_000)
    errors_of_size = (errors.ExpressionError, errors.ItemTooLargeError, errors.NestingError)

    def work() -> None:
        with pytest.raises(errors_of_size):
            made({"pk": "a"}, attributes={"pk": "pk", "x": expression})

    assert _peak(work) < 50_000_000


def test_what_a_file_joins_is_bounded() -> None:
    value = {"pk": "a", "by": "-" * 100_000, "parts": ["x"] * 10_000}
    with pytest.raises(errors.ExpressionError, match="makes more than 20,000,000 values"):
        made(value, attributes={"pk": "pk", "x": "join(by, parts)"})


def test_records_that_an_expression_multiplies_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jmespath_exact, "MAX_MADE", 500_000)
    dataset = Dataset.read("d", {KEYWORD: {"prefix": "", "records": "a | [@, @]"}})
    assert len(list(read_records(['{"a": {}}'], "k", dataset))) == 2
    dataset = Dataset.read("d", {KEYWORD: {"prefix": "", "records": EXPLODING[2]}})
    with pytest.raises(errors.ExpressionError):
        list(read_records(['{"a": {}}'], "k", dataset))


def test_ordinary_expressions_on_large_documents_are_within_the_bounds() -> None:
    rows = [{"a": [{"b": i}, {"b": "x"}], "c": str(i)} for i in range(10_000)]
    expression = Expression("rows[?c != 'z'].{c: c, all: a[].b, text: join('-', [c, c])}")
    assert len(expression({"rows": rows})) == 10_000
    assert len(Expression("to_string(rows)")({"rows": rows})) > 300_000


def schema_texts() -> st.SearchStrategy[str]:
    """The shipped schemas and small ones of any keyword and any keywords of JSON Schema."""
    shipped = [path.read_text("utf-8") for path in sorted(SCHEMAS.glob("*.schema.json"))]
    words = st.sampled_from(
        [
            *("$id", "$ref", "$dynamicRef", "$schema", "$defs", "type", "items", "properties"),
            *("pattern", "patternProperties", "format", "examples", "enum", "allOf", "not"),
            *("minimum", "multipleOf", "required", "uniqueItems"),
        ]
    )
    hints = st.sampled_from(
        [
            *("http://[", "#", "#/$defs/a", "#a", "d.schema.json", "http://x/d.schema.json"),
            *("a[", "[[@", "(", "object", "regex", "d/", ".json", "jsonl"),
            *("\ud800", "a" * 20_000, "!" * 2000),
        ]
    )
    values = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | hints | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
        max_leaves=8,
    )
    members = dict.fromkeys(("suffixes", "format", "records", "ttl"), values | hints)
    maps = st.dictionaries(st.sampled_from(["pk", "sk", "x"]), values | hints, max_size=3)
    keywords = st.fixed_dictionaries(
        {"prefix": hints | values},
        optional={**members, "suffixes": st.lists(hints | values), "key": maps, "attributes": maps},
    )
    schemas = st.builds(
        lambda schema, keyword: {**schema, KEYWORD: keyword},
        st.dictionaries(words, values | hints, max_size=5),
        keywords | values,
    )
    files = st.integers(0, len(shipped) - 1).map(shipped.__getitem__)
    return mutated(files) | mutated(schemas.map(json.dumps)) | json_texts


@quick
@given(schema_texts())
def test_any_schema_file_is_loaded_or_refused_and_the_check_says_what_is_wrong(text: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "d.schema.json").write_bytes(text.encode("utf-8", "surrogatepass"))
        findings = check(folder, TableKey.parse("pk:S,sk:S"))
        try:
            catalogue = Catalogue.load(folder)
        except errors.DatasetDefinitionError:
            assert any(each.severity == ERROR for each in findings)
            return
    for dataset in catalogue.datasets.values():
        catalogue.find(dataset.prefix + "a.json")
        catalogue.digest(dataset, "pk:S", "ttl")
        assert dataset.object_fields is not None
        with contextlib.suppress(errors.InvalidFileError, errors.DatasetDefinitionError):
            list(violations([Record(0, {"pk": "a"})], dataset, catalogue))


event_names = st.sampled_from(["detail", "bucket", "name", "object", "key", "time", "source"])
event_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.sampled_from(["source", "n" * 5000]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(event_names, inner, max_size=4),
    max_leaves=10,
)
event_texts = st.text() | st.sampled_from(["\ud800", "a" * 1025, "\u00e9" * 513, "\0", "", "x"])
events = event_values | st.fixed_dictionaries(
    {
        "detail": event_values
        | st.fixed_dictionaries(
            {
                "bucket": event_values
                | st.fixed_dictionaries({"name": event_values | st.just("source")}),
                "object": event_values | st.fixed_dictionaries({"key": event_values | event_texts}),
            }
        )
    },
    optional={"time": event_values, "force": event_values, "release": event_values},
)


@quick
@given(events)
def test_an_event_names_an_object_that_s3_could_hold_or_is_refused(event: Any) -> None:
    try:
        key = object_of(event, "source")
    except errors.InvalidEventError:
        return
    assert key == event["detail"]["object"]["key"]
    assert 0 < len(key.encode()) <= 1024


@pytest.mark.parametrize(
    "event",
    [
        {"bucket": {"name": "n" * 100_000}, "object": {"key": "k"}},
        {"bucket": {"name": "source"}, "object": {"key": "k" * 100_000}},
        {"bucket": {"name": "source"}, "object": {"key": "\ud800"}},
        {"bucket": {"name": "source"}, "object": {"key": "\u00e9" * 513}},
    ],
)
def test_what_is_said_of_an_event_is_short(event: Any) -> None:
    with pytest.raises(errors.InvalidEventError) as caught:
        object_of({"detail": event}, "source")
    assert len(str(caught.value)) < 300


@quick
@given(events.map(json.dumps) | st.text() | st.just("[" * 100_000))
def test_any_input_of_an_execution_has_a_row_that_tells_of_its_failure(event: str) -> None:
    assert re.match("s3://", uri_of(event))
    assert len(uri_of(event).encode()) <= 1024
    time_of = occurred_at(event)
    assert time_of is None or time_of.tzinfo


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events)
def test_fetch_object_raises_only_what_has_a_name(pipeline: Pipeline, event: Any) -> None:
    payload = {"event": event, "entered": "2026-01-01T00:00:10Z", "round": 0}
    try:
        answer = fetch_object.handler(payload, None)
    except KNOWN:
        return
    assert answer["found"]["action"] in ("delete", "ignore")


KEYS = [
    "../../x.json",
    "./a//b.json",
    "s3://other/key",
    "CURRENT",
    "EVENT#2026-01-01T00:00:00.000Z#x",
    "{% $states.input %}",
    "States.Format('{}', $.x)",
    "<script>alert(1)</script>",
    '","level":"ERROR","x":"',
    "a\nb.json",
    "a\r\n{}.json",
    "\x1b[31mred\x1b[0m",
    "\u202egnp.exe",
    "a#b",
    "%2F..%2Fx",
    "a+b c",
    " ",
    "${jndi:ldap://x}",
    "x'; DROP TABLE items; --",
    ":pk",
    "\u00e9" * 502,
    "\U0001f600" * 251,
]
MARKER = "content-of-the-file"


@pytest.fixture
def log(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """What has been logged so far, each line of which has to be JSON by itself."""
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "hostile")
    context.logger.cache_clear()
    # A logger keeps the standard output that it was made with.
    logging.Logger.manager.loggerDict.pop("hostile", None)
    text = ""

    def lines() -> list[dict[str, Any]]:
        nonlocal text
        text += capsys.readouterr().out
        return [json.loads(line) for line in text.split("\n")[:-1]]

    yield lines
    context.logger.cache_clear()


def partitions(pipeline: Pipeline) -> set[str]:
    """The partition keys in the ledger."""
    return {row["pk"]["S"] for row in pipeline.dynamodb.scan(TableName="ledger")["Items"]}


def test_a_key_is_a_name_and_nothing_else(
    pipeline: Pipeline, log: Callable[[], list[dict[str, Any]]]
) -> None:
    for count, name in enumerate(KEYS, 1):
        key = "notes/" + name
        pipeline.put(key, [{"pk": "a", "sk": "1", "text": MARKER}])
        assert pipeline.sync(key)["outcome"] == "SYNCED"
        assert pipeline.row(key)["status"]["S"] == "SYNCED"
        (item,) = pipeline.items()
        assert item["_source"]["M"]["key"] == {"S": key}
        pipeline.s3.delete_object(Bucket="source", Key=key)
        assert pipeline.sync(key)["outcome"] == "DELETED"
        assert pipeline.items() == []
        assert pipeline.outcomes(key) == ["SYNCED", "DELETED"]
        assert len(partitions(pipeline)) == count
        assert [line["key"] for line in log() if "key" in line][-2:] == [key, key]
    assert partitions(pipeline) == {f"s3://source/notes/{name}" for name in KEYS}
    assert MARKER not in json.dumps(log())


BAD = [
    '[{"pk": "a", "sk": "1", "count": "%s"}]',
    '[{"pk": "a", "sk": "1", "count": -1, "text": "%s"}]',
    '[{"pk": "a", "sk": "1", "text": "%s"}, {"pk": "a", "sk": "1", "text": "%s"}]',
    '[{"pk": "a", "sk": ["%s"]}]',
    '[{"pk": "a", "sk": "1", "text": "%s", "x": NaN}]',
    '[{"pk": "a", "sk": "1", "text": "%s',
    '[{"pk": "a", "sk": "1", "text": "%s\\ud800"}]',
    '["%s"]',
    '"%s"',
    '{"%s": "%s" "%s"}'.replace('"%s":', '"pk":'),
    "%s",
    '[{"pk": "a", "sk": "1", "_index": "%s"}]',
    '[{"pk": "%s", "sk": ""}]',
    '[{"pk": "a", "sk": "' + "%s" * 100 + '"}]',
    '[{"pk": "a", "sk": "1", "x": ' + "[" * 40 + '"%s"' + "]" * 40 + "}]",
]


def test_a_bad_file_is_invalid_and_its_content_stays_out_of_the_log_and_the_ledger(
    pipeline: Pipeline, log: Callable[[], list[dict[str, Any]]]
) -> None:
    for place, text in enumerate(BAD):
        key = f"notes/{place}\n<b>.json"
        pipeline.put(key, text.replace("%s", MARKER).encode())
        with pytest.raises(errors.InvalidFileError) as caught:
            pipeline.sync(key)
        assert MARKER not in str(caught.value)
    ends = pipeline.sync_batch()
    assert {outcome for _, outcome in ends.values()} == {"INVALID"}
    assert partitions(pipeline) == {f"s3://source/{key}" for key in ends}
    assert pipeline.items() == []
    rows = pipeline.dynamodb.scan(TableName="ledger")["Items"]
    assert sum("problem_status" in row for row in rows) == len(BAD)
    assert MARKER not in json.dumps([rows, log()])
    assert len([line for line in log() if line.get("outcome") == "INVALID"]) >= len(BAD)


def test_a_batch_of_hostile_keys_ends_with_an_outcome_for_each(
    pipeline: Pipeline, log: Callable[[], list[dict[str, Any]]]
) -> None:
    for place, name in enumerate(KEYS):
        pipeline.put("notes/" + name, [{"pk": "a", "sk": str(place)}])
    objects = [
        {**pipeline.listed("notes/a#b")[0], "Key": "notes/" + name, "Etag": '"x"'} for name in KEYS
    ]
    ends = pipeline.sync_batch(objects=objects)
    assert ends.keys() == {"notes/" + name for name in KEYS}
    assert {outcome for _, outcome in ends.values()} == {"SYNCED"}
    assert partitions(pipeline) == {f"s3://source/notes/{name}" for name in KEYS}
    assert {line["key"] for line in log() if "key" in line} == ends.keys()


def test_a_key_that_the_ledger_cannot_hold_fails_with_a_record(pipeline: Pipeline) -> None:
    """S3 has keys of 1,024 bytes, and the ledger's index so much for bucket and key together."""
    pipeline.put("notes/a.json", [{"pk": "a", "sk": "1"}])
    (fits,) = pipeline.listed()
    long = "notes/" + "k" * 1007
    pipeline.put(long, [{"pk": "a", "sk": "2"}])
    ends = pipeline.sync_batch(objects=[fits, {**fits, "Key": long}])
    assert ends["notes/a.json"][1] == "SYNCED"
    assert ends[long][1] == "FAILED"
    row = pipeline.dynamodb.get_item(
        TableName="ledger", Key={"pk": {"S": "s3:///"}, "sk": {"S": "CURRENT"}}
    )["Item"]
    assert row["problem_error"]["S"] == "InvalidEventError"
    with pytest.raises(errors.InvalidEventError, match="1,025 bytes"):
        pipeline.sync("notes/" + "k" * 1007)
