"""Documents: bytes to text to exact JSON values.

`json` does the parsing; its hooks leave a mark where a value cannot be kept exactly, and only when
there is a mark is the document walked for the JSON Pointer (RFC 6901) to it, so that good documents
pay nothing for good error messages.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tablekeeper.errors import (
    DocumentTooLargeError,
    DuplicateJsonKeyError,
    EmptyFileError,
    EncodingError,
    InvalidFileError,
    LoneSurrogateError,
    MalformedJsonError,
    NestingError,
    NonFiniteNumberError,
    NumberRangeError,
)
from tablekeeper.exact_numbers import OutOfRangeError, parse_number

GZIP_MAGIC = b"\x1f\x8b"
BYTE_ORDER_MARK = "\ufeff"
PARSER_DEPTH = 500
_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")
_STRUCTURE = re.compile(r'"(?:[^"\\]|\\.)*"|[\[{]|[\]}]', re.DOTALL)


@dataclass(frozen=True)
class _Mark:
    """Stands in a parsed document where a value could not be kept."""

    error: type[InvalidFileError]
    why: str


def pointer(path: tuple[str | int, ...]) -> str:
    """The JSON Pointer of a path; the whole document is ""."""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in path)


def decode(body: bytes, limit: int) -> str:
    """The text of a file of at most `limit` bytes; gzip is told by its first two bytes.

    Raises:
        DocumentTooLargeError: it is larger, or what the gzip holds is.
        EncodingError: not UTF-8, or gzip that is cut or damaged.
    """
    if body.startswith(GZIP_MAGIC):
        body = _gunzip(body, limit)
    if len(body) > limit:
        raise DocumentTooLargeError(f"the file holds more than {limit:,} bytes")
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise EncodingError(
            f"byte {error.start} of the file is not UTF-8 ({error.reason})"
        ) from None


def _gunzip(body: bytes, limit: int) -> bytes:
    parts, length = [], 0
    while body:
        inflater = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        try:
            part = inflater.decompress(body, limit - length + 1)
        except zlib.error:
            raise EncodingError("the file begins as gzip and is damaged") from None
        parts.append(part)
        length += len(part)
        if length > limit:
            raise DocumentTooLargeError(f"the gzip holds more than {limit:,} bytes")
        if not inflater.eof:
            raise EncodingError("the file begins as gzip and is cut short")
        body = inflater.unused_data
    return b"".join(parts)


def parse(text: str) -> Any:
    """The exact value of a JSON document: no number rounded, no key lost, no character changed.

    Raises:
        InvalidFileError: one of its document errors; the message names the place, never the value.
    """
    text = text.removeprefix(BYTE_ORDER_MARK)
    if not text.strip():
        raise EmptyFileError("the file is empty")
    marked = False

    def mark(error: type[InvalidFileError], why: str) -> _Mark:
        nonlocal marked
        marked = True
        return _Mark(error, why)

    def number(literal: str) -> Any:
        try:
            return parse_number(literal)
        except OutOfRangeError as error:
            return mark(NumberRangeError, f"DynamoDB cannot hold the number: {error}")

    def constant(literal: str) -> Any:
        return mark(NonFiniteNumberError, f"{literal} is not a JSON number")

    def pairs(members: list[tuple[str, Any]]) -> dict[str, Any]:
        value = dict(members)
        if len(value) < len(members):
            seen: set[str] = set()
            for key, _ in members:
                if key in seen:
                    value[key] = mark(DuplicateJsonKeyError, "the key stands twice in its object")
                seen.add(key)
        return value

    decoder = json.JSONDecoder(
        parse_float=number, parse_int=number, parse_constant=constant, object_pairs_hook=pairs
    )
    try:
        value = decoder.decode(text)
    except json.JSONDecodeError as error:
        raise MalformedJsonError(f"{error.msg}: line {error.lineno} column {error.colno}") from None
    except RecursionError:
        raise NestingError(_too_deep(text)) from None
    if marked:
        _raise_first_mark(value)
    if _SURROGATE_ESCAPE.search(text):
        _check_surrogates(value)
    return value


def parse_lines(text: str) -> Iterator[tuple[int, Any]]:
    """The values of JSON Lines with their line numbers, from 1; blank lines are passed over.

    Raises:
        InvalidFileError: as `parse`; the message names the line.
    """
    text = text.removeprefix(BYTE_ORDER_MARK)
    if not text.strip():
        raise EmptyFileError("the file is empty")
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                yield number, parse(line)
            except InvalidFileError as error:
                raise type(error)(f"line {number} of the file: {error}") from None


def walk(
    value: Any, path: tuple[str | int, ...] = ()
) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """Every value in a document with its path, depth first, without recursion."""
    stack = [(path, value)]
    while stack:
        path, value = stack.pop()
        yield path, value
        if isinstance(value, dict):
            stack += [((*path, key), member) for key, member in reversed(value.items())]
        elif isinstance(value, list):
            stack += [((*path, index), value[index]) for index in range(len(value) - 1, -1, -1)]


def _raise_first_mark(document: Any) -> None:
    for path, value in walk(document):
        if isinstance(value, _Mark):
            raise value.error(f'at JSON Pointer "{pointer(path)}": {value.why}')


def _check_surrogates(document: Any) -> None:
    for path, value in walk(document):
        for text in (value, path[-1] if path else ""):
            if isinstance(text, str):
                try:
                    text.encode()
                except UnicodeEncodeError:
                    where = pointer(path).encode("ascii", "backslashreplace").decode()
                    raise LoneSurrogateError(
                        f'at JSON Pointer "{where}": half of a surrogate pair stands alone'
                    ) from None


def _too_deep(text: str) -> str:
    depth = 0
    for match in _STRUCTURE.finditer(text):
        token = match.group()
        depth += (token in "[{") - (token in "]}")
        if depth > PARSER_DEPTH:
            line = text.count("\n", 0, match.start()) + 1
            column = match.start() - text.rfind("\n", 0, match.start())
            return f"more than {PARSER_DEPTH} levels are nested at line {line} column {column}"
    return "the nesting is too deep to be parsed"
