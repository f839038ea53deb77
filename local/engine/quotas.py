"""Step Functions: the quotas of its APIs, which are of an account and a region."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from ministack.services import stepfunctions

from local.engine.patches import Json, mends
from local.engine.state import SWITCHES
from local.switches import STATES_QUOTAS

QUOTAS = {"DescribeExecution": (250, 10), "ListExecutions": (100, 2)}
"""A bucket's size and its refill a second, in all but the three largest regions.
https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html
"""


class Bucket:
    """Tokens that come back at a rate."""

    def __init__(self, size: float, refill: float) -> None:
        self.size, self.refill = size, refill
        self._held, self._at = size, time.monotonic()
        self._lock = threading.Lock()

    def take(self) -> bool:
        """Whether there was a token."""
        with self._lock:
            now = time.monotonic()
            self._held = min(self.size, self._held + (now - self._at) * self.refill)
            self._at = now
            if self._held < 1:
                return False
            self._held -= 1
            return True


# AWS: an account may ask for executions at a rate, and is throttled above it. Stock: at any rate.
def _has_quota(operation: str, function: str) -> None:
    bucket = Bucket(*QUOTAS[operation])

    @mends(stepfunctions, function, "data")
    def _operation(stock: Callable[..., Any], data: Json) -> Any:
        if SWITCHES.is_on(STATES_QUOTAS) and not bucket.take():
            return stepfunctions.error_response_json("ThrottlingException", "Rate exceeded", 400)
        return stock(data)


_has_quota("DescribeExecution", "_describe_execution")
_has_quota("ListExecutions", "_list_executions")


# AWS: a Wait's Timestamp is cut to whole seconds. Stock: it counts in milliseconds.
@mends(stepfunctions, "_sleep_until", "iso_ts")
def _until(stock: Callable[..., Any], timestamp: str) -> None:
    moment = stepfunctions._parse_ts(timestamp)
    stock(timestamp if moment is None else moment.replace(microsecond=0).isoformat())
