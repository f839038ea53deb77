"""`tablekeeper plan` against what the stack then does, as a person would run both."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tablekeeper.causes import values_of
from typer.testing import CliRunner

from local.environment import ROOT
from local.stack import Stack
from tablekeeper_cli.app import app
from tests.e2e.conftest import SCHEMAS
from tests.e2e.observer import Observer
from tests.support.command import run_command
from tests.support.patience import have_patience
from tests.support.plans import Documents, Step, Table, disagreements, table

STEPS, AT_ONCE = 24, 4


class Shell:
    """The command, run on the shared stack with the schemas that it was deployed with."""

    def __init__(self, stack: Stack, folder: Path) -> None:
        self.schemas, self.file = folder / "schemas", folder / "file"
        self.schemas.mkdir()
        for source in (ROOT / "schemas", SCHEMAS):
            shutil.copytree(source, self.schemas, dirs_exist_ok=True)
        self.environment = {
            **os.environ,
            "TABLEKEEPER_LOCAL": str(Path(stack.state_dir) / "stack.json"),
        }

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`tablekeeper` with these arguments."""
        return run_command((*arguments, "--local"), self.environment)

    def plan(self, *arguments: str) -> dict[str, Any]:
        """What `plan --json` answers, and its exit code."""
        run = self.run("plan", *arguments, "--schemas", str(self.schemas), "--json")
        assert run.returncode in (0, 1), run.stderr
        return {**json.loads(run.stdout), "exit_code": run.returncode}

    def plan_of(self, step: Step) -> dict[str, Any]:
        """The plan of a file that is not uploaded yet, by the command in this process."""
        self.file.write_bytes(step.body)
        arguments = ("--key", step.key, "--schemas", str(self.schemas), "--json", "--local")
        run = CliRunner().invoke(app, ["plan", str(self.file), *arguments], env=self.environment)
        assert run.exit_code in (0, 1), run.exception
        return {**json.loads(run.stdout), "exit_code": run.exit_code}


@pytest.fixture
def seen(stack: Stack) -> Observer:
    """The shared stack as a test sees it."""
    return Observer(stack)


@pytest.fixture
def shell(stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """The command on it."""
    have_patience(monkeypatch)
    return Shell(stack, tmp_path)


def held(seen: Observer, tag: str) -> Table:
    """The items of a tag in DynamoDB JSON; a raw scan."""
    pages = seen.dynamodb.get_paginator("scan").paginate(
        TableName=seen.stack.outputs["ItemsTableName"],
        ConsistentRead=True,
        FilterExpression="begins_with(pk, :tag)",
        ExpressionAttributeValues={":tag": {"S": tag}},
    )
    return table((item for page in pages for item in page["Items"]), tag)


def rounds(steps: Iterator[Step]) -> Iterator[list[Step]]:
    """The steps in groups of which none has a key twice, so that a group can be put at once."""
    group: list[Step] = []
    for step in steps:
        if len(group) == AT_ONCE or step.key in (each.key for each in group):
            yield group
            group = []
        group.append(step)
    yield group


def of_step(held: Table, step: Step, tag: str) -> Table:
    """The items that a step may have to do with: those of its own partition key, and the owned."""
    mine = (f"{step.key.removeprefix('notes/')} ", f"{tag}-owned ")
    return {key: item for key, item in held.items() if key.startswith(mine)}


def reported(seen: Observer, key: str) -> Any:
    """The violations in the report that the cause of a key's problem names."""
    report = values_of(seen.problem(key)["cause"])["report"]
    bucket, _, name = report.removeprefix("s3://").partition("/")
    body = seen.s3.get_object(Bucket=bucket, Key=name)["Body"].read()
    return json.loads(body)["listed"]


@pytest.mark.long(15)
def test_agrees_with_the_execution_on_random_documents(seen: Observer, shell: Shell) -> None:
    """Outcome, error, violations, and each item with each of its fields."""
    seed = random.SystemRandom().randrange(10**6)
    print(f"seed {seed}")
    tag = "agrees"  # No other test of the shared stack has items that begin so.
    owner = "notes/plan-owner.json"
    seen.put(owner, [{"pk": f"{tag}-owned", "sk": "owned"}])
    assert seen.outcome(owner) == "SYNCED"
    foreign = {"pk": {"S": f"{tag}-owned"}, "sk": {"S": "foreign"}}
    seen.dynamodb.put_item(TableName=seen.stack.outputs["ItemsTableName"], Item=foreign)
    for steps in rounds(Documents(seed, tag).steps(STEPS)):
        before = held(seen, tag)
        plans = list(map(shell.plan_of, steps))
        assert held(seen, tag) == before, "a plan writes nothing"
        for step in steps:
            seen.put(step.key, step.body)
        outcomes = [each[-1] for each in seen.outcomes(*(step.key for step in steps))]
        after = held(seen, tag)
        for step, plan, outcome in zip(steps, plans, outcomes, strict=True):
            error = seen.problem(step.key).get("error")
            assert (plan["outcome"], plan["error"]) == (outcome, error), step
            assert plan["exit_code"] == (0 if outcome in ("SYNCED", "UNCHANGED") else 1)
            tables = [of_step(each, step, tag) for each in (before, after)]
            assert disagreements(plan, seen.uri(step.key), *tables) == [], step
            if error == "SchemaViolationError":
                # A plan of a local file has the values, too; a report never.
                told = [
                    {name: each[name] for name in each if name != "value"}
                    for each in plan["violations"]
                ]
                assert told == reported(seen, step.key)


def test_a_changed_schema_over_what_is_in_the_bucket(seen: Observer, shell: Shell) -> None:
    keys = [f"planned/{name}.json" for name in "abc"]
    schema = {"x-tablekeeper": {"prefix": "notes/planned/"}, "properties": {"n": {"maximum": 2}}}
    (shell.schemas / "planned.schema.json").write_text(json.dumps(schema))
    for number, key in enumerate(keys, start=1):
        seen.put(f"notes/{key}", [{"pk": f"planned-{number}", "sk": "a", "n": number}])
    for key in keys:
        assert seen.outcome(f"notes/{key}") == "SYNCED"
    everything = held(seen, "planned")
    plan = shell.plan("--dataset", "planned")
    assert [each["outcome"] for each in plan["objects"]] == ["SYNCED", "SYNCED", "INVALID"]
    assert plan["summary"]["items"]["unchanged"] == 2
    assert (plan["summary"]["now_invalid"], plan["exit_code"]) == (1, 1)
    assert [
        each["outcome"] for each in shell.plan("--dataset", "planned", "--limit", "2")["objects"]
    ] == ["SYNCED", "SYNCED"]
    one = shell.plan("--key", f"notes/{keys[2]}")
    assert [each["pointer"] for each in one["violations"]] == ["/n"]
    assert held(seen, "planned") == everything


def test_what_a_person_is_shown(seen: Observer, shell: Shell) -> None:
    """Nothing of a file reaches the terminal raw, and markup is text."""
    key = "notes/plan-\x1b[31m[bold].json"
    seen.put(key, [{"pk": "shown", "sk": "[red]", "n": 1.10, "text": "\x1b[2J"}])
    assert seen.outcome(key) == "SYNCED"
    shell.file.write_text(json.dumps([{"pk": "shown", "sk": "[red]", "n": 1.2, "text": "x"}]))
    shown = shell.run("plan", str(shell.file), "--key", key, "--schemas", str(shell.schemas))
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "\x1b" not in shown.stdout
    assert r"plan-\x1b[31m[bold].json: would be SYNCED (1 changed)" in shown.stdout
    assert '/n: {"N": "1.1"} -> {"N": "1.2"}' in shown.stdout
    assert '"[red]"' in shown.stdout
    assert shell.run("plan", str(shell.file)).returncode == 2
    assert shell.run("plan", "--dataset", "gone").returncode in (2, 3)
    unknown = ("--key", "notes/plan-unknown.json", "--schemas", str(shell.schemas))
    assert shell.run("plan", *unknown).returncode == 3
