"""Rows of CSV are read as two other readers read them; types come from the schema and nothing is
guessed.
"""

from __future__ import annotations

import csv
import io
import time
import tracemalloc
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tablekeeper import errors
from tablekeeper.datasets.dataset import Dataset
from tablekeeper.datasets.records import read_records
from tablekeeper.documents import csv_reader

SECRET = "sekrit"


def dataset(properties: Any = None, **options: Any) -> Dataset:
    """A dataset of CSV with these columns and options."""
    keyword = {"prefix": "", "format": "csv", **({"csv": options} if options else {})}
    return Dataset.read("any", {"properties": properties or {}, "x-tablekeeper": keyword})


def read(text: str | list[str], properties: Any = None, **options: Any) -> list[Any]:
    """The values of the records."""
    chunks = [text] if isinstance(text, str) else text
    return [each.value for each in read_records(chunks, "a.csv", dataset(properties, **options))]


def outcome(chunks: list[str], properties: Any = None, **options: Any) -> tuple[list[Any], str]:
    """The records with their lines, and the error in words that ends them."""
    found: list[Any] = []
    try:
        for each in read_records(chunks, "a.csv", dataset(properties, **options)):
            found.append((each.line, each.value))  # noqa: PERF401 - what came before an error
    except errors.InvalidFileError as error:
        return found, f"{type(error).__name__}: {error}"
    return found, ""


def test_a_row_is_a_record_and_its_line_is_known() -> None:
    text = 'a,b\r\n1,"x ""y"",\r\nz"\r\n\r\n3,4'
    assert outcome([text]) == (
        [(2, {"a": "1", "b": 'x "y",\r\nz'}), (5, {"a": "3", "b": "4"})],
        "",
    )


@pytest.mark.parametrize(
    ("types", "text", "value"),
    [
        ("string", "007", "007"),
        (None, "1", "1"),
        ("number", "1.10", Decimal("1.1")),
        ("integer", "-12", -12),
        ("number", "1E+3", Decimal(1000)),
        ("number", f"{'9' * 30}.12345678", Decimal(f"{'9' * 30}.12345678")),
        ("number", "007", "007"),
        ("number", " 1", " 1"),
        ("number", "NaN", "NaN"),
        ("number", "1_000", "1_000"),
        ("number", "\u0661", "\u0661"),
        (["string", "number"], "1", "1"),
        ("boolean", "TRUE", True),
        ("boolean", "false", False),
        ("boolean", "1", "1"),
        (["number", "boolean"], "true", True),
        (["number", "null"], "null", "null"),
    ],
)  # fmt: skip
def test_the_type_makes_the_value_and_what_is_none_of_it_stays_text(
    types: Any, text: str, value: Any
) -> None:
    schema = {"a": {"type": types}} if types else {}
    (record,) = read(f"a\n{text}\n", schema)
    assert record == {"a": value}
    assert type(record["a"]) is type(value)


@pytest.mark.parametrize(
    ("types", "empty", "record"),
    [
        ("string", None, {}),
        ("number", None, {}),
        (["string", "null"], None, {"a": None}),
        (["number", "null"], None, {"a": None}),
        ("string", "text", {"a": ""}),
        ("number", "text", {"a": ""}),
        (["string", "null"], "text", {"a": ""}),
        (["number", "null"], "text", {"a": None}),
    ],
)
def test_an_empty_field_is_absent_null_or_text(
    types: Any, empty: str | None, record: dict[str, Any]
) -> None:
    options = {"empty": empty} if empty else {}
    assert read('a,b\n,1\n"",1\n', {"a": {"type": types}}, **options) == [{**record, "b": "1"}] * 2


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ({"$ref": "#/$defs/n"}, 1),
        ({"anyOf": [{"type": "number"}, {"type": "null"}]}, 1),
        ({"allOf": [{"type": ["number", "string"]}, {"type": "number"}]}, 1),
        ({"enum": [1, 2]}, 1),
        ({"type": "integer", "enum": [1, 2]}, 1),
        ({"type": ["null", "number"], "const": 1}, 1),
        ({"allOf": [{"type": "number"}, {"type": "integer"}]}, 1),
        ({"$ref": "#/$defs/a%20number"}, 1),
        ({"$ref": "#price"}, 1),
        ({"$ref": "#old-price"}, 1),
        ({"$ref": "https://example.com/any#price"}, 1),
        ({"$ref": "https://example.com/any#/$defs/n"}, 1),
        ({"$ref": "#nowhere"}, "1"),
        ({"$ref": "other#price"}, "1"),
        ({"const": "1"}, "1"),
        ({"$ref": "#/$defs/none"}, "1"),
        ({"$ref": "#/$defs/loop"}, "1"),
        (True, "1"),
    ],
    ids=[
        *("ref", "any", "all", "enum", "enum of a type", "const of a type", "all of numbers"),
        *("escaped ref", "anchor", "anchor of draft 7", "anchor by id", "pointer by id"),
        *("no anchor", "another file", "const", "nothing", "circle", "true"),
    ],
)
def test_a_type_is_found_wherever_the_schema_has_it(column: Any, value: Any) -> None:
    schema = {
        "$defs": {
            "n": {"type": "number"},
            "a number": {"type": "number"},
            "price": {"$anchor": "price", "type": "number"},
            "old price": {"$id": "#old-price", "type": "number"},
            "loop": {"$ref": "#/$defs/loop"},
        },
        "$id": "https://example.com/any",
        "properties": {"a": column},
        "x-tablekeeper": {"prefix": "", "format": "csv"},
    }
    records = list(read_records(["a\n1\n"], "a.csv", Dataset.read("any", schema)))
    assert [each.value for each in records] == [{"a": value}]


@pytest.mark.parametrize(
    ("draft", "value"),
    [
        ("http://json-schema.org/draft-04/schema#", 1),
        ("http://json-schema.org/draft-07/schema#", 1),
        ("http://json-schema.org/draft-07/schema", 1),
        ("https://json-schema.org/draft/2019-09/schema", "1"),
        ("https://json-schema.org/draft/2020-12/schema", "1"),
    ],
)
def test_what_stands_beside_a_reference_means_nothing_in_old_drafts(draft: str, value: Any) -> None:
    schema = {
        "$schema": draft,
        "definitions": {"n": {"type": "number"}},
        "properties": {"a": {"$ref": "#/definitions/n", "type": "string"}},
        "x-tablekeeper": {"prefix": "", "format": "csv"},
    }
    records = list(read_records(["a\n1\n"], "a.csv", Dataset.read("any", schema)))
    assert [each.value for each in records] == [{"a": value}]


NUMBER, TEXT, NULL = (
    {"properties": {"a": {"type": each}}} for each in ("number", "string", "null")
)


CLOSED = {"properties": {"b": {"type": "string"}}, "additionalProperties": False}
ELSEWHERE = {"patternProperties": {"(": {}, "^note_": {"type": "string"}}}
PATTERN = {"patternProperties": {"^a$": {"type": "string"}}}
OTHERS = {"additionalProperties": {"type": "number"}}


@pytest.mark.parametrize("keyword", ["anyOf", "oneOf"])
@pytest.mark.parametrize(
    ("branches", "values"),
    [
        pytest.param([NUMBER], [1, ...], id="a number"),
        pytest.param([NUMBER, NULL], [1, None], id="a number or null"),
        pytest.param([NUMBER, {"$ref": "#/$defs/n"}], [1, ...], id="a number, and a reference"),
        pytest.param([NUMBER, {"oneOf": [NUMBER, NULL]}], [1, None], id="within each other"),
        pytest.param([NUMBER, TEXT], ["1", ...], id="a number or text"),
        pytest.param([TEXT, NULL], ["1", None], id="text or null"),
        pytest.param([NUMBER, {"required": ["b"]}], ["1", ...], id="a number, or not said"),
        pytest.param([NUMBER, True], ["1", ...], id="a number, or anything"),
        pytest.param([NUMBER, False], [1, ...], id="a number, or nothing"),
        pytest.param([NUMBER, {"properties": {"a": False}}], [1, ...], id="a number, or no field"),
        pytest.param([NUMBER, CLOSED], [1, ...], id="a number, or no other field"),
        pytest.param([OTHERS, NULL], [1, None], id="a number as any other field"),
        pytest.param([OTHERS | PATTERN], ["1", ...], id="what a pattern says"),
        pytest.param([OTHERS | ELSEWHERE], [1, ...], id="a number where no pattern says more"),
        pytest.param([NUMBER | PATTERN], ["1", ...], id="a number, and what a pattern says"),
        pytest.param(
            [{"properties": {"a": {"type": ["string", NUMBER]}}}], ["1", ...], id="draft 3"
        ),
        pytest.param([CLOSED], ["1", ...], id="no other field alone"),
        pytest.param(
            [{"properties": ["a"]}, {"patternProperties": "a"}], ["1", ...], id="no schema"
        ),
    ],
)
def test_a_type_is_found_in_branches_of_the_record(
    keyword: str, branches: Any, values: list[Any]
) -> None:
    schema = {
        "$defs": {"n": NUMBER},
        keyword: branches,
        "x-tablekeeper": {"prefix": "", "format": "csv"},
    }
    records = list(read_records(["a,b\n1,1\n,1\n"], "a.csv", Dataset.read("any", schema)))
    assert [each.value.get("a", ...) for each in records] == values


def test_options_say_how_the_file_is_written() -> None:
    assert read("a;b\n1;'x;y'\n", delimiter=";", quote="'") == [{"a": "1", "b": "x;y"}]
    assert read('a\tb\n"1\t2\n', delimiter="\t", quote="") == [{"a": '"1', "b": "2"}]
    assert read("1,2\n", header=["x", "y"]) == [{"x": "1", "y": "2"}]
    assert read("", header=["x"]) == []
    assert read("a,b\n") == []
    assert read('a\n"\ufeff"\n') == [{"a": "\ufeff"}]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "EmptyFileError: the file is empty"),
        ("a,b,a\n", "MalformedCsvError: line 1: columns 1 and 3 of the header have"),
        ("\na,\n", "MalformedCsvError: line 2: column 2 of the header has no name"),
        ('a,b\n1,2\n\n"x\ny",2,3\n', "MalformedCsvError: the row at line 4 has 3 fields; there"),
        ("a,b\n1\n", "MalformedCsvError: the row at line 2 has 1 field; there are 2 columns: is"),
        ("a,b\n \n", "MalformedCsvError: the row at line 2 has 1 field; there are 2 columns, and"),
        ("# by hand\na,b\n", "MalformedCsvError: the row at line 2 has 2 fields; there is 1 "
         "column: is the delimiter another one, or the first row no header?"),
        ('a,b\n1, "x,y"\n', "MalformedCsvError: the row at line 2 has 3 fields; there are 2 "
         "columns: a quote begins a field only directly behind the delimiter"),
        ("a,b\n1,2\n\ufeffa,b\n", "MalformedCsvError: line 3 begins with a byte order mark"),
        ("a,b,c\n1,2\n", "MalformedCsvError: the row at line 2 has 2 fields; there are 3 columns, "
         'and nothing for "c"'),
        ('a,b\n1,"x\ny"z\n', "MalformedCsvError: line 3 column 3: behind the quote"),
        ('a,b\n1,2\n3,"x\ny', "MalformedCsvError: the row that begins at line 3 has a quote that"),
        ("a,n\n1,1E999\n", 'NumberRangeError: line 2, column "n": DynamoDB cannot hold the number'),
        ("a,_source\n1,2\n", 'ReservedAttributeError: record 0 has a field "_source"'),
    ],
)  # fmt: skip
def test_an_error_names_line_and_column(text: str, message: str) -> None:
    _, said = outcome([text], {"n": {"type": "number"}})
    assert said.startswith(message)
    assert outcome(list(text), {"n": {"type": "number"}})[1] == said


def test_the_line_in_which_excel_names_the_delimiter_is_no_header() -> None:
    assert outcome(["sep=;\r\na;b\r\n1;2\r\n"], delimiter=";") == ([(3, {"a": "1", "b": "2"})], "")
    assert outcome(["sep=;\n1;2\n"], delimiter=";", header=["a", "b"])[0] == [
        (2, {"a": "1", "b": "2"})
    ]


def test_the_line_in_which_powershell_names_a_type_is_no_header() -> None:
    first, expected = "#TYPE System.IO.FileInfo\r\n", [(3, {"a": "1", "b": "2"})]
    assert outcome([first + '"a","b"\r\n"1","2"\r\n']) == (expected, "")
    assert outcome([first + "1,2\r\n"], header=["a", "b"])[0] == [(2, {"a": "1", "b": "2"})]
    assert outcome([first], header=["a"])[0] == [(1, {"a": "#TYPE System.IO.FileInfo"})]


@pytest.mark.parametrize("header", ["a;b", "sep=;", "a\tb", "a|b"])
def test_a_header_of_one_column_with_another_delimiter_is_refused(header: str) -> None:
    said = outcome([f"{header}\n1;2\n"])[1]
    assert said.startswith("MalformedCsvError: line 1: the header has one column, whose name holds")
    assert outcome([f"{header}\n"], header=[header])[1] == ""


@pytest.mark.parametrize("text", ['{"a":1}\n{"b":2}', ' [\n{"a":1,"b":2}]', "{}", "[[1]]"])
def test_json_is_told_from_csv_however_it_is_cut(text: str) -> None:
    for chunks in ([text], list(text)):
        assert outcome(chunks)[1].startswith("FileFormatError: the file looks like JSON")
    assert outcome(["[id],{x}\n1,2\n"])[0] == [(2, {"[id]": "1", "{x}": "2"})]


def test_errors_hold_no_values() -> None:
    for text in (f'a,b\n"{SECRET}"{SECRET},1\n', f"a,n\n{SECRET}\n", f'a,b\n1,"{SECRET}'):
        said = outcome([text])[1]
        assert said
        assert SECRET not in said


fields = st.text(st.sampled_from('ab"\r\n,; \t\ufeffé😀0'), max_size=6) | st.text(max_size=4)
rows = st.integers(1, 4).flatmap(
    lambda width: st.lists(st.lists(fields, min_size=width, max_size=width), max_size=5)
)
places = st.lists(st.integers(0, 60), max_size=8)


def second_reading(text: str, delimiter: str) -> list[list[str]]:
    """RFC 4180 character by character: a reader that shares nothing with csv."""
    found: list[list[str]] = []
    row: list[str] = []
    field, quoted, at = "", False, 0
    while at < len(text):
        here = text[at]
        at += 1
        if quoted and here == '"' and text[at : at + 1] == '"':
            field, at = field + '"', at + 1
        elif quoted and here == '"':
            quoted = False
        elif quoted:
            field += here
        elif here == '"' and not field:
            quoted = True
        elif here == delimiter:
            row.append(field)
            field = ""
        elif here in "\r\n":
            at += text[at - 1 : at + 1] == "\r\n"
            found.append([*row, field])
            row, field = [], ""
        else:
            field += here
    return found


@given(rows, st.sampled_from(",;\t"), st.sampled_from(["\n", "\r\n", "\r"]), places)
def test_what_is_written_is_read_as_by_two_other_readers(
    written: list[list[str]], delimiter: str, end: str, places: list[int]
) -> None:
    file = io.StringIO(newline="")
    csv.writer(file, delimiter=delimiter, lineterminator=end, quoting=csv.QUOTE_ALL).writerows(
        written
    )
    text = file.getvalue()
    names = [f"c{place}" for place in range(len(written[0]) if written else 1)]
    expected = [dict(zip(names, row, strict=True)) for row in written]
    standard = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
    assert standard == written
    assert second_reading(text, delimiter) == written
    options = {"delimiter": delimiter, "header": names, "empty": "text"}
    ends = sorted({min(place, len(text)) for place in places})
    bounds = zip([0, *ends], [*ends, len(text)], strict=True)
    chunks = [text[start:stop] for start, stop in bounds]
    assert read(text, **options) == read(chunks, **options) == read(list(text), **options)
    assert read(text, **options) == expected


numbers = st.decimals(allow_nan=False, allow_infinity=False, places=5) | st.builds(
    lambda digits, exponent: Decimal(digits).scaleb(exponent),
    st.integers(-(10**37), 10**37),
    st.integers(-90, 80),
)


@given(numbers)
def test_a_number_arrives_with_its_value_or_is_rejected(number: Decimal) -> None:
    """An independent reading: Decimal reads any number exactly."""
    found, said = outcome([f"n\n{number}\n"], {"n": {"type": "number"}})
    significant = len("".join(map(str, number.as_tuple().digits)).strip("0"))
    holds = not number or (significant <= 38 and -130 <= number.adjusted() <= 125)
    assert bool(said) != holds
    if holds:
        ((_, record),) = found
        assert record["n"] == number


@given(st.text(st.sampled_from('a,"\r\n;'), max_size=40), places)
def test_any_text_is_read_alike_however_it_is_cut(text: str, places: list[int]) -> None:
    whole = outcome([text])
    ends = sorted({min(place, len(text)) for place in places})
    bounds = zip([0, *ends], [*ends, len(text)], strict=True)
    assert outcome([text[start:stop] for start, stop in bounds]) == whole
    assert outcome(list(text)) == whole


@pytest.mark.parametrize(
    "piece",
    ['"",', '","', '"a"b', '""', ',"', '"\n', "\r", ',"""', ",", '"x\r\n'],
    ids=[
        "empty",
        "quoted",
        "behind",
        "quotes",
        "begun",
        "line",
        "return",
        "three",
        "comma",
        "open",
    ],
)
def test_no_text_takes_more_than_its_share_of_time(piece: str) -> None:
    def seconds(count: int) -> float:
        text, begun = "a,b\n" + piece * count, time.process_time()
        outcome([text])
        return time.process_time() - begun

    seconds(1000)
    assert seconds(80_000) < 16 * max(seconds(10_000), 0.02)


def test_little_is_held() -> None:
    """Of 2 MB with quoted line feeds, in chunks that end anywhere."""
    text = "a,b\r\n" + '"x\r\n' + "y" * 200 + '",1.5\r\n'

    def chunks() -> Iterator[str]:
        yield "a,n\r\n"
        row = text[5:] * 100
        for place in range(100):
            yield row[: place % 100]
            yield row[place % 100 :]

    tracemalloc.start()
    count = sum(1 for _ in read_records(chunks(), "a.csv", dataset({"n": {"type": "number"}})))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 10_000
    assert peak < 600_000


def test_a_row_that_never_ends_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_reader, "MAX_VALUE_CHARACTERS", 1000)
    for piece in ("x" * 100, "x\n" * 50):
        chunks = iter(['a\n"', *[piece] * 100])
        with pytest.raises(errors.RecordTooLargeError, match=r"line 2|line 3"):
            list(read_records(chunks, "a.csv", dataset()))
        assert len(list(chunks)) > 80


@pytest.mark.parametrize(
    "keyword",
    [
        {"csv": {"delimiter": ";"}},
        {"format": "csv", "records": "a"},
        {"format": "csv", "csv": {"delimiter": ""}},
        {"format": "csv", "csv": {"delimiter": ";;"}},
        {"format": "csv", "csv": {"quote": ","}},
        {"format": "csv", "csv": {"quote": "\n"}},
        {"format": "csv", "csv": {"header": []}},
        {"format": "csv", "csv": {"header": ["a", "a"]}},
        {"format": "csv", "csv": {"header": [""]}},
        {"format": "csv", "csv": {"header": "a"}},
        {"format": "csv", "csv": {"empty": "null"}},
        {"format": "csv", "csv": {"x": 1}},
    ],
    ids=[
        "no csv", "records", "no delimiter", "two delimiters", "same", "line feed", "no names",
        "name twice", "empty name", "text", "empty", "unknown",
    ],
)  # fmt: skip
def test_options_that_mean_nothing_are_refused(keyword: Any) -> None:
    with pytest.raises(errors.DatasetDefinitionError, match=r"csv|CSV"):
        Dataset.read("any", {"x-tablekeeper": {"prefix": "", **keyword}})
