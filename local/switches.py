"""Where the engine is as unkind as AWS when it is asked to be.

An engine has as many slots as its machine has cores, and pages that poll it: neither is an
account's quota. So what would keep a user from working is off until a test, or `make load`, turns
it on, on whatever runs. The file names what is on, one a line; the engine reads it at every call.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LAMBDA_THROTTLES = "lambda-throttles"
"""An invocation by a state that finds no slot is throttled, and costs an attempt of Retry."""
STATES_QUOTAS = "states-quotas"
"""DescribeExecution and ListExecutions have the quotas of the small regions."""
UPDATES_APART = "updates-apart"
"""Functions of a stack are updated one after the other, with time between them."""
ALL = (LAMBDA_THROTTLES, STATES_QUOTAS, UPDATES_APART)


class Switches:
    """The switches in one file, shared by who turns them and the engine."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def is_on(self, name: str) -> bool:
        """Whether the engine is to be unkind in this."""
        return self.path.exists() and name in self.path.read_text().split()

    @contextmanager
    def on(self, name: str) -> Iterator[None]:
        """Within it, the engine is. Raises ValueError for a name that is none of ALL."""
        if name not in ALL:
            raise ValueError(f"{name} is none of {', '.join(ALL)}")
        before = self.path.read_text() if self.path.exists() else ""
        self.path.write_text(f"{before}{name}\n")
        try:
            yield
        finally:
            self.path.write_text(before)
