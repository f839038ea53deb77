"""Every advice on a file can be followed: each error is raised, and what it says is done."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from tablekeeper import errors
from tablekeeper.datasets.catalogue import Catalogue, is_ignored
from tablekeeper.documents import json_stream
from tablekeeper.documents.text import text_of
from tablekeeper.errors import BadRecordsError, InvalidFileError, SchemaViolationError
from tablekeeper.model.keys import TableKey
from tablekeeper.model.snapshot import SetAside, Snapshot
from tablekeeper.settings import TransformSettings
from tablekeeper.steps.file_content import FileContent
from tablekeeper.steps.transform import _check_keys

from tests.support.project import error_classes

GOOD: dict[str, Any] = {"pk": "a", "sk": "b"}
MAX_VALUE_CHARACTERS = 2_000
LONG = {"pk": "a", "x": "x" * 800}
"""Three of them are more than one value may have, in the test of that limit."""
OTHER_KIND = {
    "KeyOwnershipError": "two files: tests/unit/handlers/test_write_items.py",
    "ItemRejectedError": "DynamoDB refuses what no check of ours does",
    "ArchivedObjectError": "S3 restores, in another class: tests/unit/steps/test_content.py",
    "EncryptedObjectError": "S3 encrypts: tests/unit/steps/test_content.py",
}
"""Errors of a file whose advice is not about its content or its dataset."""


@dataclass(frozen=True)
class File:
    """A file, and the dataset and the stack that take it."""

    body: Any
    keyword: Mapping[str, Any] = field(default_factory=dict)
    schema: Mapping[str, Any] = field(default_factory=dict)
    key: str = "d/x.json"
    limit: int = 100_000_000
    ignored: str = "_SUCCESS"

    def items(self) -> list[Any]:
        """The items that it makes. Raises InvalidFileError."""
        if is_ignored(self.key, self.ignored):
            return []
        keyword = {"prefix": "d/", **self.keyword}
        catalogue = Catalogue({"d": {"type": "object", "x-tablekeeper": keyword, **self.schema}})
        body = self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()
        content = FileContent(
            Snapshot("validate", "bucket", self.key, 0, "", etag="e", size=len(body)),
            catalogue,
            lambda: text_of([body], self.limit),
        )
        settings = TransformSettings(
            staging_bucket="staging",
            item_keys=TableKey.parse("pk:S,sk:S"),
            ttl_attribute="expires_at",
            max_document_bytes=0,
        )
        for fault in content.faults(settings):
            if content.dataset.bad_records is None:
                raise SchemaViolationError(str(fault))
        if not content.is_acceptable():
            raise BadRecordsError(content.summary(0))
        if content.records_bad:
            aside = SetAside(content.records_bad, content.records_read, "", "")
            content.snapshot = content.snapshot._replace(set_aside=aside)
        items = [each.item for each in content.items(settings)]
        _check_keys(content.items(settings), _Everything(), settings)
        return items


class _Everything(set[int]):
    def __contains__(self, value: object) -> bool:
        return True


def record(**fields: Any) -> dict[str, Any]:
    """A good record, but for these fields."""
    return {**GOOD, **fields}


@dataclass(frozen=True)
class Case:
    """A bad file, and what becomes of it by each part of the advice."""

    error: type[InvalidFileError]
    bad: File
    ways: Mapping[str, File]


LINES = {"format": "jsonl"}
ZIP = b"PK\x03\x04" + b"\0" * 40
WHOLE = {"records": "data[].rows[]", "attributes": {"pk": "pk", "sk": "pk"}}
EXPIRES = record(expires_at=1_790_000_000)
CASES = [
    Case(
        errors.EncodingError,
        File('{"pk": "é", "sk": "b"}'.encode("latin-1")),
        {
            "as UTF-8": File('{"pk": "é", "sk": "b"}'.encode()),
            "as gzip": File(gzip.compress('{"pk": "é", "sk": "b"}'.encode())),
        },
    ),
    Case(
        errors.MalformedCsvError,
        File(b"pk,sk\na;b\n", {"format": "csv"}),
        {
            "Mend the line": File(b"pk,sk\na,b\n", {"format": "csv"}),
            "how the file is written": File(
                b"pk;sk\na;b\n", {"format": "csv", "csv": {"delimiter": ";"}}
            ),
        },
    ),
    Case(
        errors.FileFormatError,
        File(ZIP),
        {"Convert": File(GOOD), "IgnorePatterns": File(ZIP, key="d/x.zip", ignored="*.zip")},
    ),
    Case(errors.EmptyFileError, File(b" \n"), {"the content": File(GOOD), "`[]`": File(b"[]")}),
    Case(errors.MalformedJsonError, File(b'{"pk": "a",\n}'), {"Mend the syntax": File(GOOD)}),
    Case(
        errors.NonFiniteNumberError,
        File(b'{"pk": "a", "sk": "b", "x": NaN}'),
        {"Write null": File(record(x=None)), "leave the field out": File(GOOD)},
    ),
    Case(
        errors.DuplicateJsonKeyError,
        File(b'{"pk": "a", "sk": "b", "sk": "c"}'),
        {
            "Remove": File(GOOD),
            "rename": File(b'{"pk": "a", "sk": "b", "other": "c"}'),
        },
    ),
    Case(
        errors.NumberRangeError,
        File(b'{"pk": "a", "sk": "b", "x": 0.' + b"1" * 39 + b"}"),
        {
            "at most 38": File(b'{"pk": "a", "sk": "b", "x": 0.' + b"1" * 38 + b"}"),
            "as a string": File(b'{"pk": "a", "sk": "b", "x": "0.' + b"1" * 39 + b'"}'),
        },
    ),
    Case(
        errors.LoneSurrogateError,
        File(b'{"pk": "a", "sk": "b", "x": "\\ud83d"}'),
        {
            "both halves": File(b'{"pk": "a", "sk": "b", "x": "\\ud83d\\ude00"}'),
            "the character itself": File('{"pk": "a", "sk": "b", "x": "😀"}'.encode()),
        },
    ),
    Case(
        errors.NestingError,
        File(b'{"pk": "a", "sk": "b", "x": {"y": ' + b"[" * 33 + b"]" * 33 + b"}}"),
        {
            "Flatten": File(record(x=[[]])),
            "`attributes`": File(
                b'{"pk": "a", "sk": "b", "x": {"y": ' + b"[" * 33 + b"]" * 33 + b"}}",
                {"attributes": {"*": "@", "x": "x.y[0]"}},
            ),
        },
    ),
    Case(
        errors.DocumentShapeError,
        File(5),
        {"one object": File(GOOD), "an array": File([GOOD])},
    ),
    Case(
        errors.DocumentShapeError,
        File([[GOOD]]),
        {"`records`": File([[GOOD]], {"records": "[]"})},
    ),
    Case(
        errors.DocumentShapeError,
        File({"pk": {"S": "a"}, "sk": {"S": "b"}}, {"format": "dynamodb-json"}),
        {
            '"Item"': File(
                {"Item": {"pk": {"S": "a"}, "sk": {"S": "b"}}}, {"format": "dynamodb-json"}
            ),
            '"Items"': File(
                {"Items": [{"pk": {"S": "a"}, "sk": {"S": "b"}}]}, {"format": "dynamodb-json"}
            ),
        },
    ),
    Case(
        errors.DocumentTooLargeError,
        File([GOOD, record(sk="c")], limit=30),
        {"Split": File([GOOD], limit=30), "MaxDocumentBytes": File([GOOD, record(sk="c")])},
    ),
    Case(
        errors.RecordTooLargeError,
        File({"data": [{"rows": [{**LONG, "pk": pk} for pk in "abc"]}]}, WHOLE),
        {
            "Split the value": File({"data": [{"rows": [LONG]}]}, WHOLE),
            "JSON Lines": File(
                b"\n".join(json.dumps({**LONG, "pk": pk}).encode() for pk in "abc"),
                {"attributes": WHOLE["attributes"], **LINES},
            ),
            "in an array, or": File(
                [{**LONG, "pk": pk} for pk in "abc"], {"attributes": WHOLE["attributes"]}
            ),
            "a plain path": File(
                {"data": {"rows": [{**LONG, "pk": pk} for pk in "abc"]}},
                {**WHOLE, "records": "data.rows"},
            ),
        },
    ),
    Case(
        errors.NoDatasetError,
        File(GOOD, {"suffixes": [".json"]}, key="d/x.JSON"),
        {
            "Add a dataset": File(GOOD, {"prefix": "d/x"}, key="d/x.JSON"),
            "`suffixes`": File(GOOD, {"suffixes": [".json", ".JSON"]}, key="d/x.JSON"),
            "move the object": File(GOOD, {"suffixes": [".json"]}),
            "IgnorePatterns": File(
                GOOD, {"suffixes": [".json"]}, key="d/x.JSON", ignored="_SUCCESS,*.JSON"
            ),
        },
    ),
    Case(
        errors.SchemaViolationError,
        File(record(n="1"), schema={"properties": {"n": {"type": "number"}}}),
        {
            "Mend the records": File(record(n=1), schema={"properties": {"n": {"type": "number"}}}),
            "or the schema": File(record(n="1"), schema={"properties": {"n": {"type": "string"}}}),
        },
    ),
    Case(
        errors.BadRecordsError,
        File([GOOD, record(sk=1), record(sk=2)], {"bad_records": {"at_most": 1}}),
        {
            "Mend the records": File(
                [GOOD, record(sk="1"), record(sk="2")], {"bad_records": {"at_most": 1}}
            ),
            "or the schema": File(
                [GOOD, record(sk=1), record(sk=2)],
                {
                    "bad_records": {"at_most": 1},
                    "key": {"sk": "to_string(_index)"},
                    "attributes": {"pk": "pk"},
                },
            ),
            "raise": File([GOOD, record(sk=1), record(sk=2)], {"bad_records": {"at_most": 2}}),
        },
    ),
    Case(
        errors.ReservedAttributeError,
        File(record(_source=1)),
        {"Rename the field": File(record(source=1))},
    ),
    Case(
        errors.ReservedAttributeError,
        File(EXPIRES),
        {
            "another name with `attributes`": File(
                EXPIRES,
                {"attributes": {"*": "@", "expires_at": None, "valid_until": "expires_at"}},
            ),
            "": File(EXPIRES, {"ttl": "expires_at"}),
        },
    ),
    Case(
        errors.FieldNameError,
        File({"\ufeffid": 1, **GOOD}),
        {
            "Rename the field": File({"id": 1, **GOOD}),
            "`attributes`": File({"\ufeffid": 1, **GOOD}, {"attributes": {"pk": "pk", "sk": "sk"}}),
        },
    ),
    Case(
        errors.ExpressionError,
        File(GOOD, {"attributes": {"*": "@", "x": "lower(mail)"}}),
        {
            "Mend the expression": File(
                GOOD, {"attributes": {"*": "@", "x": "mail && lower(mail)"}}
            ),
        },
    ),
    Case(
        errors.KeyMissingError,
        File({"pk": "a"}),
        {"Add the field": File(GOOD), "`key`": File({"pk": "a"}, {"key": {"sk": "'x'"}})},
    ),
    Case(
        errors.KeyTypeError,
        File(record(sk=1)),
        {
            "in the table's type": File(record(sk="1")),
            "convert it with `key`": File(
                record(sk=1), {"key": {"sk": "to_string(sk)"}, "attributes": {"pk": "pk"}}
            ),
        },
    ),
    Case(
        errors.KeyLengthError,
        File(record(sk="")),
        {"neither empty nor too long": File(GOOD)},
    ),
    Case(
        errors.DuplicateItemKeyError,
        File([record(n=1), record(n=2)]),
        {
            "Remove one": File([record(n=1)]),
            "make the key distinguish": File(
                [record(n=1), record(n=2)],
                {"key": {"sk": "to_string(n)"}, "attributes": {"pk": "pk"}},
            ),
        },
    ),
    Case(
        errors.ItemTooLargeError,
        File(record(x="x" * 300_000, y="y" * 300_000)),
        {
            "Split the record": File([record(x="x" * 300_000), record(sk="c", y="y" * 300_000)]),
            "`attributes`": File(
                record(x="x" * 300_000, y="y" * 300_000), {"attributes": {"*": "@", "y": None}}
            ),
        },
    ),
    Case(
        errors.TtlError,
        File(record(until=1_893_456_000_000), {"ttl": "until"}),
        {
            "epoch seconds": File(record(until=1_893_456_000), {"ttl": "until"}),
            "ISO 8601": File(record(until="2030-01-01T00:00:00Z"), {"ttl": "until"}),
            "or null": File(record(until=None), {"ttl": "until"}),
            "`floor(to_epoch(FIELD, 'milliseconds'))`": File(
                record(until=1_893_456_000_123), {"ttl": "floor(to_epoch(until, 'milliseconds'))"}
            ),
        },
    ),
]


def test_every_error_of_a_file_has_its_cases() -> None:
    invalid = {name for name, each in error_classes().items() if each.status == "INVALID"}
    assert invalid == {case.error.__name__ for case in CASES} | OTHER_KIND.keys()


@pytest.mark.parametrize(
    "case", [pytest.param(case, id=f"{case.error.__name__}-{n}") for n, case in enumerate(CASES)]
)
def test_what_the_advice_says_helps(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    if case.error is errors.RecordTooLargeError:
        monkeypatch.setattr(json_stream, "MAX_VALUE_CHARACTERS", MAX_VALUE_CHARACTERS)
    with pytest.raises(InvalidFileError) as caught:
        case.bad.items()
    assert type(caught.value) is case.error
    for part, mended in case.ways.items():
        assert part in case.error.advice, part
        assert isinstance(mended.items(), list), part


def test_an_error_of_an_expression_may_be_a_bad_record() -> None:
    """The schema then says so of each, and before it the dataset makes no item."""
    bad = File(GOOD, {"attributes": {"*": "@", "x": "lower(mail)"}})
    required = {"required": ["mail"], "properties": {"mail": {"type": "string"}}}
    assert "require in the schema what it needs" in errors.ExpressionError.advice
    with pytest.raises(SchemaViolationError, match='"/mail": required'):
        replace(bad, schema=required).items()
    assert replace(bad, schema=required, body=record(mail="A")).items()[0]["x"] == {"S": "a"}
