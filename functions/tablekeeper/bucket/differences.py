"""Differences between a listing of the bucket and the ledger, found without reading an object."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

from tablekeeper import aws
from tablekeeper.bucket.ends import CLAIM, OUTDATED, PROBLEM, STALE, UNKNOWN
from tablekeeper.datasets.catalogue import Catalogue
from tablekeeper.errors import DatasetDefinitionError
from tablekeeper.ledger.rows import Row
from tablekeeper.model.times import iso_milliseconds, now
from tablekeeper.settings import FetchSettings
from tablekeeper.steps.fetch import before_the_object, is_unchanged, leaves_out

if TYPE_CHECKING:
    from tablekeeper.bucket.run import Run


@dataclass(frozen=True)
class ListedObject:
    """An object as ListObjectsV2 lists it; size in bytes."""

    key: str
    etag: str
    size: int
    last_modified: str

    @classmethod
    def of(cls, item: Mapping[str, Any]) -> Self:
        """From an item of a Distributed Map over a listing, whose time is in epoch seconds.
        https://docs.aws.amazon.com/step-functions/latest/dg/input-output-itemreader.html
        """
        modified = datetime.fromtimestamp(float(item["LastModified"]), UTC)
        return cls(
            key=item["Key"],
            etag=item["Etag"].strip('"'),
            size=int(item["Size"]),
            last_modified=iso_milliseconds(modified),
        )


def difference(
    listed: ListedObject, row: Row, settings: FetchSettings, catalogue: Catalogue
) -> str | None:
    """What is different between an object and the ledger's row of it; None when nothing is.

    Raises TransientServiceError.
    """
    if row.claim:
        return CLAIM
    if row.has_failed:
        return PROBLEM
    if row.status is None or row.status == "DELETED":
        return UNKNOWN
    if leaves_out(listed.key, settings):
        return None if row.status == "IGNORED" else OUTDATED
    if not row.is_written:
        return OUTDATED
    if (row.etag, row.size) != (listed.etag, listed.size):
        return STALE
    try:
        dataset = catalogue.find(listed.key)
    except DatasetDefinitionError:
        return OUTDATED  # the attempt to sync it records why it cannot be
    seen = before_the_object(listed.key, row, now(), settings, catalogue)
    seen = {
        "digest": None,
        **seen,
        "etag": listed.etag,
        "size": listed.size,
        "version_id": row.version_id,
        "last_modified": listed.last_modified,
    }
    if dataset and dataset.object_fields & {"version_id", "*"}:
        seen["version_id"] = _version_id(settings.source_bucket, listed.key)
    if row.digest != seen["digest"] or row.items_table not in (None, settings.items_table):
        return OUTDATED
    if listed.size > settings.max_document_bytes:
        return OUTDATED
    return None if is_unchanged(row, seen, dataset, settings) else STALE


def is_under_way(run: Run, row: Row) -> bool:
    """Whether the execution that made the row's claim still runs, so that the large write was not
    cut off. One of the run that asks was: its function ended in the write, and is tried again.

    Raises TransientServiceError.
    """
    from botocore.exceptions import ClientError

    if row.claim is None or row.claim.execution == run.execution.id:
        return False
    try:
        with aws.transient_errors():
            described = run.states.describe_execution(executionArn=row.claim.execution)
    except ClientError:
        # An Express workflow cannot be described, nor can an execution after 90 days.
        return False
    return described["status"] == "RUNNING"


def _version_id(bucket: str, key: str) -> str | None:
    """The version id, which a listing does not have; None when the object is gone, or may not be
    read: the attempt to sync it records why.
    """
    from botocore.exceptions import ClientError

    try:
        with aws.transient_errors():
            return aws.s3().head_object(Bucket=bucket, Key=key).get("VersionId")
    except ClientError as error:
        if error.response["Error"].get("Code") in ("400", "403", "404", "NoSuchKey"):
            return None
        raise
