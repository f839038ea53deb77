"""Reads of the ledger."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from tablekeeper.ledger.rows import CURRENT

from tablekeeper_cli.stack import Stack

Attributes = Mapping[str, Any]
"""An item in DynamoDB JSON."""


@dataclass(frozen=True)
class Query:
    """A condition on the keys of the ledger, or of an index of it, and the order of the rows."""

    index: str | None
    condition: str
    values: Attributes
    backwards: bool = False


def rows_of(stack: Stack, query: Query) -> Iterator[Attributes]:
    """The rows, page by page; without an index they are read consistently."""
    return queried(
        stack,
        TableName=stack.ledger,
        **({"IndexName": query.index} if query.index else {"ConsistentRead": True}),
        KeyConditionExpression=query.condition,
        ExpressionAttributeValues=query.values,
        ScanIndexForward=not query.backwards,
    )


def queried(stack: Stack, **query: Any) -> Iterator[Attributes]:
    """What a query of any table gives, page by page."""
    for page in stack.client("dynamodb").get_paginator("query").paginate(**query):
        yield from page["Items"]


def rows_at(
    stack: Stack, keys: Iterable[str], only: Sequence[str] = (), *, consistent: bool = False
) -> Iterator[Attributes]:
    """The CURRENT rows of those of these files that have one, a hundred a request, in no order;
    `only` names the attributes to read.
    """
    rest, names = iter(keys), {f"#{place}": name for place, name in enumerate(only)}
    some = {"ProjectionExpression": ", ".join(names), "ExpressionAttributeNames": names}
    while batch := list(islice(rest, 100)):
        wanted = [{"pk": {"S": stack.uri(key)}, "sk": {"S": CURRENT}} for key in batch]
        asked: Any = {"Keys": wanted, "ConsistentRead": consistent} | (some if only else {})
        asked = {stack.ledger: asked}
        while asked:
            answer = stack.client("dynamodb").batch_get_item(RequestItems=asked)
            yield from answer["Responses"].get(stack.ledger, ())
            asked = answer.get("UnprocessedKeys")


def get_row(stack: Stack, pk: str, sk: str) -> Attributes | None:
    answer = stack.client("dynamodb").get_item(
        TableName=stack.ledger, Key={"pk": {"S": pk}, "sk": {"S": sk}}, ConsistentRead=True
    )
    row: Attributes | None = answer.get("Item")
    return row


def text_of(row: Attributes, name: str) -> str | None:
    value: str | None = row.get(name, {}).get("S")
    return value
