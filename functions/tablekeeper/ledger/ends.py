"""Ends: a small row under the name of an execution that ended badly and recorded itself.

ListExecutions says an execution's name and how often it was redriven, and neither its input nor its
object. One read gives a hundred of these rows, so DescribeExecution, whose quota is small, is left
for the ends without a record.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from tablekeeper.aws import transient_errors
from tablekeeper.ledger.reads import read_items

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

MAX_READ = 100
"""Ends read at a time.
https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html
"""
MAX_RETENTION = 80 * 86400
"""Seconds. A name can be another execution's 90 days after the first one closed.
https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html
"""


class EndKey(NamedTuple):
    """An execution's name, and how often it had been redriven when it ended."""

    name: str
    redrive: int

    @property
    def attributes(self) -> dict[str, Any]:
        """The key of the row; the definition makes the same."""
        return {"pk": {"S": f"END#{self.name}"}, "sk": {"S": str(self.redrive)}}


class RecordedEnd(NamedTuple):
    """The object as s3://bucket/key, the outcome and the error that an execution recorded."""

    uri: str
    outcome: str
    error: str


def write_end(
    client: DynamoDBClient, ledger: str, key: EndKey, end: RecordedEnd, retention: int
) -> None:
    """Writes that an execution's outcome is in the ledger. Retention in seconds.

    Raises TransientServiceError.
    """
    row = {
        **key.attributes,
        "object": {"S": end.uri},
        "outcome": {"S": end.outcome},
        "error": {"S": end.error},
        "expires_at": {"N": str(int(time.time()) + min(retention, MAX_RETENTION))},
    }
    with transient_errors():
        client.put_item(TableName=ledger, Item=row)


def read_ends(
    client: DynamoDBClient, ledger: str, keys: Sequence[EndKey]
) -> dict[EndKey, RecordedEnd]:
    """Those of at most 100 ends that recorded themselves. Raises TransientServiceError."""
    rows = read_items(client, ledger, [key.attributes for key in keys])
    return {
        EndKey(row["pk"]["S"].partition("#")[2], int(row["sk"]["S"])): RecordedEnd(
            row["object"]["S"], row["outcome"]["S"], row["error"]["S"]
        )
        for row in rows
    }
