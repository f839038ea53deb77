"""Fetch Object: reads the ledger's revision first and the object second. That order makes the table
converge: docs/architecture.md says why.
"""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from typing import Any

from tablekeeper import aws
from tablekeeper.datasets.catalogue import Catalogue, is_ignored
from tablekeeper.datasets.dataset import Dataset
from tablekeeper.errors import (
    ArchivedObjectError,
    ContentionError,
    DocumentTooLargeError,
    EncryptedObjectError,
    InvalidEventError,
    TransientServiceError,
)
from tablekeeper.ledger.reads import read_row
from tablekeeper.ledger.rows import Row
from tablekeeper.ledger.view import LedgerView
from tablekeeper.model.objects import MAX_URI_BYTES, object_uri
from tablekeeper.model.snapshot import INLINE_BYTES, Snapshot
from tablekeeper.model.times import as_of, iso_milliseconds
from tablekeeper.settings import FetchSettings
from tablekeeper.steps.content import inline_document, refused_document
from tablekeeper.steps.events import object_of

MAX_ROUNDS = 12
MAX_JITTER = 0.5
"""Seconds that a look at the bucket waits at most when it is not the first one."""


def fetch(
    payload: Mapping[str, Any], settings: FetchSettings, catalogue: Catalogue
) -> dict[str, Any]:
    """What ledger and bucket hold now: `{"found": ..., "document": ...}`; document may be null.

    Raises:
        ContentionError: in each of twelve rounds something was another than at its beginning.
        InvalidEventError: the input names no object of the source bucket.
        TransientServiceError: a retry helps.
    """
    event = payload["event"]
    key = object_of(event, settings.source_bucket)
    if payload["round"] > MAX_ROUNDS:
        raise ContentionError(
            f"in each of {MAX_ROUNDS} rounds the ledger row or the object moved, or functions had "
            "other schemas or settings than Fetch Object"
        )
    if payload["round"]:
        # A Wait has whole seconds only, and rivals are closer than a second.
        time.sleep(random.uniform(0, MAX_JITTER))  # noqa: S311 - nothing secret
    row = read_row(aws.dynamodb(), settings.ledger_table, object_uri(settings.source_bucket, key))
    snapshot, document = look(key, LedgerView(row, payload["entered"]), settings, catalogue, event)
    return {"found": snapshot.payload(), "document": document}


def look(
    key: str,
    view: LedgerView,
    settings: FetchSettings,
    catalogue: Catalogue,
    flags: Mapping[str, Any],
) -> tuple[Snapshot, dict[str, Any] | None]:
    """What the bucket holds now, the row having been read; and the object's content, where it is
    there and is to be read. `flags` may hold `force`.

    Raises:
        InvalidEventError: the ledger cannot hold the key.
        TransientServiceError: a retry helps.
    """
    check_key(key, settings.source_bucket)
    seen = before_the_object(key, *view, settings, catalogue)
    if leaves_out(key, settings):
        return Snapshot(action="ignore", **seen), None
    dataset = catalogue.find(key)
    with aws.transient_errors():
        return _read_object(seen, view.row, dataset, settings, force=flags.get("force") is True)


def check_key(key: str, bucket: str) -> None:
    """Raises InvalidEventError for a key that the ledger cannot hold."""
    length = len(object_uri(bucket, key).encode())
    if length > MAX_URI_BYTES:
        raise InvalidEventError(
            f"bucket and key have {length:,} bytes as s3://bucket/key; "
            f"the ledger holds {MAX_URI_BYTES:,}"
        )


def leaves_out(key: str, settings: FetchSettings) -> bool:
    """Whether the stack's parameters say that a key is not to be read. Items of it go: it may have
    been read before the parameters changed.
    """
    return not key.startswith(settings.key_prefix) or is_ignored(key, settings.ignore_patterns)


def before_the_object(
    key: str, row: Row, entered: str, settings: FetchSettings, catalogue: Catalogue
) -> dict[str, Any]:
    """The fields of `Snapshot` but `action` that are known before the object is looked at."""
    seen: dict[str, Any] = {
        "bucket": settings.source_bucket,
        "key": key,
        "revision": row.revision,
        "claim": row.claim.state if row.claim else None,
        "as_of": as_of(entered),
        "answered_until": row.answered_until,
        "failing_since": row.failing_since(None),
    }
    dataset = None if leaves_out(key, settings) else catalogue.find(key)
    if dataset:
        seen |= {
            "dataset": dataset.name,
            "digest": catalogue.digest(dataset, str(settings.item_keys), settings.ttl_attribute),
        }
    return seen


def judge(
    seen: dict[str, Any], row: Row, dataset: Dataset | None, settings: FetchSettings, *, force: bool
) -> tuple[Snapshot, dict[str, Any] | None]:
    """The snapshot of an object that is there, with what is to be done; and in place of its content
    the refusal of one that is too large.
    """
    if not force and is_unchanged(row, seen, dataset, settings):
        return Snapshot(action="unchanged", set_aside=row.set_aside, **seen), None
    refused = None
    if seen["size"] > settings.max_document_bytes:
        message = (
            f"the object has {seen['size']:,} bytes, more than {settings.max_document_bytes:,}"
        )
        refused = refused_document(DocumentTooLargeError, message)
    return Snapshot(action="validate", **seen), refused


def _read_object(
    seen: dict[str, Any], row: Row, dataset: Dataset | None, settings: FetchSettings, *, force: bool
) -> tuple[Snapshot, dict[str, Any] | None]:
    from botocore.exceptions import ClientError

    try:
        answer = aws.s3().get_object(Bucket=settings.source_bucket, Key=seen["key"])
    except ClientError as error:
        code = error.response["Error"].get("Code", "")
        message = error.response["Error"].get("Message", "")
        if code in ("NoSuchKey", "404"):
            unchanged = is_tombstone(row) and not force
            return Snapshot(action="unchanged" if unchanged else "delete", **seen), None
        if code == "InvalidObjectState":
            return _archived(seen, row, dataset, settings, force=force)
        if code == "InvalidRequest" and "encrypt" in message.lower():
            why = "the object is encrypted with SSE-C"
            return Snapshot(action="validate", **seen), refused_document(EncryptedObjectError, why)
        raise
    seen |= _object_of(answer, row)
    with answer["Body"] as body:
        snapshot, refused = judge(seen, row, dataset, settings, force=force)
        if refused or snapshot.action == "unchanged":
            return snapshot, refused
        small = seen["size"] <= INLINE_BYTES
        inline = inline_document(body.read()) if small else None
        return snapshot, inline or {"object": snapshot.uri}


def _archived(
    seen: dict[str, Any], row: Row, dataset: Dataset | None, settings: FetchSettings, *, force: bool
) -> tuple[Snapshot, dict[str, Any] | None]:
    """HeadObject answers for an object in an archive storage class, too: one that is in the table
    need not be read.
    """
    from botocore.exceptions import ClientError

    try:
        answer = aws.s3().head_object(Bucket=settings.source_bucket, Key=seen["key"])
    except ClientError as error:
        if error.response["Error"].get("Code") == "404":
            raise TransientServiceError("the object went between two looks at it") from error
        raise
    snapshot, refused = judge(seen | _object_of(answer, row), row, dataset, settings, force=force)
    if snapshot.action == "unchanged":
        return snapshot, None
    why = "the object is in an archive storage class"
    return snapshot, refused or refused_document(ArchivedObjectError, why)


def _object_of(answer: Mapping[str, Any], row: Row) -> dict[str, Any]:
    """The fields of `Snapshot` that GetObject and HeadObject give."""
    etag = answer["ETag"].strip('"')
    return {
        "etag": etag,
        "version_id": answer.get("VersionId"),
        "size": answer["ContentLength"],
        "last_modified": iso_milliseconds(answer["LastModified"]),
        "failing_since": row.failing_since(etag),
    }


def is_tombstone(row: Row) -> bool:
    """Whether the object was gone already when it was last looked at."""
    return row.status == "DELETED" and not row.claim


def is_unchanged(
    row: Row, seen: Mapping[str, Any], dataset: Dataset | None, settings: FetchSettings
) -> bool:
    """Whether the table holds just what this object, with this dataset, makes.

    Of `_object`, the bucket and the key are fixed, and the size follows from the etag; what is left
    counts only when an expression uses it. A row of a release before does not name its table. An
    object that was read once can be over today's limit.
    """
    if dataset is None or not row.is_written or row.claim or row.doubted:
        return False
    if row.items_table not in (None, settings.items_table):
        return False
    if seen["size"] > settings.max_document_bytes:
        return False
    names = {"version_id", "last_modified"}
    used = names if "*" in dataset.object_fields else names & dataset.object_fields
    return (row.etag, row.digest) == (seen["etag"], seen["digest"]) and all(
        getattr(row, name) == seen[name] for name in used
    )
