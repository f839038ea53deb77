"""Finds a name that stands twice in one object, in little memory."""

from __future__ import annotations

from array import array

MAX_NAMES = 4_000_000
"""How many members one object that is read as a stream may have: 8 to 16 MB a million."""

EXACT_NAMES = 10_000
_BITS = (1 << 64) - 1


class NamesSeen:
    """The names of an object so far: the first ones are held, of the rest 64 bits of a keyed hash.

    A name that stands twice is always found. That two of a million names are taken for one happens
    once in 30 million files, and not again for the same file in another process: the key of
    Python's hash is random.
    """

    def __init__(self) -> None:
        self.count = 0
        self._first: set[str] = set()
        self._table = array("Q")

    def add(self, name: str) -> bool:
        """Whether it is new."""
        if name in self._first:
            return False
        if self.count < EXACT_NAMES:
            self._first.add(name)
            self.count += 1
            return True
        if 2 * (self.count - EXACT_NAMES) >= len(self._table):
            self._grow()
        if not self._put(hash(name) & _BITS or 1):
            return False
        self.count += 1
        return True

    def _put(self, number: int) -> bool:
        table, last = self._table, len(self._table) - 1
        place = number & last
        while held := table[place]:
            if held == number:
                return False
            place = (place + 1) & last
        table[place] = number
        return True

    def _grow(self) -> None:
        """Open addressing: the table has a power of two of slots, at least half of them free."""
        before = self._table
        slots = max(2 * len(before), 4 * EXACT_NAMES)
        self._table = array("Q", (0,)) * (1 << (slots - 1).bit_length())
        for number in before:
            if number:
                self._put(number)
