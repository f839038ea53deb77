"""Documents: text to exact JSON values, as a stream, with a window of the text in memory.

Values and errors do not depend on how the text is cut into chunks.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from tablekeeper.documents import names
from tablekeeper.documents.json_parser import (
    SURROGATE_ESCAPE,
    TWICE,
    Parser,
    check_surrogates,
    error_at,
    not_parsed,
    raise_first_mark,
    unseen,
)
from tablekeeper.documents.likeness import HEAD_CHARACTERS, looks_like_csv
from tablekeeper.documents.names import NamesSeen
from tablekeeper.documents.pointers import Path
from tablekeeper.documents.text import BYTE_ORDER_MARK
from tablekeeper.documents.value import Value
from tablekeeper.errors import (
    DuplicateJsonKeyError,
    EmptyFileError,
    InvalidFileError,
    MalformedJsonError,
    RecordTooLargeError,
)

MAX_VALUE_CHARACTERS = 20_000_000
"""How much text one value may have, since a value is held whole."""

LONGEST_TOKEN = 16
"""A token that ends nearer than this to the window's end may continue behind it: `-Infinity`, an
escape. Only strings and numbers are longer, and are recognised otherwise.
"""

RECORD_SEPARATOR = "\x1e"
"""Stands before each value of a JSON text sequence: https://www.rfc-editor.org/rfc/rfc7464"""

_BEGINS = frozenset('{["-0123456789tfnNI')
"""What a value begins with, NaN and Infinity, which have an error of their own, included."""

_BETWEEN = frozenset((",", RECORD_SEPARATOR, BYTE_ORDER_MARK))
"""What may stand between two values."""

TOO_LONG = f"one value has more than {MAX_VALUE_CHARACTERS:,} characters"
_TOO_MANY = f"the names of the object's members have more than {names.MAX_NAMES_BYTES:,} bytes"
_SPACE = re.compile(r"[ \t\n\r]*")


def parse(text: str) -> Any:
    """The exact value of a JSON document: no number rounded, no key lost, no character changed.

    Raises:
        InvalidFileError: one of its document errors; the message names the place, never the value.
    """
    return Document([text]).whole()


class Window:
    """The part of a text that is held: from what comes next to where the text was read."""

    def __init__(self, chunks: Iterable[str]) -> None:
        self._chunks = iter(chunks)
        self._text, self._place = "", 0
        self._line, self._column = 1, 1
        self._known_place, self._known_line = 0, 1
        self._escapes = False
        self._read_on()
        self._text = self._text.removeprefix(BYTE_ORDER_MARK)

    @property
    def line(self) -> int:
        """The line in the file, from 1, of what comes next, once it was peeked at."""
        self._known_line += self._text.count("\n", self._known_place, self._place)
        self._known_place = self._place
        return self._known_line

    def peek(self) -> str:
        """The first character of what comes next, spaces left aside; "" at the end."""
        if self._text[self._place : self._place + 1] > " ":  # no space begins so
            return self._text[self._place]
        while True:
            self._place = _SPACE.match(self._text, self._place).end()  # type: ignore[union-attr]
            if self._place < len(self._text):
                return self._text[self._place]
            if not self._read_on():
                return ""

    def looks_like_csv(self) -> bool:
        """Whether what comes next is a row of CSV, and no object and no array."""
        return self.peek() not in "{[" and looks_like_csv(self._head())

    def _head(self) -> str:
        """The first characters of what comes next."""
        while len(self._text) - self._place < HEAD_CHARACTERS and self._read_on():
            pass
        return self._text[self._place : self._place + HEAD_CHARACTERS]

    def _pass_separators(self) -> None:
        while self.peek() in (RECORD_SEPARATOR, BYTE_ORDER_MARK):
            self._place += 1

    def _read_on(self) -> bool:
        """Drops what was read and doubles what is held; False at the end of the text."""
        held = self._text[self._place :]
        wanted = min(len(held), MAX_VALUE_CHARACTERS + LONGEST_TOKEN - len(held))
        parts, length = [held], 0
        for chunk in self._chunks:
            parts.append(chunk)
            length += len(chunk)
            if chunk and length >= wanted:
                break
        if not length:
            return False
        self._known_line, self._known_place = self.line, 0
        self._line, self._column = self._at(self._place)
        self._text, self._place = "".join(parts), 0
        self._escapes = "\\ud" in self._text or "\\uD" in self._text
        return True

    def _read_on_for_value(self) -> bool:
        """Reads on, unless a value that has not ended yet is too large already."""
        held = len(self._text) - self._place
        return held <= MAX_VALUE_CHARACTERS + LONGEST_TOKEN and self._read_on()

    def _at(self, place: int) -> tuple[int, int]:
        """The line and the column in the file, from 1, of a place in the window."""
        lines = self._text.count("\n", 0, place)
        if lines:
            return self._line + lines, place - self._text.rfind("\n", 0, place)
        return self._line, self._column + place

    def _malformed(self, why: str) -> MalformedJsonError:
        line, column = self._at(self._place)
        said = f"{why}: line {line} column {column}{unseen(self._text, self._place)}"
        return MalformedJsonError(said, line=line, column=column)


class Document(Window):
    """JSON text that is read from its beginning to its end, through a window.

    Every method may raise an InvalidFileError; its message names the place, never the value.
    """

    def __init__(self, chunks: Iterable[str]) -> None:
        super().__init__(chunks)
        self._parser = Parser()
        self._number, self._begins = 0, 1

    def whole(self) -> Any:
        """The value of the document."""
        self.begin()
        value = self.value()
        self.end()
        return value

    def begin(self) -> None:
        """Raises EmptyFileError when there is nothing to read."""
        self._pass_separators()
        if not self.peek():
            raise EmptyFileError("the file is empty")

    def end(self) -> None:
        """Raises MalformedJsonError when there is more to read."""
        if self.peek():
            raise self._malformed("Extra data")

    def next_document(self) -> bool:
        """Whether another value follows those that were read: with nothing between them, with
        space, a comma, a record separator (RFC 7464) or the byte order mark of another file that
        was appended. Errors in it will name its number and its line.
        """
        self._pass_separators()
        behind_comma = self._number > 0 and self.peek() == ","
        if behind_comma:
            self._take(",")
            self._pass_separators()
        if not self.peek() and not behind_comma:
            return False
        if self._number and self.peek() not in _BEGINS:
            raise self._malformed(_no_value_behind(self._number))
        self._number += 1
        self._begins = self.line
        return True

    def check_behind(self) -> None:
        """Raises MalformedJsonError when neither the end nor another value follows, so that what
        was read is a part of something: `"a": 1}`.
        """
        if self.peek() and self.peek() not in _BEGINS | _BETWEEN:
            raise self._malformed(_no_value_behind(self._number))

    def value(self, path: Path = ()) -> Any:
        """What comes next, whole; `path` leads to it."""
        value = self.value_or_error(path)
        if value.error:
            raise value.error
        return value.value

    def value_or_error(self, path: Path = ()) -> Value:
        """As `value`; but JSON that cannot be kept comes with its error, and is passed over."""
        self.peek()
        line = self.line
        value, escapes = self._next(path)
        try:
            if self._parser.marked:
                raise_first_mark(value, path)
            if escapes:
                check_surrogates(value, path)
        except InvalidFileError as error:
            return Value(None, line, error=self.placed(error))
        return Value(value, line)

    def elements(self, path: Path = ()) -> Iterator[Value]:
        """The elements of the array that comes next, each as `value_or_error`."""
        self._take("[")
        if self.peek() == "]":
            self._take("]")
            return
        index, after = 0, ","
        while after == ",":
            yield self.value_or_error((*path, index))
            index += 1
            after = self._take(",]")

    def members(self, path: Path = ()) -> Iterator[str]:
        """The keys of the object that comes next; after each, the caller has to read its value."""
        self._take("{")
        if self.peek() == "}":
            self._take("}")
            return
        with NamesSeen() as seen:
            after = ","
            while after == ",":
                key = self._member_name(path)
                if not seen.add(key):
                    raise self._twice(path, key)
                if seen.size_on_disk > names.MAX_NAMES_BYTES:
                    raise self.placed(error_at(path, RecordTooLargeError, _TOO_MANY))
                self._take(":")
                yield key
                after = self._take(",}")
            twice = seen.repeated()
        if twice is not None:
            raise self._twice(path, twice)

    def _member_name(self, path: Path) -> str:
        if self.peek() != '"':
            raise self._malformed("Expecting property name enclosed in double quotes")
        key, escapes = self._next(path)
        if escapes:
            try:
                check_surrogates(key, (*path, key))
            except InvalidFileError as error:
                raise self.placed(error) from None
        return str(key)

    def _twice(self, path: Path, name: str) -> InvalidFileError:
        return self.placed(error_at((*path, name), DuplicateJsonKeyError, TWICE))

    def _next(self, path: Path) -> tuple[Any, bool]:
        """What comes next, not yet checked, and whether escaped surrogates are in it.

        The parser stops where the window ends as it does where the text is wrong, so a value that
        fails there, or a number that ends there, is read again with more of the text. The window
        doubles, so that the work stays in proportion to the text.
        """
        self.peek()
        while True:
            text, start = self._text, self._place
            self._parser.marked = False
            try:
                value, end = self._parser.raw_decode(text, start)
            except json.JSONDecodeError as error:
                in_string = error.msg.startswith("Unterminated string")
                reached = len(text) if in_string else error.pos
                if reached + LONGEST_TOKEN > len(text) and self._read_on_for_value():
                    continue
                self._check_length(reached, path)
                raise not_parsed(error, text, start, len(path), self._at) from None
            except RecursionError as error:
                raise not_parsed(error, text, start, len(path), self._at) from None
            cut = end + LONGEST_TOKEN > len(text) and text[end - 1] not in '"]}'
            if not (cut and self._read_on_for_value()):
                self._check_length(end, path)
                self._place = end
                return value, self._escapes and bool(SURROGATE_ESCAPE.search(text, start, end))

    def _take(self, expected: str) -> str:
        """Reads one of these characters."""
        character = self.peek()
        if not character or character not in expected:
            raise self._malformed(f"Expecting '{expected[0]}' delimiter")
        self._place += 1
        return character

    def _check_length(self, end: int, path: Path) -> None:
        if end - self._place > MAX_VALUE_CHARACTERS:
            raise self.placed(error_at(path, RecordTooLargeError, TOO_LONG))

    def placed(self, error: InvalidFileError) -> InvalidFileError:
        """The error with the number and the line of its document, where there were others."""
        if self._number < 2:
            return error
        return error.within(
            f"value {self._number:,} of the file, which begins at line {self._begins}, "
        )


def _no_value_behind(number: int) -> str:
    return f"Expecting another value behind value {number:,}"
