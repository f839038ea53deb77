"""Documents: bytes to text to exact JSON values, as streams.

Of a file only a window of its text is held. `json` does the parsing, a value at a time; its hooks
leave a mark where a value cannot be kept exactly, and only when there is a mark is the value walked
for the JSON Pointer (RFC 6901) to it, so that good documents pay nothing for good error messages.

What is read of a text, and what is said of a bad one, does not depend on how it is cut into chunks.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from tablekeeper.documents.numbers import DIGITS, OutOfRangeError, parse_number
from tablekeeper.documents.pointers import Path, pointer, shown, walk
from tablekeeper.documents.text import BYTE_ORDER_MARK
from tablekeeper.errors import (
    DuplicateJsonKeyError,
    EmptyFileError,
    InvalidFileError,
    LoneSurrogateError,
    MalformedJsonError,
    NestingError,
    NonFiniteNumberError,
    NumberRangeError,
    RecordTooLargeError,
)

PARSER_DEPTH = 500

MAX_VALUE_CHARACTERS = 20_000_000
"""How much text one value may have, since a value is held whole."""

LONGEST_TOKEN = 16
"""What ends nearer than this to the window's end may go on behind it: `-Infinity`, an escape. Only
strings and numbers are longer; they are told by other signs.
"""

_TWICE = "the key stands twice in its object"
_TOO_LONG = f"one value has more than {MAX_VALUE_CHARACTERS:,} characters"
_SPACE = re.compile(r"[ \t\n\r]*")
_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")
_STRUCTURE = re.compile(r'"(?:[^"\\]++|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)
"""A string may be cut off by an error in it. It is never tried twice: its escaped quotes would
begin strings of their own, and each would be read to the end.
"""


@dataclass(frozen=True)
class _Mark:
    """Stands in a parsed value where a part could not be kept."""

    error: type[InvalidFileError]
    why: str


def parse(text: str) -> Any:
    """The exact value of a JSON document: no number rounded, no key lost, no character changed.

    Raises:
        InvalidFileError: one of its document errors; the message names the place, never the value.
    """
    return Document([text]).whole()


class _Parser:
    """The standard library's parser with hooks that keep values exact, or mark them."""

    def __init__(self) -> None:
        self.marked = False
        self._decoder = json.JSONDecoder(
            parse_float=self._decimal,
            parse_int=self._integer,
            parse_constant=self._constant,
            object_pairs_hook=self._object,
        )
        self.raw_decode = self._decoder.raw_decode
        self.decode = self._decoder.decode

    def _mark(self, error: type[InvalidFileError], why: str) -> _Mark:
        self.marked = True
        return _Mark(error, why)

    def _integer(self, literal: str) -> Any:
        return int(literal) if len(literal) <= DIGITS else self._number(literal)

    def _decimal(self, literal: str) -> Any:
        if len(literal) <= DIGITS and "e" not in literal and "E" not in literal:
            return Decimal(literal)
        return self._number(literal)

    def _number(self, literal: str) -> Any:
        try:
            return parse_number(literal)
        except OutOfRangeError as error:
            return self._mark(NumberRangeError, f"DynamoDB cannot hold the number: {error}")

    def _constant(self, literal: str) -> Any:
        return self._mark(NonFiniteNumberError, f"{literal} is not a JSON number")

    def _object(self, members: list[tuple[str, Any]]) -> dict[str, Any]:
        value = dict(members)
        if len(value) < len(members):
            seen: set[str] = set()
            for key, _ in members:
                if key in seen:
                    value[key] = self._mark(DuplicateJsonKeyError, _TWICE)
                seen.add(key)
        return value


class Document:
    """JSON text that is read from its beginning to its end, through a window.

    Every method may raise an InvalidFileError; its message names the place, never the value.
    """

    def __init__(self, chunks: Iterable[str]) -> None:
        self._chunks = iter(chunks)
        self._parser = _Parser()
        self._text, self._place = "", 0
        self._line, self._column = 1, 1
        self._escapes = False
        self._read_on()
        self._text = self._text.removeprefix(BYTE_ORDER_MARK)

    def whole(self) -> Any:
        """The value of the document."""
        self.begin()
        value = self.value()
        self.end()
        return value

    def begin(self) -> None:
        """Raises EmptyFileError when there is nothing to read."""
        if not self.peek():
            raise EmptyFileError("the file is empty")

    def end(self) -> None:
        """Raises MalformedJsonError when there is more to read."""
        if self.peek():
            raise self._malformed("Extra data")

    def peek(self) -> str:
        """The first character of what comes next, spaces left aside; "" at the end."""
        while True:
            self._place = _SPACE.match(self._text, self._place).end()  # type: ignore[union-attr]
            if self._place < len(self._text):
                return self._text[self._place]
            if not self._read_on():
                return ""

    def value(self, path: Path = ()) -> Any:
        """What comes next, whole; `path` leads to it."""
        value, escapes = self._next(path)
        if self._parser.marked:
            _raise_first_mark(value, path)
        if escapes:
            _check_surrogates(value, path)
        return value

    def elements(self, path: Path = ()) -> Iterator[Any]:
        """The elements of the array that comes next."""
        self._take("[")
        if self.peek() == "]":
            self._take("]")
            return
        index, after = 0, ","
        while after == ",":
            yield self.value((*path, index))
            index += 1
            after = self._take(",]")

    def members(self, path: Path = ()) -> Iterator[str]:
        """The keys of the object that comes next; after each, the caller has to read its value.

        The keys are all held, to find one that stands twice, so they count as one value.
        """
        self._take("{")
        if self.peek() == "}":
            self._take("}")
            return
        seen, held, after = set(), 0, ","
        while after == ",":
            if self.peek() != '"':
                raise self._malformed("Expecting property name enclosed in double quotes")
            key, escapes = self._next(path)
            if escapes:
                _check_surrogates(key, (*path, key))
            if key in seen:
                raise _error_at((*path, key), DuplicateJsonKeyError, _TWICE)
            seen.add(key)
            held += sys.getsizeof(key)
            if held > MAX_VALUE_CHARACTERS:
                raise _error_at(path, RecordTooLargeError, "the object has too many keys")
            self._take(":")
            yield key
            after = self._take(",}")

    def lines(self) -> Iterator[tuple[int, Any]]:
        """The values of JSON Lines with their line numbers, from 1; blank lines are passed over."""
        number, found, ended = 0, False, False
        while not ended:
            number += 1
            start, stop = self._place, self._text.find("\n", self._place)
            while stop < 0 and self._read_on_for_value():
                start, stop = self._place, self._text.find("\n", self._place)
            if stop < 0:
                stop, ended = len(self._text), True
            if stop - start > MAX_VALUE_CHARACTERS:
                raise RecordTooLargeError(f"line {number} of the file: {_TOO_LONG}")
            line = self._text[start:stop]
            self._place = stop + 1
            if line.strip():
                found = True
                yield number, self._line_value(line.removeprefix(BYTE_ORDER_MARK), number)
        if not found:
            raise EmptyFileError("the file is empty")

    def _line_value(self, line: str, number: int) -> Any:
        self._parser.marked = False
        try:
            value = self._parser.decode(line)
            if self._parser.marked:
                _raise_first_mark(value)
            if self._escapes and _SURROGATE_ESCAPE.search(line):
                _check_surrogates(value)
        except (json.JSONDecodeError, RecursionError) as error:
            found = _not_parsed(error, line, 0, 0, lambda place: (number, place + 1))
            raise type(found)(f"line {number} of the file: {found}") from None
        except InvalidFileError as error:
            raise type(error)(f"line {number} of the file: {error}") from None
        return value

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
                raise _not_parsed(error, text, start, len(path), self._at) from None
            except RecursionError as error:
                raise _not_parsed(error, text, start, len(path), self._at) from None
            cut = end + LONGEST_TOKEN > len(text) and text[end - 1] not in '"]}'
            if not (cut and self._read_on_for_value()):
                self._check_length(end, path)
                self._place = end
                return value, self._escapes and bool(_SURROGATE_ESCAPE.search(text, start, end))

    def _take(self, expected: str) -> str:
        """Reads one of these characters."""
        character = self.peek()
        if not character or character not in expected:
            raise self._malformed(f"Expecting '{expected[0]}' delimiter")
        self._place += 1
        return character

    def _read_on_for_value(self) -> bool:
        """Reads on, unless a value that has not ended yet is too large already."""
        held = len(self._text) - self._place
        return held <= MAX_VALUE_CHARACTERS + LONGEST_TOKEN and self._read_on()

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
        self._line, self._column = self._at(self._place)
        self._text, self._place = "".join(parts), 0
        self._escapes = "\\ud" in self._text or "\\uD" in self._text
        return True

    def _at(self, place: int) -> tuple[int, int]:
        """The line and the column in the file, from 1, of a place in the window."""
        lines = self._text.count("\n", 0, place)
        if lines:
            return self._line + lines, place - self._text.rfind("\n", 0, place)
        return self._line, self._column + place

    def _malformed(self, why: str, place: int | None = None) -> MalformedJsonError:
        line, column = self._at(self._place if place is None else place)
        return MalformedJsonError(f"{why}: line {line} column {column}")

    def _check_length(self, end: int, path: Path) -> None:
        if end - self._place > MAX_VALUE_CHARACTERS:
            raise _error_at(path, RecordTooLargeError, _TOO_LONG)


def _raise_first_mark(value: Any, path: Path = ()) -> None:
    for where, each in walk(value, path):
        if isinstance(each, _Mark):
            raise _error_at(where, each.error, each.why)


def _check_surrogates(value: Any, path: Path = ()) -> None:
    for where, each in walk(value, path):
        for text in (each, where[-1] if where else ""):
            if isinstance(text, str):
                try:
                    text.encode()
                except UnicodeEncodeError:
                    raise _error_at(
                        where, LoneSurrogateError, "half of a surrogate pair stands alone"
                    ) from None


def _error_at(
    path: Sequence[str | int], error: type[InvalidFileError], why: str
) -> InvalidFileError:
    where = shown(pointer(path)).encode("utf-8", "backslashreplace").decode()
    return error(f'at JSON Pointer "{where}": {why}')


def _not_parsed(
    error: json.JSONDecodeError | RecursionError,
    text: str,
    start: int,
    depth: int,
    at: Callable[[int], tuple[int, int]],
) -> InvalidFileError:
    """Why the value at `start` could not be parsed; `depth` levels are around it.

    How deep the parser goes depends on the interpreter and its recursion limit. What is deeper
    than PARSER_DEPTH and fails is too deep, whichever of them stopped it.
    """
    end = error.pos if isinstance(error, json.JSONDecodeError) else len(text)
    for match in _STRUCTURE.finditer(text, start, end):
        token = match.group()
        depth += (token in "[{") - (token in "]}")
        if depth > PARSER_DEPTH:
            line, column = at(match.start())
            return NestingError(
                f"more than {PARSER_DEPTH} levels are nested at line {line} column {column}"
            )
    if isinstance(error, json.JSONDecodeError):
        line, column = at(error.pos)
        return MalformedJsonError(f"{error.msg}: line {line} column {column}")
    return NestingError("the nesting is too deep to be parsed")
