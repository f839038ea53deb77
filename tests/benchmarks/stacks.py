"""The stack of a benchmark, and what it takes of a processor."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
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


def any_runs(stack: Stack, machine: str) -> bool:
    """Whether an execution of a state machine runs. A list of all takes an engine with thousands a
    second, in which it does nothing else.
    """
    states = stack.client("stepfunctions")
    running = states.list_executions(stateMachineArn=machine, statusFilter="RUNNING", maxResults=1)
    return bool(running["executions"])


class Used(NamedTuple):
    """Seconds of a processor that the functions of all engines took, and the engines."""

    functions: float
    engine: float

    def __sub__(self, before: Used) -> Used:
        return Used(self.functions - before.functions, self.engine - before.engine)


def processor_seconds() -> Used:
    """Of the processes that run now (Linux alone)."""
    used = {True: 0.0, False: 0.0}
    for process, is_function in engine_processes():
        with suppress(OSError):
            fields = (process / "stat").read_text().rpartition(")")[2].split()
            seconds = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
            used[is_function] += seconds
    return Used(functions=used[True], engine=used[False])


def engine_processes() -> Iterator[tuple[Path, bool]]:
    """The folders of /proc of the functions and of the engines, and whether it is a function."""
    own = {process for process, _ in function_processes()}
    for process in Path("/proc").glob("[0-9]*"):
        is_function = int(process.name) in own
        with suppress(OSError):
            if is_function or b"local.engine" in (process / "cmdline").read_bytes():
                yield process, is_function
