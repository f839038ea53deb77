"""What the transactions of small and of large commits have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tablekeeper.aws import dynamodb, transient_errors
from tablekeeper.errors import (
    ItemRejectedError,
    KeyOwnershipError,
    StaleRevisionError,
    TransientServiceError,
)
from tablekeeper.ledger.reads import read_outcome
from tablekeeper.model.execution import Execution
from tablekeeper.model.items import Item, for_client, owner
from tablekeeper.model.keys import ItemKey, TableKey
from tablekeeper.model.outcome import Committed
from tablekeeper.model.snapshot import Snapshot
from tablekeeper.settings import DeleteSettings, SweepSettings, WriteSettings

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_CONDITION = "ConditionalCheckFailed"
_OF_THE_TABLE = ("does not match the schema", "Missing the key", "Type mismatch for key")
"""What DynamoDB says of an item whose table has another key schema than the stack says: that is no
fault of the file.
"""


@dataclass(frozen=True)
class Tables:
    """Where commits go. audit_retention in seconds."""

    client: DynamoDBClient
    ledger: str
    items: str
    table_key: TableKey
    audit_retention: int
    staging_bucket: str = ""

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
        )


class CancelledError(Exception):
    """A transaction was cancelled because a condition on one of its ledger rows does not hold."""

    def __init__(self, place: int) -> None:
        super().__init__(place)
        self.place = place


def transact(
    tables: Tables,
    found: Snapshot,
    ledger_rows: Callable[[int], Sequence[Mapping[str, Any]]],
    puts: Mapping[ItemKey, Item] | None = None,
    deletes: Sequence[ItemKey] = (),
) -> list[ItemKey]:
    """One transaction of actions on ledger rows and of items put and deleted; the deleted keys.

    An item that another file has taken over meanwhile is left out of what is deleted, so the
    actions on ledger rows are made from the number of deletions.

    Raises:
        CancelledError: the first ledger row whose condition does not hold, by its place.
        KeyOwnershipError: an item belongs to another file, or Tablekeeper did not write it.
        ItemRejectedError: DynamoDB refuses an item.
        TransientServiceError: a retry helps.
    """
    from botocore.exceptions import ClientError

    puts = puts or {}
    while True:
        first = ledger_rows(len(deletes))
        actions: list[Any] = [
            *first,
            *(_put(tables, found, item) for item in puts.values()),
            *(_delete(tables, found, key) for key in deletes),
        ]
        try:
            with transient_errors():
                tables.client.transact_write_items(TransactItems=actions)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            message = error.response["Error"].get("Message", "")[:200]
            if (
                code == "ValidationException"
                and puts
                and not any(each in message for each in _OF_THE_TABLE)
            ):
                raise ItemRejectedError(f"DynamoDB refuses the items: {message}") from error
            if code != "TransactionCanceledException":
                raise
            taken = why_cancelled(error.response, len(first), list(puts), deletes)
            deletes = [key for key in deletes if key not in taken]
        else:
            return list(deletes)


def why_cancelled(
    response: Any, ledger_rows: int, puts: Sequence[ItemKey], deletes: Sequence[ItemKey]
) -> set[ItemKey]:
    """Which deletions met an item of another file. Raises for every other reason, as `transact`."""
    reasons = response["CancellationReasons"]
    codes = [reason.get("Code", "None") for reason in reasons]
    if _CONDITION in codes[:ledger_rows]:
        raise CancelledError(codes.index(_CONDITION))
    for key, reason in zip(puts, reasons[ledger_rows:], strict=False):
        if reason.get("Code") == _CONDITION:
            raise KeyOwnershipError(key, owner(reason.get("Item", {})))
        if reason.get("Code") == "ValidationError":
            raise ItemRejectedError(
                f"DynamoDB refuses item {key.text}: {reason.get('Message', '')[:200]}"
            )
    last = codes[ledger_rows + len(puts) :]
    taken = {key for key, code in zip(deletes, last, strict=True) if code == _CONDITION}
    if not taken:
        raise TransientServiceError(
            f"TransactWriteItems: {', '.join(sorted(set(codes) - {'None'}))}"
        )
    return taken


def recorded_or_stale(tables: Tables, found: Snapshot, execution: Execution) -> Committed:
    """The outcome that an earlier attempt of this execution recorded; else the row moved under
    somebody else's hand.
    """
    outcome = read_outcome(tables.client, tables.ledger, found.uri, execution)
    if outcome is None:
        raise StaleRevisionError(f"{found.uri} is no longer at revision {found.revision}")
    return Committed(outcome)


def _put(tables: Tables, found: Snapshot, item: Item) -> dict[str, Any]:
    return {
        "Put": {
            "TableName": tables.items,
            "Item": for_client(item),
            **_absent_or_mine(tables, found),
        }
    }


def _delete(tables: Tables, found: Snapshot, key: ItemKey) -> dict[str, Any]:
    return {
        "Delete": {
            "TableName": tables.items,
            "Key": key.attributes,
            **_absent_or_mine(tables, found),
        }
    }


def _absent_or_mine(tables: Tables, found: Snapshot) -> dict[str, Any]:
    return {
        "ConditionExpression": "attribute_not_exists(#key) OR "
        "(#source.#b = :b AND #source.#k = :k)",
        "ExpressionAttributeNames": {
            "#key": tables.table_key.names[0],
            "#source": "_source",
            "#b": "bucket",
            "#k": "key",
        },
        "ExpressionAttributeValues": {":b": {"S": found.bucket}, ":k": {"S": found.key}},
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }
