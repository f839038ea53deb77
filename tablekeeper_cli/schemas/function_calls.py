"""What is certainly wrong with the calls of functions in an expression, without any record."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from tablekeeper.datasets.functions import FUNCTIONS, ExactFunctions, arity, arity_text
from tablekeeper.datasets.time_formats import TIME_FORMATS

from tablekeeper_cli.schemas.expression_types import (
    ANY,
    ARRAY,
    BOOLEAN,
    NULL,
    NUMBER,
    OBJECT,
    STRING,
    ExpressionTypes,
    Types,
)

_JSON_TYPES = {NULL, STRING, NUMBER, BOOLEAN, ARRAY, OBJECT}
_WITH_TIME_FORMAT = ("to_epoch", "to_iso")
_SAME_SCOPE = (
    "function_expression",
    "multi_select_list",
    "multi_select_dict",
    "key_val_pair",
    "or_expression",
    "and_expression",
    "not_expression",
    "comparator",
)
"""Nodes whose children see the record, as they do themselves."""


class BadCall(NamedTuple):
    """What is wrong with a call, and what to do."""

    what: str
    advice: str


def bad_calls(
    node: Mapping[str, Any], types: ExpressionTypes, *, is_record: bool = True
) -> Iterator[BadCall]:
    """Every call in a syntax tree that fails whatever the record is; the tree `is_record` where its
    current node is the record.
    """
    if node["type"] == "function_expression":
        yield from _call(node["value"], node["children"], types, is_record=is_record)
    same = is_record and node["type"] in _SAME_SCOPE
    for child in node["children"]:
        if isinstance(child, dict):
            yield from bad_calls(child, types, is_record=same)


def _call(
    name: str, arguments: list[Any], types: ExpressionTypes, *, is_record: bool
) -> Iterator[BadCall]:
    function = ExactFunctions.FUNCTION_TABLE.get(name)
    if function is None:
        near = difflib.get_close_matches(name, FUNCTIONS, n=1)
        advice = f"There are {', '.join(FUNCTIONS)}."
        yield BadCall(
            f"there is no function {name}()",
            f"Did you mean {near[0]}()? {advice}" if near else advice,
        )
        return
    signature = function["signature"]
    least, most = arity(signature)
    if len(arguments) < least or (most is not None and len(arguments) > most):
        yield BadCall(
            f"{name}() takes {arity_text(signature)}, not {len(arguments)}",
            "Mend the call: docs/datasets.md lists the functions and what they take.",
        )
        return
    for place, (parameter, argument) in enumerate(zip(signature, arguments, strict=False), start=1):
        wanted, given = _wanted(parameter), _given(argument, types, is_record=is_record)
        if wanted and given and not wanted & given:
            takes, is_ = (" or ".join(sorted(each)) for each in (parameter["types"], given))
            yield BadCall(
                f"{name}() takes {takes} as argument {place}, and this is {is_}",
                _advice(argument, given, wanted),
            )
    if name in _WITH_TIME_FORMAT and arguments[1]["type"] == "literal":
        time_format = arguments[1]["value"]
        if isinstance(time_format, str) and time_format not in TIME_FORMATS:
            yield BadCall(
                f'{name}() has no format "{time_format}"', f"There are {', '.join(TIME_FORMATS)}."
            )


def _wanted(parameter: Mapping[str, Any]) -> set[str]:
    """The JSON types that an argument may have; empty: any, or an expression such as `&name`."""
    wanted = {each.partition("-")[0] for each in parameter["types"]}
    return wanted if wanted <= _JSON_TYPES else set()


def _given(argument: Mapping[str, Any], types: ExpressionTypes, *, is_record: bool) -> Types:
    """The types that an argument can have; empty where they are unknown."""
    if argument["type"] == "expref":
        return frozenset()
    if is_record or argument["type"] in ("literal", "multi_select_list", "multi_select_dict"):
        given = types.of(argument)
        return frozenset() if given == ANY else given
    return frozenset()


def _advice(argument: Mapping[str, Any], given: Types, wanted: set[str]) -> str:
    if argument["type"] == "literal" and given == {NUMBER} and STRING in wanted:
        return "Write text in single quotes."
    if argument["type"] == "literal" and given == {STRING} and NUMBER in wanted:
        return "Write a number in backticks, such as `1`."
    if given == {NULL}:
        return "The schema allows no such field: mend the name, or the schema."
    if wanted == {STRING}:
        return "Make text of it with to_string()."
    if wanted == {NUMBER}:
        return "Make a number of it with to_number()."
    return "Mend the argument."
