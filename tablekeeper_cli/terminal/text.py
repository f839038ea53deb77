"""Text from files, such as keys and values, made fit for a terminal."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

LONGEST = 200
_HALF_OF_A_PAIR = re.compile("[\ud800-\udfff]")


def printable(text: str, longest: int | None = None) -> str:
    r"""The text with what is not printable written as in Python (`\x1b`), and cut behind `longest`
    characters, so that no file can control a terminal.
    """
    if longest is not None and len(text) > longest:
        text = text[:longest] + "…"
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in text
    )


def is_utf8(text: str) -> bool:
    """Whether UTF-8 can hold the text: an argument of other bytes has halves of surrogate pairs."""
    return not _HALF_OF_A_PAIR.search(text)


def clean(text: str) -> str:
    """The text, fit for a terminal: what does not print is escaped, line breaks stay."""
    return "\n".join(map(printable, text.split("\n")))


def json_line(value: Any) -> str:
    """A value as JSON, cut behind LONGEST characters; `nothing` for None."""
    return "nothing" if value is None else printable(json.dumps(value, ensure_ascii=False), LONGEST)


def json_text(
    value: Any, *, indent: int | None = None, default: Callable[[Any], Any] | None = None
) -> str:
    """A value as JSON that UTF-8 can hold: half of a surrogate pair, which the input of an
    execution may have, is an escape.
    """
    text = json.dumps(value, indent=indent, default=default, ensure_ascii=False)
    return _HALF_OF_A_PAIR.sub(lambda half: f"\\u{ord(half[0]):04x}", text)


def nested(text: str | None) -> Any:
    """The value of an object or an array in JSON; any other text as it is.

    A number that a binary float does not hold stays text, so that no digit is lost.
    """
    if not text or text.lstrip()[:1] not in ("{", "["):
        return text

    def number(digits: str) -> float | str:
        return float(digits) if repr(float(digits)) == digits else digits

    try:
        return json.loads(text, parse_float=number, parse_constant=str)
    except (ValueError, RecursionError):
        return text
