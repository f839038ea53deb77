"""Acceptance: records that the reference would accept, told by jsonschema-rs in a fraction of its
time.

The two libraries differ, and a record that is bad must not get in where they do. So jsonschema-rs
never sees a schema as it is written: it is translated into one that has only what was found to mean
the same to both. References are put in place, formats, patterns and limits of numbers become calls
of the functions that the reference calls, and what says nothing about records is left out. Where
that cannot be done, and for every record that jsonschema-rs does not accept, the reference decides.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import lru_cache
from types import SimpleNamespace
from typing import Any, NamedTuple
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

from jsonschema_rs import Draft202012Validator

from tablekeeper.datasets.catalogue import Catalogue
from tablekeeper.documents.numbers import EXACT, OutOfRangeError, check_number
from tablekeeper.validation.formats import FORMATS

SCHEMAS_TRANSLATED = 5_000
"""At most so many subschemas, since a reference is written out at every place that has it."""

_DRAFT_7 = ("http://json-schema.org/draft-07/schema#", "http://json-schema.org/draft-07/schema")
_DRAFT_2020 = ("https://json-schema.org/draft/2020-12/schema",)
_ROOT_ONLY = ("$schema", "$id")
_NOWHERE = ("$anchor", "$dynamicAnchor", "$recursiveAnchor", "$vocabulary")
_TYPES = ("array", "boolean", "integer", "null", "number", "object", "string")
_LIMITS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")
_COUNTS = ("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties")
_LARGEST_COUNT = 2**31

_LITERAL = r"[A-Za-z0-9_ :/@-]|\\[.\-/]"
_CLASS = r"\[\^?(?:[A-Za-z]-[A-Za-z]|[0-9]-[0-9]|[A-Za-z0-9_ .:/])+-?\]"
_PLAIN_PATTERN = re.compile(
    rf"\^?(?:(?:{_LITERAL}|{_CLASS}|\.)(?:[*+?]|\{{[0-9]{{1,3}}(?:,[0-9]{{0,3}})?\}})?)+\$?"
)
_ANY_CHARACTER = re.compile(r"\\.|\[[^]]*\]|(\.)")

_Check = Callable[[Any], None]


class _UntranslatableError(Exception):
    """Raised for a schema that only the reference can be asked about."""


class _UnacceptableError(ValueError):
    """Raised by a check; jsonschema-rs takes it for an answer."""


class _Place(NamedTuple):
    """A file, and the URI that its references start from, which is where the reference met it."""

    name: str
    base: str


@lru_cache(maxsize=256)
def acceptor(catalogue: Catalogue, name: str) -> Callable[[Any], bool] | None:
    """A function that says True of nothing but what the reference accepts; None where there cannot
    be one.
    """
    try:
        translation = _Translation(catalogue, name)
        is_valid = Draft202012Validator(
            translation.root,
            formats=translation.formats,
            validate_formats=True,
            ignore_unknown_formats=False,
            keywords={"check": translation.check},  # type: ignore[dict-item]
            offline=True,
        ).is_valid
    except BaseException as error:
        if _is_no_answer(error):
            return None
        raise

    def accepts(value: Any) -> bool:
        try:
            return is_valid(value)
        except BaseException as error:
            if _is_no_answer(error):
                return False
            raise

    return accepts


def _is_no_answer(error: BaseException) -> bool:
    """Whether an error only means that the reference has to be asked; a panic in Rust is one, and
    no Exception.
    """
    return isinstance(error, Exception) or type(error).__name__ == "PanicException"


class _Translation:
    """A schema of a catalogue in words that mean the same to jsonschema and jsonschema-rs.

    `exactly` is for where a "no" of jsonschema-rs can make it accept, such as below `not`: there
    it must not even be the stricter of the two.
    """

    def __init__(self, catalogue: Catalogue, name: str) -> None:
        """Raises _UntranslatableError."""
        self.formats: dict[str, Callable[[str], bool]] = {}
        self._checks: list[_Check] = []
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
        found: dict[str, Any] = {}
        every: list[Any] = []
        if "$ref" in schema:
            every.append(self._reference(schema["$ref"], place, exactly=exactly))
        self._values(schema, found, every, exactly=exactly)

        def inner(each: Any, *, exactly: bool = exactly) -> Any:
            return self._schema(each, place, exactly=exactly)

        self._applied(schema, found, inner)
        self._applied_to_items(schema, found, inner)
        self._applied_by_draft(schema, found, inner)
        if every:
            found["allOf"] = [*found.get("allOf", ()), *every]
        return found

    def _values(
        self, schema: Any, found: dict[str, Any], every: list[Any], *, exactly: bool
    ) -> None:
        """The keywords that hold no schemas."""
        limits = {word: Decimal(_number(schema[word])) for word in _LIMITS if word in schema}
        kind = schema.get("type")
        if "type" in schema:
            types = kind if isinstance(kind, list) else [kind]
            _need(types != [] and all(each in _TYPES for each in types))
        if limits or kind in ("number", "integer"):
            number_type = kind if kind in ("number", "integer") else None
            found["check"] = len(self._checks)
            self._checks.append(_number_check(number_type, limits))
        if "type" in schema and kind not in ("number", "integer"):
            found["type"] = kind
        for word in _COUNTS:
            if word in schema:
                found[word] = _count(schema[word])
        if "const" in schema:
            found["const"] = _value(schema["const"])
        if "enum" in schema:
            _need(isinstance(schema["enum"], list))
            found["enum"] = _value(schema["enum"])
        if "required" in schema:
            found["required"] = _names(schema["required"])
        if "uniqueItems" in schema:
            _need(isinstance(schema["uniqueItems"], bool))
            # jsonschema overlooks some repeated arrays that hold booleans, and so accepts more.
            _need(not (exactly and schema["uniqueItems"]))
            found["uniqueItems"] = schema["uniqueItems"]
        if "format" in schema:
            _need(isinstance(schema["format"], str))
            if schema["format"] in FORMATS:
                every.append(self._text_check(f"format {schema['format']}"))
        if "pattern" in schema:
            _need(isinstance(schema["pattern"], str))
            if _PLAIN_PATTERN.fullmatch(schema["pattern"]):
                found["pattern"] = _plain_pattern(schema["pattern"])
            else:
                every.append(self._text_check(f"pattern {schema['pattern']}"))

    def _applied(self, schema: Any, found: dict[str, Any], inner: Callable[..., Any]) -> None:
        """The keywords with schemas that each draft has."""
        for word, strictly in (("allOf", False), ("anyOf", False), ("oneOf", True)):
            if word in schema:
                _need(isinstance(schema[word], list))
                how = {"exactly": True} if strictly else {}
                found[word] = [inner(each, **how) for each in schema[word]]
        if "not" in schema:
            found["not"] = inner(schema["not"], exactly=True)
        _need("if" in schema or not ("then" in schema or "else" in schema))
        if "if" in schema:
            found["if"] = inner(schema["if"], exactly=True)
            for word in ("then", "else"):
                if word in schema:
                    found[word] = inner(schema[word])
        if "properties" in schema:
            found["properties"] = _mapped(schema["properties"], inner)
        if "patternProperties" in schema:
            members = _mapped(schema["patternProperties"], inner)
            found["patternProperties"] = {
                _plain_pattern(pattern): each for pattern, each in members.items()
            }
        for word in ("additionalProperties", "propertyNames"):
            if word in schema:
                found[word] = inner(schema[word])

    def _applied_to_items(
        self, schema: Any, found: dict[str, Any], inner: Callable[..., Any]
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
                found["prefixItems"] = [inner(each) for each in prefix]
        if rest is not True:
            found["items"] = inner(rest)
        if "contains" in schema:
            most = None if self._is_draft_7 else schema.get("maxContains")
            exactly = {} if most is None else {"exactly": True}
            found["contains"] = inner(schema["contains"], **exactly)
            if not self._is_draft_7:
                for word in ("minContains", "maxContains"):
                    if word in schema:
                        found[word] = _count(schema[word])

    def _applied_by_draft(
        self, schema: Any, found: dict[str, Any], inner: Callable[..., Any]
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
            found["dependentRequired"] = names
        if schemas:
            found["dependentSchemas"] = schemas

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


def _need(condition: bool) -> None:
    if not condition:
        raise _UntranslatableError


def _at(schema: Any, fragment: str) -> Any:
    """What a JSON Pointer in a URI's fragment points at."""
    if not fragment:
        return schema
    _need(fragment.startswith("/"))
    for step in unquote(fragment[1:]).split("/"):
        if isinstance(schema, list):
            _need(step.isascii() and step.isdecimal() and int(step) < len(schema))
            schema = schema[int(step)]
        else:
            name = step.replace("~1", "/").replace("~0", "~")
            _need(isinstance(schema, dict) and name in schema)
            schema = schema[name]
    return schema


def _mapped(members: Any, translate: Callable[[Any], Any]) -> dict[str, Any]:
    _need(isinstance(members, dict))
    return {name: translate(each) for name, each in members.items()}


def _names(names: Any) -> list[str]:
    _need(isinstance(names, list) and all(isinstance(each, str) for each in names))
    return list(names)


def _count(value: Any) -> int:
    number = _number(value)
    _need(0 <= number < _LARGEST_COUNT and number == int(number))
    return int(number)


def _number(value: Any) -> int | Decimal:
    _need(type(value) in (int, Decimal))
    try:
        check_number(value)
    except OutOfRangeError:
        raise _UntranslatableError from None
    return value  # type: ignore[no-any-return]


def _value(value: Any) -> Any:
    """A value to be compared with; only of types that JSON has and that are compared exactly."""
    if isinstance(value, list):
        return [_value(each) for each in value]
    if isinstance(value, dict):
        return {name: _value(each) for name, each in value.items()}
    if value is None or isinstance(value, bool | str):
        return value
    return _number(value)


def _plain_pattern(pattern: str) -> str:
    """A pattern that matches in Rust what it matches in Python.

    There is nothing in a plain one that the two read differently but `$`, which in Python is also
    before a last line feed, and `.`; these are spelled out.
    """
    _need(_PLAIN_PATTERN.fullmatch(pattern) is not None)
    body, end = (pattern[:-1], "\\n?$") if pattern.endswith("$") else (pattern, "")
    return _ANY_CHARACTER.sub(lambda match: r"[^\n]" if match[1] else match[0], body) + end


def _search(pattern: str) -> Callable[[str], bool]:
    try:
        search = re.compile(pattern).search
    except (re.error, OverflowError, RecursionError):
        raise _UntranslatableError from None
    return lambda text: search(text) is not None


def _number_check(kind: str | None, limits: Mapping[str, Decimal]) -> _Check:
    """A check of numbers in exact arithmetic: jsonschema-rs rounds to binary for some of it."""
    least, most = limits.get("minimum"), limits.get("maximum")
    above, below = limits.get("exclusiveMinimum"), limits.get("exclusiveMaximum")
    divisor = limits.get("multipleOf")
    _need(divisor is None or divisor > 0)
    remainder = EXACT.remainder
    only_integers = kind == "integer"
    no_numbers = () if kind else (str, bool, type(None), list, dict)

    def check(value: Any) -> None:
        if type(value) is Decimal:
            if only_integers and value != value.to_integral_value():
                raise _UnacceptableError
        elif type(value) is not int:
            if type(value) in no_numbers:
                return
            raise _UnacceptableError
        if (
            (least is not None and value < least)
            or (most is not None and value > most)
            or (divisor is not None and remainder(value, divisor))
            or (above is not None and value <= above)
            or (below is not None and value >= below)
        ):
            raise _UnacceptableError

    return check
