"""Values that pages share, so that many pages that refresh themselves cost no more than one."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import Generic, TypeVar

from tablekeeper.model.times import now

T = TypeVar("T")
PAUSE = 10
"""A read is repeated after so many times its own length: however many pages are open, they keep a
stack busy for a tenth of the time at most.
"""


@dataclass(frozen=True)
class Reading(Generic[T]):
    """A value, the time as of which it is so in ISO 8601, and how many seconds it took to read."""

    value: T
    at: str
    took: float


class Cached(Generic[T]):
    """A value that is read again when it is older than `seconds`, or than PAUSE times what its read
    took.
    """

    def __init__(self, read: Callable[[], T], seconds: float) -> None:
        self.read, self.seconds, self.lock = read, seconds, Lock()
        self.reading: Reading[T] | None = None
        self.ended = 0.0
        self.error: Exception | None = None

    def get(self) -> Reading[T]:
        """The value. Raises what the read raises.

        A page that waited for another's read gets its error: otherwise each would wait for a read
        of its own, one after the other.
        """
        asked = time.monotonic()
        with self.lock:
            if self.error and self.ended >= asked:
                raise self.error
            reading = self.reading
            if reading and asked - self.ended <= max(self.seconds, PAUSE * reading.took):
                return reading
            return self._read()

    def _read(self) -> Reading[T]:
        at, begun = now(), time.monotonic()
        try:
            value = self.read()
        except Exception as error:
            self.error, self.reading = error, None
            raise
        else:
            self.error = None
            self.reading = Reading(value, at, time.monotonic() - begun)
            return self.reading
        finally:
            self.ended = time.monotonic()
