"""Records: the JSON objects that a document holds."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from typing import Any, NamedTuple

from tablekeeper.datasets.dataset import Dataset
from tablekeeper.datasets.expressions import Expression
from tablekeeper.documents.json_stream import Document
from tablekeeper.documents.pointers import Path
from tablekeeper.errors import DocumentShapeError, ReservedAttributeError

RESERVED = ("_source", "_object", "_index")


Placed = tuple[str, int, Any]
"""What may be a record: a name for its place, to be completed with a number, and its value."""


class Record(NamedTuple):
    """A record and its place in its file, from 0; in a file of lines the line where it begins, from
    1.
    """

    place: int
    value: dict[str, Any]
    line: int | None = None


def read_records(chunks: Iterable[str], key: str, dataset: Dataset) -> Iterator[Record]:
    """The records of a file's text, one by one; only at the end is it known that all is well.

    JSON Lines, an array, and an array behind a plain path of fields are read as streams. For any
    other expression the document is held whole.

    Raises:
        InvalidFileError: the text cannot be read exactly, or holds something other than records.
    """
    document = Document(chunks)
    found: Iterable[Placed]
    in_lines = dataset.is_json_lines(key)
    if in_lines:
        found = (("line {}", number, value) for number, value in document.lines())
    elif dataset.records and dataset.records.path is None:
        found = _selected(document, dataset.records)
    else:
        found = _streamed(document, dataset.records)
    for place, (name, number, value) in enumerate(found):
        if not isinstance(value, dict):
            raise DocumentShapeError(
                f"{name.format(number)} holds {_json_type(value)}; a record is an object"
            )
        for reserved in RESERVED:
            if reserved in value:
                raise ReservedAttributeError(
                    f'{name.format(number)} has a field "{reserved}", a name that Tablekeeper '
                    "itself uses"
                )
        yield Record(place, value, number if in_lines else None)


def _selected(document: Document, records: Expression) -> Iterator[Placed]:
    found = records(document.whole())
    if isinstance(found, list):
        for index, value in enumerate(found):
            yield "record {}", index, value
    elif found is None:
        raise _nothing(records)
    else:
        yield "the file", 0, found


def _streamed(document: Document, records: Expression | None) -> Iterator[Placed]:
    document.begin()
    found = yield from _at_fields(document, (), (records and records.path) or ())
    document.end()
    if records and not found:
        raise _nothing(records)


def _at_fields(
    document: Document, path: Path, fields: tuple[str, ...]
) -> Generator[Placed, None, bool]:
    """What stands behind these fields of the value that comes next, which is read to its end;
    returns whether anything does. As in JMESPath, null is nothing.
    """
    begins, found = document.peek(), False
    if fields and begins == "{":
        for key in document.members(path):
            if key == fields[0]:
                found = yield from _at_fields(document, (*path, key), fields[1:])
            else:
                document.value((*path, key))
        return found
    if begins == "[":
        for index, value in enumerate(document.elements(path)):
            if not fields:
                yield "record {}", index, value
        return not fields
    value = document.value(path)
    if fields or (path and value is None):
        return False
    yield "the file", 0, value
    return True


def _nothing(records: Expression) -> DocumentShapeError:
    return DocumentShapeError(f'"{records.text}" finds nothing in the document')


def _json_type(value: Any) -> str:
    names = {
        dict: "an object",
        list: "an array",
        str: "a string",
        bool: "a boolean",
        type(None): "null",
    }
    return names.get(type(value), "a number")
