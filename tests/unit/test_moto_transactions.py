"""moto's transactions with copies of less: what is cancelled leaves every item as it was."""

from __future__ import annotations

from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from tests.support.moto_transactions import quick_transactions
from tests.unit.conftest import create_table


@pytest.mark.parametrize("keys", [("pk:S", "sk:S"), ("pk:S",)], ids=["sort key", "partition key"])
def test_a_cancelled_transaction_changes_nothing(keys: tuple[str, ...]) -> None:
    with mock_aws(), quick_transactions():
        dynamodb = boto3.client("dynamodb")
        create_table(dynamodb, "t", *keys)

        def key(name: str) -> Any:
            return {each.partition(":")[0]: {"S": name} for each in keys}

        for name in "ab":
            dynamodb.put_item(TableName="t", Item={**key(name), "tags": {"L": [{"S": "old"}]}})
        update: Any = {
            "TableName": "t",
            "Key": key("a"),
            "UpdateExpression": "SET tags[0] = :new, n = :new",
            "ExpressionAttributeValues": {":new": {"S": "new"}},
        }
        fails: Any = {
            "TableName": "t",
            "Key": key("x"),
            "ConditionExpression": "attribute_exists(pk)",
        }
        before = dynamodb.scan(TableName="t")["Items"]
        with pytest.raises(ClientError, match="ConditionalCheckFailed"):
            dynamodb.transact_write_items(
                TransactItems=[
                    {"Update": update},
                    {"Put": {"TableName": "t", "Item": key("c")}},
                    {"Delete": {"TableName": "t", "Key": key("b")}},
                    {"ConditionCheck": fails},
                ]
            )
        assert dynamodb.scan(TableName="t")["Items"] == before
        dynamodb.transact_write_items(TransactItems=[{"Update": update}])
        (changed,) = (each for each in dynamodb.scan(TableName="t")["Items"] if "n" in each)
        assert changed == {**key("a"), "tags": {"L": [{"S": "new"}]}, "n": {"S": "new"}}
