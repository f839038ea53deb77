"""The items of one file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

from tablekeeper.ledger.rows import CURRENT, Row
from tablekeeper.model.keys import ItemKey, TableKey

from tablekeeper_cli.errors import CommandError, UnknownError, UsageError
from tablekeeper_cli.ledger.queries import Attributes, get_row, queried
from tablekeeper_cli.stack import Stack

MOST = 1000
"""Items of one partition key that are listed."""


@dataclass(frozen=True)
class Item:
    """An item, and its lineage: None for one that Tablekeeper did not write."""

    key: dict[str, Any]
    attributes: Attributes
    lineage: dict[str, str] | None


@dataclass(frozen=True)
class KeptKey:
    """A key of an item, as text, and what `item` is asked with."""

    text: str
    address: dict[str, str]


def item_keys(stack: Stack, key: str, most: int) -> Iterator[KeptKey]:
    """The keys of a file's items, at most so many; none of those that its row does not hold."""
    row, table_key = get_row(stack, stack.uri(key), CURRENT) or {}, _table_key(stack)
    for each in islice(filter(table_key.fits, sorted(Row.of(row).item_keys)), most):
        values = list(_values(each, table_key).values())
        yield KeptKey(" · ".join(values), dict(zip(("pk", "sk"), values, strict=False)))


def keys_of_file(stack: Stack, key: str) -> Iterator[dict[str, str]]:
    """The keys of all items of a file's last commit, by attribute: those in its row in order, those
    of a list in the staging bucket in the list's; none of before the table had another key.

    Raises UnknownError and CommandError.
    """
    row = get_row(stack, stack.uri(key), CURRENT)
    if row is None:
        raise UnknownError(f"the ledger has no row of {key}")
    held, table_key = Row.of(row), _table_key(stack)
    listed = map(ItemKey, _listed(stack, key, held.keys_at)) if held.keys_at else ()
    for each in filter(table_key.fits, chain(sorted(held.item_keys), listed)):
        yield _values(each, table_key)


def _listed(stack: Stack, key: str, prefix: str) -> Iterator[str]:
    from tablekeeper import aws
    from tablekeeper.errors import StagedSetMissingError, TransientServiceError
    from tablekeeper.staging.partitioned_lines import PARTITIONS, Lines, copied_manifest

    try:
        with aws.clients_by(stack.client):
            lines = Lines(stack.staging, copied_manifest(prefix))
            for partition in range(PARTITIONS):
                yield from lines.partition(partition)
    except TransientServiceError as error:
        raise CommandError(f"{error}; try again") from None
    except StagedSetMissingError:
        raise CommandError(
            f"the list of the keys of {key} is gone from the bucket {stack.staging}: "
            "`tablekeeper reprocess --force KEY` makes it again"
        ) from None


def _values(key: ItemKey, table_key: TableKey) -> dict[str, str]:
    return {name: str(next(iter(key.attributes[name].values()))) for name in table_key.names}


def item(stack: Stack, partition: str, sort: str | None = None) -> Item:
    """An item by its primary key.

    Raises:
        UnknownError: it is not in the table.
        UsageError: the table's key is another.
    """
    key = table_key(stack, partition, sort)
    answer = stack.client("dynamodb").get_item(TableName=stack.items, Key=key, ConsistentRead=True)
    if "Item" not in answer:
        raise UnknownError(f"no item has the key {json.dumps(key)}")
    attributes = answer["Item"]
    source = attributes.get("_source", {}).get("M")
    return Item(
        key={name: next(iter(value.values())) for name, value in key.items()},
        attributes={name: value for name, value in attributes.items() if name != "_source"},
        lineage={name: str(value.get("S")) for name, value in source.items()} if source else None,
    )


def has_sort_key(stack: Stack) -> bool:
    return len(_key_schema(stack)) == 2


def items_of_partition(stack: Stack, partition: str) -> tuple[list[dict[str, str]], bool]:
    """The keys of the items with this partition key, MOST at most, and whether there are more.

    Raises UnknownError.
    """
    schema = _key_schema(stack)
    _, kind = schema[0]
    rows = queried(
        stack,
        TableName=stack.items,
        KeyConditionExpression="#0 = :pk",
        ExpressionAttributeNames={f"#{place}": each for place, (each, _) in enumerate(schema)},
        ProjectionExpression=", ".join(f"#{place}" for place in range(len(schema))),
        ExpressionAttributeValues={":pk": {kind: partition}},
    )
    keys = [
        {each: next(iter(row[each].values())) for each, _ in schema} for row in islice(rows, MOST)
    ]
    if not keys:
        raise UnknownError(f"no item has the partition key {json.dumps(partition)}")
    return keys, next(rows, None) is not None


def table_key(stack: Stack, partition: str, sort: str | None) -> dict[str, dict[str, str]]:
    """A primary key of the items table in DynamoDB JSON. Raises UsageError."""
    schema = _key_schema(stack)
    given = [partition] if sort is None else [partition, sort]
    if len(given) != len(schema):
        names = " ".join(name for name, _ in schema)
        raise UsageError(f"the key of the table {stack.items} is: {names}")
    return {name: {kind: value} for (name, kind), value in zip(schema, given, strict=True)}


def _table_key(stack: Stack) -> TableKey:
    return TableKey(tuple(_key_schema(stack)))


def _key_schema(stack: Stack) -> list[tuple[str, str]]:
    table = stack.client("dynamodb").describe_table(TableName=stack.items)["Table"]
    kinds = {each["AttributeName"]: each["AttributeType"] for each in table["AttributeDefinitions"]}
    schema = sorted(table["KeySchema"], key=lambda each: str(each["KeyType"]))  # HASH, RANGE
    return [(each["AttributeName"], kinds[each["AttributeName"]]) for each in schema]
