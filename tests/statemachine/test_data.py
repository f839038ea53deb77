"""What travels between the states, and what the definition itself writes into the ledger."""

import ast
import inspect
import re
from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import jsonata
import pytest
from tablekeeper.model.execution import Execution
from tablekeeper.model.snapshot import Snapshot
from tablekeeper.steps import fetch

from tests.statemachine.asl import filled, nodes, parts, paths
from tests.support.project import (
    ROOT,
    definition,
    expressions,
    lambda_tasks,
    snake,
    states,
)

CONTEXT = {
    "Execution": {"Id", "Input", "Name", "RedriveCount", "RedriveTime", "RoleArn", "StartTime"},
    "State": {"EnteredTime", "Name", "RetryCount"},
    "StateMachine": {"Id", "Name"},
}
"""https://docs.aws.amazon.com/step-functions/latest/dg/input-output-contextobject.html"""
AWS_FUNCTIONS = {"partition", "range", "hash", "uuid", "random"}
JSONPATH_FIELDS = {"InputPath", "OutputPath", "ResultPath", "Parameters", "ResultSelector"}


def _places() -> Iterator[tuple[str, str, set[str]]]:
    """Every expression, its state, and what `$states` holds there beside input and context."""
    for name, state in states().items():
        for field, value in state.items():
            if field == "Catch":
                members = {"errorOutput"}
            elif state["Type"] == "Task" and field in ("Assign", "Output"):
                members = {"result"}
            else:
                members = set()
            for expression in expressions(value):
                yield name, filled(expression), members


PLACES = list(_places())
STATES = list(states())


@pytest.mark.parametrize("state", STATES)
def test_expressions_read_what_there_is_at_their_place(state: str) -> None:
    """A Task's result is there for Assign and Output only, the error of a Catch in that Catch
    only.
    """
    for place, expression, members in PLACES:
        for path in paths(expression):
            if place == state and path[0] == "$states":
                assert path[1] in {"input", "context"} | members
                if path[1] == "context":
                    assert path[3] in CONTEXT[path[2]]


@pytest.mark.parametrize("state", STATES)
def test_expressions_begin_their_paths_in_variables(state: str) -> None:
    """Step Functions has no document at the top: a bare name, `$` and `$$` are refused."""
    read = {p[0] for place, text, _ in PLACES if place == state for p in paths(text)}
    assert all(re.fullmatch(r"\$\w+", each) for each in read)


@pytest.mark.parametrize("state", STATES)
def test_expressions_call_functions_that_there_are(state: str) -> None:
    """Step Functions has JSONata's own functions but `$eval`, and some of its own; `$parse` is not
    wanted.
    """
    known = set(jsonata.Jsonata.static_frame.bindings) - {"eval"} | AWS_FUNCTIONS
    for place, expression, _ in PLACES:
        for node in nodes(jsonata.Jsonata.jsonata(expression).ast):
            assert place != state or node.type != "function" or node.procedure.value in known


def test_a_string_with_braces_is_an_expression_as_a_whole() -> None:
    """`a {% b %}` would be passed on as it is."""
    for text in _strings(definition()):
        assert ("{%" in text) == text.startswith("{%")
        assert ("%}" in text) == text.endswith("%}")


def test_nothing_speaks_jsonpath() -> None:
    assert definition()["QueryLanguage"] == "JSONata"
    for state in states().values():
        assert not JSONPATH_FIELDS & set(state)
    assert not [name for name in _names(definition()) if name.endswith(".$")]


def test_every_variable_that_is_assigned_is_read() -> None:
    read = {path[0] for _, expression, _ in PLACES for path in paths(expression)} | {
        f"${name}" for _, text, _ in PLACES for name in re.findall(r"\$(\w+)\b(?!\()", text)
    }
    assigned = {name for part in parts(definition()) for name in part.get("Assign", {})}
    assert {f"${name}" for name in assigned} <= read


@pytest.mark.parametrize("name", lambda_tasks())
def test_a_function_gets_what_its_handler_says_that_it_takes(name: str) -> None:
    text = (ROOT / "functions" / "handlers" / f"{snake(name)}.py").read_text()
    said = re.search(r"Takes `\{([\w, ]+)\}`", text)
    assert said
    assert set(said[1].split(", ")) == set(states()[name]["Arguments"]["Payload"])


def test_the_execution_travels_whole() -> None:
    wanted = {"id", "name", "start", "redrive", "event"}
    assert wanted == {field.name for field in fields(Execution)}
    for name, state in lambda_tasks().items():
        payload = state["Arguments"]["Payload"]
        assert set(payload.get("execution", wanted)) == wanted, name


def test_what_is_read_of_what_was_found_is_there() -> None:
    read = {path[1] for _, text, _ in PLACES for path in paths(text) if path[0] == "$found"}
    assert read
    assert read <= set(Snapshot._fields)


def test_what_now_knows_every_action_and_no_other() -> None:
    made = {
        constant.value
        for call in ast.walk(ast.parse(inspect.getsource(fetch)))
        if isinstance(call, ast.keyword) and call.arg == "action"
        for constant in ast.walk(call.value)
        if isinstance(constant, ast.Constant)
    }
    known = re.findall(r"'(\w+)'", " ".join(expressions(states()["What Now?"]["Choices"])))
    assert made == set(known)
    assert len(known) == len(set(known))


def test_every_problem_says_all_that_is_recorded_of_it() -> None:
    """Only INVALID holds for one revision, and only it is recorded on condition of that."""
    read = {path[1] for _, text, _ in PLACES for path in paths(text) if path[0] == "$problem"}
    problems = [part["Assign"]["problem"] for part in parts(definition()) if _has_problem(part)]
    assert len(problems) >= len(lambda_tasks()) + 1
    for problem in problems:
        bound = {"revision", "as_of", "claim"} if problem["status"] == "INVALID" else set()
        assert set(problem) == read - {"revision", "as_of", "claim"} | bound
        assert problem["status"] in ("INVALID", "FAILED")


def test_a_choice_that_nobody_made_goes_somewhere() -> None:
    assert all("Default" in state for state in states("Choice").values())


@pytest.mark.parametrize("name", states())
def test_a_catch_for_everything_stands_alone_and_last(name: str) -> None:
    """And a name that an earlier rule has is never looked up in a later one."""
    for rules in (states()[name].get("Retry", []), states()[name].get("Catch", [])):
        names = [error for rule in rules for error in rule["ErrorEquals"]]
        assert len(names) == len(set(names))
        assert "States.ALL" not in names or rules[-1]["ErrorEquals"] == ["States.ALL"]


@pytest.mark.parametrize("name", states("Task"))
def test_a_delay_grows_up_to_its_limit(name: str) -> None:
    for retry in states()[name]["Retry"]:
        assert retry["MaxDelaySeconds"] > retry["IntervalSeconds"] >= 1
        assert retry["BackoffRate"] > 1
        assert retry["MaxAttempts"] >= 1
        assert retry["Comment"]


def _has_problem(part: dict[str, Any]) -> bool:
    return "problem" in part.get("Assign", {})


def _names(value: Any) -> Iterator[str]:
    for part in parts(value):
        yield from part


def _strings(value: Any) -> Iterator[str]:
    for part in parts(value):
        for each in part.values():
            yield from (
                text
                for text in (each if isinstance(each, list) else [each])
                if isinstance(text, str)
            )
