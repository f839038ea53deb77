"""Failures, recorded by a function: for ends that no Catch of the definition sees, and for files
that are synced in batches.

It writes what the state Record Failure writes, under the same key and the same conditions, so it
makes no difference which of the two comes first, or how often.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tablekeeper.aws import transient_errors
from tablekeeper.errors import StaleRevisionError, TransientServiceError
from tablekeeper.ledger.rows import CURRENT, attribute, shard_of
from tablekeeper.ledger.writes import AuditTable, audit_row, problem_attributes, put_audit_row
from tablekeeper.model.execution import RELEASE, Execution
from tablekeeper.model.objects import MAX_URI_BYTES, object_uri
from tablekeeper.model.outcome import NO_DATASET
from tablekeeper.model.snapshot import Snapshot
from tablekeeper.model.times import iso_milliseconds, now

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


INPUT_CHARACTERS = 32_000
"""The longest input that a problem keeps: a row has 400 KB, and item keys and a cause are in it."""


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
    execution started: then the failure is the execution's and no longer the file's. An execution
    that took a claim over answers for the event of the execution that had it, so its failure is
    never late. Retention in seconds.

    Raises:
        TransientServiceError: a retry helps.
    """
    uri = uri_of(execution.event)
    row = _audit(uri, execution, "FAILED", failure, retention)
    audit = put_audit_row(ledger, row)
    problem = _problem(
        ledger,
        uri,
        problem_changes(execution, "FAILED", failure),
        "attribute_not_exists(as_of) OR as_of < :bound OR claimed_by = :claimant",
        {
            ":bound": {"S": iso_milliseconds(execution.start)},
            ":claimant": {"S": execution.audit_key},
        },
    )
    codes = _write(client, [audit, problem])
    if codes == ["None", "ConditionalCheckFailed"]:
        codes = _write(client, [audit])
    if codes and codes[0] != "ConditionalCheckFailed":
        raise TransientServiceError(f"TransactWriteItems: {', '.join(codes)}")
    return not codes


def record_invalid(
    tables: AuditTable, snapshot: Snapshot, execution: Execution, failure: Failure
) -> None:
    """Records INVALID for the revision that was read, like any commit.

    Raises:
        StaleRevisionError: the row changed, or a large write is unfinished; read again.
        TransientServiceError: a retry helps.
    """
    condition = "revision = :bound"
    if snapshot.revision == 0:
        condition = f"(attribute_not_exists(revision) OR {condition})"
    changes = problem_changes(execution, "INVALID", failure, snapshot)
    problem = _problem(
        tables.ledger,
        snapshot.uri,
        {**changes, "as_of": {"S": snapshot.as_of}},
        f"{condition} AND attribute_not_exists(claim_state)",
        {":bound": {"N": str(snapshot.revision)}, ":claimant": {"S": execution.audit_key}},
    )
    row = _audit(snapshot.uri, execution, "INVALID", failure, tables.audit_retention)
    audit = put_audit_row(tables.ledger, row)
    codes = _write(tables.client, [audit, problem])
    if codes and codes[0] != "ConditionalCheckFailed":
        if "ConditionalCheckFailed" in codes:
            raise StaleRevisionError(f"{snapshot.uri} is no longer at revision {snapshot.revision}")
        raise TransientServiceError(f"TransactWriteItems: {', '.join(codes)}")


def uri_of(event: str) -> str:
    """The ledger's partition key for an execution's input, whatever the input is; the definition
    makes the same.
    """
    try:
        detail = _field(json.loads(event), "detail")
        bucket, key = (
            _field(_field(detail, "bucket"), "name"),
            _field(_field(detail, "object"), "key"),
        )
        if not isinstance(bucket, str) or not isinstance(key, str):
            return object_uri("", "")
        uri = object_uri(bucket, key)
        length = len(uri.encode())
    except (ValueError, RecursionError):
        return object_uri("", "")
    return uri if length <= MAX_URI_BYTES else object_uri("", "")


def _field(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else None


def input_again(event: str) -> str:
    """The input with which a file is started again: the execution's own, or no more than the
    object's address where that input is too long for the row, or holds a flag (`force`,
    `release_items`), which is of one execution. The definition makes the same.
    """
    if uri_of(event) == object_uri("", ""):
        return event[:INPUT_CHARACTERS]
    held = json.loads(event)
    if len(event) <= INPUT_CHARACTERS and not {"force", "release", RELEASE} & held.keys():
        return event
    bucket, key = held["detail"]["bucket"]["name"], held["detail"]["object"]["key"]
    again = {"detail": {"bucket": {"name": bucket}, "object": {"key": key}}}
    return json.dumps(again, ensure_ascii=False, separators=(",", ":"))


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


def _audit(
    uri: str, execution: Execution, outcome: str, failure: Failure, retention: int
) -> dict[str, Any]:
    details = {"state": failure.state, "error": failure.error, "cause": failure.cause}
    return audit_row(uri, execution, outcome, retention, **details)


def problem_changes(
    execution: Execution, status: str, failure: Failure, snapshot: Snapshot | None = None
) -> dict[str, Any]:
    """The changes of a problem; without a look at the object its content counts as the same."""
    at = now()
    problem = {
        "status": status,
        "state": failure.state,
        "error": failure.error,
        "cause": failure.cause,
        "execution": execution.id,
        "started": iso_milliseconds(execution.start),
        "input": input_again(execution.event),
        "etag": (snapshot.etag if snapshot else None) or "",
        "at": at,
    }
    since = snapshot.failing_since if snapshot else at
    changes = problem_attributes(problem, since, snapshot.dataset if snapshot else None)
    return changes | {"doubted": attribute(1)} if execution.forced else changes


def _problem(
    ledger: str,
    uri: str,
    changes: Mapping[str, Any],
    condition: str,
    bounds: Mapping[str, Any],
) -> dict[str, Any]:
    changes = {**changes, "file_shard": {"S": shard_of(uri)}}
    known = changes["problem"]["M"]["status"]["S"] == "INVALID"
    since = ":problem_since" if known else "if_not_exists(problem_since, :problem_since)"
    values = {name: f":{name}" for name in changes} | {"problem_since": since}
    if not known and changes["problem_dataset"] == attribute(NO_DATASET):
        # It failed before it was looked at: the dataset of the items that it has may be its own.
        values["problem_dataset"] = "if_not_exists(dataset, :problem_dataset)"
    sets = ", ".join(f"{name} = {value}" for name, value in values.items())
    return {
        "Update": {
            "TableName": ledger,
            "Key": {"pk": {"S": uri}, "sk": {"S": CURRENT}},
            "UpdateExpression": f"SET revision = if_not_exists(revision, :zero) + :one, {sets}, "
            "claimed_by = if_not_exists(claimed_by, :claimant)",
            "ConditionExpression": condition,
            "ExpressionAttributeValues": {
                ":zero": {"N": "0"},
                ":one": {"N": "1"},
                **bounds,
                **{f":{name}": value for name, value in changes.items()},
            },
        }
    }
