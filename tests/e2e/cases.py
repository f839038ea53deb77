"""Files that must be refused, and files that look odd and must not be.

All belong to the dataset tests/e2e/schemas/notes.schema.json, which takes the items' keys from the
records' own pk and sk and constrains little. Every case uses a pk of its own, so that all of them
can be in the bucket at the same time.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

PREFIX = "notes/"


@dataclass(frozen=True)
class BadFile:
    """A file that ends INVALID with this error, in whose cause each text of `mentions` stands."""

    name: str
    key_suffix: str
    body: bytes
    error: str
    mentions: tuple[str, ...]
    prefix: str = PREFIX

    @property
    def key(self) -> str:
        """The key of the object."""
        return self.prefix + self.key_suffix

    @property
    def good_body(self) -> bytes:
        """An earlier, good version of the file, whose items have to stay."""
        if self.key_suffix.endswith(".jsonl"):
            return b"\n".join(map(_json, self.good_items))
        return _json(self.good_items)

    @property
    def good_items(self) -> tuple[Mapping[str, Any], ...]:
        """The items of `good_body`, their lineage left aside."""
        return tuple({"pk": self.name, "sk": sk, "text": f"good {sk}"} for sk in ("a", "b"))


@dataclass(frozen=True)
class GoodFile:
    """A file that ends SYNCED with `items`, lineage left aside; numbers are equal by value."""

    name: str
    key_suffix: str
    body: bytes
    items: tuple[Mapping[str, Any], ...]

    @property
    def key(self) -> str:
        """The key of the object."""
        return PREFIX + self.key_suffix


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def _bad(
    name: str,
    body: bytes | str,
    error: str,
    *mentions: str,
    suffix: str = ".json",
    prefix: str = PREFIX,
) -> BadFile:
    content = body.encode() if isinstance(body, str) else body
    return BadFile(name, name + suffix, content, error, mentions, prefix)


def _member(name: str, literal: str, field: str = "amount") -> str:
    """A document of two records, the second with a field that is written exactly so."""
    return (
        f'[{{"pk": "{name}", "sk": "a"}},\n'
        f' {{"pk": "{name}", "sk": "b", "{field}": {literal}, "text": "after it"}}]'
    )


def _bad_number(name: str, literal: str, *mentions: str) -> BadFile:
    return _bad(name, _member(name, literal), "NumberRangeError", "/1/amount", *mentions)


def _bad_record(name: str, error: str, *mentions: str, **changes: object) -> BadFile:
    """A good record and one with these changes; a change to None leaves the field out."""
    record = {"pk": name, "sk": "b", "text": "second", **changes}
    kept = {field: value for field, value in record.items() if value is not None}
    return _bad(name, _json([{"pk": name, "sk": "a"}, kept]), error, *mentions)


def _nested(levels: int) -> str:
    return "[" * levels + "]" * levels


DOCUMENTS = (
    _bad(
        "cut-short",
        '[{"pk": "cut-short", "sk": "a"},\n {"pk": "cut-',
        "MalformedJsonError",
        "line 2",
        "column",
    ),
    _bad("cut-behind-one", '{"pk": "one", "sk": "a"}\n{"pk"', "MalformedJsonError", "line 2"),
    _bad("trailing-comma", '[{"pk": "comma", "sk": "a"},]', "MalformedJsonError", "line 1"),
    _bad(
        "bad-line",
        '{"pk": "bad-line", "sk": "a"}\n\n{"pk": "bad-line", "sk": }\n',
        "MalformedJsonError",
        "line 3",
        suffix=".jsonl",
    ),
    _bad("latin-1", '{"pk": "latin-1", "sk": "é"}'.encode("latin-1"), "EncodingError", "UTF-8"),
    _bad("utf-16", '{"pk": "utf-16", "sk": "a"}'.encode("utf-16-le"), "EncodingError", "UTF-16"),
    _bad(
        "encoded-surrogate",
        b'{"pk": "encoded-surrogate", "sk": "\xed\xa0\x80"}',
        "EncodingError",
        "UTF-8",
    ),
    _bad(
        "gzip-cut-short",
        gzip.compress(b'{"pk": "gzip", "sk": "a"}', mtime=0)[:-6],
        "EncodingError",
        "gzip",
        suffix=".json.gz",
    ),
    _bad("empty", b"", "EmptyFileError", "empty"),
    _bad("blank", b" \r\n\t\n", "EmptyFileError", "empty"),
    _bad("byte-order-mark-only", b"\xef\xbb\xbf", "EmptyFileError", "empty"),
    _bad("scalar-number", b"42", "DocumentShapeError", "number"),
    _bad("scalar-text", b'"hello"', "DocumentShapeError", "string"),
    _bad("scalar-null", b"null", "DocumentShapeError", "null"),
    _bad(
        "scalar-among-records",
        '[{"pk": "among", "sk": "a"}, 5, {"pk": "among", "sk": "c"}]',
        "DocumentShapeError",
        "record 1",
    ),
    _bad(
        "array-among-records",
        '[{"pk": "among", "sk": "a"}, [{"pk": "among", "sk": "b"}]]',
        "DocumentShapeError",
        "record 1",
    ),
    _bad("nan", _member("nan", "NaN"), "NonFiniteNumberError", "NaN", "/1/amount"),
    _bad(
        "infinity", _member("infinity", "Infinity"), "NonFiniteNumberError", "Infinity", "/1/amount"
    ),
    _bad(
        "minus-infinity",
        _member("minus-infinity", "-Infinity"),
        "NonFiniteNumberError",
        "-Infinity",
        "/1/amount",
    ),
    _bad(
        "duplicate-json-key",
        _member("duplicate-json-key", '"first"', field="text"),
        "DuplicateJsonKeyError",
        "/1/text",
    ),
    _bad(
        "duplicate-json-key-same-value",
        _member("duplicate-json-key-same-value", '"after it"', field="text"),
        "DuplicateJsonKeyError",
        "/1/text",
    ),
    _bad(
        "duplicate-json-key-deep",
        _member("duplicate-json-key-deep", r'{"a": [{"\u00e9": 1, "é": 2}]}'),
        "DuplicateJsonKeyError",
        "/1/amount/a/0/",
    ),
    _bad(
        "lone-surrogate",
        _member("lone-surrogate", r'"\ud83d"', field="smile"),
        "LoneSurrogateError",
        "/1/smile",
    ),
    _bad(
        "lone-low-surrogate",
        _member("lone-low-surrogate", r'"\ude00\ud83d"', field="smile"),
        "LoneSurrogateError",
        "/1/smile",
    ),
    _bad(
        "lone-surrogate-in-name",
        _member("lone-surrogate-in-name", r'{"\ud83d": 1}', field="smiles"),
        "LoneSurrogateError",
        "/1/smiles/",
    ),
    _bad("nested-33", _member("nested-33", _nested(33), field="deep"), "NestingError", "32"),
    _bad(
        "nested-100000",
        _member("nested-100000", _nested(100_000), field="deep"),
        "NestingError",
        "nested",
    ),
    _bad(
        "nested-100000-objects",
        _member("nested-100000-objects", '{"a":' * 100_000 + "1" + "}" * 100_000, field="deep"),
        "NestingError",
        "nested",
    ),
)

NUMBERS = (
    _bad_number("number-of-39-digits", "1" * 39, "38"),
    _bad_number("fraction-of-39-digits", "0." + "1" * 39, "38"),
    _bad_number("float-spelled-out", str(Decimal.from_float(0.1)), "38"),
    _bad_number("integer-of-5000-digits", "9" * 5_000, "digits"),
    _bad_number("too-large", "1E+126"),
    _bad_number("too-large-negative", "-1e126"),
    _bad_number("far-too-large", "1e999999"),
    _bad_number("beyond-all-exponents", "1e99999999999999999999"),
    _bad_number("too-small", "1E-131"),
    _bad_number("too-small-negative", "-9.9e-131"),
)

RECORDS = (
    _bad_record("pk-missing", "KeyMissingError", "pk", "record 1", pk=None),
    _bad_record("sk-missing", "KeyMissingError", "sk", "record 1", sk=None),
    _bad_record("pk-empty", "KeyLengthError", "pk", "record 1", "empty", pk=""),
    _bad_record("sk-empty", "KeyLengthError", "sk", "record 1", "empty", sk=""),
    _bad_record("pk-too-long", "KeyLengthError", "pk", "record 1", "2,048", pk="p" * 2_049),
    _bad_record("sk-too-long", "KeyLengthError", "sk", "record 1", "1,024", sk="é" * 513),
    _bad_record("pk-a-number", "KeyTypeError", "pk", "record 1", "string", pk=5),
    _bad_record("sk-a-boolean", "KeyTypeError", "sk", "record 1", "string", sk=True),
    _bad_record("sk-an-array", "KeyTypeError", "sk", "record 1", "string", sk=["b"]),
    _bad(
        "key-null",
        '{"pk": "key-null", "sk": null}',
        "KeyTypeError",
        "sk",
        "null",
    ),
    _bad_record("two-records-one-key", "DuplicateItemKeyError", "0", "1", sk="a"),
    _bad_record("item-too-large", "ItemTooLargeError", "record 1", text="x" * 409_600),
    _bad_record("source-of-its-own", "ReservedAttributeError", "_source", _source="me"),
    _bad_record("object-of-its-own", "ReservedAttributeError", "_object", _object={}),
    _bad_record("index-of-its-own", "ReservedAttributeError", "_index", _index=0),
    _bad(
        "violation-in-record-3-of-5",
        _json(
            [
                {"pk": "violation-in-record-3-of-5", "sk": str(n), "stars": 9 if n == 2 else n}
                for n in range(5)
            ]
        ),
        "SchemaViolationError",
        "record 2",
        "/stars",
        "maximum",
    ),
    _bad(
        "two-of-many-with-one-key",
        _json([{"pk": "two-of-many-with-one-key", "sk": str(n % 150)} for n in range(151)]),
        "DuplicateItemKeyError",
        "0 and 150",
    ),
)

NO_DATASET = _bad(
    "no-dataset",
    '{"pk": "no-dataset", "sk": "a"}',
    "NoDatasetError",
    "unknown/no-dataset.json",
    "notes/",
    prefix="unknown/",
)

BAD_FILES: tuple[BadFile, ...] = (*DOCUMENTS, *NUMBERS, *RECORDS, NO_DATASET)


def _good(
    name: str, body: bytes | str, *items: Mapping[str, Any], suffix: str = ".json"
) -> GoodFile:
    return GoodFile(name, name + suffix, body.encode() if isinstance(body, str) else body, items)


def _good_values(name: str, literals: Mapping[str, str], values: Mapping[str, Any]) -> GoodFile:
    """One record, its fields beside the key written exactly so."""
    members = "".join(f", {json.dumps(field)}: {text}" for field, text in literals.items())
    body = f'{{"pk": "{name}", "sk": "a"{members}}}'
    return _good(name, body, {"pk": name, "sk": "a", **values})


def _good_numbers(name: str, *literals: str) -> GoodFile:
    fields = {f"n{index}": text for index, text in enumerate(literals)}
    values = {field: Decimal(text) for field, text in fields.items()}
    return _good_values(name, fields, values)


GOOD_FILES: tuple[GoodFile, ...] = (
    _good(
        "byte-order-mark",
        b'\xef\xbb\xbf{"pk": "byte-order-mark", "sk": "a"}',
        {"pk": "byte-order-mark", "sk": "a"},
    ),
    _good("no-records", b"[]"),
    _good("no-records-among-blanks", b"\xef\xbb\xbf \r\n[\n]\n"),
    _good(
        "lines",
        b'{"pk": "lines", "sk": "a"}\r\n\r\n{"pk": "lines", "sk": "b", "t": "\\u2028\xe2\x80\xa8"}',
        {"pk": "lines", "sk": "a"},
        {"pk": "lines", "sk": "b", "t": "\u2028\u2028"},
        suffix=".jsonl",
    ),
    _good(
        "gzip",
        gzip.compress(b'[{"pk": "gzip", "sk": "a"}]', mtime=0),
        {"pk": "gzip", "sk": "a"},
        suffix=".json.gz",
    ),
    _good_numbers("numbers-of-38-digits", "9" * 38, "-" + "9" * 38, "0." + "1" * 38),
    _good_numbers("38-digits-and-zeros", "9" * 38 + "000", "0.10" + "0" * 60, "1" + "0" * 38),
    _good_numbers("largest", "1E+125", "-1e125", "9." + "9" * 37 + "E+125"),
    # DynamoDB holds 38 digits here too, but boto3 cannot read a digit beyond the 165th place.
    _good_numbers("smallest", "1E-130", "-1e-130", "1." + "2" * 35 + "E-130"),
    _good_numbers("zeros", "-0", "-0.0", "0.00", "0e5"),
    _good_numbers("prices", "1.10", "0.30", "19.99", "1.10E1", "100", "1E2"),
    _good_numbers("beyond-float", "9007199254740993", "0.1234567890123456789", "1e23"),
    _good_values(
        "empty-values",
        {"text": '""', "list": "[]", "map": "{}", "nothing": "null", "no": "false"},
        {"text": "", "list": [], "map": {}, "nothing": None, "no": False},
    ),
    _good_values(
        "digits-as-text",
        {"code": '"007"', "price": '"1.10"', "yes": '"true"', "null": '"null"'},
        {"code": "007", "price": "1.10", "yes": "true", "null": "null"},
    ),
    _good_values(
        "odd-names",
        {"😀": '"\\ud83d\\ude00"', "a.b": "1", "with space": "2", "#:$[0]": "3", "名前": '"é"'},
        {
            "😀": "😀",
            "a.b": Decimal(1),
            "with space": Decimal(2),
            "#:$[0]": Decimal(3),
            "名前": "é",
        },
    ),
    _good_values(
        "same-name-elsewhere",
        {"a": '{"text": 1, "b": {"text": 2}}', "text": "3"},
        {"a": {"text": Decimal(1), "b": {"text": Decimal(2)}}, "text": Decimal(3)},
    ),
    _good_values(
        "two-kinds-of-e", {"é": "1", "e\u0301": "2"}, {"é": Decimal(1), "e\u0301": Decimal(2)}
    ),
    _good_values("nested-31", {"deep": _nested(31)}, {"deep": json.loads(_nested(31))}),
    _good(
        "emoji-keys",
        _json([{"pk": "🗝️ emoji", "sk": "👩‍👩‍👧‍👦"}, {"pk": "🗝️ emoji", "sk": "🇦🇶"}]),
        {"pk": "🗝️ emoji", "sk": "👩‍👩‍👧‍👦"},
        {"pk": "🗝️ emoji", "sk": "🇦🇶"},
    ),
    _good(
        "longest-keys",
        _json({"pk": "é" * 1_024, "sk": "s" * 1_024}),
        {"pk": "é" * 1_024, "sk": "s" * 1_024},
    ),
    _good(
        "keys-that-look-alike",
        _json([{"pk": "alike", "sk": sk} for sk in ("1", "01", " 1", "1 ")]),
        *({"pk": "alike", "sk": sk} for sk in ("1", "01", " 1", "1 ")),
    ),
    _good_values("nearly-too-large", {"text": f'"{"x" * 400_000}"'}, {"text": "x" * 400_000}),
    _good(
        "one-transaction-full",
        _json([{"pk": "one-transaction-full", "sk": str(n)} for n in range(98)]),
        *({"pk": "one-transaction-full", "sk": str(n)} for n in range(98)),
    ),
)
