"""The evaluation of expressions on exact values, with bounds on what it builds."""

from __future__ import annotations

from typing import Any

import jmespath
from jmespath.visitor import TreeInterpreter

from tablekeeper.datasets.functions import ExactFunctions, is_equal, made_by
from tablekeeper.documents.numbers import is_number

MAX_MADE = 20_000_000
"""How many elements one evaluation may go through and how many characters it may join, together; as
much text as one value of a document may have.
"""


_FUNCTIONS = ExactFunctions()


_OPTIONS = jmespath.Options(custom_functions=_FUNCTIONS)


class TooMuchError(Exception):
    """Raised when an evaluation makes more than it may."""


class Interpreter(TreeInterpreter):
    """One evaluation, which counts the elements it goes through and the characters it joins.

    `[@, @]` is two places of one value, and `[@, @] | [@, @]` four: a short expression can make
    more than any memory holds, or name so much that it could never be written out.
    """

    def __init__(self) -> None:
        super().__init__(_OPTIONS)
        self._left = MAX_MADE

    def result(self, node: Any, value: Any) -> Any:
        """What the expression gives. Raises TooMuchError."""
        result = self.visit(node, value)
        if isinstance(result, dict | list) and _selects(node):
            self._spend(_weight(result))
        return result

    def _spend(self, made: int) -> None:
        self._left -= made
        if self._left < 0:
            raise TooMuchError

    def visit_flatten(self, node: Any, value: Any) -> Any:
        base = self.visit(node["children"][0], value)
        if not isinstance(base, list):
            return None
        self._spend(sum(len(each) if isinstance(each, list) else 1 for each in base))
        return [each for part in base for each in (part if isinstance(part, list) else (part,))]

    def visit_projection(self, node: Any, value: Any) -> Any:
        base = self.visit(node["children"][0], value)
        return self._projected(node["children"][1], base) if isinstance(base, list) else None

    def visit_value_projection(self, node: Any, value: Any) -> Any:
        base = self.visit(node["children"][0], value)
        if not isinstance(base, dict):
            return None
        return self._projected(node["children"][1], list(base.values()))

    def visit_filter_projection(self, node: Any, value: Any) -> Any:
        left, right, condition = node["children"]
        base = self.visit(left, value)
        if not isinstance(base, list):
            return None
        self._spend(len(base))
        is_false = self._is_false  # type: ignore[attr-defined]
        return self._projected(
            right, [each for each in base if not is_false(self.visit(condition, each))]
        )

    def _projected(self, node: Any, base: list[Any]) -> list[Any]:
        self._spend(len(base))
        results = (self.visit(node, each) for each in base)
        return [each for each in results if each is not None]

    def visit_comparator(self, node: Any, value: Any) -> Any:
        sides = [self.visit(child, value) for child in node["children"]]
        if all(isinstance(side, dict | list) for side in sides):
            self._spend(min(map(_weight, sides)))
        if node["value"] in ("eq", "ne"):
            return is_equal(*sides) is (node["value"] == "eq")
        if not (all(map(is_number, sides)) or all(isinstance(side, str) for side in sides)):
            return None  # jmespath raises TypeError where it is a number and a text
        return self.COMPARATOR_FUNC[node["value"]](*sides)

    def visit_function_expression(self, node: Any, value: Any) -> Any:
        given = [self.visit(child, value) for child in node["children"]]
        for each in given:
            if isinstance(each, dict | list | str):
                deep = node["value"] in ("to_string", "contains")
                self._spend(_weight(each) if deep else len(each))
        self._spend(made_by(node["value"], given))
        return _FUNCTIONS.call_function(node["value"], given)


def _selects(node: Any) -> bool:
    """Whether anything in an expression can put one value at two places."""
    return node["type"] in ("multi_select_list", "multi_select_dict") or any(
        _selects(child) for child in node["children"] if isinstance(child, dict)
    )


def _weight(value: Any) -> int:
    """How many values and characters would be written out; what stands at two places counts twice.

    Each list and object is looked at once. More than MAX_MADE is not counted on.
    """
    weights: dict[int, int] = {}

    def of(each: Any) -> int:
        if isinstance(each, str):
            return 1 + len(each)
        if not isinstance(each, dict | list):
            return 1
        if id(each) not in weights:
            members = [*each, *each.values()] if isinstance(each, dict) else each
            weights[id(each)] = min(1 + sum(map(of, members)), MAX_MADE + 1)
        return weights[id(each)]

    return of(value)
