"""Records: the JSON objects that a document holds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from tablekeeper.datasets.dataset import DYNAMODB_JSON, Dataset
from tablekeeper.documents.csv_reader import read_csv
from tablekeeper.documents.dynamodb_json import read_dynamodb_json
from tablekeeper.documents.json_lines import read_json_lines
from tablekeeper.documents.json_reader import read_json
from tablekeeper.documents.likeness import ENCODED_TWICE, is_encoded_twice
from tablekeeper.documents.value import Value
from tablekeeper.errors import DocumentShapeError, InvalidFileError, ReservedAttributeError

RESERVED = ("_source", "_object", "_index")


class Record(NamedTuple):
    """A record and its place in its file, from 0.

    `line` is the line where it begins, from 1; `name` the member's that it is, where the records
    of its dataset are members of an object; `document` has fields of the document around it.
    With an `error`, which says why it is no record or cannot be kept, `value` is empty.
    """

    place: int
    value: dict[str, Any]
    line: int | None = None
    name: str | None = None
    document: Mapping[str, Any] | None = None
    error: InvalidFileError | None = None

    def values(self) -> dict[str, int]:
        """What the values of an error say of the record that it is about."""
        return {"record": self.place} | ({"line": self.line} if self.line else {})


def read_records(text: Iterable[str], key: str, dataset: Dataset) -> Iterator[Record]:
    """The records of a file's text, one by one; an error may come behind good ones.

    Raises:
        InvalidFileError: the text cannot be read exactly, or holds something other than records.
    """
    for record in records_and_errors(text, key, dataset):
        if record.error:
            raise record.error
        yield record


def records_and_errors(text: Iterable[str], key: str, dataset: Dataset) -> Iterator[Record]:
    """As `read_records`; but what is no record, or cannot be kept, comes with its error where the
    reader can go on behind it.

    JSON Lines, values one after another, an array, and an array or an object's members behind a
    plain path of fields are read as streams. For any other expression a document is held whole.
    The text has to be one that can be read twice where `dataset.location.around`.

    Raises:
        InvalidFileError: the text cannot be read to its end.
    """
    reserved = (*RESERVED, *dataset.own_names)
    lines = dataset.is_json_lines(key)
    for place, element in enumerate(_values(text, dataset, lines=lines)):
        error = element.error or _unfit(element, place, reserved, lines=lines)
        value = {} if error else element.value
        record = Record(place, value, element.line, element.name, element.document, error)
        if error:
            error.values |= record.values()
        yield record


def _unfit(
    element: Value, place: int, reserved: Sequence[str], *, lines: bool
) -> InvalidFileError | None:
    if not isinstance(element.value, dict):
        return DocumentShapeError(_no_record(element, place, lines=lines))
    for name in reserved:
        if name in element.value:
            return ReservedAttributeError(
                f'{_name(element, place, lines=lines)} has a field "{name}", a name that '
                "Tablekeeper itself uses"
            )
    return None


def _values(text: Iterable[str], dataset: Dataset, *, lines: bool) -> Iterator[Value]:
    if dataset.csv:
        return read_csv(text, dataset.csv)
    if dataset.format == DYNAMODB_JSON:
        return read_dynamodb_json(text)
    return _lines(text) if lines else read_json(text, dataset.location)


def _lines(text: Iterable[str]) -> Iterator[Value]:
    for element in read_json_lines(text):
        if element.value != []:  # how a file says in any format that it has no records
            yield element


def _name(element: Value, place: int, *, lines: bool) -> str:
    if lines:
        return f"line {element.line}"
    return "the file" if element.is_file and place == 0 else f"record {place}"


def _no_record(element: Value, place: int, *, lines: bool) -> str:
    holds = f"{_name(element, place, lines=lines)} holds {_json_type(element.value)}"
    if lines and isinstance(element.value, list):
        return (
            f"{holds}; in `jsonl` a line is one record. In a dataset whose `format` is json, the "
            "elements of an array are the records"
        )
    hint = ENCODED_TWICE if is_encoded_twice(element.value) else ""
    return f"{holds}; a record is an object{hint}"


def _json_type(value: Any) -> str:
    names = {
        dict: "an object",
        list: "an array",
        str: "a string",
        bool: "a boolean",
        type(None): "null",
    }
    return names.get(type(value), "a number")
