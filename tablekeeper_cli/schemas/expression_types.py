"""The JSON types that a dataset's expression can give, as far as its schema says.

Where the schema says nothing every type is possible, so "cannot give a string" is certain and "can"
is not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import copy
from decimal import Decimal
from typing import Any, NamedTuple, Self
from urllib.parse import unquote, urldefrag, urljoin

from tablekeeper.datasets.catalogue import Catalogue
from tablekeeper.datasets.column_types import anchored
from tablekeeper.datasets.references import has_plain_id, identifier, ref_stands_alone
from tablekeeper.documents.pointers import value_at

STRING, NUMBER, BOOLEAN, NULL, ARRAY, OBJECT = (
    "string",
    "number",
    "boolean",
    "null",
    "array",
    "object",
)
Types = frozenset[str]
ANY: Types = frozenset((STRING, NUMBER, BOOLEAN, NULL, ARRAY, OBJECT))
"""Null stands for what is missing, too, as in JMESPath."""

_OBJECT_FIELDS: Mapping[str, Types] = {
    "bucket": frozenset((STRING,)),
    "key": frozenset((STRING,)),
    "parts": frozenset((ARRAY,)),
    "name": frozenset((STRING,)),
    "stem": frozenset((STRING,)),
    "etag": frozenset((STRING,)),
    "version_id": frozenset((STRING, NULL)),
    "size": frozenset((NUMBER,)),
    "last_modified": frozenset((STRING,)),
}
_RESULTS: Mapping[str, Types] = {
    **dict.fromkeys(("abs", "ceil", "floor", "length", "sum", "to_epoch"), frozenset((NUMBER,))),
    **dict.fromkeys(("avg", "to_number"), frozenset((NUMBER, NULL))),
    **dict.fromkeys(("contains", "ends_with", "starts_with"), frozenset((BOOLEAN,))),
    **dict.fromkeys(
        ("join", "lower", "replace", "sha256", "substring", "to_iso", "trim", "type", "upper"),
        frozenset((STRING,)),
    ),
    **dict.fromkeys(
        ("items", "keys", "map", "sort", "sort_by", "split", "to_array", "values"),
        frozenset((ARRAY,)),
    ),
    "from_items": frozenset((OBJECT,)),
    **dict.fromkeys(("max", "min"), frozenset((NUMBER, STRING, NULL))),
    "merge": frozenset((OBJECT,)),
    "reverse": frozenset((ARRAY, STRING)),
}
_DEEPEST = 30
_SUBEXPRESSIONS = ("subexpression", "index_expression")
_ON_FIRST = (*_SUBEXPRESSIONS, "pipe", "projection", "filter_projection", "value_projection")
"""Where only the first part is evaluated on the record, and the others on what that gives."""

Steps = tuple[str | int, ...]


class _Place(NamedTuple):
    """The file of a schema by its name, and the URI to which references are relative there; None
    within an embedded schema with an `$id` of its own, where they are not followed.
    """

    file: str
    base: str | None


class _Part(NamedTuple):
    """A part of a schema, and where it is."""

    schema: Mapping[str, Any]
    place: _Place


class ExpressionTypes:
    """The types that expressions on the records of one schema give."""

    def __init__(self, catalogue: Catalogue, name: str) -> None:
        self._catalogue = catalogue
        self._root = catalogue.schemas[name]
        self._record = self._parts(self._root, _Place(name, identifier(self._root)))
        self._document = ANY
        self._own_names = catalogue.datasets[name].own_names if name in catalogue.datasets else ()

    @classmethod
    def unknown(cls) -> ExpressionTypes:
        """The types of expressions on documents without a schema."""
        return cls(Catalogue({"unknown": {}}), "unknown")

    def with_document(self, types: Types) -> Self:
        """The types where what `_document` alone gives, which no schema describes, has these."""
        taken = copy(self)
        taken._document = types
        return taken

    @property
    def record(self) -> Types:
        """What a valid record can be."""
        return self._types(self._record)

    def of(self, node: Mapping[str, Any]) -> Types:
        types = self._of(node)
        if self._is_of_document(_fields_seen(node)):
            return types & self._document or types
        return types

    def _is_of_document(self, fields: set[str]) -> bool:
        """Whether what uses these fields sees the document around the records, and no record."""
        if "_document" not in self._own_names:
            return False
        return "_document" in fields and fields <= {*self._own_names, "_object", "_index"}

    def _of(self, node: Mapping[str, Any]) -> Types:
        kind, children = node["type"], node["children"]
        steps = _steps(node)
        if steps is not None:
            return self._at(steps)
        if kind == "literal":
            return frozenset((_type(node["value"]),))
        if kind == "function_expression":
            if node["value"] == "not_null":
                each_gives = [self.of(each) for each in children]
                always = any(NULL not in types for types in each_gives)
                return frozenset().union(*each_gives) - ({NULL} if always else set())
            if node["value"] == "to_string" and len(children) == 1:
                given = self.of(children[0])
                return frozenset((STRING,) if given - {NULL} else ()) | (given & {NULL})
            if node["value"] == "to_number" and all(self.of(each) == {NUMBER} for each in children):
                return frozenset((NUMBER,))
            return _RESULTS.get(node["value"], ANY)
        if kind == "or_expression":
            first, second = map(self.of, children)
            return (first - {NULL}) | second
        if kind == "and_expression":
            return frozenset().union(*map(self.of, children))
        if kind in ("comparator", "not_expression"):
            return frozenset((BOOLEAN, NULL)) if kind == "comparator" else frozenset((BOOLEAN,))
        if kind == "multi_select_list":
            return frozenset((ARRAY,))
        if kind == "multi_select_dict":
            return frozenset((OBJECT,))
        return ANY

    def _at(self, steps: Steps) -> Types:
        if steps[0] == "_index":
            return frozenset((NUMBER,)) if len(steps) == 1 else frozenset((NULL,))
        if steps[0] == "_object":
            return _of_object(steps[1:])
        if steps[0] in self._own_names:
            return frozenset((STRING,)) if steps == ("_name",) else ANY
        parts, missing = self._record, False
        for step in steps:
            types = self._types(parts)
            if not types & {OBJECT if isinstance(step, str) else ARRAY}:
                return frozenset((NULL,))
            given, always = self._step(parts, step)
            if given is None:
                return frozenset((NULL,))
            is_record = parts is self._record
            missing |= not always or not (is_record or len(types) == 1)
            parts = given
        return self._types(parts) | ({NULL} if missing else set())

    def _step(self, parts: list[_Part], step: str | int) -> tuple[list[_Part] | None, bool]:
        """The schema of a member or an element, None if there can be none; whether it is always
        there.
        """
        if isinstance(step, int):
            return self._element(parts, step)
        next_parts: list[_Part] = []
        for schema, place in parts:
            members = schema.get("properties", {})
            if step in members:
                next_parts += self._parts(members[step], place)
            elif schema.get("additionalProperties") is False and "patternProperties" not in schema:
                return None, False
        return next_parts, any(step in schema.get("required", ()) for schema, _ in parts)

    def _element(self, parts: list[_Part], number: int) -> tuple[list[_Part] | None, bool]:
        next_parts: list[_Part] = []
        for schema, place in parts:
            first = schema.get("prefixItems", ())
            rest = schema.get("items", True)
            if isinstance(rest, list):
                first, rest = rest, schema.get("additionalItems", True)
            if 0 <= number < len(first):
                next_parts += self._parts(first[number], place)
            elif number >= 0 or not first:
                next_parts += self._parts(rest, place)
        least = max((schema.get("minItems", 0) for schema, _ in parts), default=0)
        return next_parts, 0 <= number < least

    def _types(self, parts: list[_Part], depth: int = 0) -> Types:
        types = ANY
        for schema, place in parts:
            if "type" in schema:
                named = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
                # In draft 3 a schema may stand among the names.
                if all(isinstance(each, str) for each in named):
                    types &= {NUMBER if each == "integer" else each for each in named}
            if "const" in schema:
                types &= {_type(schema["const"])}
            if isinstance(schema.get("enum"), list):
                types &= set(map(_type, schema["enum"]))
            for keyword in ("anyOf", "oneOf"):
                branches = schema.get(keyword)
                if branches and depth < _DEEPEST:
                    types &= frozenset().union(
                        *(self._types(self._parts(each, place), depth + 1) for each in branches)
                    )
        return types

    def _parts(self, schema: Any, place: _Place, depth: int = 0) -> list[_Part]:
        """A schema and all that it asks for beside: what it refers to, and `allOf`."""
        if not isinstance(schema, dict) or depth > _DEEPEST:
            return []
        if self._is_embedded(schema, place.file):
            place = place._replace(base=None)
        referred: list[_Part] = []
        if isinstance(schema.get("$ref"), str):
            referred = self._referred(schema["$ref"], place, depth)
            if ref_stands_alone(self._with_draft(place.file)):
                return referred
        parts = [_Part(schema, place), *referred]
        for each in schema.get("allOf", ()):
            parts += self._parts(each, place, depth + 1)
        return parts

    def _referred(self, reference: str, place: _Place, depth: int) -> list[_Part]:
        if place.base is None:
            return []
        uri, fragment = urldefrag(urljoin(place.base, reference))
        file = place.file if uri == place.base else self._catalogue.resolve(uri)
        if file is None:
            return []
        schema: Any = self._catalogue.schemas[file]
        target = _Place(file, uri)
        if fragment and not fragment.startswith("/"):
            return self._parts(anchored(schema, unquote(fragment)), target, depth + 1)
        try:
            for step in unquote(fragment).split("/")[1:]:
                schema = value_at(schema, f"/{step}")
                if self._is_embedded(schema, file):
                    target = _Place(file, None)
        except (LookupError, TypeError, ValueError):
            return []
        return self._parts(schema, target, depth + 1)

    def _with_draft(self, file: str) -> Mapping[str, Any]:
        """A file, or the dataset's own in place of one that names no draft."""
        schema = self._catalogue.schemas[file]
        return schema if "$schema" in schema else self._root

    def _is_embedded(self, schema: Any, file: str) -> bool:
        """Whether a schema has an identifier of its own, which is no anchor, within its file."""
        if not isinstance(schema, dict) or schema is self._catalogue.schemas[file]:
            return False
        uri = identifier(schema, plain_id=has_plain_id(self._with_draft(file)))
        return bool(uri) and not uri.startswith("#")


def _steps(node: Mapping[str, Any]) -> Steps | None:
    """The fields and places on the way of a plain path such as `a.b[0]`."""
    if node["type"] == "field":
        return (node["value"],)
    if node["type"] == "index":
        return (node["value"],)
    if node["type"] not in _SUBEXPRESSIONS:
        return None
    steps: Steps = ()
    for child in node["children"]:
        more = _steps(child)
        if more is None:
            return None
        steps += more
    return steps


def _fields_seen(node: Mapping[str, Any]) -> set[str]:
    """The fields of the record that an expression uses, and "*" where it takes it whole."""
    kind, children = node["type"], node["children"]
    if kind == "field":
        return {node["value"]}
    if kind in ("current", "identity"):
        return {"*"}
    if kind == "expref":
        return set()
    parts = children[:1] if kind in _ON_FIRST else children
    return set().union(*(_fields_seen(each) for each in parts if isinstance(each, Mapping)))


def _of_object(steps: Steps) -> Types:
    if not steps:
        return frozenset((OBJECT,))
    first, *rest = steps
    types = _OBJECT_FIELDS.get(str(first), frozenset((NULL,)))
    if not rest:
        return types
    is_part = first == "parts" and len(rest) == 1 and isinstance(rest[0], int)
    return frozenset((STRING, NULL) if is_part else (NULL,))


def _type(value: Any) -> str:
    if isinstance(value, bool):
        return BOOLEAN
    if isinstance(value, int | float | Decimal):
        return NUMBER
    names: Iterable[tuple[type, str]] = ((str, STRING), (list, ARRAY), (dict, OBJECT))
    return next((name for kind, name in names if isinstance(value, kind)), NULL)
