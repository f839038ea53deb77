"""The JSON types that a schema gives a field, where a format has none of its own."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote

from tablekeeper.datasets.references import identifier, ref_stands_alone
from tablekeeper.documents.pointers import value_at

ANY = frozenset(("string", "number", "integer", "boolean", "null", "object", "array"))
NUMBERS = frozenset(("number", "integer"))
"""A number may be an integer: what a type leaves of another is found by intersection."""
MAX_STEPS = 50
"""How many schemas within each other are looked at; references may lead in a circle."""


def column_types(schema: Mapping[str, Any], name: str) -> frozenset[str]:
    """The types that the schema of a record allows its field: by `type`, `const` and `enum`,
    through `$ref` within the file, `allOf`, `anyOf`, `oneOf`, `patternProperties` and
    `additionalProperties`. Empty where no type is given.
    """
    types = _field_types(schema, schema, name, MAX_STEPS)
    return types if types != ANY else frozenset()


def _field_types(root: Mapping[str, Any], schema: Any, name: str, steps: int) -> frozenset[str]:
    if schema is False:
        return frozenset()
    if not isinstance(schema, dict) or not steps:
        return ANY
    schema, types = _counting(root, schema), ANY
    named, patterns = (
        value if isinstance(value := schema.get(keyword), dict) else {}
        for keyword in ("properties", "patternProperties")
    )
    parts = [named[name]] if name in named else []
    parts += [each for pattern, each in patterns.items() if _fits(pattern, name)]
    for each in parts or [schema.get("additionalProperties")]:
        types &= _types(root, each, steps - 1)
    return _narrowed(types, root, schema, lambda each: _field_types(root, each, name, steps - 1))


def _fits(pattern: str, name: str) -> bool:
    """Whether a name has the pattern; what cannot be read is told by the validator."""
    try:
        return bool(re.search(pattern, name))
    except re.error:
        return False


def _types(root: Mapping[str, Any], schema: Any, steps: int) -> frozenset[str]:
    if schema is False:
        return frozenset()
    if not isinstance(schema, dict) or not steps:
        return ANY
    schema, types = _counting(root, schema), ANY
    named = schema.get("type")
    names = [named] if isinstance(named, str) else named
    # In draft 3 a schema may stand among the names.
    if isinstance(names, list) and all(isinstance(each, str) for each in names):
        types &= {*names, *NUMBERS} if "number" in names else frozenset(names)
    if "const" in schema:
        types &= _types_of(schema["const"])
    if isinstance(schema.get("enum"), list):
        types &= frozenset[str]().union(*map(_types_of, schema["enum"]))
    return _narrowed(types, root, schema, lambda each: _types(root, each, steps - 1))


def _counting(root: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """What of a schema means something: of one with a `$ref` in an old draft, that alone."""
    alone = "$ref" in schema and ref_stands_alone(root)
    return {"$ref": schema["$ref"]} if alone else schema


def _narrowed(
    types: frozenset[str],
    root: Mapping[str, Any],
    schema: Mapping[str, Any],
    types_of: Callable[[Any], frozenset[str]],
) -> frozenset[str]:
    """What a schema's `allOf`, `anyOf`, `oneOf` and `$ref` leave of these types."""
    for each in schema.get("allOf") or ():
        types &= types_of(each)
    for keyword in ("anyOf", "oneOf"):
        if schema.get(keyword):
            types &= frozenset[str]().union(*map(types_of, schema[keyword]))
    target = _target(root, schema.get("$ref"))
    return types if target is None else types & types_of(target)


def _target(root: Mapping[str, Any], reference: Any) -> Any:
    """The schema that a reference within the file leads to, by a JSON Pointer or an anchor; None
    for every other.
    """
    if not isinstance(reference, str) or not reference:
        return None
    base, _, fragment = reference.partition("#")
    if base and base != identifier(root).partition("#")[0]:
        return None
    if fragment and not fragment.startswith("/"):
        return anchored(root, fragment)
    try:
        return value_at(root, unquote(fragment))
    except (LookupError, TypeError, ValueError):
        return None


def anchored(root: Mapping[str, Any], name: str) -> Any:
    """The schema with this anchor, None where there is none; in drafts 4 to 7 it is an `$id` that
    begins with "#".
    """
    found: list[Any] = [root]
    for each in found:
        if isinstance(each, dict):
            if name in (each.get("$anchor"), each.get("$dynamicAnchor")):
                return each
            if f"#{name}" in (each.get("$id"), each.get("id")):
                return each
            found += each.values()
        elif isinstance(each, list):
            found += each
    return None


def _types_of(value: Any) -> frozenset[str]:
    names = {str: "string", type(None): "null", dict: "object", list: "array", bool: "boolean"}
    name = names.get(type(value))
    return frozenset((name,)) if name else NUMBERS
