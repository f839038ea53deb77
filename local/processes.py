"""Ports, locks and processes."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


def engine_process(state_dir: Path) -> tuple[int, int] | None:
    """The process id and the port of the engine of a state directory, if it is running."""
    try:
        held = json.loads((state_dir / "engine.json").read_text())
    except FileNotFoundError:
        return None
    # A process id is used again; the lock is held by the engine alone, for as long as it lives.
    with (state_dir / "alive.lock").open("a") as alive:
        return None if is_free(alive) else (held["pid"], held["port"])


def is_free(file: IO[str]) -> bool:
    """Whether no other process holds a lock on the file; takes the lock if so."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def locked(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
