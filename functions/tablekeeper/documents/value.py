"""What a reader finds in a file: values that may be records, each with its place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from tablekeeper.errors import InvalidFileError


class Value(NamedTuple):
    """A value that may be a record.

    `line` is the line of the file, from 1, where it begins. `name` is that of the member that it
    is of its object, where the records are members. `document` has fields of the document around
    it, as far as the reader was asked for them. `is_file` says that it is all that the file holds,
    as far as it was read. `error` says why the value cannot be kept as it is; the reader goes on
    behind it.
    """

    value: Any
    line: int
    name: str | None = None
    document: Mapping[str, Any] | None = None
    is_file: bool = False
    error: InvalidFileError | None = None
