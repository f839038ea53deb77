"""JSON Schemas translated for the fast check."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from types import SimpleNamespace
from typing import Any, NamedTuple
from urllib.parse import urldefrag, urljoin, urlsplit

from tablekeeper.datasets.catalogue import Catalogue
from tablekeeper.validation.formats import FORMATS
from tablekeeper.validation.keyword_checks import (
    _PLAIN_PATTERN,
    Check,
    _at,
    _count,
    _mapped,
    _names,
    _need,
    _number,
    _number_check,
    _plain_pattern,
    _search,
    _value,
)

SCHEMAS_TRANSLATED = 5_000
"""At most so many subschemas, since a reference is written out at every place that has it."""


_DRAFT_7 = ("http://json-schema.org/draft-07/schema#", "http://json-schema.org/draft-07/schema")


_DRAFT_2020 = ("https://json-schema.org/draft/2020-12/schema",)


_ROOT_ONLY = ("$schema", "$id")


_NOWHERE = ("$anchor", "$dynamicAnchor", "$recursiveAnchor", "$vocabulary")


_TYPES = ("array", "boolean", "integer", "null", "number", "object", "string")


_LIMITS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")


_COUNTS = ("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties")


class _Place(NamedTuple):
    """A file, and the URI that its references start from, which is where the reference met it."""

    name: str
    base: str


class Translation:
    """A schema of a catalogue in words that mean the same to jsonschema and jsonschema-rs.

    `exactly` is for where a "no" of jsonschema-rs can make it accept, such as below `not`: there
    it must not even be the stricter of the two.
    """

    def __init__(self, catalogue: Catalogue, name: str) -> None:
        """Raises _UntranslatableError."""
        self.formats: dict[str, Callable[[str], bool]] = {}
        self._checks: list[Check] = []
        self._catalogue = catalogue
        self._size = 0
        self._followed: list[tuple[str, str]] = []
        self._is_plain: set[str] = set()
        identifiers = [each["$id"] for each in catalogue.schemas.values() if "$id" in each]
        _need(all(isinstance(each, str) for each in identifiers))
        _need(len(set(identifiers)) == len(identifiers))
        schema = catalogue.schemas[name]
        draft = schema.get("$schema", _DRAFT_2020[0])
        _need(draft in _DRAFT_2020 + _DRAFT_7)
        self._drafts = _DRAFT_7 if draft in _DRAFT_7 else _DRAFT_2020
        self._root = _Place(name, str(schema.get("$id", "")))
        self._read(name)
        self.root = self._schema(schema, self._root, exactly=False)

    @property
    def _is_draft_7(self) -> bool:
        return self._drafts is _DRAFT_7

    def check(self, _parent: object, number: int, _path: object) -> SimpleNamespace:
        """What jsonschema-rs makes of the keyword `check`, whose value is the number of a check."""
        return SimpleNamespace(validate=self._checks[number])

    def _read(self, name: str) -> None:
        """Refuses a file in which a name could lead somewhere else than to a place in a file."""
        if name in self._is_plain:
            return
        schema = self._catalogue.schemas[name]
        _need(schema.get("$schema", self._drafts[0]) in self._drafts)
        identifier = schema.get("$id")
        if identifier is not None:
            _need(bool(urlsplit(identifier).scheme) and "#" not in identifier)
            _need(not (self._is_draft_7 and "$ref" in schema))
        pending: list[Any] = [{k: v for k, v in schema.items() if k not in _ROOT_ONLY}]
        while pending:
            each = pending.pop()
            if isinstance(each, dict):
                _need(not any(word in each for word in _ROOT_ONLY + _NOWHERE))
                pending += each.values()
            elif isinstance(each, list):
                pending += each
        self._is_plain.add(name)

    def _schema(self, schema: Any, place: _Place, *, exactly: bool) -> Any:
        if isinstance(schema, bool):
            return schema
        _need(isinstance(schema, dict))
        self._size += 1
        _need(self._size <= SCHEMAS_TRANSLATED)
        if "$ref" in schema and self._is_draft_7:
            return self._reference(schema["$ref"], place, exactly=exactly)
        translated: dict[str, Any] = {}
        every: list[Any] = []
        if "$ref" in schema:
            every.append(self._reference(schema["$ref"], place, exactly=exactly))
        self._values(schema, translated, every, exactly=exactly)

        def inner(each: Any, *, exactly: bool = exactly) -> Any:
            return self._schema(each, place, exactly=exactly)

        _applied(schema, translated, inner)
        self._applied_to_items(schema, translated, inner)
        self._applied_by_draft(schema, translated, inner)
        if every:
            translated["allOf"] = [*translated.get("allOf", ()), *every]
        return translated

    def _values(
        self, schema: Any, translated: dict[str, Any], every: list[Any], *, exactly: bool
    ) -> None:
        """The keywords that hold no schemas."""
        limits = {word: Decimal(_number(schema[word])) for word in _LIMITS if word in schema}
        kind = schema.get("type")
        if "type" in schema:
            types = kind if isinstance(kind, list) else [kind]
            _need(types != [] and all(each in _TYPES for each in types))
        if limits or kind in ("number", "integer"):
            number_type = kind if kind in ("number", "integer") else None
            translated["check"] = len(self._checks)
            self._checks.append(_number_check(number_type, limits))
        if "type" in schema and kind not in ("number", "integer"):
            translated["type"] = kind
        for word in _COUNTS:
            if word in schema:
                translated[word] = _count(schema[word])
        if "const" in schema:
            translated["const"] = _value(schema["const"])
        if "enum" in schema:
            _need(isinstance(schema["enum"], list))
            translated["enum"] = _value(schema["enum"])
        if "required" in schema:
            translated["required"] = _names(schema["required"])
        if "uniqueItems" in schema:
            _need(isinstance(schema["uniqueItems"], bool))
            # jsonschema overlooks some repeated arrays that hold booleans, and so accepts more.
            _need(not (exactly and schema["uniqueItems"]))
            translated["uniqueItems"] = schema["uniqueItems"]
        if "format" in schema:
            _need(isinstance(schema["format"], str))
            if schema["format"] in FORMATS:
                every.append(self._text_check(f"format {schema['format']}"))
        if "pattern" in schema:
            _need(isinstance(schema["pattern"], str))
            if _PLAIN_PATTERN.fullmatch(schema["pattern"]):
                translated["pattern"] = _plain_pattern(schema["pattern"])
            else:
                every.append(self._text_check(f"pattern {schema['pattern']}"))

    def _applied_to_items(
        self, schema: Any, translated: dict[str, Any], inner: Callable[..., Any]
    ) -> None:
        prefix, rest = schema.get("prefixItems"), schema.get("items", True)
        if self._is_draft_7:
            prefix, rest = None, schema.get("items", True)
            if isinstance(rest, list):
                prefix, rest = rest, schema.get("additionalItems", True)
            else:
                _need("additionalItems" not in schema)
        if prefix is not None:
            _need(isinstance(prefix, list))
            if prefix:
                translated["prefixItems"] = [inner(each) for each in prefix]
        if rest is not True:
            translated["items"] = inner(rest)
        if "contains" in schema:
            most = None if self._is_draft_7 else schema.get("maxContains")
            exactly = {} if most is None else {"exactly": True}
            translated["contains"] = inner(schema["contains"], **exactly)
            if not self._is_draft_7:
                for word in ("minContains", "maxContains"):
                    if word in schema:
                        translated[word] = _count(schema[word])

    def _applied_by_draft(
        self, schema: Any, translated: dict[str, Any], inner: Callable[..., Any]
    ) -> None:
        if self._is_draft_7:
            dependencies = schema.get("dependencies", {})
            _need(isinstance(dependencies, dict))
            names = {k: _names(v) for k, v in dependencies.items() if isinstance(v, list)}
            schemas = {k: inner(v) for k, v in dependencies.items() if not isinstance(v, list)}
        else:
            # jsonschema is known to read these in its own way.
            for word in ("$dynamicRef", "unevaluatedItems", "unevaluatedProperties"):
                _need(word not in schema)
            names = _mapped(schema.get("dependentRequired", {}), _names)
            schemas = _mapped(schema.get("dependentSchemas", {}), inner)
        if names:
            translated["dependentRequired"] = names
        if schemas:
            translated["dependentSchemas"] = schemas

    def _text_check(self, name: str) -> dict[str, Any]:
        """A format of our own, which is how jsonschema-rs calls a function for each string."""
        if name not in self.formats:
            word, value = name.split(" ", 1)
            self.formats[name] = FORMATS[value] if word == "format" else _search(value)
        return {"format": name}

    def _reference(self, reference: Any, place: _Place, *, exactly: bool) -> Any:
        """The schema that is referred to, in place of the reference."""
        _need(isinstance(reference, str))
        uri, fragment = urldefrag(reference)
        if not reference.startswith("#"):
            uri = urldefrag(urljoin(place.base, reference)).url
            _need(urlsplit(uri).hostname != "json-schema.org")
            name = self._root.name if uri == self._root.base else self._catalogue.resolve(uri)
            _need(name is not None)
            place = _Place(str(name), uri)
        self._read(place.name)
        steps = (place.name, fragment)
        _need(steps not in self._followed)
        self._followed.append(steps)
        schema = self._schema(
            _at(self._catalogue.schemas[place.name], fragment), place, exactly=exactly
        )
        self._followed.pop()
        return schema


def _applied(schema: Any, translated: dict[str, Any], inner: Callable[..., Any]) -> None:
    """The keywords with schemas that each draft has."""
    for word, strictly in (("allOf", False), ("anyOf", False), ("oneOf", True)):
        if word in schema:
            _need(isinstance(schema[word], list))
            how = {"exactly": True} if strictly else {}
            translated[word] = [inner(each, **how) for each in schema[word]]
    if "not" in schema:
        translated["not"] = inner(schema["not"], exactly=True)
    _need("if" in schema or not ("then" in schema or "else" in schema))
    if "if" in schema:
        translated["if"] = inner(schema["if"], exactly=True)
        for word in ("then", "else"):
            if word in schema:
                translated[word] = inner(schema[word])
    if "properties" in schema:
        translated["properties"] = _mapped(schema["properties"], inner)
    if "patternProperties" in schema:
        members = _mapped(schema["patternProperties"], inner)
        translated["patternProperties"] = {
            _plain_pattern(pattern): each for pattern, each in members.items()
        }
    for word in ("additionalProperties", "propertyNames"):
        if word in schema:
            translated[word] = inner(schema[word])
