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


def looks_like_csv(head: str) -> bool:
    """Whether a text begins with a row of CSV, two of whose cells say something."""
    if head.lstrip().startswith(_NO_HEADER) or _JSON_BEGINS.search(head):
        return False
    names = place = 0
    while cell := _CELL.match(head, place):
        place = cell.end()
        names += bool(_NAME.search(cell.group()))
        if cell[1] in ("\n", ""):
            return names > 1 and head[cell.start() : place].strip()[-1:] not in ("[", "{", "(")
    return False


def is_encoded_twice(value: Any) -> bool:
    """Whether a value is a string that holds an object, an array or a string in JSON."""
    if not isinstance(value, str):
        return False
    try:
        return isinstance(json.loads(value), dict | list | str)
    except (ValueError, RecursionError):
        return False
