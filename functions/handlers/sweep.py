"""Sweep: records what events missed, and starts again what can pass by now."""

from typing import Any

from tablekeeper import aws
from tablekeeper.recovery.sweep import Sweep
from tablekeeper.runtime import metrics
from tablekeeper.runtime.context import logger, seconds_left
from tablekeeper.runtime.deployed_datasets import dataset_of
from tablekeeper.settings import SweepSettings
from tablekeeper.tables import Tables


def handler(_event: dict[str, Any], context: object) -> dict[str, Any]:
    """Takes a schedule's event, returns `{recorded, restarted, problems, passed_over}`; `problems`
    by status.
    """
    settings = SweepSettings.from_environment()
    tables, remaining = Tables.of(settings), seconds_left(context)
    swept = Sweep(aws.states(), tables, settings.state_machine_arn, remaining).run()
    for end in swept.recorded:
        logger().warning("ended badly", extra=end._asdict())
        metrics.count_bad_end(dataset_of(end.key), end.outcome)
    done = {**swept._asdict(), "recorded": len(swept.recorded)}
    logger().info("swept", extra=done)
    return done
