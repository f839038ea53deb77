"""FAILED, recorded from outside the execution: for ends that no Catch of the definition sees.

It writes what the state Record Failure writes, under the same key and the same conditions, so that
it does not matter who comes first, or how often.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tablekeeper.aws import transient_errors
from tablekeeper.errors import TransientServiceError
from tablekeeper.found import Execution, iso_milliseconds, now, object_uri
from tablekeeper.ledger import CURRENT, audit_row, put_audit_row, shard_of

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

MAX_URI_BYTES = 2048


@dataclass(frozen=True)
class Failure:
    """How an execution failed: the state it was in, and the error and cause it ended with."""

    state: str
    error: str
    cause: str


def record_failure(
    client: DynamoDBClient, ledger: str, execution: Execution, failure: Failure, retention: int
) -> bool:
    """Records FAILED unless this execution has an outcome; whether it was missing.

    The file gets the problem too, unless a later look at the bucket has been committed since the
    execution started: then the failure is the execution's and no longer the file's. Retention in
    seconds.

    Raises:
        TransientServiceError: a retry helps.
    """
    uri = uri_of(execution.event)
    audit = put_audit_row(
        ledger,
        audit_row(
            uri,
            execution,
            "FAILED",
            retention,
            state=failure.state,
            error=failure.error,
            cause=failure.cause,
        ),
    )
    codes = _write(client, [audit, _problem(ledger, uri, execution, failure)])
    if codes == ["None", "ConditionalCheckFailed"]:
        codes = _write(client, [audit])
    if codes and codes[0] != "ConditionalCheckFailed":
        raise TransientServiceError(f"TransactWriteItems: {', '.join(codes)}")
    return not codes


def uri_of(event: str) -> str:
    """The ledger's partition key for an execution's input, whatever the input is; the definition
    makes the same.
    """
    try:
        detail = json.loads(event)["detail"]
        uri = object_uri(detail["bucket"]["name"], detail["object"]["key"])
    except (ValueError, LookupError, TypeError):
        return object_uri("", "")
    return uri if len(uri.encode()) <= MAX_URI_BYTES else object_uri("", "")


def _write(client: DynamoDBClient, actions: list[Any]) -> list[str]:
    """The codes of why the transaction was cancelled; none when it was not."""
    from botocore.exceptions import ClientError

    try:
        with transient_errors():
            client.transact_write_items(TransactItems=actions)
    except ClientError as error:
        if error.response["Error"]["Code"] != "TransactionCanceledException":
            raise
        response: Mapping[str, Any] = error.response
        return [str(reason.get("Code", "None")) for reason in response["CancellationReasons"]]
    return []


def _problem(ledger: str, uri: str, execution: Execution, failure: Failure) -> dict[str, Any]:
    started, at = iso_milliseconds(execution.start), now()
    problem = {
        "status": "FAILED",
        "state": failure.state,
        "error": failure.error,
        "cause": failure.cause,
        "execution": execution.id,
        "started": started,
        "input": execution.event,
        "at": at,
    }
    return {
        "Update": {
            "TableName": ledger,
            "Key": {"pk": {"S": uri}, "sk": {"S": CURRENT}},
            "UpdateExpression": "SET revision = if_not_exists(revision, :zero) + :one, "
            "problem = :problem, problem_status = :status, problem_at = :at, "
            "problem_error = :error, problem_dataset = :dataset, file_shard = :shard",
            "ConditionExpression": "attribute_not_exists(as_of) OR as_of < :started",
            "ExpressionAttributeValues": {
                ":zero": {"N": "0"},
                ":one": {"N": "1"},
                ":problem": {"M": {name: {"S": value} for name, value in problem.items()}},
                ":status": {"S": "FAILED"},
                ":at": {"S": at},
                ":error": {"S": failure.error},
                ":dataset": {"S": "-"},
                ":started": {"S": started},
                ":shard": {"S": shard_of(uri)},
            },
        }
    }
