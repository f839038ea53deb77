"""The report of a run over the whole bucket: added up from its results in the staging bucket, in
flat memory, and kept in the ledger.

A Distributed Map's ResultWriter puts a manifest.json and files of results there:
https://docs.aws.amazon.com/step-functions/latest/dg/input-output-resultwriter.html
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from tablekeeper import aws
from tablekeeper.bucket.ends import FINDINGS, ORPHAN, ORPHANS, TRACED
from tablekeeper.causes import error_status
from tablekeeper.errors import ListingError
from tablekeeper.ledger.rows import CURRENT, attribute
from tablekeeper.model.times import now

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

LAST_RUN = {"pk": {"S": "BUCKET"}, "sk": {"S": CURRENT}}
"""The key of the ledger's row of the last run, over any prefix."""
LEFT = ("INVALID", "FAILED", TRACED)
"""The outcomes of files that still differ when a run ends. A batch waits for the executions of its
files, a shard for none: TRACED is an orphan whose items may still be in the table.
"""


def added_up(
    run: Mapping[str, Any], shards: Iterable[Mapping[str, Any]], bucket: str
) -> dict[str, Any]:
    """The summary of a run.

    `run` comes from the state machine: execution, started, prefix, how and place, its prefix in the
    staging bucket, and error where it was cut short. `shards` has the counts of orphans. In the
    summary, `differences` is how many files differ from the table after the run.

    Raises:
        TransientServiceError: a retry helps.
    """
    findings, outcomes = Counter[str](), Counter[str]()
    files, unread = 0, Counter[str]()
    for result in results(aws.s3(), bucket, run["place"]):
        if isinstance(result, str):
            unread[result] += 1
            continue
        files += result["files"]
        for end in result["ends"]:
            findings[end["finding"]] += 1
            outcomes[outcome_of(end) or run["how"]] += 1
    for shard in shards:
        orphans = shard.get("outcomes", {})  # none of one that could not be looked at
        findings[ORPHAN] += sum(orphans.values())
        outcomes.update(orphans)
    # Sync Objects writes for these two alone; a run that is started by hand may name anything.
    look = run["how"] not in ("bulk", "traced")
    differences = findings.total() if look else sum(outcomes[each] for each in LEFT)
    return {
        **run,
        "ended": now(),
        "results": f"s3://{bucket}/{run['place']}",
        "files": files,
        # Those of batches that ran with the functions of another release, too.
        "findings": dict.fromkeys(FINDINGS, 0) | findings,
        "outcomes": {} if look else dict(+outcomes),
        "failed_batches": unread["FAILED"],
        "pending_batches": unread["PENDING"],
        "differences": differences,
    }


def last_run_over(prefix: str) -> dict[str, Any]:
    """The key of the ledger's row of the last run over this prefix."""
    return {**LAST_RUN, "pk": {"S": f"BUCKET#{prefix}"}}


def empty_listing(bucket: str, run: Mapping[str, Any]) -> ListingError | None:
    """For a run whose Distributed Map had no item: the error of the run where an object is there.

    AWS documents an empty prefix of S3's ListObjectsV2, and not one of an ItemReader: a run that
    looked at nothing must not end as one that found no difference. Folders that the console makes
    (keys that end in "/") and objects younger than the run do not count.

    Raises TransientServiceError.
    """
    started = datetime.fromisoformat(run["started"])
    for each in _objects(aws.s3(), bucket, run["prefix"]):
        if not each["Key"].endswith("/") and each["LastModified"] < started:
            return ListingError(
                f"Step Functions listed no object of s3://{bucket}/{run['prefix']}, S3 lists "
                f"{each['Key']!r}. {ListingError.advice}"
            )
    return None


def outcome_of(end: Mapping[str, str]) -> str:
    """The outcome of a file; "" when nothing was done. One that had an execution of its own may be
    known by its error alone.
    """
    if end.get("outcome") == "FAILED":
        return error_status(end.get("error", ""))
    return end.get("outcome", "")


def results(client: S3Client, bucket: str, place: str) -> Iterator[dict[str, Any] | str]:
    """The results of a run's batches, `{files, ends}`; FAILED in place of one that failed, PENDING
    of one that had not begun when the run ended. Raises TransientServiceError.
    """
    for name in _names(client, bucket, place):
        if name.startswith(f"{place}{ORPHANS}/") or not name.endswith("/manifest.json"):
            continue
        (manifest,) = _lines(client, bucket, name)
        for status, files in manifest["ResultFiles"].items():
            for each in files:
                for line in _lines(client, bucket, each["Key"]):
                    yield line if status == "SUCCEEDED" else status


def ends(client: S3Client, bucket: str, place: str) -> Iterator[dict[str, Any]]:
    """Every file that a run found different, `{key, finding, outcome, error}`, orphans last.
    Raises TransientServiceError.
    """
    for result in results(client, bucket, place):
        for end in () if isinstance(result, str) else result["ends"]:
            yield {**end, "outcome": outcome_of(end)} if "outcome" in end else end
    for name in _names(client, bucket, f"{place}{ORPHANS}/"):
        yield from _lines(client, bucket, name)


def _names(client: S3Client, bucket: str, prefix: str) -> list[str]:
    return [each["Key"] for each in _objects(client, bucket, prefix)]


def _objects(client: S3Client, bucket: str, prefix: str) -> Iterator[Any]:
    """Objects as S3 lists them, a page at a time."""
    with aws.transient_errors():
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        for page in pages:
            yield from page.get("Contents", ())


def _lines(client: S3Client, bucket: str, key: str) -> Iterator[dict[str, Any]]:
    """The lines of an object of JSON Lines, in flat memory."""
    with aws.transient_errors():
        body = client.get_object(Bucket=bucket, Key=key)["Body"]
        with body:
            for line in body.iter_lines():
                if line.strip():
                    yield json.loads(line)


def keep(ledger: str, summary: Mapping[str, Any]) -> None:
    """Writes a summary to the ledger, as that of the last run and of the last one over its prefix;
    of two runs the one that started later stays.

    Raises TransientServiceError.
    """
    for key in (LAST_RUN, last_run_over(summary["prefix"])):
        _keep(ledger, key, summary)


def _keep(ledger: str, key: Mapping[str, Any], summary: Mapping[str, Any]) -> None:
    from botocore.exceptions import ClientError

    row = {
        **key,
        "execution": attribute(summary["execution"]),
        "started": attribute(summary["started"]),
        "differences": attribute(summary["differences"]),
        "summary": attribute(json.dumps(summary, ensure_ascii=False)),
    }
    try:
        with aws.transient_errors():
            aws.dynamodb().put_item(
                TableName=ledger,
                Item=row,
                ConditionExpression="attribute_not_exists(pk) OR started <= :started",
                ExpressionAttributeValues={":started": row["started"]},
            )
    except ClientError as error:
        if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
            raise
