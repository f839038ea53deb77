"""Hostile input: whatever comes in is taken exactly or refused by name, in bounded time and memory,
and what it holds stays out of the log.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import time
import tracemalloc
from collections import deque
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tablekeeper import errors
from tablekeeper.datasets import KEYWORD, Dataset
from tablekeeper.documents import PLACE_CHARACTERS, Document, parse, text_of
from tablekeeper.records import read_records

LIMIT = 100_000
KNOWN = tuple(
    each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, Exception)
)
STREAMS = {
    "whole": Dataset.read("d", {KEYWORD: {"prefix": ""}}),
    "fields": Dataset.read("d", {KEYWORD: {"prefix": "", "records": "a.b"}}),
    "expression": Dataset.read("d", {KEYWORD: {"prefix": "", "records": "a[]"}}),
    "lines": Dataset.read("d", {KEYWORD: {"prefix": "", "format": "jsonl"}}),
}


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


@st.composite
def packed(draw: st.DrawFn, bodies: st.SearchStrategy[bytes]) -> bytes:
    """Bytes as they are, or as gzip that may be cut, nested, damaged, of members, or go on."""
    body = draw(bodies)
    how = draw(st.sampled_from(["plain", "gzip", "cut", "members", "nested", "tail", "damaged"]))
    if how == "plain":
        return body
    place = draw(st.integers(0, len(body)))
    whole = gzip.compress(body, mtime=0)
    spot = draw(st.integers(0, len(whole) - 1))
    return {
        "gzip": whole,
        "cut": whole[: spot + 1],
        "members": gzip.compress(body[:place]) + gzip.compress(b"") + gzip.compress(body[place:]),
        "nested": gzip.compress(whole),
        "tail": whole + body[place:],
        "damaged": whole[:spot] + bytes([whole[spot] ^ 1 << place % 8]) + whole[spot + 1 :],
    }[how]


texts = mutated(json_texts | st.lists(json_texts, max_size=5).map("\n".join))
bodies = st.binary(max_size=300) | texts.map(lambda text: text.encode("utf-8", "surrogatepass"))
quick = settings(
    deadline=None,
    max_examples=300,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@quick
@given(packed(bodies), st.integers(1, 400), st.sampled_from(sorted(STREAMS)))
def test_a_document_of_any_bytes_is_read_or_refused_by_name(
    body: bytes, size: int, stream: str
) -> None:
    with contextlib.suppress(errors.InvalidFileError):
        deque(read_records(text_of(cut(body, size), LIMIT), "k", STREAMS[stream]), maxlen=0)


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
        found = list(Document(chunks).lines())
    except errors.InvalidFileError:
        return
    lines = text.removeprefix("\ufeff").split("\n")
    assert [number for number, _ in found] == [i for i, each in enumerate(lines, 1) if each.strip()]
    for number, value in found:
        assert value == json.loads(lines[number - 1].removeprefix("\ufeff"), parse_float=Decimal)


def _lines(text: str) -> None:
    deque(Document([text]).lines(), maxlen=0)


def _unpacked(body: bytes) -> None:
    deque(text_of([body], 10**9), maxlen=0)


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
    "a key as long as the file": (parse, 500_000, lambda n: '{"' + "~" * n + '":NaN}'),
    "members of a gzip": (_unpacked, 2_000, lambda n: gzip.compress(b"") * n),
    "a bomb": (_unpacked, 5_000_000, lambda n: gzip.compress(b" " * n)),
    "small chunks": (
        lambda text: deque(Document(iter(text)).elements(), maxlen=0),
        5_000,
        lambda n: "[" + "1," * n + '"' + "a" * n + '"]',
    ),
}


def _seconds(read: Callable[[Any], Any], given: Any) -> float:
    """The best of three, in processor time, which others on the machine do not take."""
    best = float("inf")
    for _ in range(3):
        start = time.process_time()
        with contextlib.suppress(errors.InvalidFileError):
            read(given)
        best = min(best, time.process_time() - start)
    return best


@pytest.mark.parametrize("name", GROWING)
def test_time_grows_with_the_text_and_no_faster(name: str) -> None:
    """A quadratic reading takes 16 times as long for 4 times the text."""
    read, size, make = GROWING[name]
    small, large = make(size), make(4 * size)
    for _ in range(3):
        ratio = _seconds(read, large) / max(_seconds(read, small), 0.0005)
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
    with pytest.raises(errors.EncodingError):
        deque(text_of([gzip.compress(inner)], LIMIT), maxlen=0)
