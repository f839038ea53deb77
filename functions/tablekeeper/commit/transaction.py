"""Transactions on the ledger rows and the items of one file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tablekeeper.aws import transient_errors
from tablekeeper.commit.conflicts import conflict
from tablekeeper.errors import (
    ItemRejectedError,
    StaleRevisionError,
    TransientServiceError,
)
from tablekeeper.ledger.reads import read_outcome, read_row
from tablekeeper.ledger.rows import Row
from tablekeeper.model.execution import Execution
from tablekeeper.model.items import IS_OF_FILE, Item, for_client, of_file, owner
from tablekeeper.model.keys import ItemKey
from tablekeeper.model.snapshot import Snapshot
from tablekeeper.tables import Tables

_CONDITION = "ConditionalCheckFailed"
_OF_THE_TABLE = ("does not match the schema", "Missing the key", "Type mismatch for key")
"""DynamoDB's messages where the table has another key schema than the stack: no fault of a file."""

LedgerActions = Callable[[int], Sequence[Mapping[str, Any]]]
"""The actions on ledger rows, by how many items are deleted."""
Remaining = Callable[[], float]
"""How many seconds are left to the function."""


class CancelledError(Exception):
    """A transaction was cancelled because a condition on one of its ledger rows does not hold."""

    def __init__(self, place: int) -> None:
        super().__init__(place)
        self.place = place


class RecordedError(Exception):
    """An earlier attempt of this execution recorded its outcome, which stands."""

    def __init__(self, outcome: str) -> None:
        super().__init__(outcome)
        self.outcome = outcome


@dataclass(frozen=True)
class FileTransactions:
    """What all transactions of one attempt to commit one file share: the tables, what is known of
    the object, the execution, and the time that is left.
    """

    tables: Tables
    snapshot: Snapshot
    execution: Execution
    remaining: Remaining

    @property
    def uri(self) -> str:
        """The file as s3://bucket/key."""
        return self.snapshot.uri

    def read_row(self) -> Row:
        """The CURRENT row as it is now. Raises TransientServiceError."""
        return read_row(self.tables.client, self.tables.ledger, self.uri)

    def read_outcome(self) -> str | None:
        """The outcome of this execution, if it has one. Raises TransientServiceError."""
        return read_outcome(self.tables.client, self.tables.ledger, self.uri, self.execution)

    def commit(
        self,
        ledger_rows: LedgerActions,
        puts: Mapping[ItemKey, Item] | None = None,
        deletes: Sequence[ItemKey] = (),
    ) -> list[ItemKey]:
        """As `transact`, for what this execution may have done already.

        Raises:
            RecordedError: this execution has an outcome.
            StaleRevisionError: another execution changed the row.
        """
        try:
            return self.transact(ledger_rows, puts, deletes)
        except CancelledError:
            raise self.stale() from None

    def stale(self) -> RecordedError | StaleRevisionError:
        """Why a row is not at the revision of the snapshot. Raises TransientServiceError."""
        outcome = self.read_outcome()
        if outcome:
            return RecordedError(outcome)
        revision = self.snapshot.revision
        return StaleRevisionError(f"{self.uri} is no longer at revision {revision}")

    def transact(
        self,
        ledger_rows: LedgerActions,
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
                *(self._put(item) for item in puts.values()),
                *(self._delete(key) for key in deletes),
            ]
            try:
                with transient_errors():
                    self.tables.transact(actions)
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
                if _is_no_item_s_fault(error.response, len(first), len(puts)):
                    raise
                taken = why_cancelled(error.response, len(first), list(puts), deletes)
                deletes = [key for key in deletes if key not in taken]
            else:
                return list(deletes)

    def _put(self, item: Item) -> dict[str, Any]:
        return {
            "Put": {
                "TableName": self.tables.items,
                "Item": for_client(item),
                **self._absent_or_mine(),
            }
        }

    def _delete(self, key: ItemKey) -> dict[str, Any]:
        return {
            "Delete": {
                "TableName": self.tables.items,
                "Key": key.attributes,
                **self._absent_or_mine(),
            }
        }

    def _absent_or_mine(self) -> dict[str, Any]:
        expression = of_file(self.snapshot)
        expression["ExpressionAttributeNames"]["#partition"] = self.tables.table_key.names[0]
        return {
            "ConditionExpression": f"attribute_not_exists(#partition) OR ({IS_OF_FILE})",
            **expression,
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }


def _is_no_item_s_fault(response: Any, ledger_rows: int, puts: int) -> bool:
    """Whether what is refused as invalid is no content of an item: a ledger row, a deletion, or the
    table's key.
    """
    return any(
        reason.get("Code") == "ValidationError"
        and (
            not ledger_rows <= place < ledger_rows + puts
            or any(each in reason.get("Message", "") for each in _OF_THE_TABLE)
        )
        for place, reason in enumerate(response["CancellationReasons"])
    )


def why_cancelled(
    response: Any, ledger_rows: int, puts: Sequence[ItemKey], deletes: Sequence[ItemKey]
) -> set[ItemKey]:
    """Which deletions met an item of another file. Raises for every other reason, as `transact`."""
    reasons = response["CancellationReasons"]
    codes = [reason.get("Code", "None") for reason in reasons]
    if _CONDITION in codes[:ledger_rows]:
        raise CancelledError(codes.index(_CONDITION))
    of_puts = list(zip(puts, reasons[ledger_rows:], strict=False))
    for key, reason in of_puts:
        if reason.get("Code") == _CONDITION:
            raise conflict(
                (each, owner(why.get("Item", {})))
                for each, why in of_puts
                if why.get("Code") == _CONDITION
            )
        if reason.get("Code") == "ValidationError":
            raise ItemRejectedError(
                f"DynamoDB refuses item {key.text}: {reason.get('Message', '')[:200]}"
            )
        if reason.get("Code") == "ItemCollectionSizeLimitExceeded":
            raise ItemRejectedError(
                f"DynamoDB refuses item {key.text}: the items of its partition key and their "
                "entries in local secondary indexes have 10 GB, which is all that it holds"
            )
    last = codes[ledger_rows + len(puts) :]
    taken = {key for key, code in zip(deletes, last, strict=True) if code == _CONDITION}
    if not taken:
        raise TransientServiceError(
            f"TransactWriteItems: {', '.join(sorted(set(codes) - {'None'}))}"
        )
    return taken
