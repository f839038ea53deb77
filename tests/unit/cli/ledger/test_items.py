"""The items of a file, by its row and by its list of keys."""

from __future__ import annotations

from typing import Any

from tablekeeper_cli.ledger.items import KeptKey, item_keys, keys_of_file
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
    """A ledger of one row, and a table of items."""

    def client(self, _service: str) -> Any:
        return self

    def get_item(self, **_: Any) -> Any:
        return {"Item": ROW}

    def describe_table(self, **_: Any) -> Any:
        return {"Table": TABLE}


def test_keys_of_before_a_change_of_the_table_s_key_are_of_no_item() -> None:
    names = ("SourceBucketName", "LedgerTableName", "ItemsTableName")
    stack = Tables("shop", "eu-west-1", dict.fromkeys(names, "any"))
    only = {"pk": "1", "sk": "x"}
    assert list(keys_of_file(stack, "a.json")) == [only]
    assert list(item_keys(stack, "a.json", 5)) == [KeptKey("1 · x", only)]
