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
        lines = list(parse_lines(text))
        values, place = [value for _, value in lines], "line {}"
        numbers = [number for number, _ in lines]
    else:
        document = parse(text)
        found = dataset.records(document) if dataset.records else document
        if found is None and dataset.records:
            raise DocumentShapeError(f'"{dataset.records.text}" finds nothing in the document')
        values, place = (found if isinstance(found, list) else [found]), "record {}"
        numbers = list(range(len(values)))
    for number, value in zip(numbers, values, strict=True):
        if not isinstance(value, dict):
            where = (
                place.format(number) if isinstance(value, list) or len(values) != 1 else "the file"
            )
            raise DocumentShapeError(f"{where} holds {_json_type(value)}; a record is an object")
        for name in RESERVED:
            if name in value:
                raise ReservedAttributeError(
                    f'{place.format(number)} has a field "{name}", '
                    "a name that Tablekeeper itself uses"
                )
    return [Record(place, value) for place, value in enumerate(values)]


def _json_type(value: Any) -> str:
    names = {
        dict: "an object",
        list: "an array",
        str: "a string",
        bool: "a boolean",
        type(None): "null",
    }
    return names.get(type(value), "a number")
