"""The settings of each function, from its environment; the template sets exactly these variables.

They are no dataclasses: making the methods of ten took a twentieth of a cold start.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Self, dataclass_transform

from tablekeeper.errors import ConfigurationError
from tablekeeper.model.keys import TableKey


@dataclass_transform(kw_only_default=True, frozen_default=True)
class Settings:
    """Base: each field is read from the environment variable of the same name in capitals."""

    def __init__(self, **values: Any) -> None:
        vars(self).update(values)

    @classmethod
    def types(cls) -> dict[str, str]:
        """The types of the fields by their names, both as text."""
        return {
            name: kind
            for each in reversed(cls.__mro__)
            for name, kind in getattr(each, "__annotations__", {}).items()
        }

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Self:
        """Raises ConfigurationError when a variable is missing or is not of its field's type."""
        environment = os.environ if environment is None else environment
        values: dict[str, Any] = {}
        for field, kind in cls.types().items():
            name = field.upper()
            text = environment.get(name)
            if text is None:
                raise ConfigurationError(f"environment variable {name} is not set")
            try:
                values[field] = (
                    TableKey.parse(text)
                    if kind == "TableKey"
                    else int(text)
                    if kind == "int"
                    else text
                )
            except ValueError as error:
                raise ConfigurationError(f'{name} is "{text}": {error}') from error
        return cls(**values)


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


class ValidateSettings(Settings):
    """Of Validate Records. The last two are in the digest that Fetch Object gives."""

    staging_bucket: str
    max_document_bytes: int
    item_keys: TableKey
    ttl_attribute: str


class TransformSettings(Settings):
    """Of Transform Records."""

    staging_bucket: str
    item_keys: TableKey
    ttl_attribute: str
    max_document_bytes: int


class WriteSettings(Settings):
    """Of Write Items. Retention in seconds."""

    ledger_table: str
    items_table: str
    staging_bucket: str
    item_keys: TableKey
    ttl_attribute: str
    audit_retention_seconds: int


class DeleteSettings(Settings):
    """Of Delete Items. Retention in seconds."""

    ledger_table: str
    items_table: str
    staging_bucket: str
    item_keys: TableKey
    audit_retention_seconds: int


class SettleSettings(DeleteSettings):
    """Of Settle Claim. What a claim's digests are bound to has the TTL attribute in it."""

    ttl_attribute: str


class SafetyNetSettings(Settings):
    """Of the safety net. Retention in seconds."""

    ledger_table: str
    audit_retention_seconds: int


class SweepSettings(Settings):
    """Of the sweep. Retention in seconds."""

    ledger_table: str
    items_table: str
    item_keys: TableKey
    audit_retention_seconds: int
    state_machine_arn: str


class SyncObjectsSettings(FetchSettings, ValidateSettings, TransformSettings, WriteSettings):
    """Of Sync Objects, which does what five functions do, and of Sync Orphans."""

    state_machine_arn: str


class ReportDifferencesSettings(Settings):
    """Of Report Differences."""

    source_bucket: str
    ledger_table: str
    staging_bucket: str
