"""Events: hints that a key changed. Only the bucket and the key of one are used."""

from __future__ import annotations

from typing import Any

from tablekeeper.errors import InvalidEventError
from tablekeeper.model.objects import MAX_KEY_BYTES

SHOWN_CHARACTERS = 100


def object_of(event: Any, bucket: str) -> str:
    """The key that an EventBridge S3 event names, as it stands: there it is not URL-encoded.

    Raises:
        InvalidEventError: it names no object that S3 could hold, or one of another bucket.
    """
    detail = event.get("detail") if isinstance(event, dict) else None
    detail = detail if isinstance(detail, dict) else {}
    named, key = (
        part.get(field) if isinstance(part := detail.get(name), dict) else None
        for name, field in (("bucket", "name"), ("object", "key"))
    )
    if not isinstance(named, str) or not isinstance(key, str) or not key:
        raise InvalidEventError("the input has no detail.bucket.name and detail.object.key")
    if named != bucket:
        raise InvalidEventError(
            f'the input names the bucket "{named[:SHOWN_CHARACTERS]}"; this stack keeps "{bucket}"'
        )
    try:
        length = len(key.encode())
    except UnicodeEncodeError:
        raise InvalidEventError("the key in the input is no text") from None
    if length > MAX_KEY_BYTES:
        raise InvalidEventError(
            f"the key in the input has {length:,} bytes; S3 has keys of {MAX_KEY_BYTES:,} at most"
        )
    return key
