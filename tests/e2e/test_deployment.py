"""What is built imports by itself, a schema is mended, an upgrade while files arrive loses nothing,
and a stack that is deleted leaves the data.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from tablekeeper.datasets.catalogue import Catalogue

from local.deployment import build, deploy, sam
from local.environment import ROOT, parameter_overrides, python
from local.package import ARTIFACTS_BUCKET
from local.running import redeploy, running_stack
from tests.e2e.conftest import SCHEMAS
from tests.e2e.desk import Desk
from tests.e2e.observer import Observer
from tests.support.check import differences
from tests.support.project import template

pytestmark = pytest.mark.xdist_group("deployment")

PREFIX = "notes/upgrade/"
KEYS = [f"{PREFIX}{number:02}.json" for number in range(30)]
AT_ONCE = 10
"""Executions that run at once at most, so that a slow machine is not behind by minutes."""
FIRST = "Upgraded"
SHELVES = "shelves.schema.json"


@pytest.fixture(scope="module")
def datasets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the schemas that the stack is deployed with; one of them is wrong."""
    folder = shutil.copytree(SCHEMAS, tmp_path_factory.mktemp("datasets") / "schemas")
    (folder / SHELVES).write_text(shelves("wrong"))
    return folder


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory, datasets: Path) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("deployment")
    with running_stack(folder, schemas=datasets, wait_scale=0.1) as stack:
        yield Desk(stack)


def test_each_function_is_imported_from_its_zip_and_the_runtime_alone(tmp_path: Path) -> None:
    built = build()
    resources = template()["Resources"]
    functions = {
        name: each["Properties"]["Handler"].rpartition(".")
        for name, each in resources.items()
        if each["Type"] == "AWS::Serverless::Function"
    }
    assert len(functions) == len(list((ROOT / "functions" / "handlers").glob("[!_]*.py")))
    settings = template()["Globals"]["Function"]["Environment"]["Variables"]
    for name, (module, _, handler) in functions.items():
        own = resources[name]["Properties"].get("Environment", {}).get("Variables", {})
        given = dict.fromkeys({**settings, **own}, "1") | {"AWS_DEFAULT_REGION": "us-east-1"}
        given |= {"TABLE_KEY": "pk:S,sk:S", "ITEMS_TABLE_KEY": "pk:S,sk:S", "LOG_LEVEL": "INFO"}
        code = (
            f"import sys; sys.path.insert(0, {str(built.parent / name)!r}); "
            f"import {module} as found; assert callable(found.{handler})"
        )
        ran = subprocess.run(
            [python("runtime"), "-I", "-B", "-c", code],
            cwd=tmp_path,
            env=given,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (ran.returncode, ran.stderr) == (0, ""), name


def test_after_the_schema_is_mended_the_same_input_succeeds(desk: Desk, datasets: Path) -> None:
    """The first test of the stack: it compares the whole table."""
    key, records = "shelves/1.json", [{"pk": "mended", "sk": "a"}]
    seen = Observer(desk.stack)
    seen.put(key, records)
    assert seen.outcome(key) == "INVALID"
    problem = seen.problem(key)
    assert problem["error"] == "SchemaViolationError"
    assert 'a field \\"wrong\\"' in problem["cause"]
    (datasets / SHELVES).write_text(shelves("pk"))
    redeploy(desk.stack, datasets)
    assert seen.start(problem["input"]) == "SUCCEEDED"
    assert seen.items(key) == records
    assert seen.problem(key) == {}
    assert differences(desk.stack, Catalogue.load(datasets)) == []


def test_an_upgrade_while_files_arrive_loses_nothing(desk: Desk, tmp_path: Path) -> None:
    """New code, a changed schema and another definition, all at once."""
    other = upgraded(tmp_path)
    earlier = {each["executionArn"] for each in idle(desk)}
    stop, written = threading.Event(), list[str]()
    states, arn = desk.stack.client("stepfunctions"), desk.stack.outputs["StateMachineArn"]

    def write() -> None:
        while not stop.wait(0.15):
            listed = states.list_executions(stateMachineArn=arn, statusFilter="RUNNING")
            if len(listed["executions"]) < AT_ONCE:
                number = len(written)
                key = KEYS[number % len(KEYS)]
                desk.put(key, [{"pk": key, "sk": str(each), "n": number} for each in range(3)])
                written.append(key)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        desk.until(lambda: len(desk.statuses(PREFIX)) > 0)
        deploy(desk.stack, other)
        before = len(written)
        desk.until(lambda: len(written) > before + 5)
    finally:
        stop.set()
        writer.join()
    executions = [each for each in idle(desk) if each["executionArn"] not in earlier]
    failed = [
        states.describe_execution(executionArn=each["executionArn"])
        for each in executions
        if each["status"] != "SUCCEEDED"
    ]
    assert [(each["error"], each["cause"][:300]) for each in failed] == []
    histories = [first_state(desk, each["executionArn"]) for each in executions]
    assert set(histories) == {"Fetch Object", FIRST}
    assert desk.ask("failures")["count"] == 0

    found = desk.ask("reconcile", "--bulk", "--prefix", PREFIX)["findings"]
    assert {name for name, count in found.items() if count} <= {"OUTDATED"}
    schemas = other.parent / "FetchObjectFunction" / "schemas"
    told = desk.ask("verify", "--prefix", PREFIX, "--schemas", str(schemas))
    assert told["findings"] == []
    item = desk.stack.client("dynamodb").get_item(
        TableName=desk.stack.outputs["ItemsTableName"],
        Key={"pk": {"S": KEYS[0]}, "sk": {"S": "0"}},
    )["Item"]
    assert item["upgraded"] == {"S": "yes"}


def test_sam_deploys_what_it_built(desk: Desk, tmp_path: Path) -> None:
    """As `make deploy` does: with the command of users, a second stack, functions of no content."""
    built, second = build(), replace(desk.stack, stack_name="by-sam", outputs={})
    for folder in built.parent.glob("*Function"):
        (tmp_path / "build" / folder.name).mkdir(parents=True)
        (tmp_path / "build" / folder.name / "empty.py").touch()
    shutil.copy(built, tmp_path / "build")
    shutil.copytree(ROOT / "statemachine", tmp_path / "statemachine")
    template = tmp_path / "build" / built.name
    template.write_text(built.read_text().replace("../../../statemachine/", "../statemachine/"))
    sam(
        "deploy",
        *("--template-file", str(template)),
        *("--stack-name", second.stack_name),
        *("--s3-bucket", ARTIFACTS_BUCKET),
        *("--capabilities", "CAPABILITY_IAM"),
        "--no-confirm-changeset",
        *("--parameter-overrides", *parameter_overrides()),
        endpoint=second.endpoint_url,
    )
    cloudformation = second.client("cloudformation")
    (stack,) = cloudformation.describe_stacks(StackName=second.stack_name)["Stacks"]
    outputs = {each["OutputKey"] for each in stack["Outputs"]}
    assert (stack["StackStatus"], outputs) == ("CREATE_COMPLETE", set(desk.stack.outputs))


def test_a_deleted_stack_leaves_buckets_and_tables(desk: Desk) -> None:
    desk.put("notes/left/a.json", [{"pk": "left", "sk": "1"}])
    desk.settled("notes/left/a.json", "SYNCED")
    cloudformation, outputs = desk.stack.client("cloudformation"), desk.stack.outputs
    cloudformation.delete_stack(StackName=desk.stack.stack_name)
    states = desk.stack.client("stepfunctions")
    desk.until(lambda: is_gone(states, outputs["StateMachineArn"]))
    body = desk.s3.get_object(Bucket=desk.bucket, Key="notes/left/a.json")["Body"].read()
    assert json.loads(body) == [{"pk": "left", "sk": "1"}]
    desk.s3.head_bucket(Bucket=outputs["StagingBucketName"])
    dynamodb = desk.stack.client("dynamodb")
    key = {"pk": {"S": "left"}, "sk": {"S": "1"}}
    assert "Item" in dynamodb.get_item(TableName=outputs["ItemsTableName"], Key=key)
    key = {"pk": {"S": f"s3://{desk.bucket}/notes/left/a.json"}, "sk": {"S": "CURRENT"}}
    assert "Item" in dynamodb.get_item(TableName=outputs["LedgerTableName"], Key=key)


def shelves(required: str) -> str:
    """A schema that requires one field."""
    keyword = {"prefix": "shelves/"}
    return json.dumps({"type": "object", "x-tablekeeper": keyword, "required": [required]})


def upgraded(folder: Path) -> Path:
    """The template of a build in which everything is another."""
    new = folder / "build"
    shutil.copytree(build(SCHEMAS).parent, new)
    for function in new.glob("*Function"):
        path = function / "schemas" / "notes.schema.json"
        schema = json.loads(path.read_text())
        schema["x-tablekeeper"]["attributes"] = {
            **{name: name for name in ("pk", "sk", "n")},
            "upgraded": "'yes'",
        }
        path.write_text(json.dumps(schema))
        with (function / "tablekeeper" / "__init__.py").open("a") as code:
            code.write("\nUPGRADED = True\n")
    original = ROOT / "statemachine" / "sync_object.asl.json"
    definition = json.loads(original.read_text())
    definition["States"][FIRST] = {"Type": "Pass", "Next": definition["StartAt"]}
    definition["StartAt"] = FIRST
    (new / original.name).write_text(json.dumps(definition))
    path = new / "template.yaml"
    text = path.read_text().replace(f"../../../statemachine/{original.name}", original.name)
    path.write_text(text.replace("../../../", f"{ROOT}/"))
    return path


def idle(desk: Desk) -> Iterator[Any]:
    """The live executions, once none runs."""
    states, arn = desk.stack.client("stepfunctions"), desk.stack.outputs["StateMachineArn"]

    def listed() -> list[Any]:
        pages = states.get_paginator("list_executions").paginate(stateMachineArn=arn)
        return [each for page in pages for each in page["executions"]]

    desk.until(lambda: all(each["status"] != "RUNNING" for each in listed()))
    yield from listed()


def first_state(desk: Desk, execution: str) -> str:
    """The state that an execution entered first."""
    events = desk.stack.client("stepfunctions").get_execution_history(executionArn=execution)
    return next(
        str(each["stateEnteredEventDetails"]["name"])
        for each in events["events"]
        if "stateEnteredEventDetails" in each
    )


def is_gone(states: Any, machine: str) -> bool:
    """Whether a state machine does not exist."""
    try:
        states.describe_state_machine(stateMachineArn=machine)
    except ClientError as error:
        return error.response["Error"]["Code"] == "StateMachineDoesNotExist"
    return False
