"""What the functions call of AWS, as the engine sees it when it authorises a call."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import NamedTuple


class Call(NamedTuple):
    """An action that a caller wanted on a resource, and whether its policies allowed it.

    `caller` is `<role>/<session>`; a function's session has the function's name.
    """

    caller: str
    action: str
    resource: str
    allowed: bool


class Calls:
    """A file of calls, each of them once; the engine adds to it and a test reads it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._known: set[Call] = set()
        self._lock = threading.Lock()

    def add(self, call: Call) -> None:
        """Adds a call unless it is there."""
        with self._lock:
            if call not in self._known:
                self._known.add(call)
                with self.path.open("a") as file:
                    file.write(json.dumps(call) + "\n")

    def read(self) -> set[Call]:
        """The calls so far; none when nothing has been recorded."""
        if not self.path.exists():
            return set()
        lines = self.path.read_text().splitlines()
        return {Call(*json.loads(line)) for line in lines}
