"""Queries of the ledger that count what they cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tablekeeper_cli.stack import Stack

Attributes = Mapping[str, Any]
"""An item in DynamoDB JSON."""


@dataclass
class Capacity:
    """The capacity units that queries consumed, by table or index."""

    units: Counter[str] = field(default_factory=Counter)

    def add(self, answer: Attributes) -> None:
        """Adds what an answer says, if it does."""
        consumed = answer.get("ConsumedCapacity", {})
        for name, each in consumed.get("GlobalSecondaryIndexes", {}).items():
            self.units[name] += each["CapacityUnits"]
        if table := consumed.get("Table", {}).get("CapacityUnits"):
            self.units["table"] += table


def iso(moment: datetime) -> str:
    """A time as the ledger writes it."""
    from tablekeeper.model.times import iso_milliseconds

    return iso_milliseconds(moment)


@dataclass(frozen=True)
class Query:
    """A condition on the keys of the ledger, or of an index of it, and the order of the rows."""

    index: str | None
    condition: str
    values: Attributes
    backwards: bool = False


def rows_of(stack: Stack, query: Query, capacity: Capacity | None = None) -> Iterator[Attributes]:
    """The rows, page by page; without an index they are read consistently."""
    pages = (
        stack.client("dynamodb")
        .get_paginator("query")
        .paginate(
            TableName=stack.ledger,
            **({"IndexName": query.index} if query.index else {"ConsistentRead": True}),
            KeyConditionExpression=query.condition,
            ExpressionAttributeValues=query.values,
            ScanIndexForward=not query.backwards,
            **({"ReturnConsumedCapacity": "INDEXES"} if capacity else {}),
        )
    )
    for page in pages:
        if capacity:
            capacity.add(page)
        yield from page["Items"]


def get_row(stack: Stack, pk: str, sk: str) -> Attributes | None:
    answer = stack.client("dynamodb").get_item(
        TableName=stack.ledger, Key={"pk": {"S": pk}, "sk": {"S": sk}}, ConsistentRead=True
    )
    row: Attributes | None = answer.get("Item")
    return row


def text_of(row: Attributes, name: str) -> str | None:
    value: str | None = row.get(name, {}).get("S")
    return value
