"""The engine's process: started, restarted with its state, ended."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path

from local.environment import (
    ROOT,
    endpoint_url,
    python,
)
from local.errors import LocalStackError
from local.processes import engine_process

START_SECONDS, ANSWER_SECONDS = 120, 5
STOP_SECONDS, SAVE_SECONDS = 5, 120

_started: list[subprocess.Popen[bytes]] = []
_environments: dict[Path, dict[str, str]] = {}


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
    With `records_calls` as well, Stack.calls gives what roles have called. `wait_scale` makes Wait
    states and the pauses between retries shorter. With `keeps_state`, the engine can be restarted.
    """
    _clear(state_dir)
    port = port or free_port()
    environment = _environment(state_dir, port, enforces_roles, wait_scale)
    if ends_with:
        environment["ENGINE_ENDS_WITH"] = str(ends_with)
    if records_calls:
        environment["ENGINE_CALLS"] = str(state_dir / "calls.jsonl")
    if keeps_state:
        environment |= _persistence(state_dir)
    _launch(state_dir, port, environment)
    return port


def _environment(
    state_dir: Path, port: int, enforces_roles: bool = True, wait_scale: float = 1
) -> dict[str, str]:
    return {
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


def _persistence(state_dir: Path) -> dict[str, str]:
    return {
        "PERSIST_STATE": "1",
        "STATE_DIR": str(state_dir / "kept" / "services"),
        "S3_PERSIST": "1",
        "S3_DATA_DIR": str(state_dir / "kept" / "s3"),
    }


def save_engine(state_dir: Path) -> bool | None:
    """Ends an engine that was started with `keeps_state`, so that resume_engine() can start it
    again; whether it could save what it holds, and None if none was running.

    Executions that run fail, with States.ServiceRestart and without an event.
    """
    process = engine_process(state_dir)
    if not process:
        return None
    pid, port = process
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)  # In case that it was stopped.
    saves = is_healthy(port)
    if saves:
        os.kill(pid, signal.SIGTERM)
        _wait_for_end(state_dir, SAVE_SECONDS)
        saves = engine_process(state_dir) is None
    _end(state_dir, pid)
    if saves:
        (state_dir / "kept.json").write_text(json.dumps({"port": port}))
    return saves


def has_kept_state(state_dir: Path) -> bool:
    """Whether an engine was ended by save_engine() and not started since."""
    return (state_dir / "kept.json").exists()


def resume_engine(state_dir: Path) -> int:
    """Starts an engine with what it held before, on its port, which is in the names of queues.

    Raises LocalStackError: another program has the port, or the engine does not start.
    """
    port: int = json.loads((state_dir / "kept.json").read_text())["port"]
    if free_port(port) != port:
        raise LocalStackError(
            f"another program has port {port}, which the stack's address has: end that program, or "
            "begin with an empty bucket: `make wipe up`"
        )
    (state_dir / "tmp").mkdir(exist_ok=True)
    (state_dir / "engine.log").write_text("")
    _launch(state_dir, port, _environment(state_dir, port) | _persistence(state_dir))
    # What is kept is out of date from here on, until the engine saves again.
    (state_dir / "kept.json").unlink()
    return port


def restart_engine(state_dir: Path) -> None:
    """Ends an engine that this process started with `keeps_state`, and starts it again on its port.

    Executions that run fail, with States.ServiceRestart and without an event; functions that run
    are killed; events on their way are lost.
    """
    process = engine_process(state_dir)
    if not process:
        raise LocalStackError(f"no engine runs in {state_dir}")
    pid, port = process
    os.kill(pid, signal.SIGTERM)
    _wait_for_end(state_dir, SAVE_SECONDS)
    if engine_process(state_dir):
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
    while not is_healthy(port, 1):
        if process.poll() is not None or time.monotonic() > deadline:
            _end(state_dir, process.pid)
            tail = (state_dir / "engine.log").read_text(errors="replace")[-2000:]
            raise LocalStackError(f"the engine did not start on port {port}:\n{tail}")
        time.sleep(0.05)


def stop_engine(state_dir: Path) -> bool:
    """Ends the engine of a state directory, and what it left there; False if none was running."""
    process = engine_process(state_dir)
    if process:
        _end(state_dir, process[0])
    for name in ("engine.json", "stack.json", "deployed", "kept.json"):
        (state_dir / name).unlink(missing_ok=True)
    for name in ("kept", "tmp"):
        shutil.rmtree(state_dir / name, ignore_errors=True)
    return process is not None


def _end(state_dir: Path, pid: int) -> None:
    """Ends an engine that need not save anything."""
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)  # The functions' processes are in its group.
    _wait_for_end(state_dir, STOP_SECONDS)
    shutil.rmtree(state_dir / "tmp", ignore_errors=True)


def _wait_for_end(state_dir: Path, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while engine_process(state_dir) and time.monotonic() < deadline:
        time.sleep(0.02)
    for process in _started:
        process.poll()


def is_healthy(port: int, seconds: float = ANSWER_SECONDS) -> bool:
    """Whether the engine answers within so many seconds."""
    address = f"{endpoint_url(port)}/_ministack/health"
    try:
        with urllib.request.urlopen(address, timeout=seconds):
            return True
    except (urllib.error.URLError, OSError):
        return False


def free_port(preferred: int = 0) -> int:
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
