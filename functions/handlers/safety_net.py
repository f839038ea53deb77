"""Safety Net: takes the status change events of executions that ended badly."""

from typing import Any

from tablekeeper import aws
from tablekeeper.recovery.safety_net import SafetyNet
from tablekeeper.runtime import metrics
from tablekeeper.runtime.context import logger
from tablekeeper.runtime.deployed_datasets import dataset_of
from tablekeeper.settings import SafetyNetSettings


def handler(event: dict[str, Any], _context: object) -> dict[str, bool]:
    """Takes a Step Functions Execution Status Change event, returns `{recorded}`."""
    settings = SafetyNetSettings.from_environment()
    net = SafetyNet(
        aws.states(), aws.dynamodb(), settings.ledger_table, settings.audit_retention_seconds
    )
    detail = event["detail"]
    end = net.end_of(detail["executionArn"], int(detail.get("redriveCount") or 0))
    if end is None:
        return {"recorded": False}
    logger().warning("ended badly", extra=end._asdict())
    metrics.count_bad_end(dataset_of(end.key), end.outcome)
    return {"recorded": end.missing}
