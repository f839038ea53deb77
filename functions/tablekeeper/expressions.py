"""JMESPath over exact documents: the standard functions, on Decimals, and errors instead of rounded
results.

jmespath tells types by the names of Python's, which leaves Decimal out; these functions put it
beside int.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal, DecimalException
from functools import lru_cache
from typing import Any

import jmespath
from jmespath import exceptions, functions
from jmespath.functions import signature
from jmespath.parser import ParsedResult

from tablekeeper.errors import DatasetDefinitionError, ExpressionError
from tablekeeper.exact_numbers import OutOfRangeError, exact_arithmetic, format_number, parse_number


class _ExactFunctions(functions.Functions):
    def _get_allowed_pytypes(self, types: Any) -> Any:
        allowed, subtypes = super()._get_allowed_pytypes(types)  # type: ignore[misc]
        number = functions.REVERSE_TYPES_MAP["number"]
        if any(kind == "number" for kind in types):
            allowed = [*allowed, "Decimal"]
        return allowed, [(*each, "Decimal") if each == number else each for each in subtypes]

    def _convert_to_jmespath_type(self, pyobject: str) -> Any:
        return super()._convert_to_jmespath_type(  # type: ignore[misc]
            "int" if pyobject == "Decimal" else pyobject
        )

    @signature({"types": []})
    def _func_type(self, arg: Any) -> Any:
        return super()._func_type(0 if isinstance(arg, Decimal) else arg)  # type: ignore[misc]

    @signature({"types": []})
    def _func_to_string(self, arg: Any) -> str:
        return arg if isinstance(arg, str) else compact_json(arg)

    @signature({"types": []})
    def _func_to_number(self, arg: Any) -> Any:
        if isinstance(arg, int | Decimal) and not isinstance(arg, bool):
            return arg
        if not isinstance(arg, str):
            return None
        try:
            value = json.loads(
                arg, parse_float=parse_number, parse_int=parse_number, parse_constant=str
            )
        except (ValueError, RecursionError):
            return None
        return value if isinstance(value, int | Decimal) and not isinstance(value, bool) else None

    @signature({"types": ["array-number"]})
    def _func_avg(self, arg: Any) -> Any:
        return Decimal(sum(arg)) / len(arg) if arg else None


_OPTIONS = jmespath.Options(custom_functions=_ExactFunctions())


class Expression:
    """A compiled JMESPath expression."""

    def __init__(self, text: str) -> None:
        """Raises DatasetDefinitionError when the text is not JMESPath."""
        self.text = text
        try:
            self._parsed = _compile(text)
        except exceptions.JMESPathError as error:
            reason = str(error).splitlines()[0]
            raise DatasetDefinitionError(
                f'"{text}" is not a JMESPath expression: {reason}'
            ) from None

    def __call__(self, value: Any) -> Any:
        """What the expression gives on an exact value; None where it finds nothing.

        Raises:
            ExpressionError: a function got what it does not take, or a result would have to be
            rounded.
        """
        try:
            with exact_arithmetic():
                return self._parsed.search(value, _OPTIONS)
        except exceptions.JMESPathTypeError as error:
            expected = " or ".join(error.expected_types)
            raise ExpressionError(
                f'"{self.text}": {error.function_name}() takes {expected}, not {error.actual_type}'
            ) from None
        except exceptions.JMESPathError as error:
            raise ExpressionError(f'"{self.text}": {type(error).__name__}') from None
        except DecimalException:
            raise ExpressionError(f'"{self.text}": the result cannot be kept exactly') from None
        except (TypeError, ValueError, RecursionError) as error:
            raise ExpressionError(
                f'"{self.text}" cannot be evaluated here ({type(error).__name__})'
            ) from None

    @property
    def path(self) -> tuple[str, ...] | None:
        """The names of the fields when the expression is no more than a path of fields."""
        return _fields(self._parsed.parsed)

    @property
    def syntax(self) -> Mapping[str, Any]:
        """The expression's syntax tree, as jmespath has it: `{type, children, value}`."""
        tree: Mapping[str, Any] = self._parsed.parsed
        return tree

    def object_fields(self) -> frozenset[str]:
        """The fields of `_object` that the expression uses; every field ("*") when it takes
        `_object` whole.
        """
        return frozenset(_object_fields(self._parsed.parsed))


def compact_json(value: Any) -> str:
    """JSON text of an exact value without spaces, numbers in their shortest form.

    Raises:
        TypeError: the value holds something that JSON does not.
    """
    if isinstance(value, dict):
        members = (
            f"{json.dumps(key, ensure_ascii=False)}:{compact_json(item)}"
            for key, item in value.items()
        )
        return "{" + ",".join(members) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(compact_json, value)) + "]"
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        return format_number(value)
    return json.dumps(value, ensure_ascii=False)


@lru_cache(maxsize=512)
def _compile(text: str) -> ParsedResult:
    parsed = jmespath.compile(text)
    _make_exact(parsed.parsed)
    return parsed


def _make_exact(node: Any) -> None:
    """Literals such as `1.5` are parsed as floats; their shortest decimal text is what the author
    wrote.
    """
    if node["type"] == "literal":
        node["value"] = json.loads(
            json.dumps(node["value"]),
            parse_float=_literal,
            parse_int=_literal,
            parse_constant=_infinite,
        )
    for child in node["children"]:
        if isinstance(child, dict):
            _make_exact(child)


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
    if node["type"] == "current":
        return {"*"}
    return set().union(*map(_object_fields, children)) if children else set()
