"""Times as text that sorts, and how far two clocks may be apart."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

CLOCK_SKEW = timedelta(seconds=5)
"""How far the clocks of two Step Functions hosts may be apart."""


def iso_milliseconds(time: str | datetime) -> str:
    """A time as `2026-01-31T12:00:00.000Z`: always UTC, always three decimals, so that text sorts
    as time.
    """
    moment = datetime.fromisoformat(time) if isinstance(time, str) else time
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def now() -> str:
    """The time, as `iso_milliseconds`."""
    return iso_milliseconds(datetime.now(UTC))


def as_of(entered: str) -> str:
    """The time from which a look at the bucket counts, by a state that was entered then."""
    return iso_milliseconds(datetime.fromisoformat(entered) - CLOCK_SKEW)


def looked_at(as_of: str) -> str:
    """The inverse of `as_of`: when the state was entered that looked at the bucket."""
    return iso_milliseconds(datetime.fromisoformat(as_of) + CLOCK_SKEW)
