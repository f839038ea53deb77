"""DynamoDB JSON, as ExportTable and a scan write it, as plain JSON that keeps DynamoDB's types.

To a schema and to expressions, a set is a list and binary is text (base64). A value that an
expression takes over unchanged keeps its type.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator
from typing import Any

from tablekeeper.documents.json_parser import error_at
from tablekeeper.documents.json_stream import Document
from tablekeeper.documents.likeness import ENCODED_TWICE, is_encoded_twice
from tablekeeper.documents.numbers import OutOfRangeError, parse_number
from tablekeeper.documents.pointers import Path, shown
from tablekeeper.documents.value import Value
from tablekeeper.errors import (
    DocumentShapeError,
    InvalidFileError,
    NestingError,
    NumberRangeError,
)

ITEM, ITEMS = "Item", "Items"
_WHERE = '"Item", as in an export, or "Items", as in a scan'
MAX_DEPTH = 40
"""How many levels of an attribute are followed; DynamoDB has 32."""
_STEPS_OF_A_LEVEL = 2  # the type, and the place in it

_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")


class Binary(str):
    """Bytes in base64."""

    __slots__ = ()


class StringSet(list[str]):
    """A set of strings."""

    __slots__ = ()


class NumberSet(list[Any]):
    """A set of numbers."""

    __slots__ = ()


class BinarySet(list[str]):
    """A set of bytes in base64."""

    __slots__ = ()


TYPES = {"B": Binary, "SS": StringSet, "NS": NumberSet, "BS": BinarySet}


def read_dynamodb_json(text: Iterable[str]) -> Iterator[Value]:
    """The items of JSON values that stand one after another: each has an `Item`, as in an export,
    or `Items`, as in the output of a scan, which is read as a stream.

    Raises:
        InvalidFileError: the text cannot be read exactly, or holds something else.
    """
    document = Document(text)
    while document.next_document():
        line, has_item = document.line, False
        if document.peek() != "{":
            hint = ENCODED_TWICE if is_encoded_twice(document.value()) else ""
            document.check_behind()
            no_object = DocumentShapeError(f"the value is no object with {_WHERE}{hint}")
            yield Value(None, line, error=document.placed(no_object))
            continue
        names = list[str]()
        for name in document.members():
            names.append(name)
            if name == ITEMS and document.peek() == "[":
                has_item = True
                for number, item in enumerate(document.elements((ITEMS,))):
                    yield _item(document, item, (ITEMS, number))
            elif name == ITEM:
                has_item = True
                item = document.value_or_error((ITEM,))
                yield _item(document, item._replace(line=line), (ITEM,))
            else:
                document.value((name,))
        if not has_item:
            no_item = DocumentShapeError(_no_item(names))
            yield Value(None, line, error=document.placed(no_item))


def _no_item(names: list[str]) -> str:
    if "NewImage" in names or "OldImage" in names or "Keys" in names:
        return "this is an incremental export; a file has to have whole items: make a full export"
    return f"the object has no {_WHERE}"


def _item(document: Document, element: Value, path: Path) -> Value:
    if element.error:
        return element
    try:
        if not isinstance(element.value, dict):
            raise _wrong(path, "an item is an object")
        deepest = len(path) + 1 + MAX_DEPTH * _STEPS_OF_A_LEVEL
        plain = {
            name: _plain(value, (*path, name), deepest) for name, value in element.value.items()
        }
    except InvalidFileError as error:
        return element._replace(value=None, error=document.placed(error))
    return element._replace(value=plain)


def _wrong(path: Path, why: str) -> InvalidFileError:
    return error_at(path, DocumentShapeError, why)


def _plain(value: Any, path: Path, deepest: int) -> Any:
    """The plain value of an attribute value, whose path may have so many steps."""
    if not isinstance(value, dict) or len(value) != 1:
        raise _wrong(path, 'this is no DynamoDB JSON, which has one type, as in {"S": "text"}')
    ((kind, content),) = value.items()
    inner = (*path, kind)
    if kind == "S" and isinstance(content, str):
        return content
    if kind == "N":
        return _number(content, inner)
    if kind == "BOOL" and isinstance(content, bool):
        return content
    if kind == "NULL" and content is True:
        return None
    if kind == "B":
        return Binary(_base64(content, inner))
    if len(inner) > deepest:
        raise error_at(path, NestingError, f"nested deeper than {MAX_DEPTH} levels")
    if kind == "M" and isinstance(content, dict):
        return {name: _plain(each, (*inner, name), deepest) for name, each in content.items()}
    if kind == "L" and isinstance(content, list):
        return [_plain(each, (*inner, place), deepest) for place, each in enumerate(content)]
    if kind in ("SS", "NS", "BS") and isinstance(content, list):
        return _set(kind, content, inner)
    raise _wrong(path, f'"{shown(kind)}" is no type of DynamoDB, or has a value of another type')


def _number(content: Any, path: Path) -> Any:
    if not isinstance(content, str) or not _NUMBER.fullmatch(content):
        raise _wrong(path, "this is no number in DynamoDB JSON, which is text")
    try:
        return parse_number(content.removeprefix("+"))
    except OutOfRangeError as error:
        why = f"DynamoDB cannot hold the number: {error}"
        raise error_at(path, NumberRangeError, why) from None


def _base64(content: Any, path: Path) -> str:
    """In one spelling: the last character may have bits without meaning."""
    try:
        return base64.b64encode(base64.b64decode(content, validate=True)).decode()
    except (TypeError, ValueError):
        raise _wrong(path, "this is no base64") from None


def _set(kind: str, content: list[Any], path: Path) -> Any:
    """In one order, whatever order DynamoDB wrote it in: equal sets are equal lists."""
    if not content:
        raise _wrong(path, "DynamoDB has no empty sets")
    if kind == "NS":
        values = sorted(_number(each, path) for each in content)
    elif kind == "BS":
        values = sorted((_base64(each, path) for each in content), key=base64.b64decode)
    elif all(isinstance(each, str) for each in content):
        values = sorted(content, key=str.encode)
    else:
        raise _wrong(path, "a set of strings holds something else")
    if len(set(values)) < len(values):
        raise _wrong(path, "a set has one value twice")
    return TYPES[kind](values)
