"""Actions of transactions that change the ledger."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from tablekeeper.ledger.rows import CURRENT, OBJECT, PROBLEM, RELEASED, attribute, shard_of
from tablekeeper.model.execution import Execution
from tablekeeper.model.outcome import Committed
from tablekeeper.model.snapshot import Snapshot
from tablekeeper.model.times import now

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class AuditTable(Protocol):
    """The ledger's table, its client, and for how many seconds it holds an outcome."""

    @property
    def client(self) -> DynamoDBClient: ...
    @property
    def ledger(self) -> str: ...
    @property
    def audit_retention(self) -> int: ...


def audit_action(
    tables: AuditTable,
    snapshot: Snapshot,
    execution: Execution,
    result: Committed,
    revision: int,
) -> dict[str, Any]:
    """The action that records an outcome, once."""
    return put_audit_row(
        tables.ledger,
        audit_row(
            snapshot.uri,
            execution,
            result.outcome,
            tables.audit_retention,
            revision=revision,
            dataset=snapshot.dataset,
            digest=snapshot.digest,
            etag=snapshot.etag,
            version_id=snapshot.version_id,
            items_put=result.items_put,
            items_removed=result.items_removed,
        ),
    )


def object_attributes(snapshot: Snapshot, outcome: str) -> dict[str, Any]:
    """What the row says of the object: nothing once it is gone."""
    if outcome in ("DELETED", "IGNORED", RELEASED):
        return dict.fromkeys(OBJECT)
    values = {name: getattr(snapshot, name) for name in OBJECT}
    return {name: None if value is None else attribute(value) for name, value in values.items()}


def audit_row(
    uri: str, execution: Execution, outcome: str, retention: int, **details: str | int | None
) -> dict[str, Any]:
    """The immutable row of an execution's outcome; retention in seconds."""
    row: dict[str, Any] = {
        "pk": {"S": uri},
        "sk": {"S": execution.audit_key},
        "outcome": {"S": outcome},
        "execution": {"S": execution.id},
        "event": {"S": execution.event},
        "at": {"S": now()},
        "expires_at": {"N": str(int(time.time()) + retention)},
    }
    return row | {name: attribute(value) for name, value in details.items() if value is not None}


def put_audit_row(table: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """The transaction's action that makes an outcome happen once."""
    return {
        "Put": {"TableName": table, "Item": row, "ConditionExpression": "attribute_not_exists(pk)"}
    }


def update_row(
    table: str,
    uri: str,
    changes: Mapping[str, Any],
    *,
    seen: int,
    claim: int | None = None,
) -> dict[str, Any]:
    """The action that raises the row's revision, on condition of the one that was read.

    With `claim`, also on condition that the claim of this revision still stands. `changes` are
    attributes in DynamoDB JSON; those whose value is None are removed.
    """
    changes = {"revision": {"N": str(seen + 1)}, "file_shard": attribute(shard_of(uri)), **changes}
    names = {f"#{place}": name for place, name in enumerate(changes)}
    set_places = [place for place, value in enumerate(changes.values()) if value is not None]
    removed = [place for place, value in enumerate(changes.values()) if value is None]
    values = {f":{place}": changes[names[f"#{place}"]] for place in set_places}
    condition = "attribute_not_exists(#0)" if seen == 0 else "#0 = :seen"
    if seen:
        values[":seen"] = {"N": str(seen)}
    if claim is not None:
        condition += " AND #claim.#0 = :claim"
        names["#claim"] = "claim"
        values[":claim"] = {"N": str(claim)}
    expression = "SET " + ", ".join(f"#{place} = :{place}" for place in set_places)
    if removed:
        expression += " REMOVE " + ", ".join(f"#{place}" for place in removed)
    return {
        "Update": {
            "TableName": table,
            "Key": {"pk": {"S": uri}, "sk": {"S": CURRENT}},
            "UpdateExpression": expression,
            "ConditionExpression": condition,
            "ExpressionAttributeNames": names,
            "ExpressionAttributeValues": values,
        }
    }


def committed(snapshot: Snapshot, outcome: str, execution: str) -> dict[str, Any]:
    """The attributes that every commit sets."""
    return {
        "as_of": {"S": snapshot.as_of},
        "committed_at": {"S": now()},
        "execution": {"S": execution},
        **without_problem(outcome),
    }


def without_problem(outcome: str) -> dict[str, Any]:
    """A commit knows more than any problem recorded before its read, so it removes the problem; but
    for a file that only lets its items go, and still has to be written.
    """
    return {} if outcome == RELEASED else dict.fromkeys(PROBLEM)


NO_CLAIM: Mapping[str, Any] = dict.fromkeys(("claim", "claim_state", "incomplete_since", "refusal"))
"""The changes that end a claim and what is known of it."""
