"""Finds a name that stands twice in one object, in flat memory."""

from __future__ import annotations

from array import array
from io import SEEK_END
from tempfile import TemporaryFile
from typing import IO, Self

MAX_NAMES_BYTES = 200_000_000
"""How much text the names of one object that is read as a stream may have, in UTF-8. They wait on
the disk of a function, which has 512 MB:
https://docs.aws.amazon.com/lambda/latest/dg/configuration-ephemeral-storage.html
Fields behind the records are looked for by a second reader, with as many names at the same time.
"""

HELD_BYTES = 1_000_000
"""How much the names in memory may have, `_OF_A_NAME` for each included."""
_OF_A_NAME = 100

PARTITIONS, _PART_BYTES = 256, 4096
_END = b"\xff"
"""Stands behind each name on the disk: a byte that no UTF-8 has."""


class NamesSeen:
    """The names of an object so far; use it as a context.

    Beyond HELD_BYTES they are written to a temporary file, in partitions by their hashes, and
    compared a partition at a time at the end: the names themselves, so that two are never taken for
    one. The key of Python's hash is random, so that no file can fill one partition on purpose.
    """

    def __init__(self) -> None:
        self.size_on_disk = 0
        self._held: set[str] = set()
        self._held_bytes = 0
        self._disk: IO[bytes] | None = None
        self._partitions: list[_Partition] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._disk:
            self._disk.close()

    def add(self, name: str) -> bool:
        """Whether it is new, as far as that is known before `repeated`."""
        if self._disk:
            self._write(name)
            return True
        if name in self._held:
            return False
        self._held.add(name)
        self._held_bytes += len(name) + _OF_A_NAME
        if self._held_bytes > HELD_BYTES:
            self._spill()
        return True

    def repeated(self) -> str | None:
        """A name that was added twice, though `add` took it for new: the first one in the order of
        their bytes.
        """
        found = [name for each in self._partitions if (name := each.repeated()) is not None]
        return min(found).decode() if found else None

    def _spill(self) -> None:
        self._disk = TemporaryFile()  # noqa: SIM115 - the context of the names closes it
        self._partitions = [_Partition(self._disk) for _ in range(PARTITIONS)]
        for name in self._held:
            self._write(name)
        self._held.clear()

    def _write(self, name: str) -> None:
        encoded = name.encode()
        self.size_on_disk += len(encoded) + len(_END)
        self._partitions[hash(name) % PARTITIONS].add(encoded)


class _Partition:
    """Names with hashes that belong together, on a disk that they share with others."""

    def __init__(self, disk: IO[bytes]) -> None:
        self.disk, self.pending = disk, bytearray()
        self.places, self.lengths = array("Q"), array("Q")

    def add(self, name: bytes) -> None:
        self.pending += name
        self.pending += _END
        if len(self.pending) > _PART_BYTES:
            self.places.append(self.disk.seek(0, SEEK_END))
            self.lengths.append(self.disk.write(self.pending))
            self.pending = bytearray()

    def repeated(self) -> bytes | None:
        """The first of the names that were added twice."""
        text = b"".join([*map(self._read, self.places, self.lengths), self.pending])
        seen, twice = set[bytes](), set[bytes]()
        for name in text.split(_END)[:-1]:
            (twice if name in seen else seen).add(name)
        return min(twice, default=None)

    def _read(self, place: int, length: int) -> bytes:
        self.disk.seek(place)
        return self.disk.read(length)
