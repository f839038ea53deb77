"""Sweep: what events made likely, it makes certain."""

from typing import Any

from tablekeeper import aws
from tablekeeper.runtime import logger
from tablekeeper.settings import SweepSettings
from tablekeeper.sweep import sweep
from tablekeeper.transactions import Tables


def handler(_event: dict[str, Any], _context: object) -> dict[str, int]:
    """Takes a schedule's event, returns `{recorded, restarted}`."""
    settings = SweepSettings.from_environment()
    swept = sweep(aws.states(), Tables.of(settings), settings.state_machine_arn)
    logger().info("swept", extra=swept._asdict())
    return swept._asdict()
