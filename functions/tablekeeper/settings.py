"""The settings of each function, from its environment; the template sets exactly these variables.

No class has a comparison or a repr: building them would take a part of each cold start.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Self

from tablekeeper.errors import ConfigurationError
from tablekeeper.model.keys import TableKey


@dataclass(frozen=True, eq=False, repr=False)
class Settings:
    """Base: each field is read from the environment variable of the same name in capitals."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Self:
        """Raises ConfigurationError when a variable is missing or is not of its field's type."""
        environment = os.environ if environment is None else environment
        values: dict[str, object] = {}
        for field in fields(cls):
            name = field.name.upper()
            text = environment.get(name)
            if text is None:
                raise ConfigurationError(f"environment variable {name} is not set")
            try:
                values[field.name] = (
                    TableKey.parse(text)
                    if field.type == "TableKey"
                    else int(text)
                    if field.type == "int"
                    else text
                )
            except ValueError as error:
                raise ConfigurationError(f'{name} is "{text}": {error}') from error
        return cls(**values)


@dataclass(frozen=True, eq=False, repr=False)
class FetchSettings(Settings):
    """Of Fetch Object. Sizes in bytes; ignore_patterns are globs, comma separated; keys that do not
    begin with key_prefix are ignored as well.
    """

    source_bucket: str
    ledger_table: str
    items_table: str
    ignore_patterns: str
    key_prefix: str
    item_keys: TableKey
    ttl_attribute: str
    max_document_bytes: int


@dataclass(frozen=True, eq=False, repr=False)
class ValidateSettings(Settings):
    """Of Validate Records. The last two are in the digest that Fetch Object gives."""

    staging_bucket: str
    max_document_bytes: int
    item_keys: TableKey
    ttl_attribute: str


@dataclass(frozen=True, eq=False, repr=False)
class TransformSettings(Settings):
    """Of Transform Records."""

    staging_bucket: str
    item_keys: TableKey
    ttl_attribute: str
    max_document_bytes: int


@dataclass(frozen=True, eq=False, repr=False)
class WriteSettings(Settings):
    """Of Write Items. Retention in seconds."""

    ledger_table: str
    items_table: str
    staging_bucket: str
    item_keys: TableKey
    ttl_attribute: str
    audit_retention_seconds: int


@dataclass(frozen=True, eq=False, repr=False)
class DeleteSettings(Settings):
    """Of Delete Items. Retention in seconds."""

    ledger_table: str
    items_table: str
    staging_bucket: str
    item_keys: TableKey
    audit_retention_seconds: int


@dataclass(frozen=True, eq=False, repr=False)
class SettleSettings(DeleteSettings):
    """Of Settle Claim."""


@dataclass(frozen=True, eq=False, repr=False)
class SafetyNetSettings(Settings):
    """Of the safety net. Retention in seconds."""

    ledger_table: str
    audit_retention_seconds: int


@dataclass(frozen=True, eq=False, repr=False)
class SweepSettings(Settings):
    """Of the sweep. Retention in seconds."""

    ledger_table: str
    items_table: str
    item_keys: TableKey
    audit_retention_seconds: int
    state_machine_arn: str


@dataclass(frozen=True, eq=False, repr=False)
class SyncObjectsSettings(FetchSettings, ValidateSettings, TransformSettings, WriteSettings):
    """Of Sync Objects, which does what five functions do, and of Sync Orphans."""

    state_machine_arn: str


@dataclass(frozen=True, eq=False, repr=False)
class ReportDifferencesSettings(Settings):
    """Of Report Differences."""

    source_bucket: str
    ledger_table: str
    staging_bucket: str
