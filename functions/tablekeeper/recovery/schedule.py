"""When a file that FAILED is tried again by itself."""

from __future__ import annotations

from datetime import datetime, timedelta

from tablekeeper.causes import passes

SHORTEST = timedelta(minutes=5)
LONGEST = timedelta(days=1)


def next_try(status: str, error: str, since: str, at: str) -> datetime | None:
    """When a file is due whose content failed first `since` and last `at`, both ISO 8601.

    It has to wait as long again as it has been failing, between five minutes and a day, so that
    each pause is about twice the one before. None for what does not pass by itself: that waits for
    a person.
    """
    if status != "FAILED" or not passes(error):
        return None
    last = datetime.fromisoformat(at)
    failing = last - datetime.fromisoformat(since)
    return last + min(max(failing, SHORTEST), LONGEST)
