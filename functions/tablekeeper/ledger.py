"""The ledger: one row an object of what its items stand for, and one row an execution of how it
ended.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tablekeeper.aws import transient_errors
from tablekeeper.errors import ItemKey
from tablekeeper.found import Execution, Found, now

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

CURRENT = "CURRENT"
PROBLEM = ("problem", "problem_status", "problem_at", "problem_error", "problem_dataset")
"""The problem, and what the sparse index `problems` holds of it."""
OBJECT = ("etag", "version_id", "size", "last_modified", "dataset", "digest")


@dataclass(frozen=True)
class Row:
    """An object's CURRENT row; revision 0 means that nobody has ever committed the object."""

    revision: int = 0
    status: str | None = None
    etag: str | None = None
    version_id: str | None = None
    last_modified: str | None = None
    digest: str | None = None
    item_keys: frozenset[ItemKey] = frozenset()
    problem: Mapping[str, Any] | None = field(default=None, repr=False)

    @classmethod
    def of(cls, attributes: Mapping[str, Any]) -> Row:
        """A row from its attributes in DynamoDB JSON."""

        def text(name: str) -> str | None:
            value: str | None = attributes.get(name, {}).get("S")
            return value

        return cls(
            revision=int(attributes.get("revision", {}).get("N", "0")),
            status=text("status"),
            etag=text("etag"),
            version_id=text("version_id"),
            last_modified=text("last_modified"),
            digest=text("digest"),
            item_keys=frozenset(
                ItemKey.of(each["M"]) for each in attributes.get("item_keys", {}).get("L", ())
            ),
            problem=attributes.get("problem", {}).get("M"),
        )


def read_row(client: DynamoDBClient, table: str, uri: str) -> Row:
    """The object's CURRENT row, read consistently. Raises TransientServiceError."""
    with transient_errors():
        answer = client.get_item(
            TableName=table, Key={"pk": {"S": uri}, "sk": {"S": CURRENT}}, ConsistentRead=True
        )
    return Row.of(answer.get("Item", {}))


def read_outcome(client: DynamoDBClient, table: str, uri: str, execution: Execution) -> str | None:
    """How this execution ended, if that is recorded already. Raises TransientServiceError."""
    with transient_errors():
        answer = client.get_item(
            TableName=table,
            Key={"pk": {"S": uri}, "sk": {"S": execution.audit_key}},
            ConsistentRead=True,
        )
    return answer["Item"]["outcome"]["S"] if "Item" in answer else None


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
    found: Found,
    execution: Execution,
    changes: Mapping[str, Any],
) -> dict[str, Any]:
    """The action that raises the row's revision, on condition of the one that was read.

    A commit knows more than any problem recorded before its read, so it always removes the problem.
    `changes` are attributes in DynamoDB JSON; those whose value is None are removed.
    """
    changes = {
        "revision": {"N": str(found.revision + 1)},
        "as_of": {"S": found.as_of},
        "committed_at": {"S": now()},
        "execution": {"S": execution.id},
        **changes,
    }
    set_names = [name for name, value in changes.items() if value is not None]
    removed = [*PROBLEM, *(name for name, value in changes.items() if value is None)]
    places = {name: str(place) for place, name in enumerate([*set_names, *removed])}
    condition = "attribute_not_exists(#revision)" if found.revision == 0 else "#revision = :seen"
    values = {f":{places[name]}": changes[name] for name in set_names}
    if found.revision:
        values[":seen"] = {"N": str(found.revision)}
    return {
        "Update": {
            "TableName": table,
            "Key": {"pk": {"S": found.uri}, "sk": {"S": CURRENT}},
            "UpdateExpression": "SET "
            + ", ".join(f"#{places[name]} = :{places[name]}" for name in set_names)
            + " REMOVE "
            + ", ".join(f"#{places[name]}" for name in removed),
            "ConditionExpression": condition,
            "ExpressionAttributeNames": {"#revision": "revision"}
            | {f"#{places[name]}": name for name in places},
            "ExpressionAttributeValues": values,
        }
    }


def attribute(value: str | int) -> dict[str, str]:
    """A string or a whole number in DynamoDB JSON."""
    return {"S": value} if isinstance(value, str) else {"N": str(value)}


def event_text(event: Any) -> str:
    """An execution's input as the ledger keeps it."""
    return (
        event
        if isinstance(event, str)
        else json.dumps(event, ensure_ascii=False, separators=(",", ":"))
    )
