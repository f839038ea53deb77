"""JSON Lines: one value a line."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from tablekeeper.documents import json_stream
from tablekeeper.documents.json_parser import (
    SURROGATE_ESCAPE,
    Parser,
    check_surrogates,
    not_parsed,
    raise_first_mark,
)
from tablekeeper.documents.json_stream import DELIMITER, TOO_LONG, Window
from tablekeeper.documents.text import BYTE_ORDER_MARK
from tablekeeper.documents.value import Value
from tablekeeper.errors import InvalidFileError, RecordTooLargeError

_ONE_LINE = (
    "; in `jsonl` a line is one record. In a dataset whose `format` is json a value may have "
    "several lines, and a line several values"
)
_CSV = "; if the file is CSV, set `format` to csv in its dataset"


def read_json_lines(text: Iterable[str]) -> Iterator[Value]:
    """The values of JSON Lines, a bad one with its error; blank lines are passed over.

    Raises:
        RecordTooLargeError: a line is too long to be held.
    """
    return _Lines(text).values()


class _Lines(Window):
    """Text that is read line by line."""

    def __init__(self, chunks: Iterable[str]) -> None:
        super().__init__(chunks)
        self._parser = Parser()

    def values(self) -> Iterator[Value]:
        """The values of all lines. Raises RecordTooLargeError."""
        number, ended = 0, False
        while not ended:
            number += 1
            start, stop = self._place, self._text.find("\n", self._place)
            while stop < 0 and self._read_on_for_value():
                start, stop = self._place, self._text.find("\n", self._place)
            if stop < 0:
                stop, ended = len(self._text), True
            if stop - start > json_stream.MAX_VALUE_CHARACTERS:
                raise RecordTooLargeError(f"line {number} of the file: {TOO_LONG}{_ONE_LINE}")
            line = self._text[start:stop]
            self._place = stop + 1
            if line.strip():
                yield self._of_line(line.removeprefix(BYTE_ORDER_MARK), number)

    def _of_line(self, line: str, number: int) -> Value:
        self._parser.marked = False
        try:
            value = self._parser.decode(line)
        except (json.JSONDecodeError, RecursionError) as error:
            return Value(None, number, error=_bad_line(line, number, error))
        try:
            if self._parser.marked:
                raise_first_mark(value)
            if self._escapes and SURROGATE_ESCAPE.search(line):
                check_surrogates(value)
        except InvalidFileError as error:
            return Value(None, number, error=_within(error, number))
        return Value(value, number)


def _bad_line(
    line: str, number: int, error: json.JSONDecodeError | RecursionError
) -> InvalidFileError:
    unfit = not_parsed(error, line, 0, 0, lambda at: (number, at + 1))
    hint = ""
    if isinstance(error, json.JSONDecodeError):
        if error.msg == "Extra data" or error.pos >= len(line.rstrip()):
            hint = _ONE_LINE
        if number == 1 and error.pos == 0 and DELIMITER.search(line):
            hint = _CSV
    unfit = type(unfit)(f"{unfit}{hint}", **unfit.values)
    return _within(unfit, number)


def _within(error: InvalidFileError, number: int) -> InvalidFileError:
    return error.within(f"line {number} of the file: ")
