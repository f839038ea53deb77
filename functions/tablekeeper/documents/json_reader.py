"""The records of JSON: of one value, or of several that stand one after another."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from tablekeeper.documents.json_stream import Document
from tablekeeper.documents.likeness import ENCODED_TWICE, is_encoded_twice
from tablekeeper.documents.pointers import Path
from tablekeeper.documents.value import Value
from tablekeeper.errors import DocumentShapeError, FileFormatError

FIELD, MEMBERS, VALUES = "field", "members", "values"


@dataclass(frozen=True)
class Location:
    """Where the records of a document are: what stands behind these fields, or (MEMBERS, VALUES)
    the members of the object there, as JMESPath's `x.*` and `values(x)` give them. `text` is for
    messages.

    With `select` the document is held whole, and the function gives its records.

    `around` has the paths of the fields beside the records' own path that the records come with.
    """

    fields: tuple[str, ...] = ()
    kind: str = FIELD
    text: str = ""
    select: Callable[[Any], Any] | None = None
    around: frozenset[tuple[str, ...]] = frozenset()


WHOLE = Location()


def read_json(text: Iterable[str], location: Location = WHOLE) -> Iterator[Value]:
    """What may be records in a file of JSON values. Each is a document of its own: an array holds
    records, every other value is one; or they are where the location says.

    Fields around the records cost nothing where they stand before them. For fields behind them the
    text is read a second time, beside the first, so it must be one that can be iterated twice.

    Raises:
        InvalidFileError: the text cannot be read exactly, or a document has nothing there.
    """
    document = Document(text)
    document.begin()
    if document.looks_like_csv():
        raise FileFormatError("the file looks like CSV: set `format` to csv in its dataset")
    ahead = _Ahead(text, location)
    while document.next_document():
        reader = _Reader(document, location, ahead)
        has_records = yield from reader.records()
        if location.text and not has_records:
            raise document.placed(
                DocumentShapeError(f'"{location.text}" finds nothing in the document{reader.hint}')
            )
        ahead.passed += 1


class _Reader:
    """Reads one document."""

    def __init__(self, document: Document, location: Location, ahead: _Ahead | None) -> None:
        self.document, self.location, self.ahead = document, location, ahead
        self.around: dict[str, Any] = {}
        self.missing = set(location.around)
        self.hint = ""

    def records(self) -> Generator[Value, None, bool]:
        """Whether there were any, or an empty array or object for them."""
        if self.location.select:
            return (yield from self._selected(self.location.select))
        return (yield from self._behind((), self.location.fields))

    def _selected(self, select: Callable[[Any], Any]) -> Generator[Value, None, bool]:
        line, value = self.document.line, self._value(()).value
        around = value if isinstance(value, dict) else None
        selected = select(value)
        if isinstance(selected, list):
            for each in selected:
                yield Value(each, line, None, around)
        elif selected is not None:
            yield Value(selected, line, None, around)
        return selected is not None

    def _behind(self, path: Path, fields: tuple[str, ...]) -> Generator[Value, None, bool]:
        """What stands behind these fields of the value that comes next, which is read to its end;
        whether anything does. As in JMESPath, null is nothing.
        """
        document, has_records = self.document, False
        begins = document.peek()
        if fields and begins == "{":
            for key in document.members(path):
                if key == fields[0]:
                    has_records = yield from self._behind((*path, key), fields[1:])
                else:
                    value = document.value((*path, key))
                    if (*path, key) in self.missing:
                        self._keep((*path, key), value)
            return has_records
        if not fields and self.location.kind != FIELD:
            return (yield from self._members(path))
        if begins == "[":
            around = None if fields else self._all_around()
            for element in document.elements(path):
                if not fields:
                    wanted = self.location.around
                    yield element._replace(document=around) if wanted else element
                elif element.error:
                    raise element.error
            return not fields
        value = self._value(path, or_error=not fields)
        if fields or (path and value.value is None and not value.error):
            return False
        yield value._replace(document=self._all_around(), is_file=not path)
        return True

    def _members(self, path: Path) -> Generator[Value, None, bool]:
        document, nulls = self.document, self.location.kind == VALUES
        if document.peek() != "{":
            self._value(path)
            return False
        around = self._all_around()
        for key in document.members(path):
            member = document.value_or_error((*path, key))
            if nulls or member.value is not None or member.error:
                yield member._replace(name=key, document=around)
        return True

    def _value(self, path: Path, *, or_error: bool = False) -> Value:
        """What comes next. Raises its error, too, unless it may come with it."""
        value = self.document.value_or_error(path)
        if value.error and not or_error:
            raise value.error
        if not path and not value.error and not isinstance(value.value, dict | list):
            self.document.check_behind()
            self.hint = ENCODED_TWICE if is_encoded_twice(value.value) else ""
        return value

    def _keep(self, path: tuple[Any, ...], value: Any) -> None:
        self.missing.remove(path)
        inner = self.around
        for step in path[:-1]:
            inner = inner.setdefault(step, {})
        inner[path[-1]] = value

    def _all_around(self) -> dict[str, Any]:
        """The fields around the records, those that stand behind this place, too."""
        if self.missing and self.ahead:
            self.around = self.ahead.around()
        return self.around


class _Ahead:
    """A second reading of the text, for the fields that stand behind the records."""

    def __init__(self, text: Iterable[str], location: Location) -> None:
        self.text, self.location = text, location
        self.passed = self._read = 0
        self._document: Document | None = None
        self._under_way: Iterator[Value] = iter(())

    def around(self) -> dict[str, Any]:
        """The fields around the records of the document behind those that were passed."""
        self._document = self._document or Document(self.text)
        while True:
            for _ in self._under_way:  # what is left of the one before
                pass
            self._document.next_document()
            reader = _Reader(self._document, self.location, None)
            self._under_way = reader.records()
            self._read += 1
            if self._read > self.passed:
                break
        for _ in self._under_way:
            if not reader.missing:
                break
        return reader.around
