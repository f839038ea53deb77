"""The settings of a deployed stack, and the key of its table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from tablekeeper.model.keys import TableKey
from tablekeeper.settings import FetchSettings

if TYPE_CHECKING:
    from tablekeeper_cli.stack import Stack


def fetch_settings(stack: Stack) -> FetchSettings:
    """What a stack's parameters tell Fetch Object."""
    parameters = stack.parameters
    return FetchSettings(
        source_bucket=stack.bucket,
        ledger_table=stack.ledger,
        ignore_patterns=parameters["IgnorePatterns"],
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
