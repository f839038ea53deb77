"""The subschemas of a schema, with their places."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_ONE = (
    "additionalItems",
    "additionalProperties",
    "contains",
    "contentSchema",
    "else",
    "if",
    "items",
    "not",
    "propertyNames",
    "then",
    "unevaluatedItems",
    "unevaluatedProperties",
)


_LISTS = ("allOf", "anyOf", "items", "oneOf", "prefixItems")


_MAPS = (
    "$defs",
    "definitions",
    "dependencies",
    "dependentSchemas",
    "patternProperties",
    "properties",
)


Path_ = tuple[str | int, ...]


def subschemas(schema: Any, path: Path_ = ()) -> Iterator[tuple[Path_, Mapping[str, Any]]]:
    """A schema and all in it, with their paths; values such as `const` and `examples` are none."""
    if not isinstance(schema, dict):
        return
    yield path, schema
    for word in _ONE:
        yield from subschemas(schema.get(word), (*path, word))
    for word in _LISTS:
        if isinstance(schema.get(word), list):
            for place, each in enumerate(schema[word]):
                yield from subschemas(each, (*path, word, place))
    for word in _MAPS:
        if isinstance(schema.get(word), dict):
            for name, each in schema[word].items():
                yield from subschemas(each, (*path, word, name))
