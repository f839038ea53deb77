"""The tables of a stack, and the bucket where sets wait for them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tablekeeper.aws import dynamodb
from tablekeeper.model.keys import TableKey

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from tablekeeper.settings import DeleteSettings, SweepSettings, WriteSettings


@dataclass(frozen=True)
class Tables:
    """Where commits go. audit_retention in seconds. `joint`, where it is given, makes the
    transactions, with the contract of `transact`.
    """

    client: DynamoDBClient
    ledger: str
    items: str
    table_key: TableKey
    audit_retention: int
    staging_bucket: str = ""
    ttl_attribute: str = ""
    joint: Callable[[list[Any]], None] | None = None

    def transact(self, actions: list[Any]) -> None:
        """One transaction. Raises ClientError, and what botocore raises of a connection."""
        if self.joint:
            self.joint(actions)
        else:
            self.client.transact_write_items(TransactItems=actions)

    @classmethod
    def of(cls, settings: WriteSettings | DeleteSettings | SweepSettings) -> Tables:
        """The tables that a function's settings name."""
        return cls(
            client=dynamodb(),
            ledger=settings.ledger_table,
            items=settings.items_table,
            table_key=settings.item_keys,
            audit_retention=settings.audit_retention_seconds,
            staging_bucket=getattr(settings, "staging_bucket", ""),
            ttl_attribute=getattr(settings, "ttl_attribute", ""),
        )
