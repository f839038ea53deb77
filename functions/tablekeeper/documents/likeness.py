"""What text that holds no records looks like, for the sentences of errors."""

from __future__ import annotations

import json
import re
from typing import Any

HEAD_CHARACTERS = 4096
"""How much of a text is looked at."""

ENCODED_TWICE = " (was its JSON encoded twice?)"

_NO_HEADER = ("{", "[", "//", "/*", "<!", "--")
"""What JSON and comments begin with, and no name of a column; `#date,time` is a header."""

_JSON_BEGINS = re.compile(r'^[ \t]*+(\[\s*+[\[{"]|\{\s*+")', re.MULTILINE)
"""A line where records begin behind what a program put before them: a comment, a guard."""

_CELL = re.compile(r' *+(?:"(?:[^"]|"")*+(?:"[ \r]*+|\Z)|[^",;\t\n]*+)([,;\t\n]|\Z)')
_NAME = re.compile(r"\w")
_PLAIN_NAME = re.compile(r'"?\w[\w ./()-]*+"?\s*+[,;]?')


def looks_like_csv(head: str) -> bool:
    """Whether a text begins with a row of CSV, two of whose cells say something."""
    if head.lstrip().startswith(_NO_HEADER):
        return False
    names, place, is_plain = 0, 0, True
    while cell := _CELL.match(head, place):
        place = cell.end()
        names += bool(_NAME.search(cell.group()))
        is_plain = is_plain and bool(_PLAIN_NAME.fullmatch(cell.group()))
        if cell[1] in ("\n", ""):
            goes_on = head[cell.start() : place].strip()[-1:] in ("[", "{", "(")
            return names > 1 and not goes_on and (is_plain or not _JSON_BEGINS.search(head, place))
    return False


def is_encoded_twice(value: Any) -> bool:
    """Whether a value is a string that holds an object, an array or a string in JSON."""
    if not isinstance(value, str):
        return False
    try:
        return isinstance(json.loads(value), dict | list | str)
    except (ValueError, RecursionError):
        return False
