"""Files that are refused for an item of another file: whether the two still claim one item."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from tablekeeper import aws
from tablekeeper.causes import values_of
from tablekeeper.errors import InvalidFileError, KeyOwnershipError
from tablekeeper.ledger.reads import read_row
from tablekeeper.ledger.rows import Row
from tablekeeper.model.items import owner
from tablekeeper.model.keys import ItemKey, TableKey
from tablekeeper.model.objects import key_of

from tablekeeper_cli.compare.items import read_items
from tablekeeper_cli.compare.target import Target

ItemKeysOf = Callable[[str], Iterable[ItemKey]]
"""The keys of the items that the current content of a file makes, none for one that is gone.
Raises InvalidFileError.
"""


def is_refused_for_an_item(row: Row) -> bool:
    error = (row.problem or {}).get("error", {}).get("S")
    return bool(error == KeyOwnershipError.__name__)


def settled_conflict(target: Target, row: Row, item_keys_of: ItemKeysOf) -> str | None:
    """Why a file that is refused for an item need not be refused any more; None where the two files
    claim one item, or that cannot be found out.

    An owner whose content is bad keeps what it had. One that is itself refused for an item may have
    given this one up, so its current content is read.
    """
    if not row.problem or not is_refused_for_an_item(row):
        return None
    values = values_of(row.problem["cause"]["S"])
    named = values.get("owner")
    if not named or "item" not in values:
        return None
    table_key: TableKey = target.settings.item_keys
    key = ItemKey.of(values["item"])
    if not table_key.fits(key):
        return f"it is refused for an item of another key than {table_key}"
    held = next(read_items(aws.dynamodb(), target.items_table, [key.attributes]), {})
    if owner(held) != named:
        return f"it is refused for an item that is no longer that of {named}"
    if not is_refused_for_an_item(read_row(aws.dynamodb(), target.settings.ledger_table, named)):
        return None
    try:
        if key in item_keys_of(key_of(named)):
            return None
    except InvalidFileError:
        return None
    return f"it is refused for an item that the content of {named} no longer has"
