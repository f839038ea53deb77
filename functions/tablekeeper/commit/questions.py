"""Checks of the items that a large write replaces, made before the first of them is replaced: after
that, the earlier version cannot be kept whole.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from tablekeeper import aws
from tablekeeper.aws import transient_errors
from tablekeeper.commit import lanes
from tablekeeper.commit.conflicts import conflict
from tablekeeper.commit.digests import described
from tablekeeper.commit.lanes import Action
from tablekeeper.commit.patience import patiently
from tablekeeper.commit.plan import Plan
from tablekeeper.commit.transaction import FileTransactions
from tablekeeper.errors import ItemRejectedError, StagedSetMissingError
from tablekeeper.ledger.reads import read_owners
from tablekeeper.model.items import AttributeValue
from tablekeeper.model.keys import ItemKey
from tablekeeper.staging import partitioned_lines
from tablekeeper.staging.partitioned_lines import read_object

BATCH = 100
"""https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html"""
INDEX_KEY_BYTES = {"HASH": 2048, "RANGE": 1024}
"""https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html"""


class Questions:
    """Checks every item that a plan replaces: its owner, and whether each index of the table can
    hold it. Raises ClientError where the table may not be described: what cannot be asked is not
    replaced.

    How many batches of a lane are answered can be kept below the claim's own list, for the attempt
    that goes on: a table that throttles may take longer than a function has. It counts for the same
    table and the same list of the row, by which what is replaced is found.
    """

    def __init__(self, file: FileTransactions, plan: Plan, old: str | None) -> None:
        self.file, self.plan = file, plan
        self.indexes = list(_index_keys(described(file.tables)))
        self.place = f"{plan.own}/asked.json"
        self.basis = [file.tables.items, old, BATCH, lanes.LANES]
        self.answered = [0] * lanes.LANES

    def ask(self) -> None:
        """Raises KeyOwnershipError, ItemRejectedError and UnfinishedWriteError."""
        self._go_on()
        lanes.in_parallel([partial(self._lane, number) for number in range(lanes.LANES)])

    def keep(self) -> None:
        """For the attempt that goes on. Raises TransientServiceError."""
        kept = json.dumps({"basis": self.basis, "answered": self.answered})
        with transient_errors():
            aws.s3().put_object(
                Bucket=self.file.tables.staging_bucket, Key=self.place, Body=kept.encode()
            )

    def _lane(self, number: int) -> None:
        answered = self.answered[number]
        for count, keys in enumerate(self._batches(number), 1):
            if count > answered:
                self._ask_owners(keys)
                self.answered[number] = count

    def _batches(self, number: int) -> Iterator[list[ItemKey]]:
        batch: list[ItemKey] = []
        for partition in range(number, partitioned_lines.PARTITIONS, lanes.LANES):
            for action in self.plan.replaced(partition):
                batch.append(self._held(action))
                if len(batch) == BATCH:
                    yield batch
                    batch = []
        if batch:
            yield batch

    def _go_on(self) -> None:
        try:
            kept = json.loads(read_object(self.file.tables.staging_bucket, self.place))
        except StagedSetMissingError:
            return
        if kept["basis"] == self.basis:
            self.answered = kept["answered"]

    def _held(self, action: Action) -> ItemKey:
        key, item, _ = action
        for index, name, kind, role in self.indexes:
            why = _refusal((item or {}).get(name), kind, INDEX_KEY_BYTES[role])
            if why:
                raise ItemRejectedError(
                    f'DynamoDB refuses item {key.text}: its attribute "{name}" {why}, and is a key '
                    f"of the index {index}"
                )
        return key

    def _ask_owners(self, keys: Sequence[ItemKey]) -> None:
        tables = self.file.tables
        read = partial(read_owners, tables.client, tables.items, tables.table_key, keys)
        owners = patiently(self.file.uri, self.file.remaining, read)
        taken = [(key, owner) for key, owner in owners.items() if owner != self.file.uri]
        if taken:
            raise conflict(taken)


def _index_keys(table: Mapping[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    """Index, attribute, type and role of each key of each index."""
    kinds = {
        each["AttributeName"]: each["AttributeType"]
        for each in table.get("AttributeDefinitions", ())
    }
    for kind in ("GlobalSecondaryIndexes", "LocalSecondaryIndexes"):
        for index in table.get(kind) or ():
            for each in index["KeySchema"]:
                name = each["AttributeName"]
                yield index["IndexName"], name, kinds[name], each["KeyType"]


def _refusal(value: AttributeValue | None, kind: str, most: int) -> str:
    """Why an index cannot hold an attribute with this value; "" where it can. An item without the
    attribute is in no index.
    """
    if value is None:
        return ""
    ((actual, content),) = value.items()
    if actual != kind:
        return f"has the type {actual}, not {kind}"
    if kind == "N":
        return ""
    size = len(content.encode()) if kind == "S" else len(content) // 4 * 3 - content.count("=")
    if not size:
        return "is empty"
    return f"has {size:,} bytes, more than {most:,}" if size > most else ""
