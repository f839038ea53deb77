"""Settle Claim: ends a large write that stands in the way of a file that has turned bad."""

from typing import Any

from tablekeeper import aws
from tablekeeper.commit.claim import settle
from tablekeeper.commit.transaction import Tables
from tablekeeper.model.snapshot import Found
from tablekeeper.runtime.context import execution_of, logger, seconds_left
from tablekeeper.settings import SettleSettings

aws.dynamodb()


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Takes `{found, execution}`, returns `{settled}`: UNDONE, FINISHED or INCOMPLETE."""
    found, execution = Found.read(event["found"]), execution_of(event)
    tables = Tables.of(SettleSettings.from_environment())
    settled = settle(tables, found, execution, seconds_left(context))
    logger().info(
        "settled", extra={"key": found.key, "execution": execution.id, "settled": settled}
    )
    return {"settled": settled}
