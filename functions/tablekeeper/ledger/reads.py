"""Consistent reads of the ledger."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tablekeeper.aws import transient_errors
from tablekeeper.errors import TransientServiceError
from tablekeeper.ledger.rows import CURRENT, Row
from tablekeeper.model.execution import Execution
from tablekeeper.model.items import item_key, owner
from tablekeeper.model.keys import ItemKey, TableKey

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


def read_row(client: DynamoDBClient, table: str, uri: str) -> Row:
    """The object's CURRENT row, read consistently. Raises TransientServiceError."""
    with transient_errors():
        answer = client.get_item(
            TableName=table, Key={"pk": {"S": uri}, "sk": {"S": CURRENT}}, ConsistentRead=True
        )
    return Row.of(answer.get("Item", {}))


def read_rows(client: DynamoDBClient, table: str, uris: Sequence[str]) -> dict[str, Row]:
    """The CURRENT rows of at most 100 objects, read consistently; one for each, whether or not it
    is there. Raises TransientServiceError.
    """
    keys = [{"pk": {"S": uri}, "sk": {"S": CURRENT}} for uri in dict.fromkeys(uris)]
    rows = {each["pk"]["S"]: Row.of(each) for each in read_items(client, table, keys)}
    return dict.fromkeys(uris, Row()) | rows


def read_items(
    client: DynamoDBClient,
    table: str,
    keys: Sequence[Mapping[str, Any]],
    attributes: Sequence[str] = (),
) -> list[Mapping[str, Any]]:
    """Those of at most 100 items of any table that are there, read consistently, in no order; of
    each these attributes alone, where some are named. Raises TransientServiceError.
    """
    if not keys:
        return []
    wanted: Any = {table: {"Keys": list(keys), "ConsistentRead": True}}
    if attributes:
        names = {f"#{number}": name for number, name in enumerate(attributes)}
        wanted[table] |= {
            "ProjectionExpression": ",".join(names),
            "ExpressionAttributeNames": names,
        }
    items: list[Mapping[str, Any]] = []
    for pause in (0.0, 0.1, 0.2, 0.4, 0.8, 1.6):
        time.sleep(pause)
        with transient_errors():
            answer = client.batch_get_item(RequestItems=wanted)
        items += answer["Responses"].get(table, ())
        wanted = answer.get("UnprocessedKeys")
        if not wanted:
            return items
    raise TransientServiceError("BatchGetItem: keys were left unprocessed")


def read_owners(
    client: DynamoDBClient, table: str, table_key: TableKey, keys: Sequence[ItemKey]
) -> dict[ItemKey, str | None]:
    """The files that at most 100 items belong to, as `owner` gives them; of an item that is not
    there, none. Raises TransientServiceError.
    """
    wanted = [key.attributes for key in keys]
    items = read_items(client, table, wanted, [*table_key.names, "_source"])
    return {item_key(item, table_key): owner(item) for item in items}


def read_outcome(client: DynamoDBClient, table: str, uri: str, execution: Execution) -> str | None:
    """How this execution ended, if that is recorded already. Raises TransientServiceError."""
    with transient_errors():
        answer = client.get_item(
            TableName=table,
            Key={"pk": {"S": uri}, "sk": {"S": execution.audit_key}},
            ConsistentRead=True,
        )
    return answer["Item"]["outcome"]["S"] if "Item" in answer else None


def read_outcome_from_outside(
    client: DynamoDBClient, table: str, uri: str, execution: Execution
) -> str | None:
    """As `read_outcome`, for an execution as DescribeExecution gives it, whose startDate may differ
    by a millisecond from the StartTime in the name of its row.
    """
    keys = [{"pk": {"S": uri}, "sk": {"S": each}} for each in execution.near_audit_keys]
    outcomes = {row["sk"]["S"]: row["outcome"]["S"] for row in read_items(client, table, keys)}
    return outcomes.get(execution.audit_key) or next(iter(outcomes.values()), None)
