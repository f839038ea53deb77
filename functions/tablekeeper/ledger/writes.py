"""Actions of transactions that change the ledger."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from tablekeeper.errors import VALIDATE, BadRecordsError
from tablekeeper.ledger.rows import CURRENT, OBJECT, PROBLEM, RELEASED, attribute, shard_of
from tablekeeper.model.execution import Execution, event_text
from tablekeeper.model.outcome import NO_DATASET, PARTIAL, CommitResult
from tablekeeper.model.snapshot import SetAside, Snapshot
from tablekeeper.model.times import looked_at, now

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class AuditTable(Protocol):
    """The ledger's table, its client, and for how many seconds it holds an outcome."""

    @property
    def client(self) -> DynamoDBClient: ...
    @property
    def ledger(self) -> str: ...
    @property
    def audit_retention(self) -> int: ...


def audit_action(
    tables: AuditTable,
    snapshot: Snapshot,
    execution: Execution,
    result: CommitResult,
    revision: int,
) -> dict[str, Any]:
    """The action that records an outcome, once."""
    aside = _set_aside(snapshot, result.outcome)
    return put_audit_row(
        tables.ledger,
        audit_row(
            snapshot.uri,
            execution,
            result.outcome,
            tables.audit_retention,
            revision=revision,
            dataset=snapshot.dataset,
            digest=snapshot.digest,
            etag=snapshot.etag,
            version_id=snapshot.version_id,
            items_put=result.items_put,
            items_removed=result.items_removed,
            items_kept=result.items_kept,
            set_aside=aside.records if aside else None,
        ),
    )


def object_attributes(snapshot: Snapshot, outcome: str) -> dict[str, Any]:
    """What the row says of the object: nothing once it is gone."""
    if outcome in ("DELETED", "IGNORED", RELEASED):
        return dict.fromkeys((*OBJECT, "set_aside"))
    values = {name: getattr(snapshot, name) for name in OBJECT}
    aside = _set_aside(snapshot, outcome)
    values["set_aside"] = json.dumps(aside._asdict(), ensure_ascii=False) if aside else None
    return {name: None if value is None else attribute(value) for name, value in values.items()}


def audit_row(
    uri: str, execution: Execution, outcome: str, retention: int, **details: str | int | None
) -> dict[str, Any]:
    """The immutable row of an execution's outcome; retention in seconds."""
    row: dict[str, Any] = {
        "pk": {"S": uri},
        "sk": {"S": execution.audit_key},
        "outcome": {"S": outcome},
        "execution": {"S": execution.id},
        "event": {"S": execution.event},
        "at": {"S": now()},
        "expires_at": {"N": str(int(time.time()) + retention)},
    }
    return row | {name: attribute(value) for name, value in details.items() if value is not None}


def put_audit_row(table: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """The transaction's action that makes an outcome happen once."""
    return {
        "Put": {"TableName": table, "Item": row, "ConditionExpression": "attribute_not_exists(pk)"}
    }


def no_outcome(table: str, uri: str, execution: Execution) -> dict[str, Any]:
    """The transaction's action that holds it back once the execution has an outcome."""
    return {
        "ConditionCheck": {
            "TableName": table,
            "Key": {"pk": {"S": uri}, "sk": {"S": execution.audit_key}},
            "ConditionExpression": "attribute_not_exists(pk)",
        }
    }


def update_row(
    table: str,
    uri: str,
    changes: Mapping[str, Any],
    *,
    seen: int,
) -> dict[str, Any]:
    """The action that raises the row's revision, on condition of the one that was read. `changes`
    are attributes in DynamoDB JSON; those whose value is None are removed.
    """
    changes = {"revision": {"N": str(seen + 1)}, "file_shard": attribute(shard_of(uri)), **changes}
    names = {f"#{place}": name for place, name in enumerate(changes)}
    set_places = [place for place, value in enumerate(changes.values()) if value is not None]
    removed = [place for place, value in enumerate(changes.values()) if value is None]
    values = {f":{place}": changes[names[f"#{place}"]] for place in set_places}
    condition = "attribute_not_exists(#0)" if seen == 0 else "#0 = :seen"
    if seen:
        values[":seen"] = {"N": str(seen)}
    expression = "SET " + ", ".join(f"#{place} = :{place}" for place in set_places)
    if removed:
        expression += " REMOVE " + ", ".join(f"#{place}" for place in removed)
    return {
        "Update": {
            "TableName": table,
            "Key": {"pk": {"S": uri}, "sk": {"S": CURRENT}},
            "UpdateExpression": expression,
            "ConditionExpression": condition,
            "ExpressionAttributeNames": names,
            "ExpressionAttributeValues": values,
        }
    }


def committed(snapshot: Snapshot, outcome: str, execution: str) -> dict[str, Any]:
    """The attributes that every commit sets."""
    return {
        "as_of": {"S": snapshot.as_of},
        "committed_at": {"S": now()},
        "execution": {"S": execution},
        **_problem_after(snapshot, outcome, execution),
    }


def _problem_after(snapshot: Snapshot, outcome: str, execution: str) -> dict[str, Any]:
    """The changes of the problem. A commit removes it, since it read the bucket later. RELEASED
    keeps it: the file still has to be written. Bad records that are set aside are a problem beside
    the commit, also when the content is in the table already: another problem may have replaced
    PARTIAL meanwhile.
    """
    if outcome == RELEASED:
        return {}
    aside = _set_aside(snapshot, outcome)
    if aside is None:
        return dict.fromkeys(PROBLEM)
    error, at = BadRecordsError.__name__, now()
    named = {"bucket": {"name": snapshot.bucket}, "object": {"key": snapshot.key}}
    problem = {
        "status": PARTIAL,
        "state": VALIDATE,
        "error": error,
        "cause": event_text({"errorMessage": aside.message, "errorType": error}),
        "execution": execution,
        "started": looked_at(snapshot.as_of),
        "input": event_text({"detail": named}),
        "etag": snapshot.etag or "",
        "at": at,
    }
    return problem_attributes(problem, snapshot.failing_since or at, snapshot.dataset)


def problem_attributes(
    problem: Mapping[str, str], since: str, dataset: str | None
) -> dict[str, Any]:
    """The attributes of a problem: PROBLEM."""
    return {
        "problem": {"M": {name: attribute(value) for name, value in problem.items()}},
        "problem_status": attribute(problem["status"]),
        "problem_at": attribute(problem["at"]),
        "problem_since": attribute(since),
        "problem_error": attribute(problem["error"]),
        "problem_dataset": attribute(dataset or NO_DATASET),
    }


def _set_aside(snapshot: Snapshot, outcome: str) -> SetAside | None:
    """The bad records of a file whose good ones are in the table with this outcome."""
    return snapshot.set_aside if outcome in (PARTIAL, "UNCHANGED") else None


NO_CLAIM: Mapping[str, Any] = dict.fromkeys(("claim", "claim_state", "incomplete_since", "refusal"))
"""The changes that end a claim and what is known of it."""
