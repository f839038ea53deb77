"""Documents are read exactly, or rejected with the place and without the value."""

import gzip
import json
import tracemalloc
from collections import deque
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tablekeeper import errors
from tablekeeper.documents.json_lines import read_json_lines
from tablekeeper.documents.json_stream import Document, parse
from tablekeeper.documents.pointers import pointer
from tablekeeper.documents.text import text_of

SECRET = "sekrit"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1.10", Decimal("1.1")),
        ("-0", 0),
        ("1e2", Decimal(100)),
        ("9" * 38, int("9" * 38)),
        ("1" + "0" * 100, 10**100),
        ("1E-130", Decimal("1E-130")),
        ("9.9999999999999999999999999999999999999E+125", Decimal("9." + "9" * 37 + "E+125")),
        ("0E999999999", 0),
        ("0.000", 0),
        ('"\\ud83d\\ude00"', "\U0001f600"),
        ("\ufeff[]", []),
        (" null ", None),
        ('{"": ""}', {"": ""}),
    ],
)
def test_values_arrive_exactly(text: str, value: Any) -> None:
    assert parse(text) == value


@pytest.mark.parametrize(
    ("text", "error", "place"),
    [
        ("", errors.EmptyFileError, ""),
        (" \n", errors.EmptyFileError, ""),
        ("{", errors.MalformedJsonError, "line 1 column 2"),
        ('{"a": 1} {"b": 2}', errors.MalformedJsonError, "line 1 column 10"),
        ("[01]", errors.MalformedJsonError, "line 1"),
        ("['a']", errors.MalformedJsonError, "line 1 column 2"),
        ('{"a": {"b": [1, NaN]}}', errors.NonFiniteNumberError, '"/a/b/1"'),
        ("[-Infinity]", errors.NonFiniteNumberError, '"/0"'),
        ('{"a": [{"b": 1, "b": 1}]}', errors.DuplicateJsonKeyError, '"/a/0/b"'),
        ('{"a/b": {"~": 1e126}}', errors.NumberRangeError, '"/a~1b/~0"'),
        ("[" + "1" * 39 + "]", errors.NumberRangeError, "39 significant digits"),
        ("[" + "7" * 5000 + "]", errors.NumberRangeError, '"/0"'),
        ("[1E-131]", errors.NumberRangeError, "under 1E-130"),
        ("[1e99999999999999999999]", errors.NumberRangeError, "exponent"),
        ('{"a": "\\ud800"}', errors.LoneSurrogateError, '"/a"'),
        ('{"\\udc00": 1}', errors.LoneSurrogateError, "udc00"),
        ("[" * 100_000, errors.NestingError, "column 501"),
    ],
)
def test_what_cannot_be_kept_is_rejected_with_its_place(
    text: str, error: type[Exception], place: str
) -> None:
    with pytest.raises(error) as caught:
        parse(text)
    assert place in str(caught.value)
    assert type(caught.value) is error


@pytest.mark.parametrize(
    "text",
    [
        f'{{"a": "{SECRET}", "a": "{SECRET}"}}',
        f'{{"a": "{SECRET}',
        f'["{SECRET}", NaN]',
        f'["{SECRET}\\ud800"]',
    ],
)
def test_messages_hold_no_values(text: str) -> None:
    with pytest.raises(errors.InvalidFileError) as caught:
        parse(text)
    assert SECRET not in str(caught.value)


def test_lines_are_read_one_by_one_and_blank_ones_passed_over() -> None:
    found = read_json_lines(['{"a": 1}\r\n\n{"a": 2}\n'])
    assert [(each.line, each.value) for each in found] == [(1, {"a": 1}), (3, {"a": 2})]


def test_a_bad_line_has_an_error_that_names_it_and_is_passed_over() -> None:
    first, second, third = read_json_lines(['{"a": 1}\n{"a":\n{"a": 2}'])
    assert (first.value, third.value) == ({"a": 1}, {"a": 2})
    assert isinstance(second.error, errors.MalformedJsonError)
    assert str(second.error).startswith("line 2 of the file: ")


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        ("1e400", errors.NumberRangeError),
        ("NaN", errors.NonFiniteNumberError),
        ('{"a": 1, "a": 2}', errors.DuplicateJsonKeyError),
        ('"\\ud800"', errors.LoneSurrogateError),
    ],
    ids=["number", "not-finite", "twice", "surrogate"],
)
def test_an_element_that_cannot_be_kept_is_passed_over(bad: str, error: Any) -> None:
    first, second, third = Document([f'[1,\n{{"b": [{bad}]}},\n3]']).elements()
    assert (first.value, first.error, third.value, third.error) == (1, None, 3, None)
    assert isinstance(second.error, error)
    assert '"/1/b/0' in str(second.error)
    assert second.line == 2


def test_gzip_is_told_by_its_first_bytes() -> None:
    assert list(text_of([gzip.compress(b"[1]")], 10)) == ["[1]"]
    assert list(text_of([gzip.compress(b"[") + gzip.compress(b"1]")], 10)) == ["[", "1]"]


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"\xff", errors.EncodingError),
        ("[1]".encode("utf-16-le"), errors.EncodingError),
        (b"\xff\xfe\x00", errors.EncodingError),
        (b"\xff\xfe\x00\xd8[\x00", errors.EncodingError),
        ("[1]".encode("utf-32"), errors.EncodingError),
        (gzip.compress(b"[1]", mtime=0)[:-5], errors.EncodingError),
        (b"\x1f\x8bnot gzip", errors.EncodingError),
        (gzip.compress(b"[1]", mtime=0) + b"more", errors.EncodingError),
        (gzip.compress(b" " * 10_000_000, mtime=0), errors.DocumentTooLargeError),
        (b"x" * 1001, errors.DocumentTooLargeError),
    ],
)
def test_bytes_that_are_no_text_of_this_size_are_rejected(body: bytes, error: Any) -> None:
    with pytest.raises(error):
        list(text_of([body], 1000))


def test_a_byte_that_is_no_text_is_named_by_its_place_in_the_expanded_file() -> None:
    body = gzip.compress("é".encode() * 1000 + b"\xc3(")
    for size in (1, 7, len(body)):
        with pytest.raises(errors.EncodingError, match="byte 2000 of the file is not UTF-8"):
            list(text_of(cut(body, size), 10_000))


def test_one_byte_order_mark_is_removed_however_it_is_cut() -> None:
    body = b"\xef\xbb\xbf\xef\xbb\xbf1"
    for size in (1, 2, 4, len(body)):
        assert "".join(text_of(cut(body, size), 7)) == "\ufeff1"


@pytest.mark.parametrize("size", [1000, 10**9])
def test_a_bomb_is_not_expanded(size: int) -> None:
    bomb, read = gzip.compress(b" " * 50_000_000), 0

    def chunks() -> Iterator[bytes]:
        nonlocal read
        for chunk in cut(bomb, size):
            read += 1
            yield chunk

    tracemalloc.start()
    with pytest.raises(errors.DocumentTooLargeError, match="gzip holds more than 2,000,000 bytes"):
        deque(text_of(chunks(), 2_000_000), maxlen=0)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert read <= 5
    assert peak < 6_000_000


def test_a_file_that_is_too_large_is_not_read_on() -> None:
    chunks = iter([b"[" * 5000, b"[", b"["])
    with pytest.raises(errors.DocumentTooLargeError, match="file holds more than 5,000 bytes"):
        list(text_of(chunks, 5000))
    assert list(chunks) == [b"["]


def cut(body: bytes, size: int) -> Iterator[bytes]:
    """The body in chunks of a size."""
    return (body[start : start + size] for start in range(0, len(body), size))


def read(body: bytes, places: list[int], limit: int) -> str:
    """The text of a body that is cut at these places, or the error in words."""
    ends = sorted({min(place, len(body)) for place in places})
    bounds = zip([0, *ends], [*ends, len(body)], strict=True)
    try:
        return "".join(text_of([body[start:end] for start, end in bounds], limit))
    except errors.InvalidFileError as error:
        return f"{type(error).__name__}: {error}"


places = st.lists(st.integers(0, 60), max_size=8)
packings = st.sampled_from(
    [
        lambda body: body,
        gzip.compress,
        lambda body: gzip.compress(body[:5]) + gzip.compress(body[5:]),
    ]
)


@given(st.text(), packings, places)
def test_text_arrives_however_its_bytes_are_cut(text: str, pack: Any, places: list[int]) -> None:
    mark, text = text[:1] if text.startswith("\ufeff") else "", f'"{text}'  # no other format
    body = pack(f"{mark}{text}".encode())
    assert read(body, places, 1000) == text
    assert read(body, list(range(len(body))), 1000) == text


def test_a_gzip_may_have_many_members() -> None:
    body = gzip.compress(b"[") + gzip.compress(b"") * 3000 + gzip.compress(b"]")
    assert read(body, [], 2) == read(body, [50], 2) == "[]"


def test_gzip_that_is_cut_short_anywhere_is_found() -> None:
    body = gzip.compress("Öl".encode())
    for length in range(2, len(body)):
        message = read(body[:length], [length // 2], 1000)
        assert message == "EncodingError: the file begins as gzip and is cut short"


@given(st.text(), st.binary(max_size=4), st.integers(1, 20), st.integers(0, 30), places)
def test_errors_in_bytes_are_the_same_however_they_are_cut(
    text: str, wrong: bytes, place: int, limit: int, places: list[int]
) -> None:
    body = b'"' + text.encode()  # no other format begins so
    body = body[:place] + wrong + body[place:]
    whole = read(body, [], limit)
    assert read(body, places, limit) == whole
    if whole.startswith("DocumentTooLargeError"):
        assert len(body) > limit
    elif whole.startswith("EncodingError"):
        with pytest.raises(UnicodeDecodeError) as caught:
            body.decode()
        assert f"byte {caught.value.start} " in whole
    else:
        assert whole == body.decode()


def test_pointers_escape_what_rfc_6901_says() -> None:
    assert pointer(("a/b", "m~n", 0)) == "/a~1b/m~0n/0"
    assert pointer(()) == ""


numbers = st.builds(
    lambda sign, digits, exponent: f"{sign}{digits}E{exponent}",
    st.sampled_from(["", "-"]),
    st.integers(0, 10**45).map(str),
    st.integers(-200, 200),
)


@given(numbers)
def test_every_number_arrives_with_its_value_or_is_rejected(text: str) -> None:
    """An independent reading: Decimal reads any number exactly; DynamoDB's limits by arithmetic."""
    value = Decimal(text)
    significant = len("".join(map(str, value.as_tuple().digits)).strip("0"))
    holds = not value or (significant <= 38 and -130 <= value.adjusted() <= 125)
    try:
        assert parse(text) == value
        assert holds
    except errors.NumberRangeError:
        assert not holds


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**37), 10**37) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(json_values, st.booleans())
def test_any_other_value_arrives_as_it_is(value: Any, ascii_only: bool) -> None:
    assert parse(json.dumps(value, ensure_ascii=ascii_only)) == value
