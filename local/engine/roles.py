"""IAM: the conditions of policies, and which role called what."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ministack.core import iam_evaluator
from ministack.services import sts

from local.calls import Call, Calls
from local.engine.patches import Json, mends


# AWS: requests come over TLS, and the buckets' policies refuse others. Stock: it sees that its own
# requests do not, though they never leave the machine.
@mends(iam_evaluator, "_resolve_condition_key", "key, ctx")
def _condition_key(stock: Callable[..., Any], key: str, ctx: Any) -> Any:
    return "true" if key.lower() == "aws:securetransport" else stock(key, ctx)


# AWS: CloudTrail records what a role called. Stock: nothing does.
def _records_calls(calls: Calls) -> None:
    @mends(
        iam_evaluator,
        "enforce",
        "access_key_id, iam_action, service, region, resource_arn, service_context",
    )
    def _enforce(
        stock: Callable[..., Any],
        access_key: str,
        action: str,
        service: str,
        region: str,
        resource_arn: str = "*",
        service_context: Json | None = None,
    ) -> Any:
        denied = stock(access_key, action, service, region, resource_arn, service_context)
        caller = sts._sessions.get(access_key, {}).get("Arn", "")
        if ":assumed-role/" in caller:
            caller = caller.partition("/")[2]
            calls.add(Call(caller, action, resource_arn, allowed=denied is None))
        return denied


if _calls := os.environ.get("ENGINE_CALLS"):
    _records_calls(Calls(Path(_calls)))
