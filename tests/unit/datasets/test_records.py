"""Records are the same, and so is what is said of a bad file, however the text is cut into chunks;
and little of it is held.
"""

import contextlib
import json
import sys
import tracemalloc
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tablekeeper import errors
from tablekeeper.datasets.dataset import Dataset
from tablekeeper.datasets.records import read_records
from tablekeeper.documents import json_stream, names

SECRET = "sekrit"


def dataset(records: str | None = None) -> Dataset:
    """A dataset whose records are where the expression says."""
    keyword = {"prefix": "", "records": records} if records else {"prefix": ""}
    return Dataset.read("any", {"x-tablekeeper": keyword})


def read(chunks: list[str], records: str | None = None, key: str = "file.json") -> list[Any]:
    """The values of the records."""
    placed = list(read_records(iter(chunks), key, dataset(records)))
    assert [record.place for record in placed] == list(range(len(placed)))
    return [record.value for record in placed]


def outcome(
    chunks: list[str], records: str | None, key: str = "file.json"
) -> tuple[list[Any], str]:
    """The values that are read, and the error in words that ends it."""
    values = []
    try:
        for record in read_records(iter(chunks), key, dataset(records)):
            values.append(record.value)  # noqa: PERF401 - what came before an error is kept
    except errors.InvalidFileError as error:
        return values, f"{type(error).__name__}: {error}"
    return values, ""


def cut(text: str, places: list[int]) -> list[str]:
    """The text in chunks that end at these places."""
    ends = sorted(min(place, len(text)) for place in places)
    bounds = zip([0, *ends], [*ends, len(text)], strict=True)
    return [text[start:end] for start, end in bounds]


@pytest.mark.parametrize(
    ("text", "records", "values"),
    [
        ("[]", None, []),
        ('[{"a": 1}, {"a": 2}]', None, [{"a": 1}, {"a": 2}]),
        ('\ufeff {"a": 1.10} ', None, [{"a": Decimal("1.1")}]),
        ('{"a": [{"b": 1}], "c": [1, {}]}', "a", [{"b": 1}]),
        ('{"c": null, "a": {"b": 1}}', "a", [{"b": 1}]),
        ('{"a": {"x": {}, "b": [{"c": 1}], "y": 1}}', "a.b", [{"c": 1}]),
        ('{"a b": {"": []}}', '"a b".""', []),
        ('{"a": [{"b": 1}, {"b": 2}]}', "a[?b == `2`]", [{"b": 2}]),
        ('{"a": [{"b": 1}, {"b": 2}]}', "a[1]", [{"b": 2}]),
        ('[{"b": 1}]', "@", [{"b": 1}]),
        ('{"a": 1}\n{"a": 2}\n', None, [{"a": 1}, {"a": 2}]),
        (
            '{"a": 1}{"a": 2}[{"a": 3}, {}] []{\n"a": 4}',
            None,
            [*({"a": n} for n in (1, 2, 3)), {}, {"a": 4}],
        ),
        ('{"a": [{"b": 1}]}{"a": {"b": 2}}', "a", [{"b": 1}, {"b": 2}]),
        ('{"a": [{"b": 1}]}{"a": [{"b": 2}]}', "a[*]", [{"b": 1}, {"b": 2}]),
        ('{"x": {"b": 1}, "y": {}, "": null}', "*", [{"b": 1}, {}]),
        ('{"c": [1], "a": {"x": {"b": 1}, "y": {}}, "d": 1}', "a.*", [{"b": 1}, {}]),
        ('{"a": {"x": {"b": 1}}}{"a": {}}', "values(a)", [{"b": 1}]),
        ('{"x": {}}', "values(@)", [{}]),
    ],
)
def test_records_are_where_the_dataset_says(
    text: str, records: str | None, values: list[Any]
) -> None:
    assert read([text], records) == values
    assert read(list(text), records) == values


def test_lines_may_be_blank_and_end_in_any_way() -> None:
    text = '\ufeff\n{"a": 1}\r\n \t\n{"a": "\u2028\x85"}\n\n {"a": 3}'
    values = [{"a": 1}, {"a": "\u2028\x85"}, {"a": 3}]
    for key in ("a.jsonl", "a.ndjson.gz"):
        assert read([text], key=key) == read(list(text), key=key) == values


WRONG = [
    # What is wrong stands before the records, in them, beside them, or behind them.
    (None, "", "EmptyFileError: the file is empty"),
    (None, " \n\t", "EmptyFileError: the file is empty"),
    (None, "[{},\n {}", "MalformedJsonError: Expecting ',' delimiter: line 2 column 4"),
    (None, "[{},\n {}]\n]", "MalformedJsonError: Expecting another value behind value 1: line 3 "
     "column 1"),
    (None, "[{}] {}]", "MalformedJsonError: Expecting another value behind value 2: line 1 "
     "column 8"),
    (None, "[{}\n{}]", "MalformedJsonError: Expecting ',' delimiter: line 2 column 1"),
    (None, "[{},\n tru]", "MalformedJsonError: Expecting value: line 2 column 2"),
    (None, "[{}, -", "MalformedJsonError: Expecting value: line 1 column 6"),
    (None, "[\n", "MalformedJsonError: Expecting value: line 2 column 1"),
    (None, '[{"a": "b', "MalformedJsonError: Unterminated string starting at: line 1 column 8"),
    (None, '[{"a": "\\u12"}]', "MalformedJsonError: Invalid \\uXXXX escape: line 1 column 10"),
    (None, '[{}, {"a": [0, 1, 1]}, {"b": [NaN]}]', "NonFiniteNumberError: /2/b/0"),
    (None, '[{}, {"a": 1E999}]', "NumberRangeError: /1/a"),
    (None, '[{}, {"a": {"b": 1, "b": 1}}]', "DuplicateJsonKeyError: /1/a/b"),
    (None, '[{}, {"a": ["\\ud800"]}]', "LoneSurrogateError: /1/a/0"),
    (None, '[{}, {"\\udc00": 1}]', "LoneSurrogateError: /1/\\udc00"),
    (None, "[{},\n" + "[" * 3000, "NestingError: more than 500 levels are nested at line 2 column"),
    (None, "[{}, 1]", "DocumentShapeError: record 1 holds a number; a record is an object"),
    (None, "1.0", "DocumentShapeError: the file holds a number; a record is an object"),
    (None, "null", "DocumentShapeError: the file holds null; a record is an object"),
    (None, "{} 2", "DocumentShapeError: record 1 holds a number; a record is an object"),
    (None, "{}x", "MalformedJsonError: Expecting another value behind value 1: line 1 column 3"),
    (None, "{};{}", "MalformedJsonError: Expecting another value behind value 1: line 1 column 3"),
    (None, "{},", "MalformedJsonError: Expecting another value behind value 1: line 1 column 4"),
    (None, "{},,{}", "MalformedJsonError: Expecting another value behind value 1: line 1 column 4"),
    (None, '{}\n[{"a": 1E999}]', "NumberRangeError: value 2 of the file, which begins at line 2, "
     'at JSON Pointer "/0/a": '),
    (None, '{}{"a": 1, "a": 2}', "DuplicateJsonKeyError: value 2 of the file, which begins at line"
     ' 1, at JSON Pointer "/a": '),
    ("a", '{"a": []}\n\n{"b": 1}', "DocumentShapeError: value 2 of the file, which begins at line "
     '3, "a" finds nothing in the document'),
    ("*", "[1]", 'DocumentShapeError: "*" finds nothing in the document'),
    ("*", '{"x": [], "y": 1}', "DocumentShapeError: record 0 holds an array"),
    ("a.*", '{"a": {"x": {}, "x": {}}}', "DuplicateJsonKeyError: /a/x"),
    ("values(a)", '{"a": {"x": null}}', "DocumentShapeError: record 0 holds null"),
    ("values(a)", '{"a": []}', 'DocumentShapeError: "values(a)" finds nothing in the document'),
    (None, '[{}, {"_source": 1}]', 'ReservedAttributeError: record 1 has a field "_source"'),
    (None, '{"_index": 1}', 'ReservedAttributeError: the file has a field "_index"'),
    ("a.b", '{"a": {"b": [{}, {"c": Infinity}]}}', "NonFiniteNumberError: /a/b/1/c"),
    ("a.b", '{"a": {"b": [{}], "x/y": {"~": -Infinity}}}', "NonFiniteNumberError: /a/x~1y/~0"),
    ("a.b", '{"a": {"b": [{}]}, "c": 1E-131}', "NumberRangeError: /c"),
    ("a.b", '{"a": {"b": [{}]}, "c": "\\udfff"}', "LoneSurrogateError: /c"),
    ("a.b", '{"a": {"b": [{}]}, "\\udfff": 1}', "LoneSurrogateError: /\\udfff"),
    ("a.b", '{"a": {"b": [{}]}, "a": 1}', "DuplicateJsonKeyError: /a"),
    ("a.b", '{"x": 1, "a": {"b": [{}]}, "\\u0078": 1}', "DuplicateJsonKeyError: /x"),
    ("a.b", '{"a": {"b": [{}], "b": []}}', "DuplicateJsonKeyError: /a/b"),
    ("a.b", '{"a": {"c": 1, "b": [{}], "c": []}}', "DuplicateJsonKeyError: /a/c"),
    ("a.b", '{"a": {"b": [{}]}}}', "MalformedJsonError: Expecting another value behind value 1: "
     "line 1 column 19"),
    (None, "{}\0\0", "MalformedJsonError: Expecting another value behind value 1: line 1 "
     "column 3 (the character there is U+0000)"),
    (None, '[\xa0{}]', "MalformedJsonError: Expecting value: line 1 column 2 (the character "
     "there is U+00A0)"),
    (None, ")]}',\n{}", "MalformedJsonError: Expecting value: line 1 column 1"),
    ("a.b", '{"a": {"b": [{}]},}', "MalformedJsonError: Expecting property name enclosed in"),
    ("a.b", '{"a": {"b": [{}]\n', "MalformedJsonError: Expecting ',' delimiter: line 2 column 1"),
    ("a.b", '{"a": {"b" [{}]}}', "MalformedJsonError: Expecting ':' delimiter: line 1 column 12"),
    ("a.b", '{"a": {b: [{}]}}', "MalformedJsonError: Expecting property name enclosed in double "
     "quotes: line 1 column 8"),
    ("a.b", '{"a": {"b": [[]]}}', "DocumentShapeError: record 0 holds an array"),
    ("a.b", '{"a": {"b": "c"}}', "DocumentShapeError: record 0 holds a string"),
    ("a[0]", '{"a": ["c"]}', "DocumentShapeError: record 0 holds a string"),
    ("a.b", '{"a": {"b": null}}', 'DocumentShapeError: "a.b" finds nothing in the document'),
    ("a.b", '{"a": {}}', 'DocumentShapeError: "a.b" finds nothing in the document'),
    ("a.b", '{"a": [{"b": []}]}', 'DocumentShapeError: "a.b" finds nothing in the document'),
    ("a.b", "[]", 'DocumentShapeError: "a.b" finds nothing in the document'),
    ("a.b", "[NaN]", "NonFiniteNumberError: /0"),
    ("a.b", "1", 'DocumentShapeError: "a.b" finds nothing in the document'),
    ("a[*]", '{"b": 1}', 'DocumentShapeError: "a[*]" finds nothing in the document'),
    ("a[*]", '{"a": [{}, {"b": NaN}]}', "NonFiniteNumberError: /a/1/b"),
    ("a[*]", '{"a": []} 1', "DocumentShapeError: value 2 of the file, which begins at line 1, "
     '"a[*]" finds nothing in the document'),
]  # fmt: skip


@pytest.mark.parametrize(("records", "text", "message"), WRONG)
def test_an_error_names_its_place_in_the_file(records: str | None, text: str, message: str) -> None:
    error, _, where = message.partition(": ")
    if where.startswith("/"):
        message = f'{error}: at JSON Pointer "{where}": '
    _, said = outcome([text], records)
    assert said.startswith(message)
    assert outcome(list(text), records)[1] == said


@pytest.mark.parametrize(
    "text",
    ['{"a": 1},{"a": 2}', '{"a": 1} ,\n{"a": 2}\n', '\x1e{"a": 1}\n\x1e{"a": 2}\n',
     '\ufeff{"a": 1}\n\ufeff{"a": 2}', '{"a": 1}\n\x1e,\x1e{"a": 2}'],
    ids=["comma", "comma-and-space", "record-separator", "byte-order-mark", "both"],
)  # fmt: skip
def test_values_may_have_a_separator_between_them(text: str) -> None:
    assert outcome([text], None) == ([{"a": 1}, {"a": 2}], "")
    assert outcome(list(text), None) == ([{"a": 1}, {"a": 2}], "")


def test_separators_alone_are_an_empty_file() -> None:
    assert outcome(["\x1e\n\x1e"], None)[1] == "EmptyFileError: the file is empty"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"a":', "MalformedJsonError: line 3 of the file: Expecting value: line 3 column 6"),
        ("{} {}", "MalformedJsonError: line 3 of the file: Extra data: line 3 column 4"),
        ('{"a": "b\r', "MalformedJsonError: line 3 of the file: Invalid control character at"),
        ('{"a": NaN}', 'NonFiniteNumberError: line 3 of the file: at JSON Pointer "/a"'),
        ('{"a": 1, "a": 1}', 'DuplicateJsonKeyError: line 3 of the file: at JSON Pointer "/a"'),
        ('{"a": 1e126}', 'NumberRangeError: line 3 of the file: at JSON Pointer "/a"'),
        ('{"a": "\\ud800"}', 'LoneSurrogateError: line 3 of the file: at JSON Pointer "/a"'),
        ('{"a": 1},', "MalformedJsonError: line 3 of the file: Extra data: line 3 column 9; in "
         "`jsonl` a line is one record. In a dataset whose `format` is json a value may have "
         "several lines, and a line several values"),
        ("{", "MalformedJsonError: line 3 of the file: Expecting property name enclosed in double "
         "quotes: line 3 column 2; in `jsonl` a line"),
        ('{"a": 1}\r{"a": 2}', "MalformedJsonError: line 3 of the file: Extra data: line 3 "),
        ('\x1e{"a": 1}', "MalformedJsonError: line 3 of the file: Expecting value: line 3 column 1 "
         "(the character there is U+001E)"),
        ("[" * 3000, "NestingError: line 3 of the file: more than 500 levels are nested at line 3"),
        ("[0]", "DocumentShapeError: line 3 holds an array; in `jsonl` a line is one record"),
        ('{"_object": 1}', 'ReservedAttributeError: line 3 has a field "_object"'),
    ],
)  # fmt: skip
def test_an_error_in_json_lines_names_its_line(line: str, message: str) -> None:
    text = '{"a": 1}\n\n' + line + "\n{}"
    values, said = outcome([text], None, "a.jsonl")
    assert values == [{"a": 1}]
    assert said.startswith(message)
    assert outcome(list(text), None, "a.jsonl") == (values, said)


@pytest.mark.parametrize("limit", [1_000, 20_000])
def test_too_deep_is_too_deep_however_deep_the_parser_goes(limit: int) -> None:
    standing = sys.getrecursionlimit()
    sys.setrecursionlimit(limit)
    try:
        for nested in ("[" * 3000, "[" * 3000 + "]" * 2999 + "}"):
            for name, text in (("a.json", "[{}, " + nested), ("a.jsonl", "{}\n" + nested)):
                _, said = outcome([text], None, name)
                assert said.startswith("NestingError: ")
                assert "more than 500 levels" in said
        assert outcome(["[" * 400 + "}"], None)[1].startswith("MalformedJsonError: ")
    finally:
        sys.setrecursionlimit(standing)


@pytest.mark.parametrize(
    "chunks", [[], ["\n", " \r\n"], ["[]"], ["\n[ ]\n"]], ids=["none", "blank", "array", "arrays"]
)
def test_json_lines_without_a_record_are_a_file_of_no_records(chunks: list[str]) -> None:
    assert outcome(chunks, None, "a.jsonl") == ([], "")


def test_an_array_in_json_lines_is_said_to_be_one() -> None:
    said = outcome(['[{"a": 1}]'], None, "a.jsonl")[1]
    assert said == (
        "DocumentShapeError: line 1 holds an array; in `jsonl` a line is one record. In a dataset "
        "whose `format` is json, the elements of an array are the records"
    )


CSV = [
    "id,n\n1,2\n",
    "id;n",
    "\nid\tn\r\n1\t2\r\n",
    '"id","n"\r\n"1","a ""b"""\r\n',
    '"id", "a name"\n',
    '1,"{""a"": 1}"\n',
    "#date,time\n2026-01-01,12:00\n",
    "price (EUR),weight [kg],\n1,2,\n",
    "guid,n\n{6F9619FF-8B86},2\n",
    'payload\tid\n{"a": 1}\t5\n',
    'payload;"order id"\r\n{"a": 1};5\r\n',
    'id,body\n1,"\n{\n  ""a"": 1\n}"\n',
    'id,body\n1,"see\n[""x""]"\n',
    '1,"\n{\n  ""a"": 1\n}"\n2,"{}"\n',
    "id," * 3_000 + "n\n",
    '"id","' + "x" * 5_000 + '"\n',
]
NO_CSV = [
    'callback([{"a":"b","c":1.1}]);',
    'callback({\n"a": 1, "b": 2});',
    "// written by x 1.2, do not edit\n[{}]",
    "// written by x, y\n// and z, do not edit\n[\n  {}]",
    "/* a, b */ [\n{}]",
    "/* a, b\n * c, d */\n{}",
    "# written by x 1.2, do not edit\n[{}]",
    '# a, b\n{"a": 1}\n{"a": 2}\n',
    'written by x 1.2, do not edit\n{"a": 1}\n',
    'HTTP/1.1 200 OK, fine\nContent-Type: x\n\n{"a":1}',
    "<!-- a, b -->\n[]",
    "-- a, b\n[]",
    'var x = [{"a": 1, "b": 2}];',
    "export default a, [\n",
    ")]}',\n[{}]",
    "while(1);[{}]",
    "for(;;);\n{}",
    'data: {"a": 1, "b": 2}',
]


@pytest.mark.parametrize("text", CSV)
def test_csv_is_said_to_be_csv(text: str) -> None:
    said = "FileFormatError: the file looks like CSV: set `format` to csv in its dataset"
    assert outcome([text], None) == outcome(list(text), None) == ([], said)
    said = outcome([text.lstrip()], None, "a.jsonl")[1]
    assert said.startswith("MalformedJsonError: line 1 of the file: ")
    assert said.endswith("; if the file is CSV, set `format` to csv in its dataset")
    assert outcome(list(text.lstrip()), None, "a.jsonl")[1] == said


@pytest.mark.parametrize("text", NO_CSV)
def test_what_stands_around_json_is_no_csv(text: str) -> None:
    said = "MalformedJsonError: Expecting value: line 1 column 1"
    assert outcome([text], None) == outcome(list(text), None) == ([], said)
    said = outcome([text], None, "a.jsonl")[1]
    assert said == "MalformedJsonError: line 1 of the file: Expecting value: line 1 column 1"
    assert outcome(list(text), None, "a.jsonl")[1] == said


ONCE = '[{"a": "b", "c": "d;"}]'


@pytest.mark.parametrize(
    ("text", "records", "key"),
    [
        (json.dumps(ONCE), None, "a.json"),
        (json.dumps(json.dumps(ONCE)), None, "a.json"),
        (json.dumps(ONCE), "a", "a.json"),
        (json.dumps(ONCE), "a.*", "a.json"),
        (json.dumps(ONCE), "a[]", "a.json"),
        (json.dumps({"a": ONCE}), "a", "a.json"),
        (json.dumps([ONCE[1:-1]]), None, "a.json"),
        (f"{json.dumps(ONCE[1:-1])}\n{json.dumps(ONCE[1:-1])}\n", None, "a.json"),
        (f"{json.dumps(ONCE[1:-1])}\n{json.dumps(ONCE[1:-1])}\n", None, "a.jsonl"),
    ],
)
def test_json_that_was_encoded_twice_is_asked_about(
    text: str, records: str | None, key: str
) -> None:
    values, said = outcome([text], records, key)
    assert values == []
    assert said.startswith("DocumentShapeError: ")
    assert said.endswith(" (was its JSON encoded twice?)")
    assert outcome(list(text), records, key) == (values, said)


@pytest.mark.parametrize("text", ['"4711"', '"a, b"', '"[redacted]"', '"{a}"', '["a,b"]', "5"])
def test_another_string_is_not_asked_about(text: str) -> None:
    said = outcome([text], None)[1]
    assert said.startswith("DocumentShapeError: ")
    assert said.endswith("; a record is an object")


@pytest.mark.parametrize("records", ["a", "a.b", "a.*", "a[]", "values(a)"])
def test_a_sentence_in_the_place_of_a_document_is_not_asked_about(records: str) -> None:
    said = outcome(['"Not found"'], records)[1]
    assert said == f'DocumentShapeError: "{records}" finds nothing in the document'


@pytest.mark.parametrize(
    ("text", "column"),
    [('"b": 2, "c": 3}\n{"a": 1}', 4), ('"a"]', 4), ("5}", 2), ("404 page not found", 5)],
)
@pytest.mark.parametrize("records", [None, "a", "a.b", "a.*", "a[]"])
def test_what_is_left_of_cut_json_is_no_value(text: str, column: int, records: str | None) -> None:
    said = f"Expecting another value behind value 1: line 1 column {column}"
    expected: Any = ([], f"MalformedJsonError: {said}")
    assert outcome([text], records) == outcome(list(text), records) == expected


def test_where_records_are_to_be_found_no_line_is_a_record() -> None:
    """Of a file without a `format`, whatever its name ends in."""
    text = '{"a": [{"b": 1}]}\n{"a": {"b": 2}}\n'
    assert read([text], "a", "x.jsonl") == read([text], "a", "x.json") == [{"b": 1}, {"b": 2}]


def test_values_of_a_line_with_nothing_between_them_are_records() -> None:
    """As Firehose writes them; and nothing else may stand in their line."""
    text = '{"a": 1}{"a": "}{"}{"a": 3}\r\n\n {"a": 4}{} '
    expected = [{"a": 1}, {"a": "}{"}, {"a": 3}, {"a": 4}, {}]
    assert (
        outcome([text], None, "a.jsonl") == outcome(list(text), None, "a.jsonl") == (expected, "")
    )
    for behind in (" {}", ",{}", "[]", "x", "\xa0", '{"a":'):
        values, said = outcome(['{"a": 1}{"a": 2}' + behind + "\n{}"], None, "a.jsonl")
        assert values == [{"a": 1}, {"a": 2}]
        assert said.startswith("MalformedJsonError: line 1 of the file: ")
    values, said = outcome(['{"a": 1}{"a": NaN}{"a": 3}'], None, "a.jsonl")
    assert said.startswith('NonFiniteNumberError: line 1 of the file: at JSON Pointer "/a"')


@pytest.mark.parametrize("number", ["12", "-1.25", "1e2", "1E+2", "120.5e-1"])
def test_a_number_that_is_cut_is_read_to_its_end(number: str) -> None:
    for place in range(len(number)):
        chunks = [number[:place], "", number[place:]]
        assert json_stream.Document(chunks).whole() == Decimal(number)
        assert read(['{"a": ', *chunks, ', "b": {}}'], "b") == [{}]


def test_errors_hold_no_values() -> None:
    for text in (f'{{"{SECRET}": {{"b": ["{SECRET}", {SECRET}]}}}}', f'{{"a": ["{SECRET}", NaN]}}'):
        _, said = outcome([text], "a")
        assert said
        assert SECRET not in said


class TestSize:
    @pytest.fixture(autouse=True)
    def small(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A value may have 400 characters."""
        monkeypatch.setattr(json_stream, "MAX_VALUE_CHARACTERS", 400)

    @pytest.mark.parametrize(
        ("records", "key", "before", "after", "where"),
        [
            (None, "a.json", "[{},", "]", 'at JSON Pointer "/1"'),
            (None, "a.json", "", "", 'at JSON Pointer ""'),
            ("a", "a.json", '{"a": [', "]}", 'at JSON Pointer "/a/0"'),
            ("a", "a.json", '{"a": [], "b": ', "}", 'at JSON Pointer "/b"'),
            (None, "a.jsonl", "{}\n", "\n{}", "line 2 of the file"),
        ],
    )
    def test_a_value_is_limited(
        self, records: str | None, key: str, before: str, after: str, where: str
    ) -> None:
        """Up to the limit it is read, one character more is refused, also if it never ends."""
        value = '{"a": "' + "x" * 391 + '"}'
        text = before + value + after
        assert outcome([text], records, key)[1] == ""
        value = value.replace("x", "xx", 1)
        for text in (before + value + after, before + value[:-2] + "x" * 999):
            said = f"RecordTooLargeError: {where}: one value has more than"
            assert outcome([text], records, key)[1].startswith(said)
            assert outcome(list(text), records, key)[1].startswith(said)

    def test_a_document_is_limited_where_it_is_held_whole(self) -> None:
        text = '{"a": [' + ", ".join(["{}"] * 200) + "]}"
        assert outcome([text], "a[*]")[1].startswith('RecordTooLargeError: at JSON Pointer ""')
        assert outcome([text], "a") == ([{}] * 200, "")

    def test_what_never_ends_is_not_read_to_its_end(self) -> None:
        chunks = iter(['[{"a": "', *["x"] * 9000])
        with pytest.raises(errors.RecordTooLargeError):
            list(read_records(chunks, "a.json", dataset()))
        assert len(list(chunks)) > 8000

    def test_what_is_wrong_is_not_read_to_its_end(self) -> None:
        chunks = iter(["[{1", *[" "] * 1000])
        with pytest.raises(errors.MalformedJsonError):
            list(read_records(chunks, "a.json", dataset()))
        assert len(list(chunks)) > 900


@pytest.mark.parametrize("key", ["a.json", "a.jsonl"])
def test_little_is_held(key: str) -> None:
    """Of 1.5 MB, in chunks that end anywhere."""
    record = json.dumps({"a": "x" * 100, "b": 1.5}) + (",\n" if key == "a.json" else "\n")
    text = record * (50_000 // len(record))

    def chunks() -> Iterator[str]:
        yield "[" if key == "a.json" else ""
        yield from (text[:-place] + text[-place:] for place in range(1, 31))
        yield "{}]" if key == "a.json" else ""

    tracemalloc.start()
    count = sum(1 for _ in read_records(chunks(), key, dataset()))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count > 10_000
    assert peak < 500_000


def independent(text: str, fields: list[str]) -> list[Any] | None:
    """The records by the standard library's reading of a text that is held whole; None when there
    is an error. The last field may be `*`: the members.
    """

    def number(literal: str) -> Decimal:
        value = Decimal(literal)
        if value and not (len(literal) < 38 and -130 <= value.adjusted() <= 125):
            raise ValueError
        return value

    def unique(members: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(members)) < len(members):
            raise ValueError
        return dict(members)

    def refuse(_: str) -> None:
        raise ValueError

    decoder = json.JSONDecoder(
        parse_float=number, parse_int=number, parse_constant=refuse, object_pairs_hook=unique
    )
    found: list[Any] = []
    text = text.strip(" \t\n\r")
    if not text:
        return None
    while text:
        try:
            value, end = decoder.raw_decode(text)
            json.dumps(value, ensure_ascii=False, default=str).encode()
        except ValueError:
            return None
        text = text[end:].lstrip(" \t\n\r")
        if text.startswith(","):
            text = text[1:].lstrip(" \t\n\r") or ","
        for field in fields:
            if field == "*" and isinstance(value, dict):
                value = [each for each in value.values() if each is not None]
            else:
                value = value.get(field) if isinstance(value, dict) else None
        found += value if isinstance(value, list) else [value]
    return found if all(isinstance(each, dict) for each in found) else None


keys = st.sampled_from(["a", "b", "\\", '"', "\U0001f600", ""])
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(-1e9, 1e9).map(lambda value: float(f"{value:.6g}"))
    | st.text(st.sampled_from('a"\\/\n\t[]{},: é\U0001f600\u2028'), max_size=6)
)
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=8,
)
records = st.dictionaries(keys, anything, max_size=3)
some_records = st.lists(records, max_size=4)
documents_of = some_records | st.dictionaries(
    keys, anything | some_records | st.fixed_dictionaries({"b": some_records}), max_size=4
)
BAD_PIECES = [
    *("e5", "NaN", "-Infinity", "nul", "1e400", "\\ud83d", "\\ude00", '"a":1,', '"b":[],', "{},"),
    *'[]{},:"\\ \n1-.\x00\xa0',
]
pieces = st.just("") | st.sampled_from(BAD_PIECES)
one_text = st.builds(
    lambda value, ascii_only, indent, place, piece, drop: (
        (text := json.dumps(value, ensure_ascii=ascii_only, indent=indent))[: place % len(text)]
        + piece
        + text[place % len(text) + drop :]
    ),
    documents_of,
    st.booleans(),
    st.sampled_from([None, 1]),
    st.integers(0, 10**6),
    pieces,
    st.sampled_from([0, 0, 0, 1, 2]),
)
several = st.lists(one_text, min_size=2, max_size=3)
texts = one_text | st.builds(str.join, st.sampled_from(["", "\n", " "]), several)
places = st.lists(st.integers(0, 200), max_size=10)
expressions = st.sampled_from([None, "a", "a.b", "b", "a[*]", "*", "a.*"])


@given(texts, expressions, places)
@example('{"a": {"b": [{"": "\\ud83d\\ude00"}]}, "b": 1e5}', "a.b", [])
@example("{},[]", None, [])
@example("{},", None, [])
@example("{},,{}", None, [])
def test_documents_are_read_alike_however_they_are_cut(
    text: str, records: str | None, places: list[int]
) -> None:
    whole = outcome([text], records)
    assert outcome(cut(text, places), records) == whole
    assert outcome(list(text), records) == whole
    if records != "a[*]":
        expected = independent(text, records.split(".") if records else [])
        assert (expected is None) == bool(whole[1])
        assert expected is None or expected == whole[0]


@given(texts, expressions, places, st.integers(1, 200))
def test_large_values_are_refused_alike_however_they_are_cut(
    text: str, records: str | None, places: list[int], limit: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_stream, "MAX_VALUE_CHARACTERS", limit)
        whole = outcome([text], records)
        assert outcome(cut(text, places), records) == whole
        assert outcome(list(text), records) == whole
        text = text.replace("{", "\n{")
        whole = outcome([text], None, "a.jsonl")
        assert outcome(cut(text, places), None, "a.jsonl") == whole
        assert outcome(list(text), None, "a.jsonl") == whole


def line_values(line: str) -> list[Any] | None:
    """The records of a line of JSON Lines, by the independent reading: one, none, or several that
    stand without anything between them.
    """
    found, rest, values = independent(line, []), line.strip(" \t\r"), list[Any]()
    while found is not None and rest and rest[0] == ("{" if values else rest[0]):
        value, end = json.JSONDecoder().raw_decode(rest)
        values.append(value)
        rest = rest[end:]
    several = len(values) > 1 and all(isinstance(each, dict) for each in values)
    is_line = isinstance(values[0], dict) or values[0] == [] if len(values) == 1 else several
    return found if values and not rest and is_line else None


@given(st.lists(records.map(json.dumps) | texts, max_size=4), st.sampled_from("\n\r"), places)
def test_lines_are_read_alike_however_they_are_cut(
    lines: list[str], before: str, places: list[int]
) -> None:
    text = "".join(f"{line}{before}\n" for line in lines)
    whole = outcome([text], None, "a.jsonl")
    assert outcome(cut(text, places), None, "a.jsonl") == whole
    assert outcome(list(text), None, "a.jsonl") == whole
    singles = [line for line in text.split("\n") if line.strip()]
    values = [line_values(line) for line in singles]
    if None not in values:
        assert whole == ([value for each in values if each for value in each], "")
    else:
        assert whole[1]


plain = st.dictionaries(keys, st.none() | st.integers(-(10**20), 10**20) | st.text(max_size=4))


@given(
    st.lists(st.tuples(plain, st.lists(plain, max_size=2)), max_size=3),
    st.sampled_from(["before", "behind", "both", "beside"]),
    places,
)
def test_what_stands_around_the_records_comes_with_them(
    documents: list[tuple[dict[str, Any], list[Any]]], where: str, places: list[int]
) -> None:
    """Wherever it stands, of one document or of several, by a reading that holds all."""
    expressions = {"pk": "_document.x", "sk": "_document.d.y.z"}
    keyword = {"prefix": "", "records": "d.r", "key": expressions}
    written, expected = [], []
    for around, records in documents:
        outer, inner = {"x": around}, {"y": {"z": around}, "w": 1}
        document: dict[str, Any] = {"d": {"r": records}}
        if where in ("before", "both"):
            document = {**outer, "d": {**inner, "r": records}}
        if where in ("behind", "both"):
            document = {**document, "v": 0}
        if where == "behind":
            document = {"d": {"r": records, **inner}, **outer}
        written.append(json.dumps(document))
        has_around = where in ("before", "behind", "both")
        seen = {**outer, "d": {"y": inner["y"]}} if has_around else {}
        expected += [(record, seen) for record in records]
    chunks = cut("".join(written) or "[]", places)
    read_dataset = Dataset.read("any", {"x-tablekeeper": keyword})
    if documents:
        found = list(read_records(chunks, "a.json", read_dataset))
        exact = json.loads(json.dumps(expected), parse_float=Decimal)
        assert [[each.value, each.document] for each in found] == exact


def test_an_element_of_an_array_around_the_records_comes_with_them() -> None:
    expressions = {"pk": "_document.names[0]", "sk": "_document.d.tags[-1].text"}
    read_dataset = Dataset.read(
        "any", {"x-tablekeeper": {"prefix": "", "records": "d.r", "key": expressions}}
    )
    text = '{"names": ["x", "y"], "d": {"w": 1, "tags": [{"text": "z"}], "r": [{}]}}'
    (found,) = read_records([text], "a.json", read_dataset)
    assert found.document == {"names": ["x", "y"], "d": {"tags": [{"text": "z"}]}}


def test_what_stands_before_the_records_is_read_once() -> None:
    """The text is read anew only where a field stands behind the records."""
    keyword = {"prefix": "", "records": "r", "key": {"pk": "_document.x"}}
    both = Dataset.read("any", {"x-tablekeeper": keyword})
    before, behind = '{"x": 1, "r": [{}, {}]}', '{"r": [{}, {}], "x": 1}'
    for text, readings in ((before, 1), (before * 2, 1), (behind, 2), (behind * 3, 2)):
        source = Counted([text])
        found = list(read_records(source, "a.json", both))
        assert [each.document for each in found] == [{"x": 1}] * len(found)
        assert source.readings == readings


class Counted(list[str]):
    """Text that counts how often it is read."""

    readings = 0

    def __iter__(self) -> Iterator[str]:
        self.readings += 1
        return super().__iter__()


def test_members_come_with_their_names_and_lines() -> None:
    text = '{"a":\n {"x": {},\n "\\u00e9": {"b": 1},\n\n "n": null}}'
    for records, count in (("a.*", 2), ("values(a)", 3)):
        with contextlib.suppress(errors.DocumentShapeError):
            found = []
            for each in read_records([text], "a.json", dataset(records)):
                found.append((each.name, each.line))  # noqa: PERF401 - what came before an error
        assert found == [("x", 2), ("é", 3)][:count]


@pytest.mark.parametrize("records", ["*", "a.*", "a", None])
def test_many_members_take_little_memory(
    records: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 0.5 MB, in one document, or in values one after another."""
    monkeypatch.setattr(names, "HELD_BYTES", 50_000)
    monkeypatch.setattr(names, "_PART_BYTES", 256)
    count, piece = 4_500, '{"b": "' + "x" * 90 + '"}'

    def chunks() -> Iterator[str]:
        yield {"*": "{", "a.*": '{"a": {', "a": '{"a": ['}.get(str(records), "")
        for number in range(count):
            name = f'"{number}": ' if records in ("*", "a.*") else ""
            comma = "," if records and number < count - 1 else ""
            yield f"{name}{piece}{comma}"
        yield {"*": "}", "a.*": "}}", "a": "]}"}.get(str(records), "")

    tracemalloc.start()
    assert sum(1 for _ in read_records(chunks(), "a.json", dataset(records))) == count
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 400_000


def test_a_field_that_has_the_name_of_a_member_s_name_is_refused_where_that_is_used() -> None:
    text = '{"a": {"x": {"_name": 1}}}'
    assert read([text], "a.*") == [{"_name": 1}]
    keyword = {"prefix": "", "records": "a.*", "key": {"pk": "_name"}}
    uses_it = Dataset.read("any", {"x-tablekeeper": keyword})
    with pytest.raises(errors.ReservedAttributeError, match='record 0 has a field "_name"'):
        list(read_records(iter([text]), "file.json", uses_it))
