"""What a violation says: what the schema wanted, and what was found, without its value.

The arguments are errors of jsonschema's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from tablekeeper.datasets.functions import compact_json
from tablekeeper.documents.pointers import Path, shown

_LONGEST = 200
_NAMES = 3
"""How many fields that are not in the schema a violation names."""

_WANTED: Mapping[str, str] = {
    "minimum": "at least {}",
    "maximum": "at most {}",
    "exclusiveMinimum": "greater than {}",
    "exclusiveMaximum": "less than {}",
    "multipleOf": "a multiple of {}",
    "divisibleBy": "a multiple of {}",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minItems": "at least {} elements",
    "maxItems": "at most {} elements",
    "minProperties": "at least {} fields",
    "maxProperties": "at most {} fields",
    "enum": "one of {}",
    "not": "nothing that matches {}",
    "anyOf": "what matches one of {}",
    "oneOf": "what matches exactly one of {}",
    "contains": "an element that matches {}",
}
_NO_OTHERS = ("additionalProperties", "unevaluatedProperties")
_DEPENDENT = ("dependentRequired", "dependencies")
_EXCLUSIVE = {"minimum": "exclusiveMinimum", "maximum": "exclusiveMaximum"}


def keyword_of(error: Any) -> str:
    """The keyword that is violated. A schema that is just `false` has none, and jsonschema gives
    the place of the value around it.
    """
    return str(error.validator or "false")


def place_of(error: Any) -> Path:
    """Where something is wrong: with a field that is required, where it should be; with
    `propertyNames`, at the field that has the name.
    """
    path: Path = tuple(error.absolute_path)
    missing = _missing(error)
    if missing is not None:
        return (*path, missing)
    if "propertyNames" in error.absolute_schema_path and isinstance(error.instance, str):
        return (*path, error.instance)
    return path


def expected(error: Any) -> str:
    """What the schema wanted."""
    keyword, value = error.validator, error.validator_value
    missing = _missing(error)
    if missing is not None:
        return f'a field "{shown(missing)}"{_beside(error)}'
    if keyword in _NO_OTHERS and value is False:
        return "no fields but those that the schema names"
    if keyword in ("items", "additionalItems", "unevaluatedItems") and value is False:
        return "no elements but those that the schema names"
    if keyword is None:
        return "no value in it where its schema is false"
    if keyword == "uniqueItems":
        return "elements that differ from each other"
    schema = error.schema if isinstance(error.schema, Mapping) else {}
    exclusive = _EXCLUSIVE.get(keyword, "")
    phrase = _WANTED.get(exclusive if schema.get(exclusive) is True else keyword, "{}")
    text = phrase.format(compact_json(value))
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"


def found_of(error: Any) -> str:
    """What stands there: its type and its length."""
    if _missing(error) is not None:
        return "none"
    if error.validator in _NO_OTHERS and error.validator_value is False:
        unknown = list(_unknown_fields(error))
        if unknown:
            names = ", ".join(f'"{shown(name)}"' for name in unknown[:_NAMES])
            more = f" and {len(unknown) - _NAMES:,} more" if len(unknown) > _NAMES else ""
            return f"{'a field' if len(unknown) == 1 else 'fields'} {names}{more}"
    if "propertyNames" in error.absolute_schema_path and isinstance(error.instance, str):
        return f"a name of {_counted(len(error.instance), 'character')}"
    if error.validator == "oneOf" and not error.context:
        return f"{_described(error.instance)}, which matches several"
    return _described(error.instance)


def _missing(error: Any) -> str | None:
    """The field that `required` misses, or another field that stands there needs."""
    names = error.validator_value
    if error.validator in _DEPENDENT:
        names = [each for needed in names.values() if isinstance(needed, list) for each in needed]
    elif error.validator != "required" or not isinstance(names, list):
        return None
    return next((str(name) for name in names if error.message.startswith(f"{name!r} is")), None)


def _beside(error: Any) -> str:
    """The field that needs the one that is missing."""
    needing = error.validator_value if error.validator in _DEPENDENT else ()
    name = next((each for each in needing if error.message.endswith(f" of {each!r}")), None)
    return "" if name is None else f' beside "{shown(name)}"'


def _unknown_fields(error: Any) -> Iterable[str]:
    if error.validator == "unevaluatedProperties":
        named = error.message.rpartition("(")[2]  # how jsonschema ends its message
        return (name for name in error.instance if repr(name) in named)
    known, patterns = (error.schema.get(each, {}) for each in ("properties", "patternProperties"))
    return (
        name
        for name in error.instance
        if name not in known and not any(re.search(each, name) for each in patterns)
    )


def _described(value: Any) -> str:
    if isinstance(value, str):
        return f"a string of {_counted(len(value), 'character')}"
    if isinstance(value, list):
        return f"an array of {_counted(len(value), 'element')}"
    if isinstance(value, dict):
        return f"an object of {_counted(len(value), 'field')}"
    if isinstance(value, bool):
        return "a boolean"
    if value is None:
        return "null"
    is_whole = isinstance(value, int) or (
        isinstance(value, Decimal) and value == value.to_integral_value()
    )
    return "an integer" if is_whole else "a number that is no integer"


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"
