"""Runs ministack with what it lacks of AWS's behaviour: `python -m local.engine`.

Every patch in the modules beside this one says what AWS does and what stock ministack
does, and checks at start that the place it changes still looks as it did when the patch was
written. Environment: GATEWAY_PORT and AWS_ENDPOINT_URL, which ministack reads; ENGINE_STATE_DIR (a
folder, for `faults.json`, see local/faults.py, `switches`, see local/switches.py, and `alive.lock`,
locked while the engine runs);
ENGINE_LAMBDA_PYTHON (the interpreter that runs the functions); ENGINE_LAMBDA_CONCURRENCY (default
4); ENGINE_ENDS_WITH (a file: the engine ends when no process holds a lock on it any more); and
ENGINE_CALLS (a file, to which the calls of roles are written, see local/calls.py).
PERSIST_STATE, STATE_DIR, S3_PERSIST and S3_DATA_DIR let it be restarted: ministack reads them.
"""

from __future__ import annotations

import fcntl
import gc
import os
import signal
import sys
import threading
from importlib import import_module, metadata
from pathlib import Path

from ministack import app

from local.engine.patches import PatchPointError
from local.engine.state import STATE_DIR

MINISTACK = "1.5.33"
SWITCH_SECONDS = 0.05
COLLECTIONS = (50_000, 20, 100)
"""Thresholds of the garbage collector."""
PATCHES = (
    "functions",
    "forks",
    "expressions",
    "states",
    "distributed_map",
    "roles",
    "events",
    "tables",
    "objects",
    "quotas",
    "restarts",
)


def _end_with(users: str) -> None:
    """Ends the engine and its functions when the file is no longer locked, however they ended."""
    with Path(users).open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        os.killpg(os.getpgid(0), signal.SIGKILL)


def patch() -> None:
    """Puts every patch in its place. Raises PatchPointError."""
    if metadata.version("ministack") != MINISTACK:
        raise PatchPointError(f"ministack is {metadata.version('ministack')}, not {MINISTACK}")
    for name in PATCHES:
        import_module(f"local.engine.{name}")


def main() -> None:
    """Serves on 127.0.0.1:GATEWAY_PORT until it gets SIGTERM. Raises PatchPointError."""
    patch()
    # Thousands of executions are as many threads: of those that wait for their turn each wakes up
    # once in an interval, and a full collection goes through all that they hold.
    sys.setswitchinterval(SWITCH_SECONDS)
    gc.set_threshold(*COLLECTIONS)
    os.environ["BIND_HOST"] = "127.0.0.1"
    alive = (STATE_DIR / "alive.lock").open("w")
    fcntl.flock(alive, fcntl.LOCK_EX | fcntl.LOCK_NB)
    if users := os.environ.get("ENGINE_ENDS_WITH"):
        threading.Thread(target=_end_with, args=(users,), daemon=True).start()
    sys.argv = ["ministack"]
    app.main()


if __name__ == "__main__":
    main()
