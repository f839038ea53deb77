"""The items of a file, by its row and by its list of keys."""

from __future__ import annotations

from typing import Any

import pytest
from tablekeeper.errors import StagedSetMissingError

from tablekeeper_cli.errors import CommandError
from tablekeeper_cli.ledger.items import MOST, KeptKey, item_keys, items_of_partition, keys_of_file
from tablekeeper_cli.stack import Stack

ROW = {
    "item_keys": {
        "L": [
            {"M": {"id": {"S": "1"}}},
            {"M": {"pk": {"N": "1"}, "sk": {"S": "x"}}},
            {"M": {"pk": {"S": "1"}, "sk": {"S": "x"}}},
        ]
    }
}
TABLE = {
    "KeySchema": [
        {"AttributeName": "pk", "KeyType": "HASH"},
        {"AttributeName": "sk", "KeyType": "RANGE"},
    ],
    "AttributeDefinitions": [
        {"AttributeName": "pk", "AttributeType": "S"},
        {"AttributeName": "sk", "AttributeType": "S"},
    ],
}


class Tables(Stack):
    """A ledger of one row, and a table with `count` items of one partition key."""

    count = 600

    def client(self, _service: str) -> Any:
        return self

    def get_item(self, **_: Any) -> Any:
        return {"Item": ROW}

    def get_paginator(self, _name: str) -> Any:
        return self

    def paginate(self, **_: Any) -> Any:
        for keys in (range(600), range(600, 600), range(600, self.count)):
            yield {"Items": [{"pk": {"S": "1"}, "sk": {"S": str(each)}} for each in keys]}

    def describe_table(self, **_: Any) -> Any:
        return {"Table": TABLE}


def shop() -> Tables:
    names = ("SourceBucketName", "LedgerTableName", "ItemsTableName", "StagingBucketName")
    return Tables("shop", "eu-west-1", dict.fromkeys(names, "any"))


def test_keys_of_before_a_change_of_the_table_s_key_are_of_no_item() -> None:
    stack = shop()
    only = {"pk": "1", "sk": "x"}
    assert list(keys_of_file(stack, "a.json")) == [only]
    assert list(item_keys(stack, "a.json", 5)) == [KeptKey("1 · x", only)]


@pytest.mark.parametrize(
    ("count", "listed", "more"), [(999, 999, False), (MOST, MOST, False), (MOST + 1, MOST, True)]
)
def test_a_partition_is_more_than_a_page_of_it(
    monkeypatch: pytest.MonkeyPatch, count: int, listed: int, more: bool
) -> None:
    monkeypatch.setattr(Tables, "count", count)
    keys, rest = items_of_partition(shop(), "1")
    assert (len(keys), keys[-1]["sk"], rest) == (listed, str(listed - 1), more)


def test_a_lost_list_of_keys_is_told_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: Any) -> Any:
        raise StagedSetMissingError("keys/a/manifest.json is no longer staged")

    monkeypatch.setattr("tablekeeper.staging.partitioned_lines.read_object", gone)
    monkeypatch.setitem(ROW, "keys_at", {"S": "keys/a"})
    with pytest.raises(CommandError, match="reprocess --force"):
        list(keys_of_file(shop(), "a.json"))
