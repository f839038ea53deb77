"""A violation of a schema, without the value that violates it."""

from __future__ import annotations

from typing import NamedTuple

from tablekeeper.documents.pointers import shown


class Violation(NamedTuple):
    """One way in which a record violates its schema; never holds the record's values.

    found is the type and the length of what stands at the pointer, line the line of the file where
    the record begins, from 1, whatever format the file has.
    """

    record: int
    pointer: str
    keyword: str
    expected: str
    found: str
    line: int | None = None

    def __str__(self) -> str:
        record = f"record {self.record}" + (f" (line {self.line:,})" if self.line else "")
        where = f'"{shown(self.pointer)}"' if self.pointer else "the whole record"
        return f"{record}, {where}: {self.keyword}: expected {self.expected}, found {self.found}"
