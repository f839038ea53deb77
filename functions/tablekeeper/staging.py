"""What is too large to travel between states: it waits in the staging bucket and travels as a
reference.

Payloads are limited to 262,144 bytes:
https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html Staged objects are named by
their content, so that a retry writes the same object again, and expire by lifecycle.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterator
from typing import Any

from tablekeeper import aws
from tablekeeper.documents import GZIP_MAGIC, text_of
from tablekeeper.errors import InvalidFileError, TablekeeperError
from tablekeeper.items import Item

INLINE_BYTES = 200_000


def document_payload(bucket: str, body: bytes) -> dict[str, Any]:
    """A file's content as it travels: its text, or where it is staged. Raises
    TransientServiceError.
    """
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        return _stage(bucket, "documents", body)
    return {"text": text} if fits_inline(text) else _stage(bucket, "documents", body)


def refused_document(error: type[InvalidFileError], message: str) -> dict[str, Any]:
    """In place of content that could not be read: what Validate Records is to raise."""
    return {"refused": {"error": error.__name__, "message": message}}


def read_document(payload: dict[str, Any], limit: int) -> Iterator[str]:
    """The text of a document of at most `limit` bytes.

    Raises:
        InvalidFileError: it was refused, is too large or is no text.
        TransientServiceError: a retry helps.
    """
    if "refused" in payload:
        refused = payload["refused"]
        raise _invalid_errors()[refused["error"]](refused["message"])
    if "text" in payload:
        return text_of([payload["text"].encode()], limit)
    return text_of([_read(payload["staged"])], limit)


def items_payload(bucket: str, items: list[Item]) -> dict[str, Any]:
    """Items as they travel. Raises TransientServiceError."""
    if fits_inline(items):
        return {"items": items}
    return _stage(bucket, "items", json.dumps(items, ensure_ascii=False).encode())


def read_items(payload: dict[str, Any]) -> list[Item]:
    """The inverse of `items_payload`. Raises TransientServiceError."""
    if "items" in payload:
        items: list[Item] = payload["items"]
    else:
        items = json.loads(gzip.decompress(_read(payload["staged"])))
    return items


def write_report(bucket: str, name: str, report: dict[str, Any]) -> str:
    """Writes a report for people and says where, as s3://bucket/key.

    Raises TransientServiceError.
    """
    key = f"reports/{name}.json"
    body = json.dumps(report, ensure_ascii=False, indent=2).encode()
    with aws.transient_errors():
        aws.s3().put_object(Bucket=bucket, Key=key, Body=body, ContentType="application/json")
    return f"s3://{bucket}/{key}"


def fits_inline(value: Any) -> bool:
    """Whether a value's JSON leaves room for what travels with it."""
    return len(json.dumps(value)) <= INLINE_BYTES


def _stage(bucket: str, prefix: str, body: bytes) -> dict[str, Any]:
    compressed = not body.startswith(GZIP_MAGIC)
    key = f"{prefix}/{hashlib.sha256(body).hexdigest()}.gz"
    with aws.transient_errors():
        aws.s3().put_object(
            Bucket=bucket, Key=key, Body=gzip.compress(body, 1, mtime=0) if compressed else body
        )
    return {"staged": {"bucket": bucket, "key": key, "compressed": compressed}}


def _read(staged: dict[str, Any]) -> bytes:
    with aws.transient_errors():
        return aws.s3().get_object(Bucket=staged["bucket"], Key=staged["key"])["Body"].read()


def _invalid_errors() -> dict[str, type[TablekeeperError]]:
    return {each.__name__: each for each in InvalidFileError.__subclasses__()}
