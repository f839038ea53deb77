"""The launcher's own decisions; that it builds and deploys is shown by tests/e2e."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from local import deployment, engine_process, environment
from local.engine_process import restart_engine
from local.errors import LocalStackError
from local.package import read_template
from local.running import running_engine
from local.stack import Stack
from tests.e2e.observer import until


def test_parameter_overrides_name_the_python_and_the_processor_at_hand(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    runtime = f"Runtime=python3.{sys.version_info.minor}"
    for machine, architecture in [("x86_64", "x86_64"), ("aarch64", "arm64"), ("arm64", "arm64")]:
        monkeypatch.setattr("platform.machine", lambda name=machine: name)
        assert environment.parameter_overrides() == [runtime, f"Architecture={architecture}"]


def test_a_local_deployment_cannot_reach_an_account(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "production")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "secret")
    local = environment.local_environment("http://127.0.0.1:1")
    assert "AWS_PROFILE" not in local
    assert "AWS_SESSION_TOKEN" not in local
    assert local["AWS_SHARED_CREDENTIALS_FILE"] == os.devnull
    assert local["AWS_ENDPOINT_URL"] == "http://127.0.0.1:1"


def test_a_taken_port_is_left_alone() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert engine_process.free_port(port) not in (port, 0)
    assert engine_process.free_port(port) == port


def test_the_fingerprint_changes_with_names_and_contents(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deployment, "ROOT", tmp_path)
    file = tmp_path / "functions" / "a.py"
    file.parent.mkdir()
    file.write_text("1")
    first = deployment._fingerprint([file.parent], ["x"])
    cache = file.parent / "__pycache__" / "a.pyc"
    cache.parent.mkdir()
    cache.write_text("compiled")
    assert deployment._fingerprint([file.parent], ["x"]) == first
    assert deployment._fingerprint([file.parent], ["y"]) != first
    file.write_text("2")
    second = deployment._fingerprint([file.parent], ["x"])
    file.rename(file.with_name("b.py"))
    assert len({first, second, deployment._fingerprint([file.parent], ["x"])}) == 3


def test_stack_json_holds_what_other_tools_rely_on(tmp_path: Path) -> None:
    Stack.on(4711, tmp_path).save()
    held = json.loads((tmp_path / "stack.json").read_text())
    assert held == {
        "endpoint_url": "http://127.0.0.1:4711",
        "region": "us-east-1",
        "access_key_id": "test",
        "secret_access_key": "test",
        "stack_name": "tablekeeper",
        "outputs": {},
        "schemas": None,
    }


def test_a_stack_json_without_its_engine_is_no_stack(tmp_path: Path) -> None:
    Stack.on(4711, tmp_path).save()
    assert Stack.load(tmp_path) is None
    (tmp_path / "engine.json").write_text(json.dumps({"pid": os.getpid(), "port": 4711}))
    assert Stack.load(tmp_path) is None


def test_the_template_loader_reads_short_forms(tmp_path: Path) -> None:
    text = "a: !Ref T\nb: !GetAtt X.Arn\nc: !Sub ['${x}', {x: 1}]\nd: !If [C, !Ref A, b]"
    template = tmp_path / "template.yaml"
    template.write_text(text)
    assert read_template(template) == {
        "a": {"Ref": "T"},
        "b": {"Fn::GetAtt": ["X", "Arn"]},
        "c": {"Fn::Sub": ["${x}", {"x": 1}]},
        "d": {"Fn::If": ["C", {"Ref": "A"}, "b"]},
    }


def _reachable(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/_ministack/health", timeout=1):
            return True
    except (urllib.error.URLError, OSError):
        return False


def test_two_users_share_an_engine_that_ends_with_the_last(tmp_path: Path) -> None:
    with running_engine(tmp_path) as first:
        with running_engine(tmp_path) as second:
            assert first == second
        until(lambda: _reachable(first.endpoint_url), "the engine has ended")
    assert not _reachable(first.endpoint_url)


def test_an_engine_does_not_outlive_a_killed_user(tmp_path: Path) -> None:
    script = (
        "import sys, pathlib, time\n"
        "from local.running import running_engine\n"
        "with running_engine(pathlib.Path(sys.argv[1])) as engine:\n"
        "    print(engine.endpoint_url, flush=True)\n"
        "    time.sleep(60)\n"
    )
    user = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)],
        cwd=environment.ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert user.stdout is not None
    url = user.stdout.readline().strip()
    until(lambda: _reachable(url), "there is no engine")
    user.send_signal(signal.SIGKILL)
    user.communicate()
    until(lambda: not _reachable(url), "the engine is still there")


def test_an_engine_that_keeps_its_state_has_it_after_a_restart(tmp_path: Path) -> None:
    with running_engine(tmp_path / "engine", enforces_roles=False, keeps_state=True) as engine:
        s3 = engine.client("s3")
        s3.create_bucket(Bucket="kept")
        s3.put_bucket_versioning(Bucket="kept", VersioningConfiguration={"Status": "Enabled"})
        for body in (b"1", b"2"):
            s3.put_object(Bucket="kept", Key="a", Body=body)
        states = engine.client("stepfunctions")
        wait = {"StartAt": "A", "States": {"A": {"Type": "Wait", "Seconds": 600, "End": True}}}
        machine = states.create_state_machine(
            name="kept", definition=json.dumps(wait), roleArn="arn:aws:iam::000000000000:role/any"
        )["stateMachineArn"]
        arn = states.start_execution(stateMachineArn=machine)["executionArn"]
        restart_engine(tmp_path / "engine")
        versions = s3.list_object_versions(Bucket="kept")["Versions"]
        assert [
            s3.get_object(Bucket="kept", Key="a", VersionId=each["VersionId"])["Body"].read()
            for each in versions
        ] == [b"2", b"1"]
        assert states.describe_execution(executionArn=arn)["status"] == "FAILED"
    with pytest.raises(LocalStackError, match="no engine runs"):
        restart_engine(tmp_path / "engine")
