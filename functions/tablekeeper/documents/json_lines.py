"""JSON Lines: one value a line, or several with nothing between them, as Firehose writes them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from tablekeeper.documents import json_stream
from tablekeeper.documents.json_parser import (
    SURROGATE_ESCAPE,
    Parser,
    check_surrogates,
    not_parsed,
    raise_first_mark,
)
from tablekeeper.documents.json_stream import TOO_LONG, Window
from tablekeeper.documents.likeness import looks_like_csv
from tablekeeper.documents.text import BYTE_ORDER_MARK
from tablekeeper.documents.value import Value
from tablekeeper.errors import InvalidFileError, RecordTooLargeError

_ONE_LINE = (
    "; in `jsonl` a line is one record. In a dataset whose `format` is json a value may have "
    "several lines, and a line several values"
)
_SPACES = " \t\r"
_CSV = "; if the file is CSV, set `format` to csv in its dataset"


def read_json_lines(text: Iterable[str]) -> Iterator[Value]:
    """The values of JSON Lines, a bad one with its error; blank lines are passed over.

    Raises:
        InvalidFileError: a line is too long to be held, or bad behind a value that it begins with.
    """
    return _Lines(text).values()


class _Lines(Window):
    """Text that is read line by line."""

    def __init__(self, chunks: Iterable[str]) -> None:
        super().__init__(chunks)
        self._parser = Parser()
        self._begins = ""

    def values(self) -> Iterator[Value]:
        """The values of all lines. Raises RecordTooLargeError."""
        number, ended = 0, False
        self._begins = self._head()
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
                yield from self._of_line(line.removeprefix(BYTE_ORDER_MARK), number)

    def _of_line(self, line: str, number: int) -> Iterator[Value]:
        self._parser.marked = False
        try:
            value = self._parser.decode(line)
        except (json.JSONDecodeError, RecursionError) as error:
            if _goes_on(line, error):
                yield from self._values_of(line, number)
            else:
                is_csv = number == 1 and looks_like_csv(self._begins)
                yield Value(None, number, error=_bad_line(line, number, error, is_csv=is_csv))
        else:
            yield self._kept(value, line, number)

    def _values_of(self, line: str, number: int) -> Iterator[Value]:
        """The values of a line with nothing between them. Raises MalformedJsonError: the number of
        values behind a place that is wrong is unknown.
        """
        place = len(line) - len(line.lstrip(_SPACES))
        while place < len(line):
            self._parser.marked = False
            try:
                value, end = self._parser.raw_decode(line, place)
            except (json.JSONDecodeError, RecursionError) as error:
                raise _bad_line(line, number, error) from None
            yield self._kept(value, line[place:end], number)
            place = end
            if line[end : end + 1] != "{":
                behind = line[end:].lstrip(_SPACES)
                if behind:
                    extra = json.JSONDecodeError("Extra data", line, len(line) - len(behind))
                    raise _bad_line(line, number, extra)
                return

    def _kept(self, value: Any, text: str, number: int) -> Value:
        try:
            if self._parser.marked:
                raise_first_mark(value)
            if self._escapes and SURROGATE_ESCAPE.search(text):
                check_surrogates(value)
        except InvalidFileError as error:
            return Value(None, number, error=_within(error, number))
        return Value(value, number)


def _goes_on(line: str, error: json.JSONDecodeError | RecursionError) -> bool:
    """Whether another object begins just where one has ended."""
    if isinstance(error, RecursionError) or error.msg != "Extra data":
        return False
    return line[error.pos - 1 : error.pos + 1] == "}{"


def _bad_line(
    line: str,
    number: int,
    error: json.JSONDecodeError | RecursionError,
    *,
    is_csv: bool = False,
) -> InvalidFileError:
    unfit = not_parsed(error, line, 0, 0, lambda at: (number, at + 1))
    hint = ""
    if isinstance(error, json.JSONDecodeError):
        if error.msg == "Extra data" or error.pos >= len(line.rstrip()):
            hint = _ONE_LINE
        if is_csv:
            hint = _CSV
    unfit = type(unfit)(f"{unfit}{hint}", **unfit.values)
    return _within(unfit, number)


def _within(error: InvalidFileError, number: int) -> InvalidFileError:
    return error.within(f"line {number} of the file: ")
