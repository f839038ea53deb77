"""The processes in which local engines of this machine run functions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from local.engine.fork_server import SCRIPT_DESCRIPTOR


def function_processes(state_dir: Path | None = None) -> Iterator[tuple[int, str]]:
    """Their numbers, with the names of the functions; of one engine if its folder is given."""
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            script = (folder / "fd" / str(SCRIPT_DESCRIPTOR)).readlink()
            mine = state_dir is None or script.is_relative_to(state_dir.resolve())
            if mine and script.parent.name.startswith("ministack-lambda-"):
                yield int(folder.name), script.parent.name.removeprefix("ministack-lambda-")
