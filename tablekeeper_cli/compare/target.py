"""The stack that is compared with its bucket, its settings, and the key of its table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tablekeeper import aws
from tablekeeper.datasets.catalogue import Catalogue
from tablekeeper.model.items import Item
from tablekeeper.model.keys import TableKey
from tablekeeper.settings import FetchSettings

from tablekeeper_cli.compare.items import read_items

if TYPE_CHECKING:
    from tablekeeper_cli.stack import Stack


@dataclass(frozen=True, kw_only=True)
class Target:
    """One stack with the schemas of one folder; it keeps the keys that begin with `key_prefix`."""

    catalogue: Catalogue
    settings: FetchSettings
    items_table: str
    staging_bucket: str
    key_prefix: str = ""

    def read_items(self, keys: Sequence[Mapping[str, Any]]) -> Iterator[Item]:
        """The items of the table with these keys, at most a hundred.

        Raises TransientServiceError.
        """
        return read_items(aws.dynamodb(), self.items_table, keys)


def fetch_settings(stack: Stack) -> FetchSettings:
    """The settings of Fetch Object, from a stack's parameters."""
    parameters = stack.parameters
    return FetchSettings(
        source_bucket=stack.bucket,
        ledger_table=stack.ledger,
        items_table=stack.items,
        ignore_patterns=parameters["IgnorePatterns"],
        key_prefix=parameters.get("KeyPrefix", ""),
        item_keys=table_key(parameters),
        ttl_attribute=parameters["TtlAttribute"],
        max_document_bytes=int(parameters["MaxDocumentBytes"]),
    )


def table_key(parameters: Mapping[str, str]) -> TableKey:
    """The primary key of the items table, by the stack's parameters."""
    text = f"{parameters['PartitionKeyName']}:{parameters['PartitionKeyType']}"
    if parameters["SortKeyName"]:
        text += f",{parameters['SortKeyName']}:{parameters['SortKeyType']}"
    return TableKey.parse(text)
