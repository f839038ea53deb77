"""JMESPath over exact documents: functions on Decimals, and errors instead of rounded results."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from decimal import DecimalException
from functools import cached_property, lru_cache
from typing import Any

from jmespath import ast, exceptions
from jmespath.parser import ParsedResult, Parser

from tablekeeper.datasets.functions import FunctionError
from tablekeeper.datasets.jmespath_exact import MAX_MADE, Interpreter, TooMuchError
from tablekeeper.documents.json_reader import FIELD, MEMBERS, VALUES, Location
from tablekeeper.documents.numbers import OutOfRangeError, exact_arithmetic, parse_number
from tablekeeper.errors import DatasetDefinitionError, ExpressionError

MAX_CHARACTERS = 10_000
"""How long an expression may be."""

WHOLE = {"type": "identity", "children": []}
"""What a wildcard at the beginning of an expression stands behind: everything that it sees."""

MAX_DEPTH = 100
"""How deep its syntax tree may be: it is evaluated by recursion."""


_QUOTED = re.compile(r"""'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|`(?:\\.|[^`\\])*`""")
_LITERAL = re.compile(r"`((?:\\.|[^`\\])*)`", re.DOTALL)
_ODD_NAME = re.compile(r"@\w[\w@:/-]*|[A-Za-z_]\w*(?:[-:/]\w+)+|\d+[A-Za-z_]\w*")
_BARE_NUMBER = re.compile(r"(?:[=<>,(]|\|\|)\s*(-?\d+(?:\.\d+)?)")

_TOO_DEEP = f"is nested too deep: an expression may have {MAX_DEPTH} levels"


class Expression:
    """A compiled JMESPath expression."""

    def __init__(self, text: str) -> None:
        """Raises DatasetDefinitionError when the text is not JMESPath."""
        self.text = text
        if len(text) > MAX_CHARACTERS:
            raise DatasetDefinitionError(
                f'"{text[:100]}…" has {len(text):,} characters; '
                f"an expression may have {MAX_CHARACTERS:,}"
            )
        try:
            self._parsed = _compile(text)
        except (exceptions.JMESPathError, ValueError) as error:
            reason = str(error).splitlines()[0].rstrip(".:")
            raise DatasetDefinitionError(
                f'"{text}" is not a JMESPath expression: {reason}{_hint(text)}'
            ) from None
        except RecursionError:
            raise DatasetDefinitionError(f'"{text}" {_TOO_DEEP}') from None

    def __call__(self, value: Any) -> Any:
        """What the expression gives on an exact value; None where it finds nothing.

        Raises:
            ExpressionError: a function got what it does not take, a result would have to be
            rounded, or more is made on the way than MAX_MADE.
        """
        try:
            with exact_arithmetic():
                return Interpreter().result(self._parsed.parsed, value)
        except exceptions.JMESPathTypeError as error:
            expected, name = " or ".join(error.expected_types), error.function_name
            missing = f" (where a field may be missing: `field && {name}(field)`)"
            raise ExpressionError(
                f'"{self.text}": {name}() takes {expected}, not {error.actual_type}'
                + (missing if error.actual_type == "null" else "")
            ) from None
        except FunctionError as error:
            raise ExpressionError(f'"{self.text}": {error}') from None
        except exceptions.JMESPathError as error:
            raise ExpressionError(f'"{self.text}": {type(error).__name__}') from None
        except DecimalException:
            raise ExpressionError(f'"{self.text}": the result cannot be kept exactly') from None
        except TooMuchError:
            raise ExpressionError(
                f'"{self.text}" makes more than {MAX_MADE:,} values and characters of this'
            ) from None
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise ExpressionError(
                f'"{self.text}" cannot be evaluated here ({type(error).__name__})'
            ) from None

    @cached_property
    def location(self) -> Location:
        """Where the expression, as `records`, finds the records of a document."""
        node = self._parsed.parsed
        kind = FIELD
        if node["type"] == "value_projection" and node["children"][1]["type"] == "identity":
            kind, node = MEMBERS, node["children"][0]
        elif node["type"] == "function_expression" and node["value"] == "values":
            kind, node = VALUES, node["children"][0]
        fields = _fields(node)
        if kind != FIELD and node["type"] in ("identity", "current"):
            fields = ()
        if fields is None:
            return Location(text=self.text, select=self)
        return Location(fields, kind, self.text)

    def document_paths(self) -> frozenset[tuple[str, ...]]:
        """The paths of fields behind `_document` that the expression uses."""
        return frozenset(_document_paths(self._parsed.parsed))

    @property
    def is_current(self) -> bool:
        """Whether the expression is `@`, which is the record itself."""
        return bool(self._parsed.parsed["type"] == "current")

    @property
    def syntax(self) -> Mapping[str, Any]:
        """The expression's syntax tree, as jmespath has it: `{type, children, value}`."""
        tree: Mapping[str, Any] = self._parsed.parsed
        return tree

    def sees(self, name: str) -> bool:
        """Whether the expression uses a field of this name, or everything that there is."""
        return _sees(self._parsed.parsed, name)

    def object_fields(self) -> frozenset[str]:
        """The fields of `_object` that the expression uses; every field ("*") when it takes
        `_object` whole.
        """
        return frozenset(_object_fields(self._parsed.parsed))


@lru_cache(maxsize=512)
def _compile(text: str) -> ParsedResult:
    parsed = _Parser(text).parsed()
    _check_depth(parsed.parsed)
    try:
        json.dumps(parsed.parsed, ensure_ascii=False, default=str).encode()
    except UnicodeEncodeError:
        raise DatasetDefinitionError(
            f'"{text}" holds half of a surrogate pair, which is no character'
        ) from None
    return parsed


def _hint(text: str) -> str:
    """What may have been meant by text that is no JMESPath; empty where nothing is known."""
    bare = _QUOTED.sub(lambda match: " " * len(match[0]), text)
    path = re.match(r"\s*\$\.?", bare)
    if path:
        return f". It begins as JSONPath does; in JMESPath write `{text[path.end() :] or '@'}`"
    name = _ODD_NAME.search(bare if "{" not in bare else bare.replace(":", " "))
    if name:
        odd = text[name.start() : name.end()]
        return (
            f". A name with other characters than letters, digits and _ stands in double quotes: "
            f'"{odd}", which is \\"{odd}\\" in the schema file'
        )
    number = _BARE_NUMBER.search(bare)
    if number:
        return f". A number stands in backticks: `{number[1]}`"
    return ""


class _Parser(Parser):
    """JMESPath's, with the exact numbers of literals: its own has rounded them to floats. It keeps
    no syntax tree for the next one.
    """

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = text

    def parsed(self) -> ParsedResult:
        """The syntax tree. Raises JMESPathError, ValueError, DatasetDefinitionError."""
        return self._do_parse(self._text)  # type: ignore[attr-defined, no-any-return]

    def _token_nud_literal(self, token: Any) -> Any:
        literal = _LITERAL.match(self._text, token["start"])
        try:
            value = json.loads(
                literal[1].replace("\\`", "`") if literal else "",
                parse_float=_literal,
                parse_int=_literal,
                parse_constant=_infinite,
            )
        except ValueError:
            value = token["value"]  # JMESPath takes what is no JSON for text
        return ast.literal(value)


def _check_depth(node: Any, depth: int = 0) -> None:
    if depth > MAX_DEPTH:
        raise RecursionError
    for child in node["children"]:
        if isinstance(child, dict):
            _check_depth(child, depth + 1)


def _literal(text: str) -> Any:
    try:
        return parse_number(text)
    except OutOfRangeError as error:
        raise DatasetDefinitionError(f"a number in a JMESPath literal: {error}") from None


def _infinite(_text: str) -> Any:
    raise DatasetDefinitionError(
        "a number in a JMESPath literal: its exponent is out of all bounds"
    )


def _fields(node: Any) -> tuple[str, ...] | None:
    if node["type"] == "field":
        return (node["value"],)
    if node["type"] != "subexpression":
        return None
    names: tuple[str, ...] = ()
    for child in node["children"]:
        path = _fields(child)
        if path is None:
            return None
        names += path
    return names


def _object_fields(node: Any) -> set[str]:
    children = [child for child in node["children"] if isinstance(child, dict)]
    if node["type"] == "field" and node["value"] == "_object":
        return {"*"}
    if node["type"] in ("subexpression", "index_expression") and len(children) == 2:
        first, second = children
        if (first["type"], first.get("value")) == ("field", "_object"):
            while second["type"] in ("subexpression", "index_expression", "projection"):
                second = second["children"][0]
            if second["type"] == "field":
                return {second["value"]}
    if _is_whole(node):
        return {"*"}
    return set().union(*map(_object_fields, children)) if children else set()


def _is_whole(node: Any) -> bool:
    return bool(
        node["type"] == "current"
        or (node["type"] == "value_projection" and node["children"][0] == WHOLE)
    )


def _sees(node: Any, name: str) -> bool:
    return (
        _is_whole(node)
        or (node["type"], node.get("value")) == ("field", name)
        or any(_sees(child, name) for child in node["children"] if isinstance(child, dict))
    )


def _document_paths(node: Any) -> set[tuple[str, ...]]:
    path = _fields(node)
    if path:
        return {path[1:]} if path[0] == "_document" else set()
    if node["type"] == "subexpression" and _fields(node["children"][0]) == ("_document",):
        return {_first_fields(node["children"][1:])}
    children = [child for child in node["children"] if isinstance(child, dict)]
    return set().union(*map(_document_paths, children)) if children else set()


def _first_fields(children: list[Any]) -> tuple[str, ...]:
    """The names up to the first that more than a name is taken of: of `a.b[0].c` a and b."""
    names: tuple[str, ...] = ()
    for child in children:
        first = child
        while first["type"] in ("index_expression", "projection", "filter_projection"):
            first = first["children"][0]
        names += (first["value"],) if first["type"] == "field" else ()
        if first is not child or not names:
            break
    return names
