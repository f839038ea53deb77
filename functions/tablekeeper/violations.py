"""Violations: what a dataset's JSON Schema says of its records.

jsonschema is the reference, and writes the reports.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from decimal import Decimal
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import urldefrag

from jsonschema.exceptions import best_match
from jsonschema.validators import Draft202012Validator, extend, validator_for
from referencing import Registry, Resource
from referencing.exceptions import NoSuchResource, Unresolvable
from referencing.jsonschema import DRAFT202012

from tablekeeper.datasets import Catalogue, Dataset
from tablekeeper.documents import pointer
from tablekeeper.errors import DatasetDefinitionError, NestingError
from tablekeeper.exact_numbers import exact_arithmetic
from tablekeeper.records import Record

_EXPECTED_LENGTH = 200


class Violation(NamedTuple):
    """One way in which a record violates its schema; never holds the record's values."""

    record: int
    pointer: str
    keyword: str
    expected: str

    def __str__(self) -> str:
        where = f'"{self.pointer}"' if self.pointer else "the whole record"
        return f"record {self.record}, {where}: {self.keyword}: expected {self.expected}"


def violations(
    records: Iterable[Record], dataset: Dataset, catalogue: Catalogue
) -> Iterator[Violation]:
    """Every violation of the dataset's schema, in the order of the records.

    Raises:
        DatasetDefinitionError: the schema refers to one that is not in schemas/.
        NestingError: a recursive schema met a record nested too deep for it.
    """
    validator = _validator(catalogue, dataset.name)
    with exact_arithmetic():
        for record in records:
            try:
                if not validator.is_valid(record.value):
                    yield from _violations(validator, record)
            except Unresolvable as error:
                raise DatasetDefinitionError(
                    f'{dataset.name}.schema.json: "{error.ref}" leads to no schema in schemas/'
                ) from None
            except RecursionError:
                raise NestingError(
                    f"record {record.place} is nested too deep for its schema"
                ) from None


def _violations(validator: Any, record: Record) -> Iterator[Violation]:
    for error in sorted(
        validator.iter_errors(record.value), key=lambda each: list(map(str, each.absolute_path))
    ):
        cause = best_match([error]) or error
        yield Violation(
            record.place,
            pointer(tuple(cause.absolute_path)),
            str(cause.validator),
            _expected(cause),
        )


def _expected(error: Any) -> str:
    """What the schema wanted, in words that hold nothing of the record."""
    value = error.validator_value
    if error.validator == "required":
        missing = re.match(r"'(.*)' is a required property", error.message)
        return f'a field "{missing.group(1)}"' if missing else "its required fields"
    if error.validator == "additionalProperties":
        return "no fields but those that the schema names"
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _EXPECTED_LENGTH else text[:_EXPECTED_LENGTH] + "…"


def _is_integer(_checker: Any, value: Any) -> bool:
    if isinstance(value, Decimal):
        return value == value.to_integral_value()
    return isinstance(value, int) and not isinstance(value, bool)


@lru_cache(maxsize=256)
def _validator(catalogue: Catalogue, name: str) -> Any:
    """A validator that reads exact numbers, asserts `format` and never asks the network for a
    `$ref`.
    """

    def resource(uri: str) -> Resource[Any]:
        target = catalogue.resolve(urldefrag(uri).url)
        if target is None:
            raise NoSuchResource(ref=uri)  # type: ignore[call-arg]
        return Resource.from_contents(catalogue.schemas[target], default_specification=DRAFT202012)

    schema = catalogue.schemas[name]
    draft = validator_for(schema, default=Draft202012Validator)
    exact = extend(  # type: ignore[no-untyped-call]
        draft, type_checker=draft.TYPE_CHECKER.redefine("integer", _is_integer)
    )
    return exact(
        schema,
        registry=Registry(retrieve=resource),  # type: ignore[call-arg]
        format_checker=draft.FORMAT_CHECKER,
    )
