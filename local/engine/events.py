"""S3 and EventBridge: events of objects."""

from __future__ import annotations

import contextvars
import json
import threading
from collections.abc import Callable
from typing import Any

from ministack.services import eventbridge, s3

from local.engine.patches import Json, mends
from local.engine.state import (
    CHAOS,
)

# AWS: events of a versioned bucket have a version id, events of a deletion no size and no empty
# etag: https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html
# Stock: never a version id, size 0 and an empty etag.
_version: contextvars.ContextVar[str | None] = contextvars.ContextVar("version", default=None)


@mends(
    s3,
    "_fire_s3_event",
    "bucket_name, key, event_name, size, etag, deletion_type, restore_event_data, version_id, "
    "sequencer, object_extra, record_extra",
)
def _fire(stock: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
    token = _version.set(kwargs.get("version_id"))
    try:
        stock(*args, **kwargs)
    finally:
        _version.reset(token)


@mends(eventbridge, "_dispatch_event", "event, view")
def _dispatch(stock: Callable[..., Any], event: Json, view: Any = None) -> Any:
    if event.get("Source") == "aws.s3" and view is None:
        detail = json.loads(event["Detail"])
        object_ = detail["object"]
        if version := _version.get():
            object_["version-id"] = version
        if event["DetailType"] == "Object Deleted":
            object_.pop("size", None)
            if not object_.get("etag"):
                object_.pop("etag", None)
        event = {**event, "Detail": json.dumps(detail)}
        for seconds in CHAOS.deliveries(object_["key"]):
            if seconds:
                later = contextvars.copy_context()
                timer = threading.Timer(seconds, later.run, (stock, event, view))
                timer.daemon = True
                timer.start()
            else:
                stock(event, view)
        return None
    return stock(event, view)
