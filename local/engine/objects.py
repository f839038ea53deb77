"""S3: bodies that break off, and keys that DeleteObjects does not delete; both are faults."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from xml.sax.saxutils import escape

from ministack.services import s3

from local.engine.patches import mends
from local.engine.state import FAULTS

OBJECT = re.compile(rb"<Object>.*?<Key>(.*?)</Key>.*?</Object>", re.DOTALL)


# AWS: 200, with Errors for some keys. Stock: all are deleted.
@mends(s3, "_delete_objects", "bucket_name, body, headers")
def _delete(stock: Callable[..., Any], bucket: str, body: bytes, headers: Any = None) -> Any:
    fault = FAULTS.take("DeleteObjects", body.decode())
    first = OBJECT.search(body)
    if fault is None or first is None:
        return stock(bucket, body, headers)
    rest = body[: first.start()] + body[first.end() :]
    status, answered, text = stock(bucket, rest, headers)
    error = (
        f"<Error><Key>{first[1].decode()}</Key><Code>{escape(fault.error)}</Code>"
        f"<Message>{escape(fault.cause)}</Message></Error></DeleteResult>"
    )
    told = text.replace(b"</DeleteResult>", error.encode())
    if told == text:
        # An answer without content is one element that closes itself.
        told = re.sub(rb"<DeleteResult([^>]*?)\s*/>", rb"<DeleteResult\1>" + error.encode(), text)
    return status, {**answered, "Content-Length": str(len(told))}, told


# AWS: a connection may break off, at any byte. Stock: never.
@mends(s3, "_get_object", "bucket_name, key, headers, query_params")
def _get(stock: Callable[..., Any], bucket: str, key: str, *more: Any, **named: Any) -> Any:
    status, headers, body = stock(bucket, key, *more, **named)
    fault = FAULTS.take("GetObject", key) if status in (200, 206) else None
    if fault and isinstance(body, bytes):
        return status, {**headers, "Content-Length": str(len(body))}, body[: len(body) // 2]
    return status, headers, body
