"""Builds the functions and deploys the template to the engine, as `sam` does."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from local.environment import (
    LOCAL,
    ROOT,
    STACK_NAME,
    local_environment,
    parameter_overrides,
    python,
)
from local.errors import LocalStackError, say
from local.own_schemas import replace_schemas
from local.processes import locked
from local.stack import Stack

BUILD = LOCAL / "aws-sam"


SOURCES = ("functions", "schemas", "statemachine", "template.yaml", "requirements/sam.txt")


ARTIFACTS_BUCKET = "sam-artifacts"


def build(schemas: Path | None = None, *, beside: bool = True) -> Path:
    """Runs `sam build` unless nothing changed since the last one; returns the built template.

    `schemas` is a folder of dataset files that the functions are to carry: beside the project's
    own, or in their place.
    """
    LOCAL.mkdir(exist_ok=True)
    built, stamp = BUILD / "build" / "template.yaml", BUILD / "fingerprint"
    with locked(LOCAL / "build.lock"):
        fingerprint = _fingerprint([ROOT / source for source in SOURCES], parameter_overrides())
        if built.exists() and stamp.exists() and stamp.read_text() == fingerprint:
            return _with_schemas(built, schemas, beside)
        say("building")
        stamp.unlink(missing_ok=True)
        for copy in BUILD.glob("build-with-*"):
            shutil.rmtree(copy)
        _sam(
            "build",
            *("--template-file", str(ROOT / "template.yaml")),
            *("--build-dir", str(built.parent)),
            *("--cached", "--cache-dir", str(BUILD / "cache")),
            *("--parameter-overrides", *parameter_overrides()),
        )
        stamp.write_text(fingerprint)
        return _with_schemas(built, schemas, beside)


def deploy(engine: Stack, template: Path, parameters: Mapping[str, str] | None = None) -> Stack:
    """Deploys a built template to the engine, writes stack.json and returns the stack."""
    stack = replace(engine, outputs={})
    s3 = stack.client("s3")
    if ARTIFACTS_BUCKET not in {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]}:
        s3.create_bucket(Bucket=ARTIFACTS_BUCKET)
    overrides = [f'{name}="{value}"' for name, value in (parameters or {}).items()]
    say("deploying")
    _sam(
        "deploy",
        *("--template-file", str(template)),
        *("--stack-name", STACK_NAME),
        *("--s3-bucket", ARTIFACTS_BUCKET),
        *("--capabilities", "CAPABILITY_IAM"),
        *("--no-confirm-changeset", "--no-fail-on-empty-changeset"),
        *("--parameter-overrides", *parameter_overrides(), *overrides),
        endpoint=stack.endpoint_url,
    )
    cloudformation = stack.client("cloudformation")
    described = cloudformation.describe_stacks(StackName=STACK_NAME)["Stacks"][0]
    stack.outputs.update({out["OutputKey"]: out["OutputValue"] for out in described["Outputs"]})
    _switch_ttl_on(stack, described, template)
    stack.save()
    return stack


def _switch_ttl_on(stack: Stack, described: dict[str, Any], template: Path) -> None:
    """Switches on the tables' time to live, which the engine does not read from a template."""
    parameters = {
        parameter["ParameterKey"]: parameter["ParameterValue"]
        for parameter in described.get("Parameters", [])
    }
    resources = yaml.load(template.read_text(), _TemplateLoader)["Resources"]
    dynamodb, cloudformation = stack.client("dynamodb"), stack.client("cloudformation")
    for logical_id, resource in resources.items():
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


class _TemplateLoader(yaml.SafeLoader):
    """Reads CloudFormation's short forms as their long ones: `!Ref A` is `{"Ref": "A"}`."""


def _short_form(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)  # type: ignore[arg-type]
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


def _with_schemas(template: Path, schemas: Path | None, beside: bool) -> Path:
    """The built template, or that of a copy beside it whose functions carry these files."""
    if schemas is None:
        return template
    # Beside it, because the template names the definition by a path relative to itself.
    files = {path.name: path.read_bytes() for path in sorted(schemas.glob("*.json"))}
    digest = hashlib.sha256(repr((beside, files)).encode()).hexdigest()
    copy = template.parent.with_name(f"build-with-{digest[:12]}")
    if not copy.exists():
        unfinished = copy.with_name("unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        shutil.copytree(template.parent, unfinished)
        if beside:
            for folder in unfinished.glob("*/schemas"):
                for name, content in files.items():
                    (folder / name).write_bytes(content)
        else:
            replace_schemas(unfinished, schemas)
        unfinished.rename(copy)
    return copy / template.name


def _sam(*arguments: str, endpoint: str | None = None) -> None:
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
        found = sorted(path.rglob("*")) if path.is_dir() else [path]
        for file in found:
            if file.is_file() and "__pycache__" not in file.parts:
                digest.update(f"\0{file.relative_to(ROOT)}\0".encode() + file.read_bytes())
    return digest.hexdigest()


yaml.add_multi_constructor("!", _short_form, _TemplateLoader)
