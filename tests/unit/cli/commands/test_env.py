"""`env`: what a shell gets."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from boto3.session import Session

from tablekeeper_cli.commands.env import env
from tablekeeper_cli.stack import LOCAL_VARIABLE, Stack
from tablekeeper_cli.terminal.context import Context

OUTPUTS = {
    "SourceBucketName": "bucket",
    "ItemsTableName": "items",
    "StateMachineArn": "arn:aws:states:eu-west-1:123456789012:stateMachine:it's one",
}
NAMES = (
    "AWS_ENDPOINT_URL",
    "AWS_PROFILE",
    "AWS_REGION",
    "BUCKET",
    "STATE_MACHINE_ARN",
    "TABLEKEEPER_SCHEMAS",
)


def in_a_shell(lines: str) -> dict[str, str]:
    """The variables of a shell that evaluated the lines, and had others before."""
    had = {"PATH": "/usr/bin:/bin", "AWS_PROFILE": "production", "AWS_ENDPOINT_URL": "http://old"}
    names = " ".join(NAMES)
    script = f'{lines}\nfor name in {names}; do eval "echo $name=\\${{$name-unset}}"; done'
    ran = subprocess.run(["sh", "-c", script], env=had, capture_output=True, text=True, check=True)
    return dict(line.split("=", 1) for line in ran.stdout.splitlines())


def test_a_shell_finds_the_local_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "stack.json"
    file.touch()
    monkeypatch.setenv(LOCAL_VARIABLE, str(file))
    session = Session(aws_access_key_id="test", aws_secret_access_key="secret")
    stack = Stack(
        "s", "eu-west-1", OUTPUTS, "http://127.0.0.1:4566", schemas="/my schemas", session=session
    )
    context = Context()
    vars(context)["stack"] = stack
    env(context)
    text = capsys.readouterr().out
    assert f"export TABLEKEEPER_LOCAL={file}\n" in text
    assert "export AWS_SECRET_ACCESS_KEY=secret\n" in text
    assert in_a_shell(text) == {
        "AWS_ENDPOINT_URL": "http://127.0.0.1:4566",
        "AWS_PROFILE": "unset",
        "AWS_REGION": "eu-west-1",
        "BUCKET": "bucket",
        "STATE_MACHINE_ARN": OUTPUTS["StateMachineArn"],
        "TABLEKEEPER_SCHEMAS": "/my schemas",
    }


def test_a_shell_finds_a_stack_of_an_account_and_no_engine(
    capsys: pytest.CaptureFixture[str],
) -> None:
    context = Context(profile="staging")
    vars(context)["stack"] = Stack("mine", "eu-west-1", OUTPUTS)
    env(context)
    text = capsys.readouterr().out
    assert "KEY" not in text
    found = in_a_shell(text)
    assert (found["AWS_ENDPOINT_URL"], found["AWS_PROFILE"]) == ("unset", "staging")
    context = Context(json=True)
    vars(context)["stack"] = Stack("mine", "eu-west-1", OUTPUTS)
    env(context)
    told = json.loads(capsys.readouterr().out)
    assert told["TABLEKEEPER_STACK"] == "mine"
    assert told["TABLEKEEPER_LOCAL"] is None
