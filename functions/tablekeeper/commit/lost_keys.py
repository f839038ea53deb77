"""A key list that is gone is made again: each item in the table names its file."""

from __future__ import annotations

from functools import partial
from typing import Any

from tablekeeper.aws import transient_errors
from tablekeeper.commit import lanes
from tablekeeper.commit.key_lists import list_at, own_list, write_list
from tablekeeper.commit.patience import patiently
from tablekeeper.commit.transaction import FileTransactions
from tablekeeper.errors import StaleRevisionError
from tablekeeper.ledger.rows import Row, attribute
from tablekeeper.ledger.writes import update_row
from tablekeeper.model.items import IS_OF_FILE, item_key, of_file

SEGMENTS = 8
"""Parts of the table that are read side by side."""


def check_keys(file: FileTransactions, row: Row) -> None:
    """Makes the key list of a row again if somebody deleted it, from the lineage of the items.

    It reads the whole table, in memory for the keys of the file. Among them are those that a claim
    may have added: the next commit removes what its file does not have.

    Raises:
        StaleRevisionError: there is a list again; read the row again.
        UnfinishedWriteError: the time is up.
        TransientServiceError: a retry helps.
    """
    if not row.keys_at or list_at(file.tables, row.keys_at).exists():
        return
    tables = file.tables
    segments: list[list[str]] = [[] for _ in range(SEGMENTS)]
    lanes.in_parallel([partial(_read, file, *each) for each in enumerate(segments)])
    prefix = own_list(file.uri, row.revision + 1)
    write_list(tables, prefix, [dict.fromkeys(sorted(each)) for each in segments], "")
    changes: dict[str, Any] = {"keys_at": attribute(prefix)}
    update = update_row(tables.ledger, file.uri, changes, seen=row.revision)
    file.commit(lambda _: [update])
    raise StaleRevisionError(f"{file.uri}: its list of keys was gone, and is made again")


def _read(file: FileTransactions, segment: int, keys: list[str]) -> None:
    tables, names = file.tables, file.tables.table_key.names
    query: dict[str, Any] = {
        "TableName": tables.items,
        "ConsistentRead": True,
        "Segment": segment,
        "TotalSegments": SEGMENTS,
        "FilterExpression": IS_OF_FILE,
        "ProjectionExpression": ", ".join(f"#{place}" for place in range(len(names))),
        **of_file(file.snapshot),
    }
    query["ExpressionAttributeNames"] |= {f"#{place}": name for place, name in enumerate(names)}

    def page() -> Any:
        with transient_errors():
            return tables.client.scan(**query)

    while True:
        answer = patiently(file.uri, file.remaining, page)
        keys += [item_key(item, tables.table_key).text for item in answer["Items"]]
        if "LastEvaluatedKey" not in answer:
            return
        query["ExclusiveStartKey"] = answer["LastEvaluatedKey"]
