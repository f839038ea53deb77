"""The reference: jsonschema's verdict on a record counts, and its violations are reported.

It is imported with the first record that needs it: that takes longer than the rest of Validate
Records.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from functools import cache, lru_cache
from itertools import islice
from typing import Any

from jsonschema import FormatChecker
from jsonschema.exceptions import SchemaError, UnknownType, best_match
from jsonschema.validators import Draft202012Validator, extend, validator_for
from referencing.exceptions import Unresolvable

from tablekeeper.datasets.catalogue import Catalogue
from tablekeeper.datasets.dataset import SUFFIX
from tablekeeper.datasets.records import Record
from tablekeeper.documents.numbers import exact_arithmetic
from tablekeeper.documents.pointers import pointer, shown
from tablekeeper.errors import DatasetDefinitionError, NestingError
from tablekeeper.validation.formats import FORMATS
from tablekeeper.validation.ref_targets import (
    _leads_nowhere,
    _registry,
    _specification,
    unresolvable,
)
from tablekeeper.validation.sentences import expected, found_of, keyword_of, place_of
from tablekeeper.validation.violation import Violation

MAX_VIOLATIONS = 10_000
"""How many violations of one record are reported: each takes kilobytes, until all are sorted."""


class Reference:
    """One schema as jsonschema reads it: with exact numbers, asserted formats, and no network."""

    def __init__(self, catalogue: Catalogue, name: str) -> None:
        """Raises DatasetDefinitionError when the schema, or one that it needs, refers to one that
        is not in schemas/.
        """
        self._catalogue, self._name = catalogue, name
        with _schema_errors(catalogue, name):
            for reference in unresolvable(catalogue, name, definitions=False):
                raise DatasetDefinitionError(_leads_nowhere(name, reference))
            schema = catalogue.schemas[name]
            self._validator = _exact(validator_for(schema, default=Draft202012Validator))(
                schema,
                registry=_registry(catalogue, _specification(schema)),
                format_checker=_format_checker(),
            )

    def violations(self, record: Record) -> list[Violation]:
        """The violations in a record, the first MAX_VIOLATIONS that are found.

        Raises:
            DatasetDefinitionError: the schema cannot be applied.
            NestingError: a recursive schema met a record nested too deep for it.
        """
        try:
            with exact_arithmetic(), _schema_errors(self._catalogue, self._name):
                errors = sorted(
                    islice(self._validator.iter_errors(record.value), MAX_VIOLATIONS),
                    key=lambda each: list(map(str, each.absolute_path)),
                )
        except Unresolvable as error:
            raise DatasetDefinitionError(_leads_nowhere(self._name, error.ref)) from None
        except re.error as error:
            raise DatasetDefinitionError(
                f'{self._name}{SUFFIX}: "{error.pattern!s}" is no pattern: {error.msg}'
            ) from None
        except UnknownType as error:
            raise DatasetDefinitionError(
                f'{self._name}{SUFFIX}: there is no type "{error.type}"'
            ) from None
        except RecursionError:
            raise NestingError(
                f"record {record.place} is nested too deep for its schema", **record.values()
            ) from None
        return [_violation(record, best_match([error]) or error) for error in errors]


@contextmanager
def _schema_errors(catalogue: Catalogue, name: str) -> Iterator[None]:
    """Raises DatasetDefinitionError for the errors that jsonschema ends with where a schema, or one
    that it refers to, is none.
    """
    try:
        yield
    except (AttributeError, TypeError, ValueError, LookupError, ArithmeticError):
        for each in sorted(catalogue.references(name)):
            schema = json.loads(json.dumps(catalogue.schemas[each], default=float))
            try:
                validator_for(schema, default=Draft202012Validator).check_schema(schema)
            except SchemaError as error:
                raise DatasetDefinitionError(
                    f'{each}{SUFFIX} is no JSON Schema at "{shown(pointer(error.absolute_path))}"; '
                    "`tablekeeper schemas check` says more"
                ) from None
        raise


@lru_cache(maxsize=256)
def reference(catalogue: Catalogue, name: str) -> Reference:
    """The reference for one schema of a catalogue; raises what `Reference` does."""
    return Reference(catalogue, name)


def _violation(record: Record, error: Any) -> Violation:
    return Violation(
        record.place,
        pointer(place_of(error)),
        keyword_of(error),
        expected(error),
        found_of(error),
        record.line,
    )


def _is_integer(_checker: Any, value: Any) -> bool:
    if isinstance(value, Decimal):
        return value == value.to_integral_value()
    return isinstance(value, int) and not isinstance(value, bool)


@cache
def _exact(draft: Any) -> Any:
    """A draft to which a Decimal without a fraction is an integer.

    A schema with a `$schema` of its own makes jsonschema change over to the plain class of its
    draft, so `evolve` changes back.
    """
    exact: Any = extend(  # type: ignore[no-untyped-call]
        draft, type_checker=draft.TYPE_CHECKER.redefine("integer", _is_integer)
    )
    plain_evolve = exact.evolve

    def evolve(self: Any, **changes: Any) -> Any:
        evolved = plain_evolve(self, **changes)
        if hasattr(type(evolved), "is_exact"):
            return evolved
        plain: Any = type(evolved)
        return _exact(plain)(
            evolved.schema,
            registry=evolved._registry,
            _resolver=evolved._resolver,
            format_checker=evolved.format_checker,
        )

    exact.evolve = evolve
    exact.is_exact = True
    return exact


@cache
def _format_checker() -> FormatChecker:
    checker = FormatChecker(())
    for name, check in FORMATS.items():
        checker.checks(name)(_of_strings(check))
    return checker


def _of_strings(check: Callable[[str], bool]) -> Callable[[object], bool]:
    return lambda value: not isinstance(value, str) or check(value)
