"""Every string link in the definition leads somewhere; cfn-lint and SAM do not look."""

import copy
import json
import re
from typing import Any

import jsonata
import pytest
from statelint.config import Config
from statelint.linter import Linter
from statelint.problem import ProblemType
from tablekeeper.recovery.safety_net import FAILURE_TAIL

from tests.support.interpreter import compiled
from tests.support.project import (
    SERVICE_TASKS,
    definition,
    exits,
    expressions,
    lambda_tasks,
    states,
    template,
)


def test_the_definition_is_amazon_states_language() -> None:
    """statelint does not know that a Wait's Seconds may be an expression: it gets a literal."""
    plain = copy.deepcopy(definition())
    plain["States"]["Read Again"]["Seconds"] = 1
    assert Linter.validate(plain, Config({ProblemType.URI, ProblemType.FLOAT})) == []


@pytest.mark.parametrize("pause", [0, 15])
def test_a_wait_is_of_whole_seconds(pause: int) -> None:
    """A Timestamp is cut to whole seconds, and Seconds are an integer.
    https://docs.aws.amazon.com/step-functions/latest/dg/state-wait.html
    """
    (wait,) = states("Wait").values()
    assert "Timestamp" not in wait
    expression = compiled(wait["Seconds"].removeprefix("{%").removesuffix("%}"))
    for number in range(13):
        waited = expression.evaluate(None, {"pause": pause, "round": number})
        assert isinstance(waited, int)
        assert pause <= waited <= pause + 16


@pytest.mark.parametrize("name", states())
def test_every_exit_leads_to_a_state(name: str) -> None:
    targets = [target for target, _ in exits(states()[name])]
    assert set(targets) <= set(states())
    assert bool(targets) != (
        states()[name].get("End") is True or states()[name]["Type"] == "Fail"
    ) or (
        states()[name].get("End") is True
        and all("Next" in each for each in states()[name]["Catch"])
    )


def test_every_state_can_be_reached() -> None:
    reached, new = set(), [definition()["StartAt"]]
    while new:
        name = new.pop()
        reached.add(name)
        new += [target for target, _ in exits(states()[name]) if target not in reached]
    assert reached == set(states())


def test_no_catch_leads_to_a_success() -> None:
    """Whatever a Catch leads to ends red, or reads everything again."""
    for name, state in states("Task").items():
        for catcher in state["Catch"]:
            assert catcher["Next"] in (
                "Read Again",
                "Record Failure",
                "Why Refused?",
                "Sync Failed",
            ), name


@pytest.mark.parametrize("name", states())
def test_every_state_says_why_it_is_there(name: str) -> None:
    assert len(states()[name]["Comment"]) > 30


def test_every_expression_is_jsonata() -> None:
    for name, state in states().items():
        for expression in expressions(state):
            filled = re.sub(r"\$\{\w+\}", "1", expression)
            assert jsonata.Jsonata.jsonata(filled), name


def test_no_expression_parses_a_cause() -> None:
    """A Cause is cut at 32,768 characters, so it is often no JSON."""
    assert not [each for each in expressions(definition()) if "$parse" in each]


def test_variables_are_assigned_before_they_are_read() -> None:
    """On every path to a state, what it reads was assigned; a failed state assigns only in its
    Catch.
    """
    known: dict[str, set[str]] = {definition()["StartAt"]: set()}
    pending = [definition()["StartAt"]]
    while pending:
        name = pending.pop()
        state = states()[name]
        for target, part in exits(state):
            after = known[name] | set(part.get("Assign", {}))
            before = known.get(target)
            known[target] = after if before is None else before & after
            if known[target] != before:
                pending.append(target)
    for name, state in states().items():
        assert _variables(state) <= known[name], name


def _variables(state: dict[str, Any]) -> set[str]:
    """The variables that a state reads; functions and `$states` left aside."""
    text = " ".join(expressions(state))
    return {name for name in re.findall(r"\$([a-z_]+)\b(?!\()", text) if name != "states"}


def test_substitutions_agree_with_the_template() -> None:
    machine = template()["Resources"]["SyncObjectStateMachine"]["Properties"]
    assert set(re.findall(r"\$\{(\w+)\}", json.dumps(definition()))) == set(
        machine["DefinitionSubstitutions"]
    )


@pytest.mark.parametrize("name", lambda_tasks())
def test_each_task_invokes_the_function_of_its_name(name: str) -> None:
    function = name.replace(" ", "")
    assert states()[name]["Arguments"]["FunctionName"] == f"${{{function}FunctionArn}}"
    substitutions = template()["Resources"]["SyncObjectStateMachine"]["Properties"]
    arn = substitutions["DefinitionSubstitutions"][f"{function}FunctionArn"]
    assert arn == {"Fn::GetAtt": [f"{function}Function", "Arn"]}


def test_the_safety_net_knows_the_states_that_only_record() -> None:
    """They are what a failure leads to, and lead nowhere else but back to the beginning."""
    assert set(FAILURE_TAIL) <= set(states())
    for name in FAILURE_TAIL:
        again = {"Read Again", "Settle Claim"}
        assert {target for target, _ in exits(states()[name])} <= {*FAILURE_TAIL, *again}


def test_service_tasks_are_the_only_others() -> None:
    assert set(states("Task")) == {*lambda_tasks(), *SERVICE_TASKS}
    for name in SERVICE_TASKS:
        assert "lambda" not in states()[name]["Resource"]
