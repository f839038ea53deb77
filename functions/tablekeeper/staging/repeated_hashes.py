"""Finds repeated hashes among any number of them, in bounded memory."""

from __future__ import annotations

from array import array
from contextlib import ExitStack
from itertools import pairwise
from tempfile import TemporaryFile
from typing import IO

from tablekeeper.staging.partitioned_lines import PARTITIONS

MAX_SUSPECTS = 1000
_HASHES_IN_MEMORY = 4096


class RepeatedHashes:
    """64-bit numbers, many of them: beyond a few thousand a partition they are kept on disk."""

    def __init__(self) -> None:
        self.files = ExitStack()
        self.spilled: dict[int, IO[bytes]] = {}
        self.held: dict[int, array[int]] = {}

    def add(self, number: int) -> None:
        partition = number % PARTITIONS
        held = self.held.get(partition)
        if held is None:
            held = self.held[partition] = array("Q")
        held.append(number)
        if len(held) == _HASHES_IN_MEMORY:
            if partition not in self.spilled:
                self.spilled[partition] = self.files.enter_context(
                    TemporaryFile()  # noqa: SIM115 - the stack closes it
                )
            held.tofile(self.spilled[partition])
            self.held[partition] = array("Q")

    def repeated(self) -> set[int]:
        repeated: set[int] = set()
        for partition, held in sorted(self.held.items()):
            numbers = array("Q")
            if partition in self.spilled:
                file = self.spilled[partition]
                file.flush()
                count = file.tell() // numbers.itemsize
                file.seek(0)
                numbers.fromfile(file, count)
            numbers.extend(held)
            repeated.update(a for a, b in pairwise(sorted(numbers)) if a == b)
            if len(repeated) >= MAX_SUSPECTS:
                break
        return repeated

    def close(self) -> None:
        self.files.close()
