"""How fast the sweep may call Step Functions.

The quotas are of the whole account in a region: a bucket of calls that is refilled at a rate. Each
rate here is half of the refill of the smallest regions or less, so that consoles, the command and
other applications have room. us-east-1, us-west-2 and eu-west-1 have more.
https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from tablekeeper.aws import transient_errors
from tablekeeper.recovery import clock

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

LISTS_A_SECOND = 1.0
"""ListExecutions: a bucket of 100, refilled at 2 a second; 200 and 5 in the large regions."""
DESCRIBES_A_SECOND = 4.0
"""DescribeExecution: a bucket of 250, refilled at 10 a second; 300 and 15 in the large regions.
Each is followed by one GetExecutionHistory: 400 and 20.
"""
STARTS_A_SECOND = 5.0
"""StartExecution: a bucket of 800, refilled at 150 a second; 1,300 and 300 in the large regions.
What heals is to leave Lambda's concurrency, which is 10 in a new account, to what is new.
https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
"""
CACHE_SECONDS = 3600
"""How long the row of a second's calls is kept."""


class Pace:
    """Calls at a rate, none of them saved up."""

    def __init__(self, a_second: float) -> None:
        self._gap = timedelta(seconds=1 / a_second)
        self._next: datetime | None = None

    def wait(self) -> None:
        """Returns when the next call may be made."""
        now = clock.now()
        if self._next and self._next > now:
            clock.sleep((self._next - now).total_seconds())
        self._next = max(now, self._next or now) + self._gap


def may_describe(client: DynamoDBClient, ledger: str) -> bool:
    """Whether an execution may be described in this second: a row counts, for all invocations of
    the safety net together. Raises TransientServiceError.
    """
    from botocore.exceptions import ClientError

    second = int(clock.now().timestamp())
    try:
        with transient_errors():
            client.update_item(
                TableName=ledger,
                Key={"pk": {"S": "DESCRIBES"}, "sk": {"S": str(second)}},
                UpdateExpression="SET described = if_not_exists(described, :zero) + :one, "
                "expires_at = :soon",
                ConditionExpression="attribute_not_exists(described) OR described < :most",
                ExpressionAttributeValues={
                    ":zero": {"N": "0"},
                    ":one": {"N": "1"},
                    ":soon": {"N": str(second + CACHE_SECONDS)},
                    ":most": {"N": str(int(DESCRIBES_A_SECOND))},
                },
            )
    except ClientError as error:
        if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
            raise
        return False
    return True
