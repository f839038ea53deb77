"""moto's transactions, without what makes them slow.

moto 5.2.5 copies a table, with all its items, for every action of a transaction, to go back to it
when one fails: a write of 300 items took 20 seconds. A copy here holds the items themselves, and
an update replaces the item that it changes.

It also counts the clauses of an update, and looks for paths that overlap, in each part of the
expression anew, and looks for each type that a value of an answer may have under six names. Both
together took half of the time of a commit.
"""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from moto.core.serialize import ResponseSerializer
from moto.dynamodb import models
from moto.dynamodb.models import DynamoDBBackend
from moto.dynamodb.models.dynamo_type import DynamoType
from moto.dynamodb.models.table import Table
from moto.dynamodb.parsing import validators


def _copied(value: Any) -> Any:
    """A table to go back to; a deep copy of everything else."""
    if not isinstance(value, Table):
        return copy.deepcopy(value)
    table = copy.copy(value)
    held: Any = {
        partition: dict(items) if isinstance(items, dict) else items
        for partition, items in value.items.items()
    }
    table.items = defaultdict(dict, held)
    return table


@contextmanager
def quick_transactions() -> Iterator[None]:
    """Within it, a transaction on moto copies no items but those that it updates."""
    update = DynamoDBBackend.update_item

    def update_item(self: Any, table_name: str, key: Any, *args: Any, **more: Any) -> Any:
        table = self.get_table(table_name)
        partition, sort = DynamoType(key[table.hash_key_attr]), table.range_key_attr
        place = table.items.get(partition, {}) if sort else table.items
        name = DynamoType(key[sort]) if sort else partition
        if name in place:
            place[name] = copy.deepcopy(place[name])
        return update(self, table_name, key, *args, **more)

    def traverse_root(self: Any, node: Any) -> Any:
        """What holds for an update as a whole holds for its parts."""
        return self.process(node)

    get_value: Any = ResponseSerializer.get_value

    def value(self: Any, value: Any, key: str, shape: Any) -> Any:
        of = getattr(shape, "parent", None)
        if of is not None and of.name == "AttributeValue" and type(value) is dict:
            return value.get(key)
        return get_value(self, value, key, shape)

    with (
        patch.object(validators.ActionCountValidator, "traverse", traverse_root),
        patch.object(validators.OverlappingPathsValidator, "traverse", traverse_root),
        patch.object(ResponseSerializer, "get_value", value),
        patch.object(models, "copy", SimpleNamespace(deepcopy=_copied)),
        patch.object(DynamoDBBackend, "update_item", update_item),
    ):
        yield
