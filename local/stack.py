"""The local stack: `python -m local.stack build|up|down`.

`up` leaves an engine running in the background, with the project deployed to it and the console
beside it, and writes .local/stack.json. Tests and the demo have stacks of their own that end with
them: running_stack().
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import IO, Any

import boto3
import yaml
from botocore.config import Config

from local.calls import Calls
from local.chaos import Chaos
from local.environment import (
    ACCESS_KEY_ID,
    DEFAULT_PORT,
    LOCAL,
    REGION,
    ROOT,
    SECRET_ACCESS_KEY,
    STACK_NAME,
    endpoint_url,
    local_environment,
    parameter_overrides,
    python,
)
from local.faults import Faults

BUILD = LOCAL / "aws-sam"
SOURCES = ("functions", "schemas", "statemachine", "template.yaml", "requirements/sam.txt")
ARTIFACTS_BUCKET = "sam-artifacts"
START_SECONDS = 30
STOP_SECONDS, SAVE_SECONDS = 5, 120
CONSOLE_PORT = 8765

_started: list[subprocess.Popen[bytes]] = []
_environments: dict[Path, dict[str, str]] = {}


class LocalStackError(Exception):
    """Raised when the engine does not start, or the build or the deployment fails."""


@dataclass(frozen=True)
class Stack:
    """A deployed stack and where to reach it: what stack.json holds."""

    endpoint_url: str
    region: str
    access_key_id: str
    secret_access_key: str
    stack_name: str
    outputs: dict[str, str] = field(default_factory=dict)
    state_dir: str = str(LOCAL)

    def client(self, service: str) -> Any:
        """A boto3 client for one of the engine's services, the same one every time."""
        return _client(
            service,
            endpoint_url=self.endpoint_url,
            region_name=self.region,
            aws_access_key_id=self.access_key_id,
            aws_secret_access_key=self.secret_access_key,
        )

    @property
    def calls(self) -> Calls:
        """What roles have called, on an engine that records it."""
        return Calls(Path(self.state_dir) / "calls.jsonl")

    @property
    def chaos(self) -> Chaos:
        """What happens on the engine by chance."""
        return Chaos(Path(self.state_dir) / "chaos.json")

    @property
    def faults(self) -> Faults:
        """The faults that the engine is to bring about."""
        return Faults(Path(self.state_dir) / "faults.json")

    @classmethod
    def on(cls, port: int, state_dir: Path) -> Stack:
        """The engine on a port, with nothing deployed yet."""
        return cls(
            endpoint_url=endpoint_url(port),
            region=REGION,
            access_key_id=ACCESS_KEY_ID,
            secret_access_key=SECRET_ACCESS_KEY,
            stack_name=STACK_NAME,
            state_dir=str(state_dir),
        )

    @classmethod
    def load(cls, state_dir: Path = LOCAL) -> Stack | None:
        """The stack that is up, if one is."""
        try:
            held = json.loads((state_dir / "stack.json").read_text())
        except FileNotFoundError:
            return None
        return cls(**held, state_dir=str(state_dir)) if _engine_process(state_dir) else None

    def save(self) -> None:
        """Writes stack.json."""
        held = asdict(self)
        held.pop("state_dir")
        (Path(self.state_dir) / "stack.json").write_text(json.dumps(held, indent=2) + "\n")


@cache
def _client(service: str, **settings: str) -> Any:
    session: Any = boto3.session.Session()
    return session.client(service, config=Config(max_pool_connections=50), **settings)


def build(schemas: Path | None = None) -> Path:
    """Runs `sam build` unless nothing changed since the last one; returns the built template.

    `schemas` is a folder of dataset files that the functions are to carry beside the project's own.
    """
    LOCAL.mkdir(exist_ok=True)
    built, stamp = BUILD / "build" / "template.yaml", BUILD / "fingerprint"
    with _locked(LOCAL / "build.lock"):
        fingerprint = _fingerprint([ROOT / source for source in SOURCES], parameter_overrides())
        if built.exists() and stamp.exists() and stamp.read_text() == fingerprint:
            return _with_schemas(built, schemas)
        _say("building")
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
        return _with_schemas(built, schemas)


def deploy(engine: Stack, template: Path, parameters: Mapping[str, str] | None = None) -> Stack:
    """Deploys a built template to the engine, writes stack.json and returns the stack."""
    stack = replace(engine, outputs={})
    s3 = stack.client("s3")
    if ARTIFACTS_BUCKET not in {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]}:
        s3.create_bucket(Bucket=ARTIFACTS_BUCKET)
    overrides = [f'{name}="{value}"' for name, value in (parameters or {}).items()]
    _say("deploying")
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


def start_engine(
    state_dir: Path,
    port: int | None = None,
    *,
    ends_with: Path | None = None,
    enforces_roles: bool = True,
    records_calls: bool = False,
    wait_scale: float = 1,
    keeps_state: bool = False,
) -> int:
    """Starts an engine in the background, with clean state; returns its port, by default any free.

    With `ends_with`, the engine ends when no process holds a lock on that file any more. With
    `enforces_roles`, a function may do what its role allows and nothing else; it costs throughput.
    With `records_calls` as well, Stack.calls tells what roles have called. `wait_scale` makes Wait
    states and the pauses between retries shorter. With `keeps_state`, the engine can be restarted.
    """
    _clear(state_dir)
    port = port or _free_port()
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "LANG": "C.UTF-8",
        "TMPDIR": str(state_dir / "tmp"),
        "GATEWAY_PORT": str(port),
        "AWS_ENDPOINT_URL": endpoint_url(port),
        "AUTH": str(enforces_roles).lower(),
        "SFN_WAIT_SCALE": str(wait_scale),
        "ENGINE_LAMBDA_PYTHON": str(python("runtime")),
        "ENGINE_STATE_DIR": str(state_dir),
        # What waits for a slot is not running yet, and not to be throttled.
        "LAMBDA_ACCOUNT_CONCURRENCY": "0",
        "ENGINE_LAMBDA_CONCURRENCY": os.environ.get("ENGINE_LAMBDA_CONCURRENCY", "4"),
    }
    if ends_with:
        environment["ENGINE_ENDS_WITH"] = str(ends_with)
    if records_calls:
        environment["ENGINE_CALLS"] = str(state_dir / "calls.jsonl")
    if keeps_state:
        environment |= {
            "PERSIST_STATE": "1",
            "STATE_DIR": str(state_dir / "tmp" / "services"),
            "S3_PERSIST": "1",
            "S3_DATA_DIR": str(state_dir / "tmp" / "s3"),
        }
    _launch(state_dir, port, environment)
    return port


def restart_engine(state_dir: Path) -> None:
    """Ends an engine that this process started with `keeps_state`, and starts it again on its port.

    Executions that run fail, with States.ServiceRestart and without an event; functions that run
    are killed; events on their way are lost.
    """
    found = _engine_process(state_dir)
    if not found:
        raise LocalStackError(f"no engine runs in {state_dir}")
    pid, port = found
    os.kill(pid, signal.SIGTERM)
    _wait_for_end(state_dir, SAVE_SECONDS)
    if _engine_process(state_dir):
        raise LocalStackError(f"the engine in {state_dir} did not end in {SAVE_SECONDS} seconds")
    with suppress(ProcessLookupError):  # The functions' processes.
        os.killpg(pid, signal.SIGKILL)
    _launch(state_dir, port, _environments[state_dir])


def _launch(state_dir: Path, port: int, environment: dict[str, str]) -> None:
    _environments[state_dir] = environment
    with (state_dir / "engine.log").open("ab") as log:
        process = subprocess.Popen(
            [str(python("engine")), "-m", "local.engine.__main__"],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    _started.append(process)
    (state_dir / "engine.json").write_text(json.dumps({"pid": process.pid, "port": port}))
    deadline = time.monotonic() + START_SECONDS
    while not _healthy(port):
        if process.poll() is not None or time.monotonic() > deadline:
            stop_engine(state_dir)
            tail = (state_dir / "engine.log").read_text(errors="replace")[-2000:]
            raise LocalStackError(f"the engine did not start on port {port}:\n{tail}")
        time.sleep(0.05)


def stop_engine(state_dir: Path) -> bool:
    """Ends the engine of a state directory, and what it left there; False if none was running."""
    found = _engine_process(state_dir)
    if found:
        # Its state goes with it anyway; the functions' processes are in its group.
        with suppress(ProcessLookupError):
            os.killpg(found[0], signal.SIGKILL)
        _wait_for_end(state_dir, STOP_SECONDS)
    for name in ("engine.json", "stack.json", "deployed"):
        (state_dir / name).unlink(missing_ok=True)
    shutil.rmtree(state_dir / "tmp", ignore_errors=True)
    return found is not None


def _wait_for_end(state_dir: Path, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while _engine_process(state_dir) and time.monotonic() < deadline:
        time.sleep(0.02)
    for process in _started:
        process.poll()


@contextmanager
def running_engine(state_dir: Path, **settings: Any) -> Iterator[Stack]:
    """An engine on a free port, for as long as the context lasts and the process lives.

    Processes that name the same state directory share one engine, which ends with the last of them.
    Nothing is deployed to it. `settings` are start_engine()'s.
    """
    state_dir.mkdir(parents=True, exist_ok=True)
    users = state_dir / "users.lock"
    with users.open("w") as user:
        with _locked(state_dir / "start.lock"):
            fcntl.flock(user, fcntl.LOCK_SH)
            found = _engine_process(state_dir)
            port = found[1] if found else start_engine(state_dir, ends_with=users, **settings)
        try:
            yield Stack.on(port, state_dir)
        finally:
            with _locked(state_dir / "start.lock"):
                if _is_free(user):
                    stop_engine(state_dir)


@contextmanager
def running_stack(
    state_dir: Path,
    *,
    schemas: Path | None = None,
    parameters: Mapping[str, str] | None = None,
    **settings: Any,
) -> Iterator[Stack]:
    """An engine as in running_engine(), with the project deployed to it.

    `schemas` is a folder of dataset files to add to the project's own; `parameters` are the
    template's, where they are not to have their defaults.
    """
    with running_engine(state_dir, **settings) as engine:
        with _locked(state_dir / "deploy.lock"):
            stack = Stack.load(state_dir) or deploy(engine, build(schemas), parameters)
        yield stack


def redeploy(stack: Stack, schemas: Path) -> None:
    """Deploys once more, with other dataset files beside the project's own; data stays."""
    deploy(stack, build(schemas))


@contextmanager
def stack_up_or_own(state_dir: Path) -> Iterator[Stack]:
    """The stack that is up, as it is; if none is, one that lasts as long as the context."""
    stack = Stack.load()
    if stack:
        yield stack
        return
    with running_stack(state_dir) as own:
        yield own


def up() -> Stack:
    """Starts and deploys; where an engine is up already, deploys only what changed."""
    with _locked(LOCAL / "up.lock"):
        template = build()
        deployed = LOCAL / "deployed"
        fingerprint = (BUILD / "fingerprint").read_text()
        found = _engine_process(LOCAL)
        if found and deployed.exists() and deployed.read_text() == fingerprint:
            stack = Stack.load()
            if stack:
                _say(f"up already: {stack.endpoint_url}")
                _say(f"put files in s3://{stack.outputs['SourceBucketName']}/")
                start_console(stack)
                return stack
        port = found[1] if found else start_engine(LOCAL, _free_port(DEFAULT_PORT))
        stack = deploy(Stack.on(port, LOCAL), template)
        deployed.write_text(fingerprint)
        _say(f"up: {stack.endpoint_url}, described in .local/stack.json, logs in .local/engine.log")
        _say(f"put files in s3://{stack.outputs['SourceBucketName']}/")
        start_console(stack)
        return stack


def down() -> None:
    """Ends the engine that `up` started; its state is gone."""
    with _locked(LOCAL / "up.lock"):
        stop_console()
        _say("down" if stop_engine(LOCAL) else "nothing was up")


def start_console(stack: Stack) -> None:
    """Serves the console of the stack that is up in the background, unless it is; says where."""
    found = _console()
    if found:
        _say(f"console: {found['address']}")
        return
    with (
        (LOCAL / "console.log").open("wb") as log,
        (LOCAL / "console.lock").open("w") as alive,
    ):
        # The lock goes over to the console, which holds it for as long as it lives.
        fcntl.flock(alive, fcntl.LOCK_EX)
        os.set_inheritable(alive.fileno(), True)
        process = subprocess.Popen(
            [
                *(str(python("dev")), "-m", "tablekeeper_cli"),
                *("console", "--local", "--json", "--port", str(_free_port(CONSOLE_PORT))),
            ],
            cwd=ROOT,
            env={**os.environ, "TABLEKEEPER_LOCAL": f"{stack.state_dir}/stack.json"},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=[alive.fileno()],
        )
    deadline = time.monotonic() + START_SECONDS
    text = ""
    while not text.endswith("}\n"):
        text = (LOCAL / "console.log").read_text(errors="replace")
        if process.poll() is not None or time.monotonic() > deadline:
            raise LocalStackError(f"the console did not start:\n{text[-2000:]}")
        time.sleep(0.05)
    address = json.loads(text)["address"]
    held = {"pid": process.pid, "address": address}
    (LOCAL / "console.json").write_text(json.dumps(held))
    _say(f"console: {address}")


def stop_console() -> None:
    """Ends the console that `start_console` started."""
    found = _console()
    if found:
        with suppress(ProcessLookupError):
            os.killpg(found["pid"], signal.SIGTERM)
    (LOCAL / "console.json").unlink(missing_ok=True)


def _console() -> dict[str, Any] | None:
    """The process id and the address of the console, if it is running."""
    try:
        held: dict[str, Any] = json.loads((LOCAL / "console.json").read_text())
    except FileNotFoundError:
        return None
    with (LOCAL / "console.lock").open("a") as alive:
        return None if _is_free(alive) else held


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


yaml.add_multi_constructor("!", _short_form, _TemplateLoader)


def _with_schemas(template: Path, schemas: Path | None) -> Path:
    """The built template, or that of a copy beside it whose functions carry these files too."""
    if schemas is None:
        return template
    # Beside it, because the template names the definition by a path relative to itself.
    files = {path.name: path.read_bytes() for path in sorted(schemas.glob("*.json"))}
    digest = hashlib.sha256(repr(files).encode()).hexdigest()
    copy = template.parent.with_name(f"build-with-{digest[:12]}")
    if not copy.exists():
        unfinished = copy.with_name("unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        shutil.copytree(template.parent, unfinished)
        for folder in unfinished.glob("*/schemas"):
            for name, content in files.items():
                (folder / name).write_bytes(content)
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


def _engine_process(state_dir: Path) -> tuple[int, int] | None:
    """The process id and the port of the engine of a state directory, if it is running."""
    try:
        held = json.loads((state_dir / "engine.json").read_text())
    except FileNotFoundError:
        return None
    # A process id is used again; the lock is held by the engine alone, for as long as it lives.
    with (state_dir / "alive.lock").open("a") as alive:
        return None if _is_free(alive) else (held["pid"], held["port"])


def _healthy(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"{endpoint_url(port)}/_ministack/health", timeout=1):
            return True
    except (urllib.error.URLError, OSError):
        return False


def _free_port(preferred: int = 0) -> int:
    """The preferred port if nothing listens there, or else any free one."""
    with socket.socket() as probe:
        if preferred and probe.connect_ex(("127.0.0.1", preferred)):
            return preferred
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _clear(state_dir: Path) -> None:
    """Empties a state directory of what an earlier engine left."""
    stop_engine(state_dir)
    (state_dir / "tmp").mkdir(parents=True)
    (state_dir / "faults.json").write_text("")
    (state_dir / "chaos.json").write_text("")
    (state_dir / "chaos.jsonl").write_text("")
    (state_dir / "engine.log").write_text("")
    (state_dir / "calls.jsonl").unlink(missing_ok=True)


def _is_free(file: IO[str]) -> bool:
    """Whether no other process holds a lock on the file; takes the lock if so."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _say(text: str) -> None:
    print(f"local stack: {text}", file=sys.stderr, flush=True)


def main() -> None:
    """Runs one command; ends with an error message and code 1 if it fails."""
    parser = argparse.ArgumentParser(prog="python -m local.stack", description=__doc__)
    parser.add_argument("command", choices=("build", "up", "down"))
    commands: dict[str, Callable[[], object]] = {"build": build, "up": up, "down": down}
    try:
        commands[parser.parse_args().command]()
    except LocalStackError as error:
        sys.exit(f"local stack: {error}")


if __name__ == "__main__":
    main()
