"""The safety net: records every execution that ended without recording itself.

What no Catch sees (an abort, a time-out of the whole execution, a result over the payload limit, a
Record Failure that could not write) reaches it as a status change event, which is best effort; the
sweep finds what that missed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from tablekeeper.aws import transient_errors
from tablekeeper.ledger.ends import EndKey, RecordedEnd, read_ends, write_end
from tablekeeper.ledger.failures import Failure, record_failure, uri_of
from tablekeeper.ledger.reads import read_outcome_from_outside
from tablekeeper.model.execution import Execution
from tablekeeper.model.objects import key_of
from tablekeeper.model.times import iso_milliseconds
from tablekeeper.recovery.quotas import may_describe

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_stepfunctions import SFNClient
    from mypy_boto3_stepfunctions.literals import ExecutionStatusType
    from mypy_boto3_stepfunctions.type_defs import DescribeExecutionOutputTypeDef

FAILURE_TAIL = ("Record Failure", "Why Refused?", "Record Late Failure", "Sync Failed")
"""States that an execution passes because another one failed."""
BAD_ENDS: tuple[ExecutionStatusType, ...] = ("FAILED", "TIMED_OUT", "ABORTED")
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


@dataclass(frozen=True)
class SafetyNet:
    """Where ends are found and recorded. retention in seconds."""

    states: SFNClient
    dynamodb: DynamoDBClient
    ledger: str
    retention: int

    def end_of(self, execution_arn: str, redrive: int) -> BadEnd | None:
        """How an execution ended badly; without DescribeExecution where it recorded itself. None
        where it did not end badly, and where so many end at once that it is left to the sweep.

        Raises TransientServiceError.
        """
        key = EndKey(execution_arn.rpartition(":")[2], redrive)
        end = read_ends(self.dynamodb, self.ledger, [key]).get(key)
        if end is None:
            allowed = may_describe(self.dynamodb, self.ledger)
            return self.record(execution_arn) if allowed else None
        return BadEnd(key_of(end.uri), execution_arn, end.outcome, end.error, missing=False)

    def record(self, execution_arn: str) -> BadEnd | None:
        """Records an execution that ended badly, if it did not do so itself; None when it did not
        end badly.

        Raises TransientServiceError.
        """
        described = _described(self.states, execution_arn)
        if described is None or described["status"] not in BAD_ENDS:
            return None
        status = described["status"]
        execution = _execution(described)
        uri, error = uri_of(execution.event), described.get("error") or ERRORS.get(status, status)
        # A late failure, and one that ended after its commit, have an outcome and no end's row.
        outcome = read_outcome_from_outside(self.dynamodb, self.ledger, uri, execution)
        missing = False
        if outcome is None:
            failure = Failure(
                state=_last_state(self.states, execution_arn),
                error=error,
                cause=described.get("cause")
                or f"The execution ended {status} outside of any Catch.",
            )
            missing = record_failure(self.dynamodb, self.ledger, execution, failure, self.retention)
            outcome = "FAILED"
        write_end(
            self.dynamodb,
            self.ledger,
            EndKey(execution.name, execution.redrive),
            RecordedEnd(uri, outcome, error),
            self.retention,
        )
        return BadEnd(key_of(uri), execution.id, outcome, error, missing)


def _described(states: SFNClient, arn: str) -> DescribeExecutionOutputTypeDef | None:
    """None when Step Functions no longer has the execution: it keeps one for 90 days."""
    from botocore.exceptions import ClientError

    try:
        with transient_errors():
            return states.describe_execution(executionArn=arn)
    except ClientError as error:
        if error.response["Error"]["Code"] != "ExecutionDoesNotExist":
            raise
        return None


def _execution(described: DescribeExecutionOutputTypeDef) -> Execution:
    return Execution(
        id=described["executionArn"],
        name=described.get("name", described["executionArn"].rpartition(":")[2]),
        start=iso_milliseconds(described["startDate"]),
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
            maxResults=1000,
            includeExecutionData=False,
        )
    for event in history["events"]:
        entered: Mapping[str, Any] = event.get("stateEnteredEventDetails", {})
        if entered.get("name", FAILURE_TAIL[0]) not in FAILURE_TAIL:
            return str(entered["name"])
    return "-"
