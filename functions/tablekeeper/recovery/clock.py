"""The clock of the sweep, in one place, so that hours of it can be simulated."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

CLOCKS_DIFFER = timedelta(seconds=10)
"""At most, of two hosts."""


def now() -> datetime:
    """The time, UTC."""
    return datetime.now(UTC)


def sleep(seconds: float) -> None:
    """Waits."""
    time.sleep(seconds)
