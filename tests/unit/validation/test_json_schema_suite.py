"""The official JSON Schema test suite: where reference and jsonschema-rs differ from it and from
each other, and that no difference lets a bad record in.

tests/data/json-schema-suite/README.md says where the suite is from.
"""

from __future__ import annotations

import json
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import jsonschema_rs
import pytest
from tablekeeper.datasets.catalogue import Catalogue
from tablekeeper.datasets.dataset import KEYWORD
from tablekeeper.datasets.records import Record
from tablekeeper.documents.numbers import OutOfRangeError, parse_number
from tablekeeper.errors import DatasetDefinitionError
from tablekeeper.validation.fast_check import acceptor
from tablekeeper.validation.full_check import reference
from tablekeeper.validation.validator import violations

DATA = Path(__file__).parents[2] / "data/json-schema-suite"
DRAFTS = {
    "draft7": "http://json-schema.org/draft-07/schema#",
    "draft2020-12": "https://json-schema.org/draft/2020-12/schema",
}
OUT_OF_RANGE = {
    "multipleOf": 1,
    "optional/bignum": 5,
    "optional/float-overflow": 1,
}
"""Tests with numbers that DynamoDB cannot hold: such a document does not come to be validated."""

NOT_ASSERTED = "this format is an annotation"
DATES = "leap seconds are refused"
REGEX = "patterns are Python's: no \\c and \\p, and \\d, \\w and \\s are those of Unicode"
EMAIL = "an address is anything with an @"
REFERENCE_DIFFERS = {
    "draft7": {
        "optional/content": (4, "contentEncoding and contentMediaType are annotations"),
        "optional/ecmascript-regex": (26, REGEX),
        "optional/format/date-time": (2, DATES),
        "optional/format/email": (3, EMAIL),
        "optional/format/hostname": (11, NOT_ASSERTED),
        "optional/format/idn-hostname": (34, NOT_ASSERTED),
        "optional/format/iri": (4, NOT_ASSERTED),
        "optional/format/iri-reference": (2, NOT_ASSERTED),
        "optional/format/json-pointer": (12, NOT_ASSERTED),
        "optional/format/relative-json-pointer": (7, NOT_ASSERTED),
        "optional/format/time": (6, DATES),
        "optional/format/uri-template": (1, NOT_ASSERTED),
    },
    "draft2020-12": {
        "format": (11, "the suite takes formats for annotations, and eleven are asserted here"),
        "optional/dependencies-compatibility": (14, "`dependencies` is no keyword of this draft"),
        "optional/ecmascript-regex": (26, REGEX),
        "optional/format/date-time": (2, DATES),
        "optional/format/duration": (11, NOT_ASSERTED),
        "optional/format/ecmascript-regex": (1, REGEX),
        "optional/format/email": (5, EMAIL),
        "optional/format/hostname": (11, NOT_ASSERTED),
        "optional/format/idn-hostname": (34, NOT_ASSERTED),
        "optional/format/iri": (4, NOT_ASSERTED),
        "optional/format/iri-reference": (2, NOT_ASSERTED),
        "optional/format/json-pointer": (12, NOT_ASSERTED),
        "optional/format/relative-json-pointer": (7, NOT_ASSERTED),
        "optional/format/time": (6, DATES),
        "optional/format/uri-template": (1, NOT_ASSERTED),
        "vocabulary": (1, "a meta-schema that leaves a vocabulary out is not known"),
    },
}
"""How many tests of a file the reference answers otherwise than the suite, and why."""

PLAIN_ACCEPTS_MORE = {
    "draft7": {
        "optional/ecmascript-regex": 16,
        "optional/format/date-time": 2,
        "optional/format/time": 6,
    },
    "draft2020-12": {
        "optional/ecmascript-regex": 16,
        "optional/format/date-time": 2,
        "optional/format/time": 6,
        "vocabulary": 1,
    },
}
"""How many records jsonschema-rs would let in that the reference refuses, were its schemas not
translated: what acceptance is for.
"""

TRANSLATED = {"draft7": (261, 306), "draft2020-12": (293, 433)}
"""How many of the suite's schemas can be translated, so that a change that makes them fewer shows.
"""


class Case(NamedTuple):
    """One test of the suite."""

    file: str
    name: str
    group: Group
    record: Record
    valid: bool

    def reference_accepts(self) -> bool:
        """The reference's verdict; one that it cannot give is a no."""
        try:
            return not reference(self.group.catalogue, "d").violations(self.record)
        except DatasetDefinitionError:
            return False


class Group(NamedTuple):
    """One schema of the suite, as it is and in a catalogue."""

    schema: Any
    catalogue: Catalogue


class Suite(Catalogue):
    """Finds the remotes under the addresses that the suite gives them."""

    def resolve(self, uri: str) -> str | None:
        return uri if uri in self.schemas else super().resolve(uri)


class OutOfRange:
    """Stands where a document holds a number that DynamoDB cannot."""


def number(text: str) -> object:
    try:
        return parse_number(text)
    except OutOfRangeError:
        return OutOfRange()


def load(name: str) -> dict[str, Any]:
    """A file of the suite with numbers as `documents.parse` reads them."""
    text = (DATA / f"{name}.json").read_text("utf-8")
    loaded: dict[str, Any] = json.loads(text, parse_int=number, parse_float=number)
    return loaded


@cache
def cases(draft: str) -> list[Case]:
    remotes = load("remotes")
    found = []
    for file, groups in load(draft).items():
        for each in groups:
            schema = each["schema"]
            inner = schema if isinstance(schema, dict) else {"allOf": [schema]}
            root = {"$schema": DRAFTS[draft], **inner, KEYWORD: {"prefix": ""}}
            group = Group(schema, Suite({"d": root, **remotes}))
            for test in each["tests"]:
                name = f"{file}: {each['description']}: {test['description']}"
                found.append(Case(file, name, group, Record(0, test["data"]), test["valid"]))
    return [case for case in found if not isinstance(case.record.value, OutOfRange)]


@pytest.mark.parametrize("draft", DRAFTS)
def test_the_suite_has_few_numbers_that_dynamodb_cannot_hold(draft: str) -> None:
    out_of_range = Counter(
        file
        for file, groups in load(draft).items()
        for group in groups
        for test in group["tests"]
        if isinstance(test["data"], OutOfRange)
    )
    assert out_of_range == OUT_OF_RANGE


@pytest.mark.parametrize("draft", DRAFTS)
def test_the_reference_says_what_the_suite_says_but_for_these(draft: str) -> None:
    wrong = Counter(each.file for each in cases(draft) if each.reference_accepts() != each.valid)
    assert wrong == {file: count for file, (count, _why) in REFERENCE_DIFFERS[draft].items()}


@pytest.mark.parametrize("draft", DRAFTS)
def test_the_fast_check_says_just_what_the_reference_says(draft: str) -> None:
    """To accept more would let bad records in; to accept less costs time, and does not happen."""
    differ = [
        case.name
        for case in cases(draft)
        if (accepts := acceptor(case.group.catalogue, "d"))
        and accepts(case.record.value) != case.reference_accepts()
    ]
    assert differ == []


@pytest.mark.parametrize("draft", DRAFTS)
def test_most_schemas_are_translated(draft: str) -> None:
    catalogues = {id(case.group.catalogue): case.group.catalogue for case in cases(draft)}
    translated = sum(acceptor(each, "d") is not None for each in catalogues.values())
    assert (translated, len(catalogues)) == TRANSLATED[draft]


@pytest.mark.parametrize("draft", DRAFTS)
def test_violations_are_those_of_the_reference(draft: str) -> None:
    for case in cases(draft):
        dataset = case.group.catalogue.datasets["d"]
        try:
            found = not list(violations(iter([case.record]), dataset, case.group.catalogue))
        except DatasetDefinitionError:
            found = False
        assert found == case.reference_accepts(), case.name


@pytest.mark.parametrize("draft", DRAFTS)
def test_without_translation_jsonschema_rs_would_accept_more(draft: str) -> None:
    more: Counter[str] = Counter()
    registry = jsonschema_rs.Registry(list(load("remotes").items()))
    make = {
        "draft7": jsonschema_rs.Draft7Validator,
        "draft2020-12": jsonschema_rs.Draft202012Validator,
    }[draft]
    plain: dict[int, Any] = {}
    for case in cases(draft):
        key = id(case.group)
        if key not in plain:
            try:
                plain[key] = make(
                    case.group.schema, validate_formats=True, offline=True, registry=registry
                )
            except jsonschema_rs.ValidationError:
                plain[key] = None
        if plain[key] and plain[key].is_valid(case.record.value) and not case.reference_accepts():
            more[case.file] += 1
    assert more == PLAIN_ACCEPTS_MORE[draft]
