"""Delete Items: the commit of an object that is gone, or not to be read."""

from typing import Any

from tablekeeper import aws, metrics
from tablekeeper.commit import commit_absence
from tablekeeper.found import Found
from tablekeeper.runtime import execution_of, logger, seconds_left
from tablekeeper.settings import DeleteSettings
from tablekeeper.transactions import Tables

aws.dynamodb()


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Takes `{found, execution}`, returns `{outcome, items_put, items_removed}`."""
    found, execution = Found.read(event["found"]), execution_of(event)
    tables = Tables.of(DeleteSettings.from_environment())
    committed = commit_absence(tables, found, execution, seconds_left(context))
    logger().info(
        "committed", extra={"key": found.key, "execution": execution.id, **committed.payload()}
    )
    metrics.count_commit(found, execution, committed)
    return committed.payload()
