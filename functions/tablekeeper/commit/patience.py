"""Trying again what passes by itself, within a function's time."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TypeVar

from tablekeeper.errors import TransientServiceError, UnfinishedWriteError

T = TypeVar("T")

MARGIN = 30.0
"""Seconds before the end of a function's time at which a write stops: a transaction with its
retries takes less.
"""
PATIENCE = 300.0
"""Seconds for which one transaction is tried again before the write stops."""
LONGEST_PAUSE = 20.0


def patiently(uri: str, remaining: Callable[[], float], call: Callable[[], T]) -> T:
    """What the call returns. It is tried again, slower and slower: throttling slows a write down
    and fails nothing.

    Raises UnfinishedWriteError when the time is up.
    """
    begun, tries = time.monotonic(), 0
    while True:
        if remaining() < MARGIN:
            raise UnfinishedWriteError(f"{uri}: the time is up; a retry goes on")
        try:
            return call()
        except TransientServiceError as error:
            if time.monotonic() - begun > PATIENCE:
                raise UnfinishedWriteError(f"{uri}: {error}") from error
            pause(random.uniform(0, min(LONGEST_PAUSE, 0.1 * 2**tries)))  # noqa: S311
            tries += 1


def pause(seconds: float) -> None:
    """Waits."""
    time.sleep(seconds)
