"""The safety net: records every execution that ended without recording itself.

What no Catch sees (an abort, a time-out of the whole execution, a result over the payload limit, a
Record Failure that could not write) reaches it as a status change event, which is best effort; the
sweep finds what that missed.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC
from typing import TYPE_CHECKING, Any, NamedTuple

from tablekeeper.aws import transient_errors
from tablekeeper.ledger.failures import Failure, record_failure, uri_of
from tablekeeper.ledger.reads import read_outcome
from tablekeeper.model.execution import Execution
from tablekeeper.model.objects import key_of
from tablekeeper.model.times import iso_milliseconds

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_stepfunctions import SFNClient
    from mypy_boto3_stepfunctions.type_defs import DescribeExecutionOutputTypeDef

FAILURE_TAIL = ("Record Failure", "Why Refused?", "Record Late Failure", "Sync Failed")
"""States that an execution passes because another one failed."""
ERRORS = {"ABORTED": "ExecutionAborted", "TIMED_OUT": "States.Timeout"}
"""The error of an execution that ended without one, by its status."""


class BadEnd(NamedTuple):
    """An execution that ended badly: its object's key, its ARN, the outcome and the error that the
    ledger has of it; and whether it was missing there until now.
    """

    key: str
    execution: str
    outcome: str
    error: str
    missing: bool


def record_uncaught(
    states: SFNClient, dynamodb: DynamoDBClient, ledger: str, execution_arn: str, retention: int
) -> BadEnd | None:
    """Records an execution that ended badly, if it did not do so itself; None when it did not end
    badly.

    Raises:
        TransientServiceError: a retry helps.
    """
    with transient_errors():
        described = states.describe_execution(executionArn=execution_arn)
    status = described["status"]
    if status not in ("FAILED", "TIMED_OUT", "ABORTED"):
        return None
    execution = _execution(described)
    uri, error = uri_of(execution.event), described.get("error") or ERRORS.get(status, status)
    # Most have recorded themselves, and to look costs a tenth of a transaction that is refused.
    outcome, missing = read_outcome(dynamodb, ledger, uri, execution), False
    if outcome is None:
        failure = Failure(
            state=_last_state(states, execution_arn),
            error=error,
            cause=described.get("cause") or f"The execution ended {status} outside of any Catch.",
        )
        missing = record_failure(dynamodb, ledger, execution, failure, retention)
        outcome = "FAILED"
    return BadEnd(key_of(uri), execution.id, outcome, error, missing)


def _execution(described: DescribeExecutionOutputTypeDef) -> Execution:
    return Execution(
        id=described["executionArn"],
        name=described.get("name", described["executionArn"].rpartition(":")[2]),
        start=iso_milliseconds(described["startDate"].astimezone(UTC)),
        redrive=described.get("redriveCount", 0),
        event=described.get("input", "{}"),
    )


def _last_state(states: SFNClient, execution_arn: str) -> str:
    """The state that failed: the last that was entered, the states that record failures left aside.

    "-" when the history does not say.
    """
    with transient_errors():
        history = states.get_execution_history(
            executionArn=execution_arn,
            reverseOrder=True,
            maxResults=50,
            includeExecutionData=False,
        )
    for event in history["events"]:
        entered: Mapping[str, Any] = event.get("stateEnteredEventDetails", {})
        if entered.get("name", FAILURE_TAIL[0]) not in FAILURE_TAIL:
            return str(entered["name"])
    return "-"
