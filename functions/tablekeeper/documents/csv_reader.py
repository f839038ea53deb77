"""CSV (RFC 4180) by the standard library's reader, as a stream of rows."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from io import IncrementalNewlineDecoder, StringIO
from itertools import chain
from typing import Any

from tablekeeper.documents.json_stream import MAX_VALUE_CHARACTERS
from tablekeeper.documents.numbers import OutOfRangeError, parse_number
from tablekeeper.documents.pointers import shown
from tablekeeper.documents.text import BYTE_ORDER_MARK
from tablekeeper.documents.value import Value
from tablekeeper.errors import (
    EmptyFileError,
    FileFormatError,
    InvalidFileError,
    MalformedCsvError,
    NumberRangeError,
    RecordTooLargeError,
)

ABSENT, TEXT = "absent", "text"
NUMBER_TYPES, BOOLEANS = {"number", "integer"}, {"true": True, "false": False}
HEAD_CHARACTERS = 100
_JSON = re.compile(r'\s*(\{\s*["}]|\[\s*[\[{])')
EXCEL_DELIMITER = "sep="
"""Excel writes it into a line before the header, with the delimiter behind it."""
POWERSHELL_TYPE = "#TYPE "
"""PowerShell 5 writes it into a line before the header, with a name of .NET behind it."""
_OTHER_DELIMITER = re.compile(r"[,;\t|]")
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")

csv.field_size_limit(MAX_VALUE_CHARACTERS)


@dataclass(frozen=True)
class CsvOptions:
    """How a file is written. `header` has the names where the first row is no header. `types` has
    the JSON types of a column by its name; what is not in it is text.
    """

    delimiter: str = ","
    quote: str = '"'
    header: tuple[str, ...] | None = None
    empty: str = ABSENT
    types: Callable[[str], frozenset[str]] = lambda _: frozenset()


class _Column:
    """Makes a value of a field's text, as the types of its column say; nothing is guessed."""

    def __init__(self, name: str, options: CsvOptions) -> None:
        types = options.types(name)
        self.name = name
        self.is_text = "string" in types or not types
        self.numbers = not self.is_text and bool(types & NUMBER_TYPES)
        self.booleans = not self.is_text and "boolean" in types
        self.is_plain = not (self.numbers or self.booleans)
        keeps_empty = options.empty == TEXT and (self.is_text or "null" not in types)
        self.empty: tuple[Any, ...] = ("",) if keeps_empty else ()
        if not keeps_empty and "null" in types:
            self.empty = (None,)

    def value(self, text: str) -> Any:
        """Raises OutOfRangeError. What is no value of the type stays text, which the schema then
        refuses.
        """
        if self.numbers and _NUMBER.fullmatch(text):
            return parse_number(text)
        if self.booleans:
            return BOOLEANS.get(text.lower(), text)
        return text


def read_csv(text: Iterable[str], options: CsvOptions) -> Iterator[Value]:
    """The rows of a file as objects, each with the line where it begins; blank lines are passed
    over. A row that does not fit the header, or has a number that cannot be kept, has an error.

    Raises:
        InvalidFileError: the text is no such CSV; the message names line and column.
    """
    rows = _rows(_checked(text), options)
    first = next(rows, None)
    if first and _is_no_row(first[1], options):
        first = next(rows, None)
    names: Sequence[str] | None = options.header
    if names is None:
        if first is None:
            raise EmptyFileError("the file is empty")
        line, names = first
        _check_names(names, line)
    elif first:
        rows = chain([first], rows)
    columns = [_Column(name, options) for name in names]
    for line, row in rows:
        if len(row) != len(columns):
            yield Value(None, line, error=MalformedCsvError(_ragged(line, row, columns)))
            continue
        record: dict[str, Any] = {}
        unfit: InvalidFileError | None = None
        for column, field in zip(columns, row, strict=True):
            if not field:
                if column.empty:
                    record[column.name] = column.empty[0]
            elif column.is_plain:
                record[column.name] = field
            else:
                try:
                    record[column.name] = column.value(field)
                except OutOfRangeError as error:
                    unfit = unfit or NumberRangeError(
                        f'line {line}, column "{shown(column.name)}": DynamoDB cannot hold the '
                        f"number: {error}"
                    )
        yield Value(record, line, error=unfit)


def _is_no_row(row: Sequence[str], options: CsvOptions) -> bool:
    """Whether a first row is neither header nor record, but what a program says of the file."""
    is_type = len(row) == 1 and row[0].startswith(POWERSHELL_TYPE)
    return row == [EXCEL_DELIMITER, ""] or (is_type and len(options.header or ("", "")) > 1)


def _checked(text: Iterable[str]) -> Iterator[str]:
    """The text. Raises FileFormatError when it begins as JSON does."""
    chunks, head = iter(text), ""
    for chunk in chunks:
        head += chunk
        if len(head) >= HEAD_CHARACTERS:
            break
    if _JSON.match(head):
        raise FileFormatError("the file looks like JSON: the `format` of its dataset is csv")
    yield head
    yield from chunks


def _rows(text: Iterable[str], options: CsvOptions) -> Iterator[tuple[int, list[str]]]:
    """Each row that is not blank, with the line where it begins."""
    lines = _Lines(text)
    reader = csv.reader(
        lines,
        delimiter=options.delimiter,
        quotechar=options.quote or None,
        quoting=csv.QUOTE_MINIMAL if options.quote else csv.QUOTE_NONE,
        strict=True,
    )
    while True:
        lines.row_begins()
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise lines.malformed(error, options) from None
        if row:
            yield lines.begins, row


class _Lines:
    """The lines of a text with their ends, which may be any of three, for one row after another.

    The lines of a row are counted and held as far as a message needs them.
    """

    def __init__(self, text: Iterable[str]) -> None:
        self._lines = _lines(text)
        self.begins, self.count = 1, 0
        self._row: list[str] = []
        self._length = 0

    def row_begins(self) -> None:
        self.begins = self.count + 1
        self._row.clear()
        self._length = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self.count += 1
        if not self._row and line.startswith(BYTE_ORDER_MARK):
            raise MalformedCsvError(
                f"line {self.count} begins with a byte order mark (U+FEFF): was another file "
                "appended there?"
            )
        self._row.append(line)
        self._length += len(line)
        if self._length > MAX_VALUE_CHARACTERS:
            raise RecordTooLargeError(
                f"line {self.begins}: a row has more than {MAX_VALUE_CHARACTERS:,} characters; "
                "is there a quote that does not end?"
            )
        return line

    def malformed(self, error: csv.Error, options: CsvOptions) -> MalformedCsvError:
        """What is wrong with the row, with its place as far as it can be found."""
        delimiter, quote = re.escape(options.delimiter), re.escape(options.quote)
        row = "".join(self._row)
        quoted = rf"{quote}(?:[^{quote}]|{quote}{quote})*+{quote}"
        start = rf"(?:^|(?<={delimiter}))"
        behind = re.search(rf"(?:{start}{quoted})(?!{delimiter}|{quote}|\r|\n|$)", row)
        if "end of data" in str(error) or behind is None:
            return MalformedCsvError(
                f"the row that begins at line {self.begins} has a quote that does not end"
                if "end of data" in str(error)
                else f"line {self.begins}: {error}",
                line=self.begins,
            )
        read = row[: behind.end()]
        lines = len(re.findall(r"\r\n|\r|\n", read))
        column = len(re.split(r"\r\n|\r|\n", read)[-1]) + 1
        return MalformedCsvError(
            f"line {self.begins + lines} column {column}: behind the quote that ends a field "
            f"stands neither the delimiter nor the end of the line",
            line=self.begins + lines,
            column=column,
        )


def _lines(text: Iterable[str]) -> Iterator[str]:
    newlines = IncrementalNewlineDecoder(None, translate=False)
    held: list[str] = []
    length = number = 0
    for chunk in text:
        for line in StringIO(newlines.decode(chunk), newline=""):
            held.append(line)
            length += len(line)
            if line.endswith(("\n", "\r")):
                number += 1
                yield "".join(held)
                held, length = [], 0
            elif length > MAX_VALUE_CHARACTERS:
                raise RecordTooLargeError(
                    f"line {number + 1} has more than {MAX_VALUE_CHARACTERS:,} characters"
                )
    held.append(newlines.decode("", final=True))
    last = "".join(held)
    if last:
        yield last


def _check_names(names: Sequence[str], line: int) -> None:
    other = _OTHER_DELIMITER.search(names[0]) if len(names) == 1 else None
    if other:
        raise MalformedCsvError(
            f"line {line}: the header has one column, whose name holds {json.dumps(other[0])}: is "
            "that the delimiter? If it is not, name the column with `header`"
        )
    places: dict[str, int] = {}
    for place, name in enumerate(names, 1):
        if not name:
            raise MalformedCsvError(f"line {line}: column {place} of the header has no name")
        if name in places:
            raise MalformedCsvError(
                f"line {line}: columns {places[name]} and {place} of the header have the same "
                f'name "{shown(name)}"'
            )
        places[name] = place


def _ragged(line: int, row: Sequence[str], columns: Sequence[_Column]) -> str:
    said = (
        f"the row at line {line} has {_counted(len(row), 'field')}; there "
        f"{'is' if len(columns) == 1 else 'are'} {_counted(len(columns), 'column')}"
    )
    if len(row) == 1 and len(columns) > 1 and row[0].strip():
        return f"{said}: is the delimiter another one?"
    if len(row) < len(columns):
        return f'{said}, and nothing for "{shown(columns[len(row)].name)}"'
    if len(columns) == 1:
        return f"{said}: is the delimiter another one, or the first row no header?"
    if any(field.startswith((' "', '\t"')) for field in row):
        return f"{said}: a quote begins a field only directly behind the delimiter"
    return said


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"
