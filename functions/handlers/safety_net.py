"""Safety Net: takes the status change events of executions that ended badly."""

from typing import Any

from tablekeeper import aws
from tablekeeper.runtime import logger
from tablekeeper.safety_net import record_uncaught
from tablekeeper.settings import SafetyNetSettings


def handler(event: dict[str, Any], _context: object) -> dict[str, bool]:
    """Takes a Step Functions Execution Status Change event, returns `{recorded}`."""
    settings = SafetyNetSettings.from_environment()
    arn = event["detail"]["executionArn"]
    recorded = record_uncaught(
        aws.states(), aws.dynamodb(), settings.ledger_table, arn, settings.audit_retention_seconds
    )
    logger().info("caught", extra={"execution": arn, "recorded": recorded})
    return {"recorded": recorded}
