"""Leases: rows of the ledger that make certain that a job of the sweep runs once at a time.

A reserved concurrency of 1 would do the same, but an account with Lambda's first quota of 10 has
none to reserve, and the deployment would fail there.
https://docs.aws.amazon.com/lambda/latest/dg/configuration-concurrency.html
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from tablekeeper.aws import transient_errors
from tablekeeper.model.times import iso_milliseconds
from tablekeeper.recovery import clock

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


@contextmanager
def lease(client: DynamoDBClient, ledger: str, job: str, seconds: float) -> Iterator[bool]:
    """Whether this is the only one that does the job, for so many seconds at most; a function that
    dies holds it so long, by the clocks of all hosts.

    Raises TransientServiceError.
    """
    holder = uuid.uuid4().hex
    until = clock.now() + timedelta(seconds=min(seconds, 900)) + clock.CLOCKS_DIFFER
    held = _put(client, ledger, job, holder, iso_milliseconds(until))
    try:
        yield held
    finally:
        if held:
            _put(client, ledger, job, holder, "")


def _put(client: DynamoDBClient, ledger: str, job: str, holder: str, until: str) -> bool:
    from botocore.exceptions import ClientError

    row: dict[str, Any] = {
        "pk": {"S": "SWEEP"},
        "sk": {"S": f"LEASE#{job}"},
        "holder": {"S": holder},
        "leased_until": {"S": until},
    }
    try:
        with transient_errors():
            client.put_item(
                TableName=ledger,
                Item=row,
                ConditionExpression="attribute_not_exists(pk) OR leased_until < :now "
                "OR holder = :holder",
                ExpressionAttributeValues={
                    ":now": {"S": iso_milliseconds(clock.now())},
                    ":holder": {"S": holder},
                },
            )
    except ClientError as error:
        if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
            raise
        return False
    return True
