"""Digests of the items that a row stands for, by which a commit finds what differs.

They count only where everything that they are bound to is the same: RELEASE, the table's name and
id (a restored table has another id), its keys and its TTL attribute. A row binds them to the commit
that wrote its keys, since a release of before digests leaves them there.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from tablekeeper.aws import transient_errors
from tablekeeper.errors import ConfigurationError
from tablekeeper.model.keys import ItemKey, TableKey
from tablekeeper.tables import Tables

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

RELEASE = "1"
"""Raised when equal digests may stand for items that are stored differently."""
DESCRIBED_SECONDS = 60
"""For how long a function takes a table for the same: DescribeTable has a small quota.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ServiceQuotas.html
"""


def basis(tables: Tables) -> str:
    """What digests are bound to; "" where DescribeTable is refused, as during a deployment of the
    role: then no digest counts.

    Raises TransientServiceError.
    """
    from botocore.exceptions import ClientError

    try:
        table = described(tables)
    except ClientError:
        return ""
    table_id = table.get("TableId") or str(table.get("CreationDateTime", ""))
    if not table_id:
        return ""
    return f"{RELEASE} {tables.items} {table_id} {tables.table_key} {tables.ttl_attribute}"


def described(tables: Tables) -> Mapping[str, Any]:
    """The items table as DescribeTable describes it, cached for at most a minute.

    Raises TransientServiceError, and ClientError where the call is refused.
    """
    minute = int(time.monotonic() // DESCRIBED_SECONDS)
    return description(tables.client, tables.items, minute)


def is_of_table(tables: Tables, key: ItemKey) -> bool:
    """Whether a key that a row stands for is one of the items table: a key of before the table was
    replaced by one with another key is not.

    Raises:
        ConfigurationError: it is the setting that does not fit the table. Items that the row would
        no longer stand for would stay in the table for good.
        TransientServiceError, ClientError: as `described`.
    """
    if tables.table_key.fits(key):
        return True
    if _key_of(described(tables)) != tables.table_key:
        now = _key_of(_described(tables.client, tables.items))  # perhaps replaced in this minute
        if now != tables.table_key:
            raise ConfigurationError(
                f'the items table "{tables.items}" has the key {now}, and ITEM_KEYS says '
                f"{tables.table_key}"
            )
    return False


def _key_of(table: Mapping[str, Any]) -> TableKey:
    kinds = {each["AttributeName"]: each["AttributeType"] for each in table["AttributeDefinitions"]}
    names = (each["AttributeName"] for each in table["KeySchema"])
    return TableKey(tuple((name, kinds[name]) for name in names))


@lru_cache(maxsize=8)
def description(client: DynamoDBClient, table: str, _minute: int) -> Mapping[str, Any]:
    """As `described`, of a minute."""
    return _described(client, table)


def _described(client: DynamoDBClient, table: str) -> Mapping[str, Any]:
    with transient_errors():
        answer: Mapping[str, Any] = client.describe_table(TableName=table)["Table"]
    return answer
