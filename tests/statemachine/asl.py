"""The JSONata of the definition, read without running it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import jsonata


def filled(expression: str) -> str:
    """An expression with a number in place of each substitution, so that it can be parsed."""
    return re.sub(r"\$\{\w+\}", "1", expression)


def nodes(node: Any) -> Iterator[Any]:
    """A parsed expression, node by node."""
    if isinstance(node, list | tuple):
        for each in node:
            yield from nodes(each)
    elif hasattr(node, "type") and hasattr(node, "steps"):
        yield node
        for value in vars(node).values():
            yield from nodes(value)


def paths(expression: str) -> Iterator[list[str]]:
    """The paths that an expression reads, as their steps; a variable's first step has a `$`."""
    for node in nodes(jsonata.Jsonata.jsonata(expression).ast):
        if node.type == "path":
            yield [
                f"${step.value}" if step.type == "variable" else str(step.value)
                for step in node.steps
            ]


def parts(value: Any) -> Iterator[dict[str, Any]]:
    """Every object in a part of the definition, itself among them."""
    if isinstance(value, dict):
        yield value
        for each in value.values():
            yield from parts(each)
    elif isinstance(value, list):
        for each in value:
            yield from parts(each)
