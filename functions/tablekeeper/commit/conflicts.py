"""Conflicts: items that a file needs, and that are not its own."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from tablekeeper.errors import KeyOwnershipError
from tablekeeper.model.keys import ItemKey

OTHERS_CHARACTERS = 2000
"""Of JSON, in the values of a refusal: Step Functions cuts a Cause at 32,768 characters."""


def conflict(found: Iterable[tuple[ItemKey, str | None]]) -> KeyOwnershipError:
    """The refusal for these items, one at least, and the files that they belong to. It says whose
    the first is. Its values have an item of each other file, too, as many as there is room for: by
    them the sweep undoes a knot of many files at once.
    """
    (item, owner), *more = found
    others: list[dict[str, Any]] = []
    room = OTHERS_CHARACTERS
    for file, key in {file: key for key, file in more if file and file != owner}.items():
        one = {"item": key.attributes, "owner": file}
        room -= len(json.dumps(one))
        if room < 0:
            break
        others.append(one)
    return KeyOwnershipError(item, owner, **{"others": others} if others else {})
