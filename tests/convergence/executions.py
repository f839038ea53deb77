"""Executions of a history, and how they end before their time."""

from __future__ import annotations

import dataclasses
from typing import Any

from tests.support.interpreter import Context


class Crash(BaseException):
    """The function's process is gone."""


class TimedOut(BaseException):
    """Step Functions gave the function up for dead."""


class Aborted(BaseException):
    """Somebody stopped the execution."""


@dataclasses.dataclass
class Running:
    """An execution under way: its own greenlet, and that of the function it waits for."""

    context: Context
    greenlet: Any = None
    function: Any = None
    status: str = "RUNNING"
    stopped: str = ""
    error: str | None = None
    cause: str | None = None
    is_of_before: bool = False
    epoch: int = 0
    """How many events were lost and functions deployed before it began."""
