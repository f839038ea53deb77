"""The standard library's JSON parser with hooks that keep values exact.

The hooks leave a mark where a value cannot be kept exactly. Only a value with a mark is walked for
the JSON Pointer (RFC 6901) to it, so good documents cost no time for error messages.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from tablekeeper.documents.numbers import DIGITS, OutOfRangeError, parse_number
from tablekeeper.documents.pointers import Path, pointer, shown, walk
from tablekeeper.errors import (
    DuplicateJsonKeyError,
    InvalidFileError,
    LoneSurrogateError,
    MalformedJsonError,
    NestingError,
    NonFiniteNumberError,
    NumberRangeError,
)

PARSER_DEPTH = 500

TWICE = "the key stands twice in its object"
SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")
_STRUCTURE = re.compile(r'"(?:[^"\\]++|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)
"""A string may be cut off by an error in it. It is never tried twice: its escaped quotes would
begin strings of their own, and each would be read to the end.
"""


@dataclass(frozen=True)
class Mark:
    """Stands in a parsed value where a part could not be kept."""

    error: type[InvalidFileError]
    why: str


class Parser:
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

    def _mark(self, error: type[InvalidFileError], why: str) -> Mark:
        self.marked = True
        return Mark(error, why)

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
                    value[key] = self._mark(DuplicateJsonKeyError, TWICE)
                seen.add(key)
        return value


def raise_first_mark(value: Any, path: Path = ()) -> None:
    for where, each in walk(value, path):
        if isinstance(each, Mark):
            raise error_at(where, each.error, each.why)


def check_surrogates(value: Any, path: Path = ()) -> None:
    for where, each in walk(value, path):
        for text in (each, where[-1] if where else ""):
            if isinstance(text, str):
                try:
                    text.encode()
                except UnicodeEncodeError:
                    raise error_at(
                        where, LoneSurrogateError, "half of a surrogate pair stands alone"
                    ) from None


def error_at(
    path: Sequence[str | int], error: type[InvalidFileError], why: str
) -> InvalidFileError:
    where = shown(pointer(path)).encode("utf-8", "backslashreplace").decode()
    return error(f'at JSON Pointer "{where}": {why}', pointer=where)


def not_parsed(
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
                f"more than {PARSER_DEPTH} levels are nested at line {line} column {column}",
                line=line,
                column=column,
            )
    if isinstance(error, json.JSONDecodeError):
        line, column = at(error.pos)
        said = f"{error.msg}: line {line} column {column}{unseen(text, error.pos)}"
        return MalformedJsonError(said, line=line, column=column)
    return NestingError("the nesting is too deep to be parsed")


def unseen(text: str, place: int) -> str:
    """Names the character at a place where no editor shows it, such as NUL or a no-break space."""
    character = text[place : place + 1]
    if character.isprintable() or character in "\t\n\r":
        return ""
    return f" (the character there is U+{ord(character):04X})"
