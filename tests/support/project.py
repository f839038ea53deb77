"""The project's own files, read for the static tests: the definition, the template, the errors."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from tablekeeper import errors

from local.package import read_template

ROOT = Path(__file__).parents[2]
DEFINITION = ROOT / "statemachine" / "sync_object.asl.json"
BUCKET_DEFINITION = ROOT / "statemachine" / "sync_bucket.asl.json"
SERVICE_TASKS = ("Record Failure", "Record Late Failure")
"""Tasks that call DynamoDB without a Lambda function."""


@cache
def definition() -> dict[str, Any]:
    """The state machine's definition."""
    loaded: dict[str, Any] = json.loads(DEFINITION.read_text())
    return loaded


@cache
def bucket_definition() -> dict[str, Any]:
    """The definition of the state machine for the whole bucket."""
    loaded: dict[str, Any] = json.loads(BUCKET_DEFINITION.read_text())
    return loaded


def nested_states(definition: dict[str, Any]) -> dict[str, Any]:
    """A definition's states with those inside its Map states, whose names are all different."""
    found: dict[str, Any] = {}
    for name, state in definition["States"].items():
        inner = nested_states(state["ItemProcessor"]) if "ItemProcessor" in state else {}
        assert not found.keys() & {name, *inner}
        found |= {name: state, **inner}
    return found


def bucket_lambda_tasks() -> dict[str, Any]:
    """The states that invoke a function, in the state machine for the whole bucket."""
    return {
        name: state
        for name, state in nested_states(bucket_definition()).items()
        if state.get("Resource") == "arn:aws:states:::lambda:invoke"
    }


def states(kind: str | None = None) -> dict[str, Any]:
    """The definition's states, all or of one type, by name."""
    return {n: s for n, s in definition()["States"].items() if kind in (None, s["Type"])}


def lambda_tasks() -> dict[str, Any]:
    """The states that invoke a function."""
    return {name: state for name, state in states("Task").items() if name not in SERVICE_TASKS}


def exits(state: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Where a state leads, with the part of it (itself, a choice or a catcher) that leads there."""
    for part in [state, *state.get("Choices", ()), *state.get("Catch", ())]:
        for field in ("Next", "Default"):
            if field in part:
                yield part[field], part


def expressions(value: Any) -> Iterator[str]:
    """The JSONata expressions in a part of the definition."""
    if isinstance(value, dict):
        for each in value.values():
            yield from expressions(each)
    elif isinstance(value, list):
        for each in value:
            yield from expressions(each)
    elif isinstance(value, str) and value.startswith("{%"):
        yield value.removeprefix("{%").removesuffix("%}").strip()


def error_classes() -> dict[str, type[errors.TablekeeperError]]:
    """The classes of errors.py that can leave a handler: those that are nobody's base."""
    found = {
        name: each
        for name, each in inspect.getmembers(errors, inspect.isclass)
        if issubclass(each, errors.TablekeeperError)
    }
    return {name: each for name, each in found.items() if not each.__subclasses__()}


@cache
def template() -> dict[str, Any]:
    """template.yaml, its short forms as their long ones: `!Ref A` is `{"Ref": "A"}`."""
    loaded: dict[str, Any] = read_template(ROOT / "template.yaml")
    return loaded


def resources(kind: str) -> dict[str, Any]:
    """The template's resources of one type, by logical id."""
    return {n: r for n, r in template()["Resources"].items() if r["Type"] == kind}


def role_statements(role: str) -> list[dict[str, Any]]:
    """The statements of a role's policies, those that a condition adds too."""
    policies = template()["Resources"][role]["Properties"]["Policies"]
    statements = [each for policy in policies for each in policy["PolicyDocument"]["Statement"]]
    return [each["Fn::If"][1] if "Fn::If" in each else each for each in statements]


def snake(name: str) -> str:
    """`Fetch Object` and `FetchObject` as `fetch_object`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])| ", "_", name).lower()
