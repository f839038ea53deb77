"""The commit: items, ledger row and audit row change in one transaction, or not at all.

It is conditional on the ledger row's revision as it was read before the bucket was, so a commit's
view of the bucket is never older than that of the commit before it. docs/architecture.md says why
that makes the table converge.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from tablekeeper.aws import dynamodb, transient_errors
from tablekeeper.errors import (
    ItemKey,
    ItemRejectedError,
    KeyOwnershipError,
    StaleRevisionError,
    TooManyItemsError,
    TransientServiceError,
)
from tablekeeper.found import Execution, Found
from tablekeeper.items import TRANSACTION_ITEMS, Item, item_key, lineage, owner
from tablekeeper.ledger import (
    OBJECT,
    attribute,
    audit_row,
    put_audit_row,
    read_outcome,
    read_row,
    update_row,
)
from tablekeeper.settings import DeleteSettings, SweepSettings, TableKey, WriteSettings

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_CONDITION = "ConditionalCheckFailed"


@dataclass(frozen=True)
class Tables:
    """Where commits go. audit_retention in seconds."""

    client: DynamoDBClient
    ledger: str
    items: str
    table_key: TableKey
    audit_retention: int

    @classmethod
    def of(cls, settings: WriteSettings | DeleteSettings | SweepSettings) -> Tables:
        """The tables that a function's settings name."""
        return cls(
            client=dynamodb(),
            ledger=settings.ledger_table,
            items=settings.items_table,
            table_key=settings.item_keys,
            audit_retention=settings.audit_retention_seconds,
        )


class Committed(NamedTuple):
    """How an execution ended; the counts are None when an earlier attempt had ended it."""

    outcome: str
    items_put: int | None = None
    items_removed: int | None = None

    def payload(self) -> dict[str, Any]:
        """As the execution's output."""
        return self._asdict()


def commit_items(
    tables: Tables, found: Found, execution: Execution, items: Iterable[Item]
) -> Committed:
    """Makes the table hold exactly these items of this file.

    Raises:
        StaleRevisionError: the row moved; read ledger and bucket again.
        KeyOwnershipError: an item belongs to another file, or Tablekeeper did not write it.
        TooManyItemsError: it does not fit one transaction.
        ItemRejectedError: DynamoDB refuses an item.
        TransientServiceError: a retry helps.
    """
    source = lineage(found, execution)
    puts = {item_key(item, tables.table_key): {**item, "_source": source} for item in items}
    return _commit(tables, found, execution, "SYNCED", puts, _object_attributes(found))


def commit_absence(tables: Tables, found: Found, execution: Execution) -> Committed:
    """Removes this file's items: the object is gone (DELETED), or not to be read (IGNORED). Raises
    as `commit_items`.
    """
    outcome = "IGNORED" if found.action == "ignore" else "DELETED"
    return _commit(tables, found, execution, outcome, {}, dict.fromkeys(OBJECT))


def commit_unchanged(tables: Tables, found: Found, execution: Execution) -> Committed:
    """Records that the table holds this content already. Raises as `commit_items`.

    It raises the revision all the same: an execution that read the bucket earlier must not commit
    any more.
    """
    details = _object_attributes(found)
    return _transact(tables, found, execution, "UNCHANGED", {}, set(), details)


def _commit(
    tables: Tables,
    found: Found,
    execution: Execution,
    outcome: str,
    puts: Mapping[ItemKey, Item],
    details: Mapping[str, Any],
) -> Committed:
    row = read_row(tables.client, tables.ledger, found.uri)
    if row.revision != found.revision:
        return _recorded_or_stale(tables, found, execution)
    vanished = set(row.item_keys) - set(puts)
    if len(puts) + len(vanished) > TRANSACTION_ITEMS:
        raise TooManyItemsError(
            f"{len(puts)} items to put and {len(vanished)} to remove do not fit one transaction, "
            f"which holds {TRANSACTION_ITEMS}"
        )
    keys = {"L": [{"M": key.attributes} for key in sorted(puts)]} if puts else None
    changes = {"status": attribute(outcome), "item_keys": keys, **details}
    return _transact(tables, found, execution, outcome, puts, vanished, changes)


def _transact(
    tables: Tables,
    found: Found,
    execution: Execution,
    outcome: str,
    puts: Mapping[ItemKey, Item],
    vanished: set[ItemKey],
    changes: Mapping[str, Any],
) -> Committed:
    """One transaction; an item that another file has taken over meanwhile is left out of what is
    removed.
    """
    from botocore.exceptions import ClientError

    while True:
        removed = sorted(vanished)
        audit = audit_row(
            found.uri,
            execution,
            outcome,
            tables.audit_retention,
            revision=found.revision + 1,
            dataset=found.dataset,
            digest=found.digest,
            etag=found.etag,
            version_id=found.version_id,
            items_put=len(puts),
            items_removed=len(removed),
        )
        actions: list[Any] = [
            put_audit_row(tables.ledger, audit),
            update_row(tables.ledger, found, execution, changes),
            *(_put(tables, found, item) for item in puts.values()),
            *(_delete(tables, found, key) for key in removed),
        ]
        try:
            with transient_errors():
                tables.client.transact_write_items(TransactItems=actions)
        except ClientError as error:
            if error.response["Error"]["Code"] != "TransactionCanceledException":
                raise
            taken = _why_cancelled(error.response, list(puts), removed)
            if taken is None:
                return _recorded_or_stale(tables, found, execution)
            vanished = vanished - taken
        else:
            return Committed(outcome, len(puts), len(removed))


def _why_cancelled(
    response: Any, puts: list[ItemKey], removed: list[ItemKey]
) -> set[ItemKey] | None:
    """Which removals met an item of another file; None when the audit or the ledger row refused.
    Raises for the rest.
    """
    reasons = response["CancellationReasons"]
    codes = [reason.get("Code", "None") for reason in reasons]
    if _CONDITION in codes[:2]:
        return None
    for key, reason in zip(puts, reasons[2:], strict=False):
        if reason.get("Code") == _CONDITION:
            raise KeyOwnershipError(key, owner(reason.get("Item", {})))
        if reason.get("Code") == "ValidationError":
            raise ItemRejectedError(
                f"DynamoDB refuses item {key.text}: {reason.get('Message', '')[:200]}"
            )
    taken = {
        key for key, code in zip(removed, codes[2 + len(puts) :], strict=True) if code == _CONDITION
    }
    if not taken:
        raise TransientServiceError(
            f"TransactWriteItems: {', '.join(sorted(set(codes) - {'None'}))}"
        )
    return taken


def _recorded_or_stale(tables: Tables, found: Found, execution: Execution) -> Committed:
    """The outcome that an earlier attempt of this execution recorded; else the row moved under
    somebody else's hand.
    """
    outcome = read_outcome(tables.client, tables.ledger, found.uri, execution)
    if outcome is None:
        raise StaleRevisionError(f"{found.uri} is no longer at revision {found.revision}")
    return Committed(outcome)


def _object_attributes(found: Found) -> dict[str, Any]:
    values = {name: getattr(found, name) for name in OBJECT}
    return {name: None if value is None else attribute(value) for name, value in values.items()}


def _put(tables: Tables, found: Found, item: Item) -> dict[str, Any]:
    return {
        "Put": {
            "TableName": tables.items,
            "Item": item,
            **_absent_or_mine(tables, found),
        }
    }


def _delete(tables: Tables, found: Found, key: ItemKey) -> dict[str, Any]:
    return {
        "Delete": {
            "TableName": tables.items,
            "Key": key.attributes,
            **_absent_or_mine(tables, found),
        }
    }


def _absent_or_mine(tables: Tables, found: Found) -> dict[str, Any]:
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
