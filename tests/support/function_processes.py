"""The processes in which local engines of this machine run functions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from local.engine.fork_server import SCRIPT_DESCRIPTOR


def function_processes() -> Iterator[tuple[int, str]]:
    """Their numbers, with the names of the functions."""
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            script = (folder / "fd" / str(SCRIPT_DESCRIPTOR)).readlink()
            if script.parent.name.startswith("ministack-lambda-"):
                yield int(folder.name), script.parent.name.removeprefix("ministack-lambda-")
