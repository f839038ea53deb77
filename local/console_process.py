"""The console's process beside the engine."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from local.engine_process import START_SECONDS, STOP_SECONDS
from local.environment import ROOT, python
from local.errors import LocalStackError, say
from local.processes import is_free
from local.stack import Stack


def start_console(stack: Stack) -> None:
    """Serves the console of the stack that is up in the background, unless it does; says where.

    A console that was started for another engine or deployment is ended first.
    """
    described = (Path(stack.state_dir) / "stack.json").read_text()
    state_dir = Path(stack.state_dir)
    before = _console(state_dir)
    if before and before.get("stack") == described:
        say(f"console: {before['address']}")
        return
    if before:
        say("the console was that of another engine: it is started anew")
        stop_console(state_dir)
    with (
        (state_dir / "console.log").open("wb") as log,
        (state_dir / "console.lock").open("w") as alive,
    ):
        # The lock goes over to the console, which holds it for as long as it lives.
        fcntl.flock(alive, fcntl.LOCK_EX)
        os.set_inheritable(alive.fileno(), True)
        process = subprocess.Popen(
            [str(python("dev")), "-m", "tablekeeper_cli", "console", "--local", "--json"],
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
        text = (state_dir / "console.log").read_text(errors="replace")
        if process.poll() is not None or time.monotonic() > deadline:
            raise LocalStackError(f"the console did not start:\n{text[-2000:]}")
        time.sleep(0.05)
    address = json.loads(text)["address"]
    held = {"pid": process.pid, "address": address, "stack": described}
    (state_dir / "console.json").write_text(json.dumps(held))
    say(f"console: {address}")


def stop_console(state_dir: Path) -> None:
    """Ends the console that `start_console` started."""
    process = _console(state_dir)
    if process:
        with suppress(ProcessLookupError):
            os.killpg(process["pid"], signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        while _console(state_dir) and time.monotonic() < deadline:  # its port is free then
            time.sleep(0.02)
    (state_dir / "console.json").unlink(missing_ok=True)


def _console(state_dir: Path) -> dict[str, Any] | None:
    """The process id and the address of the console, if it is running."""
    try:
        held: dict[str, Any] = json.loads((state_dir / "console.json").read_text())
    except FileNotFoundError:
        return None
    with (state_dir / "console.lock").open("a") as alive:
        return None if is_free(alive) else held
