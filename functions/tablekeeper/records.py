"""Records: the JSON objects that a document holds."""

from __future__ import annotations

from typing import Any, NamedTuple

from tablekeeper.datasets import Dataset
from tablekeeper.documents import parse, parse_lines
from tablekeeper.errors import DocumentShapeError, ReservedAttributeError

RESERVED = ("_source", "_object", "_index")


class Record(NamedTuple):
    """A record and its place in its file, from 0."""

    place: int
    value: dict[str, Any]


def read_records(text: str, key: str, dataset: Dataset) -> list[Record]:
    """The records of a file's text.

    Raises:
        InvalidFileError: the text cannot be read exactly, or holds something other than records.
    """
    if dataset.is_json_lines(key):
        placed = [(f"line {number}", value) for number, value in parse_lines(text)]
    else:
        found = parse(text)
        if dataset.records:
            found = dataset.records(found)
            if found is None:
                raise DocumentShapeError(f'"{dataset.records.text}" finds nothing in the document')
        if isinstance(found, list):
            placed = [(f"record {place}", value) for place, value in enumerate(found)]
        else:
            placed = [("the file", found)]
    for where, value in placed:
        if not isinstance(value, dict):
            raise DocumentShapeError(f"{where} holds {_json_type(value)}; a record is an object")
        for name in RESERVED:
            if name in value:
                raise ReservedAttributeError(
                    f'{where} has a field "{name}", a name that Tablekeeper itself uses'
                )
    return [Record(place, value) for place, (_, value) in enumerate(placed)]


def _json_type(value: Any) -> str:
    names = {
        dict: "an object",
        list: "an array",
        str: "a string",
        bool: "a boolean",
        type(None): "null",
    }
    return names.get(type(value), "a number")
