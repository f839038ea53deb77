"""How far the sweep is with the executions that ended badly; kept in the ledger."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from tablekeeper.aws import transient_errors
from tablekeeper.ledger.rows import CURRENT
from tablekeeper.model.times import iso_milliseconds

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

WATERMARK = {"pk": {"S": "SWEEP"}, "sk": {"S": CURRENT}}
MAX_LEFT = 200
"""Executions that were passed over and are tried again; with more, the watermark waits."""


@dataclass
class Progress:
    """swept_to is the watermark: every bad end until then is recorded, but for those in `left`,
    whose ARNs are tried again. begun and place are of a listing that one sweep could not end: when
    it began, and how many lists it had ended and the token of the page that comes next.
    """

    swept_to: datetime
    begun: datetime | None = None
    place: tuple[int, str | None] = (0, None)
    left: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, client: DynamoDBClient, ledger: str) -> Progress:
        """From the ledger; the beginning of time when there is none."""
        with transient_errors():
            row = client.get_item(TableName=ledger, Key=WATERMARK, ConsistentRead=True)
        item = row.get("Item", {})
        swept_to = item.get("swept_to", {}).get("S", "1970-02-01T00:00:00.000Z")
        rest = json.loads(item.get("rest", {}).get("S", "{}"))
        begun = rest.get("begun")
        return cls(
            swept_to=datetime.fromisoformat(swept_to),
            begun=datetime.fromisoformat(begun) if begun else None,
            place=tuple(rest.get("page", (0, None))),
            left=rest.get("left", []),
        )

    def keep(self, client: DynamoDBClient, ledger: str) -> None:
        """The inverse of `read`."""
        rest = {
            "begun": iso_milliseconds(self.begun) if self.begun else None,
            "page": self.place,
            "left": self.left[:MAX_LEFT],
        }
        row = {
            **WATERMARK,
            "swept_to": {"S": iso_milliseconds(self.swept_to)},
            "rest": {"S": json.dumps(rest)},
        }
        with transient_errors():
            client.put_item(TableName=ledger, Item=row)
