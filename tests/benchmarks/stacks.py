"""The stack of a benchmark, and what it takes of a processor."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from local.running import running_stack
from local.stack import Stack
from tests.support.function_processes import function_processes

E2E_SCHEMAS = Path(__file__).parents[1] / "e2e" / "schemas"


@contextmanager
def measured_stack(**options: Any) -> Iterator[Stack]:
    """A stack on an engine of its own that enforces no roles; options as of `running_stack`."""
    with (
        tempfile.TemporaryDirectory() as folder,
        running_stack(Path(folder), enforces_roles=False, **options) as stack,
    ):
        yield stack


class Used(NamedTuple):
    """Seconds of a processor that the functions of all engines took, and the engines."""

    functions: float
    engine: float

    def __sub__(self, before: Used) -> Used:
        return Used(self.functions - before.functions, self.engine - before.engine)


def processor_seconds() -> Used:
    """Of the processes that run now (Linux alone)."""
    own, used = {process for process, _ in function_processes()}, [0.0, 0.0]
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes()
            fields = (process / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        seconds = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        if int(process.name) in own:
            used[0] += seconds
        elif b"local.engine" in command:
            used[1] += seconds
    return Used(*used)
