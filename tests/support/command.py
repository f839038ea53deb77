"""The `tablekeeper` command in a process of its own: a fork of one that has loaded its modules, in
half of the time of a start.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

SECONDS = 600
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["tests.support.loaded_command", "pytest"])


def run_command(
    arguments: tuple[str, ...], environment: Mapping[str, str], cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs it to its end. Raises subprocess.TimeoutExpired."""
    with tempfile.TemporaryDirectory() as folder:
        process = _FORKS.Process(target=_run, args=(arguments, dict(environment), cwd, folder))
        process.start()
        process.join(SECONDS)
        if process.is_alive():
            process.kill()
            raise subprocess.TimeoutExpired(arguments, SECONDS)
        stdout, stderr = ((Path(folder) / name).read_text() for name in ("1", "2"))
    code = process.exitcode
    assert code is not None
    return subprocess.CompletedProcess(arguments, code, stdout, stderr)


def _run(
    arguments: tuple[str, ...], environment: dict[str, str], cwd: Path | None, folder: str
) -> None:
    """Is `tablekeeper ARGUMENTS`, whose standard output and errors are files of a folder."""
    for stream in (1, 2):
        written = os.open(Path(folder) / str(stream), os.O_WRONLY | os.O_CREAT)
        os.dup2(written, stream)
        os.close(written)
    if cwd:
        os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["tablekeeper", *arguments]
    from tablekeeper_cli.app import main

    main()
