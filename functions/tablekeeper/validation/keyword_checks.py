"""Checks of single keywords whose meaning the fast check could read otherwise."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any
from urllib.parse import unquote

from tablekeeper.documents.numbers import EXACT, OutOfRangeError, check_number

_LARGEST_COUNT = 2**31


_LITERAL = r"[A-Za-z0-9_ :/@-]|\\[.\-/]"


_CLASS = r"\[\^?(?:[A-Za-z]-[A-Za-z]|[0-9]-[0-9]|[A-Za-z0-9_ .:/])+-?\]"


_PLAIN_PATTERN = re.compile(
    rf"\^?(?:(?:{_LITERAL}|{_CLASS}|\.)(?:[*+?]|\{{[0-9]{{1,3}}(?:,[0-9]{{0,3}})?\}})?)+\$?"
)


_ANY_CHARACTER = re.compile(r"\\.|\[[^]]*\]|(\.)")


Check = Callable[[Any], None]


class _UntranslatableError(Exception):
    """Raised for a schema that only the reference can be asked about."""


class _UnacceptableError(ValueError):
    """Raised by a check; jsonschema-rs takes it for an answer."""


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


def _number_check(kind: str | None, limits: Mapping[str, Decimal]) -> Check:
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
