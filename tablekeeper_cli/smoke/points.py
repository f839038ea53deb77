"""The points of a smoke run."""

from __future__ import annotations

from dataclasses import dataclass

HELD, BROKEN, NOT_REACHED = "held", "broken", "not reached"


@dataclass(frozen=True)
class Point:
    """One promise: its name, the verdict, and what was seen, or what was in the way."""

    name: str
    verdict: str
    seen: str


class BrokenError(Exception):
    """Raised when a promise is not kept; the message is what was seen."""


class NotReachedError(Exception):
    """Raised when a promise cannot be tried; the message is why."""
