"""An item before and after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tablekeeper_cli.compare.items import Change

PUT, CHANGED, UNCHANGED, REMOVED, REFUSED = ACTIONS = (
    "put",
    "changed",
    "unchanged",
    "removed",
    "refused",
)
"""What becomes of an item. A refused one belongs to another file, or has the key of another record;
it refuses its whole file.
"""


@dataclass(frozen=True)
class PlannedItem:
    """What becomes of one item. `key`, `item` and the values in `changes` are in DynamoDB JSON.

    `record` is the place of its record in the file, None where it has none any more. `item` is
    given when it is put. A refused item has the `owner` that it belongs to, or None when
    Tablekeeper did not write it; or `also` is the earlier record that has the same key.
    """

    action: str
    key: Mapping[str, Any]
    record: int | None = None
    item: Mapping[str, Any] | None = None
    changes: Sequence[Change] = ()
    owner: str | None = None
    also: int | None = None
