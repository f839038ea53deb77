"""Documents on their way between the states.

A small document travels in the payload, as its text. A large one stays in S3, and each state reads
the version that Fetch Object found.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from typing import Any

from tablekeeper import aws
from tablekeeper.documents.text import Text
from tablekeeper.errors import (
    DatasetChangedError,
    DocumentTooLargeError,
    InvalidFileError,
    ObjectChangedError,
    TablekeeperError,
    TransientServiceError,
)
from tablekeeper.model.snapshot import INLINE_BYTES, Snapshot

CHUNK_BYTES = 1_000_000


def inline_document(body: bytes) -> dict[str, Any] | None:
    """A file's content as the text that travels; None when it is too much, or no text."""
    if len(body) > INLINE_BYTES:
        return None
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return {"text": text} if len(json.dumps(text)) <= INLINE_BYTES else None


def refused_document(error: type[InvalidFileError], message: str) -> dict[str, Any]:
    """In place of content that could not be read: what Validate Records is to raise."""
    return {"refused": {"error": error.__name__, "message": message}}


def read_document(payload: dict[str, Any], snapshot: Snapshot, limit: int) -> Text:
    """The text of a document of at most `limit` bytes, piece by piece, as often as it is wanted.

    Raises:
        InvalidFileError: it was refused or, as it is read, is too large or is no text.
        DatasetChangedError: Fetch Object has another limit, so that a deployment is under way.
        ObjectChangedError: the object is no longer the one that was found.
        TransientServiceError: a retry helps.
    """
    refused = payload.get("refused")
    found_large = (refused or {}).get("error") == DocumentTooLargeError.__name__
    if found_large != ((snapshot.size or 0) > limit):
        raise DatasetChangedError(
            f"{snapshot.uri}: this function reads {limit:,} bytes, Fetch Object another number"
        )
    if refused:
        raise _invalid_errors()[refused["error"]](refused["message"])
    if "text" in payload:
        return Text([payload["text"].encode()], limit)
    return Text(ObjectContent(snapshot), limit)


class ObjectContent:
    """The bytes of the object that was found, read anew by each iteration; the first one takes
    what was opened already.

    A body that breaks off is read on from there, in the same version, as long as each connection
    gives some bytes. Reading raises ObjectChangedError and TransientServiceError.
    """

    def __init__(self, snapshot: Snapshot, opened: Iterator[bytes] | None = None) -> None:
        self.snapshot, self.opened = snapshot, opened

    def __iter__(self) -> Iterator[bytes]:
        opened, self.opened = self.opened, None
        chunks, read = opened or self._read(0), 0
        while True:
            before = read
            try:
                for chunk in chunks:
                    read += len(chunk)
                    yield chunk
            except TransientServiceError:
                # After the last byte it is the checksum of what was read that is wrong.
                if read == before or read >= (self.snapshot.size or 0):
                    raise
            else:
                return
            chunks = self._read(read)

    def _read(self, begin: int) -> Iterator[bytes]:
        from botocore.exceptions import ClientError

        snapshot = self.snapshot
        versioned = snapshot.version_id not in (None, "null")
        which = (
            {"VersionId": snapshot.version_id} if versioned else {"IfMatch": f'"{snapshot.etag}"'}
        )
        if begin:
            which["Range"] = f"bytes={begin}-"
        try:
            with aws.transient_errors():
                answer = aws.s3().get_object(Bucket=snapshot.bucket, Key=snapshot.key, **which)
                with closing(answer["Body"]) as body:
                    yield from body.iter_chunks(CHUNK_BYTES)
        except ClientError as error:
            code = error.response["Error"].get("Code")
            if code in ("NoSuchKey", "NoSuchVersion", "PreconditionFailed", "404", "412"):
                raise ObjectChangedError(f"{snapshot.uri} is no longer what was found") from None
            raise


def _invalid_errors() -> dict[str, type[TablekeeperError]]:
    return {each.__name__: each for each in InvalidFileError.__subclasses__()}
