"""Faults that a test asks the engine for.

The file holds a JSON list of faults; the engine reads it at every invocation, so a fault works from
the moment it is written, on whatever is deployed:

    {"target": "WriteItemsFunction", "mode": "crash", "after": true, "times": 2, "match": "k.json"}

`target` is the logical id of a function, found in the function's name, or the name of a state.
`mode` is one of MODES; on a state only `error` and `delay` make sense. `after` lets the call
happen first and loses its answer. `times` is how often the fault still strikes. `match` is text
that the event of the invocation (for a state: the execution's input) must hold, so that tests can
run side by side. `error` and `cause` name an error, `seconds` is the length of a delay, which ends
sooner once there is a file `until`.
"""

from __future__ import annotations

import fcntl
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

MODES = (
    "error",
    "crash",
    "timeout",
    "throttle",
    "oversized",
    "malformed",
    "access-denied",
    "delay",
)
LOOK_SECONDS = 0.05


@dataclass(frozen=True)
class Fault:
    """One line of the file."""

    target: str
    mode: str
    error: str = "RuntimeError"
    cause: str = "injected"
    seconds: float = 0.0
    after: bool = False
    times: int = 1
    match: str = ""
    until: str = ""

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise ValueError(f"{self.mode} is none of {', '.join(MODES)}")

    def wait(self) -> None:
        """Lets a delay pass."""
        if not self.until:
            time.sleep(self.seconds)
            return
        deadline = time.monotonic() + self.seconds
        while time.monotonic() < deadline and not Path(self.until).exists():
            time.sleep(LOOK_SECONDS)


class Faults:
    """The faults in one file, shared by who writes them and the engine that takes them."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def inject(
        self,
        target: str,
        mode: str = "error",
        *,
        error: str = Fault.error,
        cause: str = Fault.cause,
        seconds: float = Fault.seconds,
        after: bool = False,
        times: int = 1,
        match: str = "",
        until: str = "",
    ) -> None:
        """Adds a fault; those of one target strike in the order in which they were added."""
        fault = Fault(target, mode, error, cause, seconds, after, times, match, until)
        with self._open() as faults:
            faults.append(fault)

    def clear(self) -> None:
        """Removes every fault."""
        with self._open() as faults:
            faults.clear()

    def waiting(self) -> list[Fault]:
        """The faults that have not struck as often as they should."""
        with self._open() as faults:
            return list(faults)

    def take(self, target: str, text: str) -> Fault | None:
        """The fault that strikes `target` now, counted down; `match` is sought in `text`."""
        if not self.path.exists() or self.path.stat().st_size == 0:
            return None
        with self._open() as faults:
            for index, fault in enumerate(faults):
                if fault.target in target and fault.match in text:
                    faults[index : index + 1] = [replace(fault, times=fault.times - 1)] * (
                        fault.times > 1
                    )
                    return fault
        return None

    @contextmanager
    def _open(self) -> Iterator[list[Fault]]:
        self.path.touch()
        with self.path.open("r+", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            before = file.read()
            faults = [Fault(**fault) for fault in json.loads(before or "[]")]
            yield faults
            after = json.dumps([asdict(fault) for fault in faults], indent=1) if faults else ""
            if after != before:
                # Never empty while faults wait: `take` looks at the size without the lock.
                file.seek(0)
                file.write(after)
                file.truncate()
