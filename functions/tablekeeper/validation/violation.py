"""A violation of a schema, without the value that violates it."""

from __future__ import annotations

from typing import NamedTuple

from tablekeeper.documents.pointers import shown


class Violation(NamedTuple):
    """One way in which a record violates its schema; never holds the record's values."""

    record: int
    pointer: str
    keyword: str
    expected: str

    def __str__(self) -> str:
        where = f'"{shown(self.pointer)}"' if self.pointer else "the whole record"
        return f"record {self.record}, {where}: {self.keyword}: expected {self.expected}"
