"""Error names in the definition and classes in errors.py agree, both ways."""

import json
import re
from collections import Counter
from typing import Any

import pytest
from tablekeeper.errors import TablekeeperError

from tests.support.project import (
    SERVICE_TASKS,
    bucket_definition,
    bucket_lambda_tasks,
    definition,
    error_classes,
    lambda_tasks,
    nested_states,
    states,
    template,
)

RETRY_FIELDS = {
    "IntervalSeconds",
    "MaxAttempts",
    "BackoffRate",
    "MaxDelaySeconds",
    "JitterStrategy",
}


def _names(rules: list[dict[str, list[str]]]) -> set[str]:
    return {name for rule in rules for name in rule["ErrorEquals"]}


def _caught(state: str, following: str, status: str | None = None) -> set[str]:
    return _names(
        [
            each
            for each in states()[state]["Catch"]
            if each["Next"] == following
            and status in (None, each.get("Assign", {}).get("problem", {}).get("status"))
        ]
    )


def test_every_name_without_a_service_is_one_of_our_classes() -> None:
    for name, state in states("Task").items():
        ours = {each for each in _names(state["Retry"]) | _names(state["Catch"]) if "." not in each}
        assert ours <= set(error_classes()), name


@pytest.mark.parametrize("error", error_classes().values(), ids=error_classes())
def test_every_class_leads_to_what_its_status_says(error: type[TablekeeperError]) -> None:
    name = error.__name__
    for state in lambda_tasks():
        invalid = error.status == "INVALID" and state in error.states
        assert (name in _caught(state, "Record Failure", "INVALID")) == invalid, state
        again = error.status == "READ_AGAIN" and state in error.states
        assert (name in _caught(state, "Read Again")) == again, state
        assert name not in _caught(state, "Record Failure", "FAILED"), state
        retried = error.status == "RETRY" and (state in error.states or not error.states)
        assert (name in _names(lambda_tasks()[state]["Retry"])) == (
            retried or (name == "KeyOwnershipError" and state in error.states)
        ), state
    assert error.status == "FAILED" or error.status == "RETRY" or error.states


@pytest.mark.parametrize("error", error_classes().values(), ids=error_classes())
def test_every_class_says_when_it_is_raised_and_what_to_do(error: type[TablekeeperError]) -> None:
    assert (error.__doc__ or "").startswith("Raised ")
    assert len(error.advice) > 20
    assert error.__name__.endswith("Error")


def test_what_the_definitions_repeat_is_one_and_the_same() -> None:
    """JSON has no name for a part: nine tasks repeat three blocks of Retry, and five a Catch."""
    tasks = [*lambda_tasks().values(), *bucket_lambda_tasks().values()]
    retries: dict[str, set[str]] = {}
    for block in (each for state in tasks for each in state["Retry"]):
        for name in block["ErrorEquals"]:
            retries.setdefault(name, set()).add(_text(block))
    assert {name for name, texts in retries.items() if len(texts) > 1} == set()
    catches: dict[str, list[str]] = {}
    for block in (each for state in tasks for each in state.get("Catch", ())):
        catches.setdefault(" ".join(block["ErrorEquals"]), []).append(_text(block))
    for_all = Counter(catches.pop("States.ALL"))
    assert sorted(for_all.values()) == [1, 1, 1, 5], "Fetch, Sync Objects and Orphans"
    assert {names for names, texts in catches.items() if len(set(texts)) > 1} == set()


def _text(block: Any) -> str:
    return json.dumps({**block, "Comment": None}, sort_keys=True)


def test_permanent_errors_are_not_retried() -> None:
    """But the other file's execution may be about to remove an item."""
    permanent = {n for n, each in error_classes().items() if each.status in ("INVALID", "FAILED")}
    retried = set().union(*(_names(state["Retry"]) for state in states("Task").values()))
    assert retried & permanent == {"KeyOwnershipError"}


@pytest.mark.parametrize("name", states("Task"))
def test_every_task_has_a_time_out_retries_and_a_catch_for_everything(name: str) -> None:
    state = states()[name]
    assert state["TimeoutSeconds"] > 0
    assert state["Catch"][-1]["ErrorEquals"] == ["States.ALL"]
    for retry in state["Retry"]:
        assert retry.keys() >= RETRY_FIELDS
        assert retry["JitterStrategy"] == "FULL"
        assert retry["MaxDelaySeconds"] <= 60
        assert not {"States.ALL", "States.TaskFailed"} & set(retry["ErrorEquals"])


@pytest.mark.parametrize("name", lambda_tasks())
def test_a_task_waits_longer_than_its_function_may_take(name: str) -> None:
    function = template()["Resources"][f"{name.replace(' ', '')}Function"]["Properties"]
    assert states()[name]["TimeoutSeconds"] > function["Timeout"]


@pytest.mark.parametrize("name", lambda_tasks())
def test_what_lambda_and_its_sandbox_do_for_a_moment_is_retried(name: str) -> None:
    assert _names(states()[name]["Retry"]) >= {
        "Lambda.ClientExecutionTimeoutException",
        "Lambda.ServiceException",
        "Lambda.AWSLambdaException",
        "Lambda.SdkClientException",
        "Lambda.TooManyRequestsException",
        "Lambda.Unknown",
        "Runtime.ExitError",
        "Sandbox.Timedout",
        "States.Timeout",
    }


def test_error_names_fit_their_integration() -> None:
    """aws-sdk:dynamodb says DynamoDb, the optimised integration DynamoDB."""
    for name in SERVICE_TASKS:
        state = states()[name]
        prefix = "DynamoDb." if "aws-sdk" in state["Resource"] else "DynamoDB."
        names = _names(state["Retry"]) | _names(state["Catch"])
        assert all(re.match(rf"{re.escape(prefix)}|States\.", each) for each in names), name


THROTTLED = {
    "arn:aws:states:::lambda:invoke": "Lambda.TooManyRequestsException",
    "arn:aws:states:::dynamodb:putItem": "DynamoDB.AmazonDynamoDBException",
    "arn:aws:states:::aws-sdk:dynamodb:transactWriteItems": "DynamoDb.DynamoDbException",
    "arn:aws:states:::states:startExecution.sync:2": "StepFunctions.AWSStepFunctionsException",
}
"""The error of a call that the account's quota throttles: of the exception's class, or of its
service's base class where the SDK for Java has none, by the resource of the task.
https://docs.aws.amazon.com/step-functions/latest/dg/supported-services-awssdk.html
"""


@pytest.mark.parametrize(
    ("name", "state"),
    [
        (name, state)
        for machine in (definition(), bucket_definition())
        for name, state in nested_states(machine).items()
        if state["Type"] == "Task"
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_the_account_throttles_is_tried_again(name: str, state: dict[str, Any]) -> None:
    assert THROTTLED[state["Resource"]] in _names(state["Retry"]), name


def test_what_ran_out_of_time_goes_on_as_often_in_every_state() -> None:
    """An undo, a removal and an end of a claim are no shorter than the write was."""
    retries = [r for state in states().values() for r in state.get("Retry", ())]
    unfinished = [r for r in retries if r["ErrorEquals"] == ["UnfinishedWriteError"]]
    assert unfinished == [unfinished[0]] * 3
    assert unfinished[0]["MaxAttempts"] == 48


def test_the_machine_outlives_the_longest_round() -> None:
    """Each task at its time-out, with every retry at its longest, and what is not passed twice."""

    lasting = {"States.Timeout", "UnfinishedWriteError"}

    def longest(name: str) -> float:
        state = states()[name]
        waits = max(
            sum(
                min(r["IntervalSeconds"] * r["BackoffRate"] ** n, r["MaxDelaySeconds"])
                for n in range(r["MaxAttempts"])
            )
            + r["MaxAttempts"] * (state["TimeoutSeconds"] if lasting & set(r["ErrorEquals"]) else 5)
            for r in state["Retry"]
        )
        return float(waits + state["TimeoutSeconds"])

    path = (
        "Fetch Object",
        "Validate Records",
        "Transform Records",
        "Write Items",
        "Record Failure",
    )
    assert sum(map(longest, path)) < definition()["TimeoutSeconds"]
