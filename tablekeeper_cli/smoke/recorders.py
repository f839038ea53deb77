"""Points about what records and mends: failures, the queue, runs over the bucket, verify."""

from __future__ import annotations

import json
from typing import Any

from tablekeeper import aws
from tablekeeper.datasets.catalogue import Catalogue

from tablekeeper_cli.compare.target import table_key
from tablekeeper_cli.executions import bucket_runs
from tablekeeper_cli.executions.failed_events import redrive, waiting
from tablekeeper_cli.smoke.place import DATASET, Place, dataset
from tablekeeper_cli.smoke.points import BrokenError, NotReachedError
from tablekeeper_cli.stack import NO_OBJECT
from tablekeeper_cli.verify.verification import verify as verified
from tablekeeper_cli.verify.verifier import Verifier


def _recorded(place: Place, uri: str, arn: str) -> list[Any]:
    return [row for row in place.audit_rows(uri) if row["execution"]["S"] == arn]


def no_object(place: Place) -> str:
    """An input that names no object is FAILED, in a row of its own."""
    arn = place.start(place.stack.state_machine, {"smoke": place.mark})
    said = place.end(arn)
    if (said["status"], said.get("error")) != ("FAILED", "InvalidEventError"):
        raise BrokenError(f"{arn} ended {said['status']} with {said.get('error')}")
    place.until(lambda: _recorded(place, NO_OBJECT, arn), lambda: f"{arn} has no row in the ledger")
    return "FAILED with InvalidEventError, in the ledger once"


def aborted_execution(place: Place) -> str:
    """An execution that is stopped is recorded from outside, by the safety net or the sweep."""
    key = f"{place.prefix}aborted.json"
    place.keys.append(key)
    event = {"detail": {"bucket": {"name": place.stack.bucket}, "object": {"key": key}}}
    arn = place.start(place.stack.state_machine, event)
    place.stack.client("stepfunctions").stop_execution(executionArn=arn, cause="tablekeeper smoke")
    status = place.end(arn)["status"]
    if status != "ABORTED":
        raise NotReachedError(f"the execution was faster than its end: {status}")
    uri = place.stack.uri(key)
    place.until(
        lambda: _recorded(place, uri, arn),
        lambda: f"{arn} was aborted, and has no row in the ledger",
    )
    # Its problem goes with a commit, as any other file's.
    again = place.start(place.stack.state_machine, event)
    if place.end(again)["status"] != "SUCCEEDED":
        raise BrokenError(f"{again}, started with the same input, did not succeed")
    return "recorded once, and DELETED by the next execution"


def failed_events(place: Place) -> str:
    """An event of the queue is started, and removed."""
    if waiting(place.stack, 1):
        raise NotReachedError("the queue has events of others, which are not touched")
    key = place.put("event.json", place.records("event.json", 1))
    place.becomes(key, "SYNCED")
    detail = {"bucket": {"name": place.stack.bucket}, "object": {"key": key}}
    body = {"id": f"smoke-{place.mark}", "source": "aws.s3", "detail": detail}
    place.stack.client("sqs").send_message(
        QueueUrl=place.stack.failed_events, MessageBody=json.dumps(body)
    )
    place.until(lambda: waiting(place.stack, 1), lambda: "the message is not in the queue")
    (done,) = redrive(place.stack, rate=10, most=1)
    if done.execution is None:
        raise BrokenError(f"the event was not started: {done.problem}")
    place.executions.append(done.execution)
    said = place.end(done.execution)
    outcome = json.loads(said.get("output") or "{}").get("outcome")
    if outcome != "UNCHANGED":
        raise BrokenError(f"the event's execution ended {outcome or said['status']}, not UNCHANGED")
    return "started, UNCHANGED, removed from the queue"


def reconcile(place: Place) -> str:
    """A run over the prefix, in bulk, looks at every file and finds no difference."""
    return _run(place, "bulk", place.prefix, orphans=True)


def traced_backfill(place: Place) -> str:
    """A run that waits for nested executions ends."""
    return _run(place, "traced", place.prefix, orphans=False)


def whole_bucket(place: Place) -> str:
    """A run without a prefix lists the whole bucket; it changes nothing."""
    return _run(place, "look", None, orphans=False)


def _run(place: Place, how: str, prefix: str | None, *, orphans: bool) -> str:
    arn = bucket_runs.start(place.stack, how, orphans=orphans, prefix=prefix, concurrency=2)
    end = bucket_runs.follow(place.stack, arn, lambda _counts: None)
    summary = end.summary
    if end.status != "SUCCEEDED" or summary is None:
        raise BrokenError(f"{arn} ended {end.status}: {end.error or 'no summary'}")
    here = len({key for key in place.keys if place.shown(key)[0] == "SYNCED"})
    if summary["files"] < here:
        raise BrokenError(f"{summary['files']} files were looked at, of {here} at least")
    if prefix is not None and summary["differences"]:
        raise BrokenError(f"{summary['differences']} files differ: {summary['results']}")
    return f"{summary['files']:,} files looked at"


def verify(place: Place) -> str:
    """Every item, derived again, is in the table."""
    stack = place.stack
    catalogue = Catalogue({DATASET: dataset(table_key(stack.parameters))})
    verifier = Verifier.of(stack, catalogue, prefix=place.prefix, settle_seconds=place.patience)
    with aws.clients_by(stack.client):
        verification = verified(verifier)
        summary = verification.summary
        verification.close()
    if summary.differences:
        raise BrokenError(f"{summary.differences} differences: {summary.kinds}")
    return f"{summary.files} files, {summary.items:,} items, no difference"
