"""The items that a file should have: made again from the content that its ledger row names."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import Any

from tablekeeper import aws
from tablekeeper.datasets.catalogue import is_ignored
from tablekeeper.datasets.items_of_records import RecordItem
from tablekeeper.documents.text import Text
from tablekeeper.errors import ArchivedObjectError, EncryptedObjectError
from tablekeeper.ledger.rows import Row
from tablekeeper.model.items import item_key
from tablekeeper.model.keys import ItemKey
from tablekeeper.model.snapshot import Snapshot
from tablekeeper.model.times import iso_milliseconds
from tablekeeper.staging.partitioned_lines import PARTITIONS, Lines, copied_manifest
from tablekeeper.steps.content import CHUNK_BYTES, ObjectContent
from tablekeeper.steps.file_content import FileContent

from tablekeeper_cli.compare.target import Target
from tablekeeper_cli.verify.conflicts import settled_conflict
from tablekeeper_cli.verify.expectation import (
    COMMITTED,
    CURRENT,
    Expectation,
    Present,
    expected_of,
    version_of,
)
from tablekeeper_cli.verify.findings import Kind


class GoneError(Exception):
    """The content that the items were made of cannot be read; the message says why."""

    kind = Kind.UNVERIFIABLE


class DeniedError(GoneError):
    """S3 refuses to let an object be read, by its policy or because of its key."""

    kind = Kind.UNREADABLE


@dataclass(frozen=True)
class Sources:
    """Reads the files of a bucket until `stopped` is set."""

    target: Target
    stopped: threading.Event

    @contextmanager
    def content(
        self, key: str, row: Row
    ) -> Generator[tuple[Expectation, Present | None, Iterator[RecordItem]]]:
        """What the items of a file stand for, the object that is there now, and the items.
        Raises GoneError.

        Making them raises InvalidFileError, ObjectChangedError and TransientServiceError.
        """
        bucket = self.target.settings.source_bucket
        with _opened(bucket, key) as (present, chunks):
            ignored = is_ignored(key, self.target.settings.ignore_patterns)
            expectation = expected_of(row, present, ignored=ignored)
            if not expectation.kind and (
                why := settled_conflict(self.target, row, self._item_keys)
            ):
                expectation = replace(expectation, kind=Kind.STALE, detail=why, behind=True)
            if expectation.items == CURRENT and present:
                yield expectation, present, self._make(key, present, chunks)
            elif expectation.items != COMMITTED:
                yield expectation, present, iter(())
            elif present and (row.etag, version_of(row.version_id)) == (
                present.etag,
                version_of(present.version_id),
            ):
                yield expectation, present, self._make(key, present, chunks)
            else:
                with self._committed(key, row) as made:
                    yield expectation, present, made

    @contextmanager
    def _committed(self, key: str, row: Row) -> Generator[Iterator[RecordItem]]:
        """The items of the version that the row names. Raises GoneError."""
        version = version_of(row.version_id)
        with _opened(self.target.settings.source_bucket, key, version) as (present, chunks):
            if present is None or present.etag != row.etag:
                named = f"version {version}" if version else f"the content with etag {row.etag}"
                raise GoneError(f"{named}, which the items were made of, is gone")
            if present.unreadable:
                raise GoneError(str(present.unreadable))
            yield self._make(key, present, chunks)

    def _make(self, key: str, present: Present, chunks: Iterator[bytes]) -> Iterator[RecordItem]:
        """The items of an object, as the functions make them. Raises InvalidFileError."""
        settings, catalogue = self.target.settings, self.target.catalogue
        if present.unreadable:
            raise present.unreadable
        dataset = catalogue.get(key)
        snapshot = Snapshot(
            action="validate",
            bucket=settings.source_bucket,
            key=key,
            revision=0,
            as_of="",
            dataset=dataset.name,
            etag=present.etag,
            version_id=present.version_id,
            size=present.size,
            last_modified=present.last_modified,
        )

        # What was written stays right when MaxDocumentBytes is lowered.
        limit = max(settings.max_document_bytes, present.size)

        def text() -> Text:
            return Text(ObjectContent(snapshot, chunks), limit)

        made = FileContent(snapshot, catalogue, text).valid_items(settings)
        yield from takewhile(lambda _: not self.stopped.is_set(), made)

    def _item_keys(self, key: str) -> Iterator[ItemKey]:
        """The keys of the items that a file makes as it is now. Raises as `content`."""
        with _opened(self.target.settings.source_bucket, key) as (present, chunks):
            if present:
                for each in self._make(key, present, chunks):
                    yield item_key(each.item, self.target.settings.item_keys)

    def keys_of_row(self, row: Row) -> Iterator[str]:
        """The keys that the ledger lists. Raises StagedSetMissingError."""
        yield from (key.text for key in row.item_keys)
        if row.keys_at:
            lines = Lines(self.target.staging_bucket, copied_manifest(row.keys_at))
            for partition in range(PARTITIONS):
                yield from lines.partition(partition)


@contextmanager
def _opened(
    bucket: str, key: str, version: str | None = None
) -> Generator[tuple[Present | None, Iterator[bytes]]]:
    """An object, or a version of it, and its content; None when it is not there.

    Raises DeniedError; reading the content raises TransientServiceError.
    """
    present, body = _open(bucket, key, {"VersionId": version} if version else {})
    if body is None:
        yield present, iter(())
        return
    with closing(body):
        yield present, _chunks(body)


def _open(bucket: str, key: str, version: Any) -> tuple[Present | None, Any]:
    from botocore.exceptions import ClientError

    try:
        with aws.transient_errors():
            answer: Any = aws.s3().get_object(Bucket=bucket, Key=key, **version)
    except ClientError as error:
        code = error.response["Error"].get("Code", "")
        message = error.response["Error"].get("Message", "")
        if code in ("NoSuchKey", "NoSuchVersion", "404"):
            return None, None
        if code == "InvalidObjectState":
            with aws.transient_errors():
                answer = aws.s3().head_object(Bucket=bucket, Key=key, **version)
            why = ArchivedObjectError("the object is in an archive storage class")
            return replace(_present(answer), unreadable=why), None
        if code == "InvalidRequest" and "encrypt" in message.lower():
            unreadable = EncryptedObjectError("the object is encrypted with SSE-C")
            return Present(None, None, 0, None, unreadable), None
        if code in ("AccessDenied", "403") or code.startswith("KMS."):
            raise DeniedError(f"{code}: S3 refuses to read s3://{bucket}/{key}") from None
        raise
    return _present(answer), answer["Body"]


def _present(answer: Any) -> Present:
    return Present(
        etag=answer["ETag"].strip('"'),
        version_id=answer.get("VersionId"),
        size=answer["ContentLength"],
        last_modified=iso_milliseconds(answer["LastModified"]),
    )


def _chunks(body: Any) -> Iterator[bytes]:
    with aws.transient_errors():
        yield from body.iter_chunks(CHUNK_BYTES)
