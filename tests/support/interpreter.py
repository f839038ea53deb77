"""A small second reading of Amazon States Language: just what statemachine/sync_object.asl.json
uses, in process.

It runs the definition itself with the real handlers, so that tests can stop the world between any
two calls.
https://docs.aws.amazon.com/step-functions/latest/dg/concepts-amazon-states-language.html
"""

from __future__ import annotations

import copy
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import jsonata

DEFINITION = Path(__file__).parents[2] / "statemachine" / "sync_object.asl.json"
UNCATCHABLE = ("States.DataLimitExceeded", "States.Runtime")


class StateError(Exception):
    """What a state fails with: the name that ErrorEquals is matched against, and the cause."""

    def __init__(self, error: str, cause: str = "") -> None:
        super().__init__(error, cause)
        self.error, self.cause = error, cause


@dataclass
class Context:
    """An execution: what `$states.context.Execution` holds, its variables, and the states it
    entered.
    """

    name: str
    input: Any
    start: str
    path: list[str] = field(default_factory=list)
    variables: dict[str, Any] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """The execution's ARN."""
        return f"arn:aws:states:us-east-1:123456789012:execution:sync:{self.name}"


@dataclass(frozen=True)
class Interpreter:
    """Runs a definition. `invoke` gets a resource and its arguments; `wait` is called where an
    execution would wait.

    `clock` gives the time that states are entered at.
    """

    definition: Mapping[str, Any]
    invoke: Callable[[Context, str, Any], Any]
    wait: Callable[[], None]
    clock: Callable[[], str]

    def run(self, context: Context) -> Any:
        """The execution's output. Raises StateError when it fails."""
        name, data = self.definition["StartAt"], context.input
        while True:
            context.path.append(name)
            state = self.definition["States"][name]
            output, following = self._state(state, _Scope(context, name, self.clock(), data))
            if following is None:
                return output
            name, data = following, output

    def _state(self, state: Mapping[str, Any], scope: _Scope) -> tuple[Any, str | None]:
        if state["Type"] == "Task":
            return self._task(state, scope)
        if state["Type"] == "Choice":
            for choice in state["Choices"]:
                if scope.evaluate(choice["Condition"]) is True:
                    return scope.leave(choice, scope.data), choice["Next"]
            return scope.leave(state, scope.data), state["Default"]
        if state["Type"] == "Wait":
            scope.evaluate(state["Seconds"])
            self.wait()
            return scope.leave(state, scope.data), state["Next"]
        assert state["Type"] == "Fail", state["Type"]
        raise StateError(scope.evaluate(state["Error"]), scope.evaluate(state["Cause"]))

    def _task(self, state: Mapping[str, Any], scope: _Scope) -> tuple[Any, str | None]:
        attempts = [0] * len(state["Retry"])
        while True:
            try:
                result = self.invoke(
                    scope.context, state["Resource"], scope.evaluate(state["Arguments"])
                )
                scope.more = {"result": result}
                return scope.leave(state, result), state.get("Next")
            except StateError as error:
                retrier = _first(state["Retry"], error.error)
                if (
                    retrier is not None
                    and attempts[retrier] < state["Retry"][retrier]["MaxAttempts"]
                ):
                    attempts[retrier] += 1
                    self.wait()
                    continue
                catcher = _first(state["Catch"], error.error)
                if catcher is None:
                    raise
                output = {"Error": error.error, "Cause": error.cause}
                scope.more = {"errorOutput": output}
                return scope.leave(state["Catch"][catcher], output), state["Catch"][catcher]["Next"]


@dataclass
class _Scope:
    """What the expressions of one state see."""

    context: Context
    state: str
    entered: str
    data: Any
    more: Mapping[str, Any] = field(default_factory=dict)

    def evaluate(self, template: Any) -> Any:
        if isinstance(template, Mapping):
            return {name: self.evaluate(value) for name, value in template.items()}
        if isinstance(template, list):
            return [self.evaluate(value) for value in template]
        if not (isinstance(template, str) and template.startswith("{%")):
            return template
        execution = {
            "Id": self.context.id,
            "Name": self.context.name,
            "Input": self.context.input,
            "StartTime": self.context.start,
            "RedriveCount": 0,
        }
        states = {
            "input": self.data,
            "context": {
                "Execution": execution,
                "State": {"Name": self.state, "EnteredTime": self.entered},
            },
            **self.more,
        }
        variables = {**self.context.variables, "states": states}
        return evaluated(template[2:-2].strip(), variables)

    def leave(self, where: Mapping[str, Any], default: Any) -> Any:
        """Assigns (every expression sees the values from before) and gives the output."""
        output = self.evaluate(where["Output"]) if "Output" in where else default
        assigned = {name: self.evaluate(value) for name, value in where.get("Assign", {}).items()}
        self.context.variables.update(assigned)
        return output


def load_definition(substitutions: Mapping[str, str]) -> dict[str, Any]:
    """The definition as it is deployed."""
    text = DEFINITION.read_text()
    for name, value in substitutions.items():
        text = text.replace(f"${{{name}}}", value)
    definition: dict[str, Any] = json.loads(text)
    return definition


def _first(rules: list[Mapping[str, Any]], error: str) -> int | None:
    for index, rule in enumerate(rules):
        if error in rule["ErrorEquals"] or (
            "States.ALL" in rule["ErrorEquals"] and error not in UNCATCHABLE
        ):
            return index
    return None


def evaluated(expression: str, variables: Mapping[str, Any]) -> Any:
    """What an expression is with these variables. Random histories evaluate the same ones millions
    of times, so what is a path alone is looked up, and what was evaluated before is remembered by
    the values that it sees. Raises StateError.
    """
    seen = _seen(expression, variables)
    if seen is None:
        return _evaluated(expression, variables)
    if expression in seen:
        return seen[expression]
    if _paths(expression) == (expression,):
        return None
    known = json.dumps([expression, seen])
    if known not in _RESULTS:
        if len(_RESULTS) == MOST_RESULTS:
            _RESULTS.clear()
        _RESULTS[known] = _evaluated(expression, variables)
    return copy.deepcopy(_RESULTS[known])


def _evaluated(expression: str, variables: Mapping[str, Any]) -> Any:
    null = jsonata.utils.Utils.NULL_VALUE
    bindings = {name: null if value is None else value for name, value in variables.items()}
    try:
        return compiled(expression).evaluate(None, bindings)
    except Exception as error:
        raise StateError("States.QueryEvaluationError", str(error)) from error


_RESULTS: dict[str, Any] = {}
MOST_RESULTS = 10_000


def _seen(expression: str, variables: Mapping[str, Any]) -> dict[str, Any] | None:
    """The values that an expression sees, by their paths; None where it sees more: the time, or the
    members of a list.
    """
    seen = {}
    if any(each in expression for each in ("$now(", "$millis(", "$random(")):
        return None
    for path in _paths(expression):
        value: Any = variables
        for name in path[1:].split("."):
            if isinstance(value, list):
                return None
            if not isinstance(value, Mapping) or name not in value:
                break
            value = value[name]
        else:
            if isinstance(value, list):
                return None
            seen[path] = value
    return seen


@cache
def _paths(expression: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(re.findall(r"\$[A-Za-z_]\w*(?:\.\w+)*(?![\w.(])", expression)))


@cache
def compiled(expression: str) -> Any:
    """A JSONata expression, with what Step Functions adds and the definition uses."""
    parsed = jsonata.Jsonata.jsonata(expression)
    parsed.register_lambda("hash", _hash)
    return parsed


def _hash(text: str, algorithm: str) -> str:
    """https://docs.aws.amazon.com/step-functions/latest/dg/transforming-data.html"""
    return hashlib.new(algorithm.replace("-", ""), text.encode(), usedforsecurity=False).hexdigest()
