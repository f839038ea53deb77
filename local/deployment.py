"""Builds the functions with `sam build`, and deploys the template to the engine."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from local.environment import (
    LOCAL,
    ROOT,
    local_environment,
    parameter_overrides,
    python,
)
from local.errors import LocalStackError, say
from local.own_schemas import dataset_files, files_of, put_files, schema_folders
from local.package import package
from local.processes import locked
from local.stack import Stack

BUILD = LOCAL / "aws-sam"


DEPLOY_SECONDS = 300
DONE = ("CREATE_COMPLETE", "UPDATE_COMPLETE")
GONE = ("DELETE_COMPLETE", "REVIEW_IN_PROGRESS")
SOURCES = ("functions", "statemachine", "template.yaml", "requirements/sam.txt")
"""What `sam build` is run for; dataset files are put into what it built."""


def build(schemas: Path | None = None, *, beside: bool = True) -> Path:
    """Runs `sam build` unless no code changed since the last one; returns the built template.

    `schemas` is a folder of dataset files that the functions are to carry: beside the project's
    own, or in their place.
    """
    files = dataset_files(schemas, beside)
    LOCAL.mkdir(exist_ok=True)
    built, stamp = BUILD / "build" / "template.yaml", BUILD / "fingerprint"
    with locked(LOCAL / "build.lock"):
        fingerprint = _fingerprint([ROOT / source for source in SOURCES], parameter_overrides())
        if built.exists() and stamp.exists() and stamp.read_text() == fingerprint:
            return _with_schemas(built, files)
        say("building")
        stamp.unlink(missing_ok=True)
        for copy in BUILD.glob("build-with-*"):
            shutil.rmtree(copy)
        sam(
            "build",
            *("--template-file", str(ROOT / "template.yaml")),
            *("--build-dir", str(built.parent)),
            *("--cached", "--cache-dir", str(BUILD / "cache")),
            *("--parameter-overrides", *parameter_overrides()),
        )
        stamp.write_text(fingerprint)
        return _with_schemas(built, files)


def deploy(engine: Stack, template: Path, parameters: Mapping[str, str] | None = None) -> Stack:
    """Deploys a built template to the engine, writes stack.json and returns the stack.

    Raises LocalStackError: CloudFormation refused it, or rolled it back.
    """
    stack = replace(engine, outputs={})
    say("deploying")
    document, url = package(template, stack)
    overrides = dict(override.split("=") for override in parameter_overrides())
    described = _change(stack, url, overrides | dict(parameters or {}))
    stack.outputs.update({out["OutputKey"]: out["OutputValue"] for out in described["Outputs"]})
    _switch_ttl_on(stack, described, document)
    stack.save()
    return stack


def _change(stack: Stack, template_url: str, parameters: Mapping[str, str]) -> dict[str, Any]:
    """Creates or updates the stack by a change set, as SAM does; returns its description."""
    cloudformation = stack.client("cloudformation")
    before = _described(cloudformation, stack.stack_name)
    change = {"StackName": stack.stack_name, "ChangeSetName": f"deploy-{time.time_ns()}"}
    cloudformation.create_change_set(
        **change,
        ChangeSetType="UPDATE" if before else "CREATE",
        TemplateURL=template_url,
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
        Parameters=[
            {"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()
        ],
    )
    made = cloudformation.describe_change_set(**change)
    if made["Status"] == "FAILED":
        if "didn't contain changes" in made["StatusReason"]:
            return before
        raise LocalStackError(f"the change set failed: {made['StatusReason']}")
    cloudformation.execute_change_set(**change)
    deadline = time.monotonic() + DEPLOY_SECONDS
    while (described := _described(cloudformation, stack.stack_name))["StackStatus"] not in DONE:
        if described["StackStatus"].endswith(("FAILED", "COMPLETE")) or time.monotonic() > deadline:
            events = cloudformation.describe_stack_events(StackName=stack.stack_name)["StackEvents"]
            failed = [each for each in events if each["ResourceStatus"].endswith("FAILED")]
            raise LocalStackError(f"the stack is {described['StackStatus']}: {failed[-1:]}")
        time.sleep(0.1)
    return described


def _described(cloudformation: Any, name: str) -> dict[str, Any]:
    """What is known of a stack; nothing if there is none."""
    try:
        stacks: list[dict[str, Any]] = cloudformation.describe_stacks(StackName=name)["Stacks"]
    except ClientError:
        return {}
    return next((each for each in stacks if each["StackStatus"] not in GONE), {})


def _switch_ttl_on(stack: Stack, described: dict[str, Any], document: dict[str, Any]) -> None:
    """Switches on the tables' time to live, which the engine does not read from a template."""
    parameters = {
        parameter["ParameterKey"]: parameter["ParameterValue"]
        for parameter in described.get("Parameters", [])
    }
    dynamodb, cloudformation = stack.client("dynamodb"), stack.client("cloudformation")
    for logical_id, resource in document["Resources"].items():
        ttl = resource.get("Properties", {}).get("TimeToLiveSpecification")
        if resource["Type"] != "AWS::DynamoDB::Table" or not ttl:
            continue
        name = cloudformation.describe_stack_resource(
            StackName=stack.stack_name, LogicalResourceId=logical_id
        )["StackResourceDetail"]["PhysicalResourceId"]
        attribute = ttl["AttributeName"]
        if isinstance(attribute, dict):
            attribute = parameters[attribute["Ref"]]
        now = dynamodb.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
        if now["TimeToLiveStatus"] == "DISABLED":
            dynamodb.update_time_to_live(
                TableName=name,
                TimeToLiveSpecification={"Enabled": True, "AttributeName": attribute},
            )


def _with_schemas(template: Path, files: Mapping[str, bytes]) -> Path:
    """The built template, or that of a copy beside it whose functions carry these files."""
    if all(files_of(place) == files for place in schema_folders(template.parent)):
        return template
    # Beside it, because the template names the definition by a path relative to itself.
    digest = hashlib.sha256(repr(sorted(files.items())).encode()).hexdigest()
    copy = template.parent.with_name(f"build-with-{digest[:12]}")
    if not copy.exists():
        unfinished = copy.with_name("unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        # By links, a hundredth of the time: so a file is replaced, never written to.
        shutil.copytree(template.parent, unfinished, copy_function=os.link)
        put_files(unfinished, files)
        unfinished.rename(copy)
    return copy / template.name


def sam(*arguments: str, endpoint: str | None = None) -> None:
    """Runs sam; raises LocalStackError with what it printed if it fails."""
    environment = local_environment(endpoint)
    # sam looks for an interpreter named after the runtime, with pip.
    environment["PATH"] = f"{python('dev').parent}{os.pathsep}{environment.get('PATH', os.defpath)}"
    # It leaves empty folders behind wherever it puts its packages.
    with tempfile.TemporaryDirectory() as folder:
        run = subprocess.run(
            [str(python("sam").with_name("sam")), *arguments],
            cwd=ROOT,
            env=environment | {"TMPDIR": folder},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
    if run.returncode:
        raise LocalStackError(f"sam {arguments[0]} failed:\n{run.stdout[-4000:]}")


def _fingerprint(paths: Iterable[Path], extra: Iterable[str]) -> str:
    """A digest of the files' names and contents."""
    digest = hashlib.sha256("\n".join(extra).encode())
    for path in paths:
        files = sorted(path.rglob("*")) if path.is_dir() else [path]
        for file in files:
            if file.is_file() and "__pycache__" not in file.parts:
                digest.update(f"\0{file.relative_to(ROOT)}\0".encode() + file.read_bytes())
    return digest.hexdigest()
