"""The sweep: makes certain what events only make likely. It looks at states of affairs, so no
wake-up is ever lost.

Once a minute it compares the executions that ended badly with the ledger, and tries a file again
that was refused because of an item's owner, once that owner has let the item go. On the way it
counts the files that have a problem.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from tablekeeper.aws import transient_errors
from tablekeeper.commit.transaction import Tables
from tablekeeper.errors import KeyOwnershipError, message_of
from tablekeeper.ledger.rows import CURRENT, INCOMPLETE
from tablekeeper.model.items import owner
from tablekeeper.model.times import iso_milliseconds
from tablekeeper.recovery.safety_net import BadEnd, record_uncaught

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient

BAD_ENDS = ("FAILED", "TIMED_OUT", "ABORTED")
OVERLAP = timedelta(minutes=10)
"""ListExecutions is eventually consistent, so each sweep looks again at what ended shortly before
the last one.
"""
LONGEST_LIFE = timedelta(days=15)
"""From the start of an execution to its last end: four hours by its definition, but it can be
redriven for 14 days.
https://docs.aws.amazon.com/step-functions/latest/dg/redrive-executions.html
"""
WATERMARK = {"pk": {"S": "SWEEP"}, "sk": {"S": CURRENT}}


class Swept(NamedTuple):
    """What a sweep did: failures recorded that were missing, files tried again; and how many files
    it found with a problem, FAILED, INVALID and INCOMPLETE.
    """

    recorded: tuple[BadEnd, ...]
    restarted: int
    problems: Mapping[str, int]


def sweep(states: SFNClient, tables: Tables, state_machine: str) -> Swept:
    """One sweep.

    Raises TransientServiceError; the next sweep then does what this one left undone.
    """
    begun = datetime.now(UTC)
    since = _watermark(tables) - OVERLAP
    ends = (
        record_uncaught(states, tables.client, tables.ledger, arn, tables.audit_retention)
        for arn in _ended_badly(states, state_machine, since)
    )
    recorded = tuple(end for end in ends if end and end.missing)
    problems, refused = _problems(tables)
    restarted = sum(
        _restart(states, state_machine, row)
        for row in _still_refused(tables, refused)
        if _is_free(tables, row)
    )
    with transient_errors():
        tables.client.put_item(
            TableName=tables.ledger, Item={**WATERMARK, "swept_to": {"S": iso_milliseconds(begun)}}
        )
    return Swept(recorded, restarted, problems)


def _watermark(tables: Tables) -> datetime:
    """Until when executions have been looked at; the beginning of time when never."""
    with transient_errors():
        row = tables.client.get_item(TableName=tables.ledger, Key=WATERMARK, ConsistentRead=True)
    text = row.get("Item", {}).get("swept_to", {}).get("S", "1970-01-02T00:00:00.000Z")
    return datetime.fromisoformat(text)


def _ended_badly(states: SFNClient, state_machine: str, since: datetime) -> Iterator[str]:
    oldest_start = since - LONGEST_LIFE
    for status in BAD_ENDS:
        pages = states.get_paginator("list_executions").paginate(
            stateMachineArn=state_machine,
            statusFilter=status,  # type: ignore[arg-type]
        )
        with transient_errors():
            for page in pages:
                for execution in page["executions"]:
                    if execution["stopDate"] >= since:
                        yield execution["executionArn"]
                # The newest start comes first.
                if page["executions"] and page["executions"][-1]["startDate"] < oldest_start:
                    break


def _problems(tables: Tables) -> tuple[dict[str, int], list[dict[str, Any]]]:
    """How many files have a problem, by status, and the keys of the rows of those that were refused
    because of an item's owner. A file that is incomplete has one of the other two as well.
    """
    counts, refused = {"FAILED": 0, "INVALID": 0, INCOMPLETE: 0}, []
    for status in ("FAILED", "INVALID"):
        pages = tables.client.get_paginator("query").paginate(
            TableName=tables.ledger,
            IndexName="problems",
            KeyConditionExpression="problem_status = :status",
            ExpressionAttributeValues={":status": {"S": status}},
        )
        with transient_errors():
            for entry in (each for page in pages for each in page["Items"]):
                counts[status] += 1
                counts[INCOMPLETE] += "incomplete_since" in entry
                if entry["problem_error"]["S"] == KeyOwnershipError.__name__:
                    refused.append({"pk": entry["pk"], "sk": entry["sk"]})
    return counts, refused


def _still_refused(tables: Tables, keys: list[dict[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """The CURRENT rows that have these keys, read consistently, if they still are refused."""
    for key in keys:
        with transient_errors():
            row = tables.client.get_item(TableName=tables.ledger, Key=key, ConsistentRead=True)
        if row.get("Item", {}).get("problem_error", {}).get("S") == KeyOwnershipError.__name__:
            yield row["Item"]


def _is_free(tables: Tables, row: Mapping[str, Any]) -> bool:
    """Whether the item that stood in the way has another owner than the one named, or none any
    more.
    """
    item, named = KeyOwnershipError.parse(message_of(row["problem"]["M"]["cause"]["S"]))
    with transient_errors():
        found = tables.client.get_item(
            TableName=tables.items, Key=item.attributes, ConsistentRead=True
        )
    return "Item" not in found or owner(found["Item"]) != named


def _restart(states: SFNClient, state_machine: str, row: Mapping[str, Any]) -> bool:
    """Starts the refused execution's input again; its name makes that happen once a revision."""
    from botocore.exceptions import ClientError

    name = hashlib.sha256(f"{row['pk']['S']} {row['revision']['N']}".encode()).hexdigest()[:40]
    try:
        with transient_errors():
            states.start_execution(
                stateMachineArn=state_machine,
                name=f"sweep-{name}",
                input=row["problem"]["M"]["input"]["S"],
            )
    except ClientError as error:
        if error.response["Error"]["Code"] != "ExecutionAlreadyExists":
            raise
        return False
    return True
