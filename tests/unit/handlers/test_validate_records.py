"""Validate Records: every violation, by pointer, keyword and what was expected, never by value."""

import json
from decimal import Decimal
from typing import Any

import pytest
from handlers import fetch_object, validate_records
from tablekeeper.causes import message_of, values_of
from tablekeeper.datasets.catalogue import Catalogue
from tablekeeper.datasets.records import Record
from tablekeeper.errors import (
    DatasetDefinitionError,
    InvalidFileError,
    NoDatasetError,
    SchemaViolationError,
)
from tablekeeper.model.messages import sentence_and_values
from tablekeeper.validation.validator import violations

from tests.unit.conftest import Pipeline

GOOD = {"pk": "a", "sk": "1"}


def found_violations(schema: Any, *records: Any, **others: Any) -> list[str]:
    catalogue = Catalogue({"d": {"x-tablekeeper": {"prefix": ""}, **schema}, **others})
    numbered = [Record(place, each) for place, each in enumerate(records)]
    return [str(each) for each in violations(numbered, catalogue.datasets["d"], catalogue)]


@pytest.mark.parametrize(
    ("schema", "record", "expected"),
    [
        (
            {"properties": {"a": {"minimum": 0}}},
            {"a": Decimal("-1.5")},
            '"/a": minimum: expected at least 0, found a number that is no integer',
        ),
        ({"required": ["a"]}, {}, '"/a": required: expected a field "a", found none'),
        (
            {"properties": {"o": {"required": ["it's", "b"]}}},
            {"o": {"b": 1}},
            '"/o/it\'s": required: expected a field "it\'s", found none',
        ),
        (
            {"additionalProperties": False},
            {"a": 1},
            "additionalProperties: expected no fields but those that the schema names, found a "
            'field "a"',
        ),
        (
            {
                "additionalProperties": False,
                "properties": {"a": {}},
                "patternProperties": {"^x": {}},
            },
            {"a": 1, "xa": 1, "b": 1, "c": 1, "d": 1, "e": 1},
            'found fields "b", "c", "d" and 1 more',
        ),
        (
            {
                "$schema": "http://json-schema.org/draft-04/schema#",
                "properties": {"a": {"minimum": 0, "exclusiveMinimum": True}},
            },
            {"a": 0},
            '"/a": minimum: expected greater than 0, found an integer',
        ),
        (
            {"properties": {"a": {"exclusiveMaximum": Decimal("1.10")}}},
            {"a": 2},
            "exclusiveMaximum: expected less than 1.1, found an integer",
        ),
        (
            {"properties": {"a": {"minLength": 3}}},
            {"a": "é"},
            '"/a": minLength: expected at least 3 characters, found a string of 1 character',
        ),
        (
            {"properties": {"a": {"maxItems": 1}}},
            {"a": [1, 2]},
            '"/a": maxItems: expected at most 1 elements, found an array of 2 elements',
        ),
        (
            {"properties": {"a": {"type": "string"}}},
            {"a": None},
            '"/a": type: expected "string", found null',
        ),
        (
            {"properties": {"a": {"type": ["string", "null"]}}},
            {"a": {"b": 1}},
            '"/a": type: expected ["string","null"], found an object of 1 field',
        ),
        ({"properties": {"a": {"type": "string"}}}, {"a": True}, "found a boolean"),
        ({"properties": {"a": False}}, {"a": 1}, "false: expected no value in it where its schema"),
        (
            {"propertyNames": {"maxLength": 1}},
            {"ab": 1},
            '"/ab": maxLength: expected at most 1 characters, found a name of 2 characters',
        ),
        (
            {"properties": {"a": {"uniqueItems": True}}},
            {"a": [1, 1]},
            "expected elements that differ from each other, found an array of 2 elements",
        ),
        (
            {"properties": {"a": {"prefixItems": [{}], "items": False}}},
            {"a": [1, 2]},
            "items: expected no elements but those that the schema names, found an array of 2",
        ),
        ({"properties": {"a": {"format": "date-time"}}}, {"a": "then"}, "format"),
        ({"properties": {"a": {"format": "ipv4"}}}, {"a": "300.1.1.1"}, "format"),
        ({"properties": {"a": {"items": {"type": "string"}}}}, {"a": ["x", 1]}, '"/a/1": type'),
        ({"properties": {"a": {"type": "integer"}}}, {"a": Decimal("1.5")}, "type"),
        (
            {"properties": {"a": {"multipleOf": Decimal("0.01")}}},
            {"a": Decimal("0.005")},
            "multipleOf",
        ),
        ({"properties": {"a": {"const": Decimal("1.1")}}}, {"a": Decimal("1.2")}, "const"),
        (
            {"properties": {"a": {"enum": [1, 2]}}},
            {"a": 3},
            "enum: expected one of [1,2], found an integer",
        ),
        ({"not": {"required": ["a"]}}, {"a": 1}, "not: expected nothing that matches {"),
        (
            {"oneOf": [{"required": ["a"]}, {"required": ["b"]}]},
            {"a": 1, "b": 2},
            'oneOf: expected what matches exactly one of [{"required":["a"]},{"required":["b"]}], '
            "found an object of 2 fields, which matches several",
        ),
        (
            {"anyOf": [{"required": ["a"]}, {"required": ["b"]}]},
            {},
            'anyOf: expected what matches one of [{"required":["a"]},{"required":["b"]}], found an '
            "object of 0 fields",
        ),
        (
            {"properties": {"a": {"contains": {"const": 1}}}},
            {"a": [2]},
            'contains: expected an element that matches {"const":1}, found an array of 1 element',
        ),
        (
            {"dependentRequired": {"a": ["b", "it's"]}},
            {"a": 1, "b": 1},
            '"/it\'s": dependentRequired: expected a field "it\'s" beside "a", found none',
        ),
        (
            {
                "$schema": "http://json-schema.org/draft-07/schema#",
                "dependencies": {"a": ["b"], "c": {"required": ["d"]}},
            },
            {"a": 1},
            '"/b": dependencies: expected a field "b" beside "a", found none',
        ),
        (
            {"allOf": [{"properties": {"a": {}}}], "unevaluatedProperties": False},
            {"a": 1, "b": 1, "it's": 1},
            'expected no fields but those that the schema names, found fields "b", "it\'s"',
        ),
    ],
)
def test_a_violation_says_where_and_what_was_expected(
    schema: Any, record: Any, expected: str
) -> None:
    (violation,) = found_violations(schema, record)
    assert violation.startswith("record 0, ")
    assert expected in violation


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "integer"}, Decimal("1.0")),
        ({"multipleOf": Decimal("0.1")}, Decimal("4.7")),
        ({"multipleOf": Decimal("1E-130")}, Decimal("9.9E+125")),
        ({"enum": [Decimal("1.10")]}, Decimal("1.1")),
        ({"const": 1}, Decimal("1.0")),
        ({"format": "date-time"}, "2026-01-31T12:00:00Z"),
        ({"uniqueItems": True}, [1, True, "1"]),
    ],
)
def test_exact_numbers_are_what_json_schema_says_they_are(schema: Any, value: Any) -> None:
    assert found_violations({"properties": {"a": schema}}, {"a": value}) == []


@pytest.mark.parametrize(
    "reference", ["other.schema.json", "https://example.com/other.schema.json"]
)
def test_a_reference_may_be_a_file_name_or_an_id(reference: str) -> None:
    other = {"$id": "https://example.com/other.schema.json", "type": "string"}
    schema = {"properties": {"a": {"$ref": reference}}}
    assert found_violations(schema, {"a": "x"}, other=other) == []
    assert len(found_violations(schema, {"a": 1}, other=other)) == 1


def test_a_schema_that_names_its_draft_has_exact_numbers_too() -> None:
    """jsonschema changes over to the plain draft where it meets a `$schema`."""
    other = {"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "integer"}
    schema = {"properties": {"a": {"$ref": "other.schema.json"}}, "unevaluatedProperties": False}
    assert found_violations(schema, {"a": Decimal("1.0")}, other=other) == []
    assert len(found_violations(schema, {"a": Decimal("1.5")}, other=other)) == 1


@pytest.mark.parametrize(
    ("schema", "says"),
    [
        ({"pattern": r"\p{L}"}, r'"\p{L}" is no pattern'),
        ({"type": "any"}, 'there is no type "any"'),
    ],
)
def test_a_schema_that_cannot_be_applied_is_a_bad_dataset(schema: Any, says: str) -> None:
    with pytest.raises(DatasetDefinitionError) as caught:
        found_violations({"properties": {"a": schema}}, {"a": "sekrit"})
    assert says in str(caught.value)
    assert "sekrit" not in str(caught.value)


def test_a_reference_to_the_network_is_a_bad_dataset() -> None:
    with pytest.raises(DatasetDefinitionError, match=r"https://example\.com/x\.json"):
        found_violations({"$ref": "https://example.com/x.json"}, {})


def validate(pipeline: Pipeline, key: str) -> Any:
    fetched = pipeline.fetch(key)
    return validate_records.handler({**fetched, "execution": pipeline.execution(key)}, None)


def test_a_good_file_is_counted(pipeline: Pipeline) -> None:
    pipeline.put("notes/a.json", [GOOD, GOOD])
    assert validate(pipeline, "notes/a.json") == {"records": 2}


def test_json_lines_are_records(pipeline: Pipeline) -> None:
    pipeline.put("notes/a.jsonl", b'{"pk": "a", "sk": "1"}\n{"pk": "b", "sk": "1"}\n')
    assert validate(pipeline, "notes/a.jsonl") == {"records": 2}


def test_a_violation_in_a_file_of_lines_has_its_line(pipeline: Pipeline) -> None:
    """Empty lines are no records, and count as lines."""
    pipeline.put(
        "notes/a.jsonl", b'{"pk": "a", "sk": "1"}\n\n{"pk": "b", "sk": "1", "count": -1}\n'
    )
    with pytest.raises(SchemaViolationError) as caught:
        validate(pipeline, "notes/a.jsonl")
    assert 'record 1 (line 3), "/count": minimum: expected at least 0' in str(caught.value)


def test_all_violations_are_counted_and_reported(pipeline: Pipeline) -> None:
    bad = [{"pk": "a", "sk": "sekrit", "count": -number} for number in range(1, 151)]
    pipeline.put("notes/a.json", [GOOD, *bad])
    with pytest.raises(SchemaViolationError) as caught:
        validate(pipeline, "notes/a.json")
    message, _ = sentence_and_values(str(caught.value))
    assert "150 violations of notes.schema.json in 151 records" in message
    assert 'record 1 (line 1), "/count": minimum: expected at least 0, found an integer' in message
    body = pipeline.s3.get_object(Bucket="staging", Key="reports/e1.json")["Body"].read()
    report = json.loads(body)
    assert (report["violations"], len(report["listed"])) == (150, 150)
    assert report["listed"][0] == {
        "record": 1,
        "pointer": "/count",
        "keyword": "minimum",
        "expected": "at least 0",
        "found": "an integer",
        "line": 1,
    }
    assert b"sekrit" not in body
    assert "sekrit" not in message
    assert len(message) < 4000


@pytest.mark.parametrize(
    "letter", ["n", '"', "\u00e9", "\U0001f600"], ids=["ascii", "escaped", "latin", "emoji"]
)
def test_a_cause_is_never_cut_before_its_values(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, letter: str
) -> None:
    """Step Functions cuts it at 32,768 characters: without its values no report is found."""
    names = {f"{number}{letter * 1100}": number for number in range(4)}
    keyword = {"prefix": "notes/", "key": {"pk": "'a'", "sk": "to_string(_index)"}}
    schema = {"additionalProperties": {"additionalProperties": False}, "x-tablekeeper": keyword}
    for module in (fetch_object, validate_records):
        monkeypatch.setattr(module, "catalogue", lambda: Catalogue({"long": schema}))
    pipeline.put("notes/a.json", [{letter * 1100: names}] * 12)
    with pytest.raises(SchemaViolationError) as caught:
        validate(pipeline, "notes/a.json")
    cause = json.dumps({"errorMessage": str(caught.value), "errorType": "SchemaViolationError"})
    assert len(cause) < 32_768
    values = values_of(cause)
    assert (values["count"], values["report"]) == (12, "s3://staging/reports/e1.json")
    assert 'record 0 (line 1), "/' in message_of(cause)


@pytest.mark.parametrize(
    ("content", "error", "says"),
    [
        (b"5", "DocumentShapeError", "a number"),
        (b"[1]", "DocumentShapeError", "record 0 holds a number"),
        (b'[{"pk": "a", "sk": "1", "_source": 1}]', "ReservedAttributeError", '"_source"'),
        (b"", "EmptyFileError", "empty"),
        (b"\xff", "EncodingError", "byte 0"),
        (b" " * 1_000_001, "DocumentTooLargeError", "1,000,001"),
    ],
)
def test_a_bad_file_is_named_with_what_to_do(
    pipeline: Pipeline, content: bytes, error: str, says: str
) -> None:
    pipeline.put("notes/a.json", content)
    with pytest.raises(InvalidFileError) as caught:
        validate(pipeline, "notes/a.json")
    assert type(caught.value).__name__ == error
    message, _ = sentence_and_values(str(caught.value))
    assert message.startswith("s3://source/notes/a.json: ")
    assert says in message
    assert message.endswith(type(caught.value).advice)


def test_a_key_of_no_dataset_is_named_with_the_prefixes(pipeline: Pipeline) -> None:
    pipeline.put("nowhere/a.json", [GOOD])
    with pytest.raises(NoDatasetError, match="the prefixes are lax/, notes/, versions/"):
        validate(pipeline, "nowhere/a.json")


SUFFIXES = Catalogue(
    {
        "all": {"x-tablekeeper": {"prefix": "all/"}},
        "spark": {"x-tablekeeper": {"prefix": "spark/", "suffixes": [".json", ".jsonl"]}},
    }
)


@pytest.mark.parametrize(
    ("key", "says"),
    [
        pytest.param("spark/x.csv", "its suffixes are .json, .jsonl", id="another suffix"),
        pytest.param(
            "spark/x.JSON",
            'the prefix "spark/" of spark.schema.json matches, and its suffixes are .json, .jsonl '
            "(capitals count)",
            id="capitals",
        ),
        pytest.param("other/x.json", "the prefixes are all/, spark/", id="another prefix"),
    ],
)
def test_a_key_of_no_dataset_is_told_from_what_nearly_matches(key: str, says: str) -> None:
    with pytest.raises(NoDatasetError) as caught:
        SUFFIXES.get(key)
    assert str(caught.value).startswith(f'no dataset matches the key "{key}"; ')
    assert str(caught.value).endswith(says)


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        pytest.param(
            "notes/AWSDynamoDB/01/manifest-files.json",
            "By its name the file is a manifest of a DynamoDB export and no data: name the endings "
            "of the data in `suffixes`, or add `manifest-*.json` to the parameter IgnorePatterns.",
            id="a manifest",
        ),
        pytest.param("notes/table_$folder$", "a folder marker of Hadoop", id="a folder marker"),
        pytest.param(
            "notes/1_CloudTrail-Digest_eu_t_eu_2024.json.gz",
            "a digest of CloudTrail",
            id="a digest",
        ),
        pytest.param("notes/manifests.json", None, id="a name that only looks like one"),
        pytest.param("manifest.json/a.json", None, id="a folder of that name"),
    ],
)
@pytest.mark.parametrize("content", [b"{", b'{"itemCount": 2}'], ids=["bad JSON", "another record"])
def test_a_file_that_is_no_data_is_told_from_bad_data(
    pipeline: Pipeline, key: str, hint: str | None, content: bytes
) -> None:
    pipeline.put(key, content)
    with pytest.raises(InvalidFileError) as caught:
        validate(pipeline, key)
    message, _ = sentence_and_values(str(caught.value))
    assert hint in message if hint else "By its name" not in message
