"""JSON Pointers: places in a document, as text for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

PLACE_CHARACTERS = 1000
"""How much of a JSON Pointer stands in a message: the keys in it are as long as a file makes them,
and a message has to fit the answer of a function and a row of the ledger.
"""


Path = tuple[str | int, ...]


def pointer(path: Sequence[str | int]) -> str:
    """The JSON Pointer of a path; the whole document is ""."""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in path)


def value_at(value: Any, where: str) -> Any:
    """The value at a JSON Pointer. Raises KeyError, IndexError, ValueError where there is none."""
    for step in where.split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        value = value[int(name)] if isinstance(value, list) else value[name]
    return value


def shown(where: str) -> str:
    """A JSON Pointer as messages name it, cut where it is very long."""
    return where if len(where) <= PLACE_CHARACTERS else where[:PLACE_CHARACTERS] + "…"


def walk(value: Any, path: Path = ()) -> Iterator[tuple[list[str | int], Any]]:
    """Every value in a document with its path, depth first, without recursion.

    The path is one list, which changes as the walk goes on: a path for each value would take as
    much memory as the value is large times as it is deep.
    """
    steps = list(path)
    yield steps, value
    entered = [_members(value)]
    while entered:
        for step, each in entered[-1]:
            steps.append(step)
            yield steps, each
            if isinstance(each, dict | list):
                entered.append(_members(each))
                break
            steps.pop()
        else:
            entered.pop()
            if entered:
                steps.pop()


def _members(value: Any) -> Iterator[tuple[str | int, Any]]:
    if isinstance(value, dict):
        return iter(value.items())
    return iter(enumerate(value)) if isinstance(value, list) else iter(())
