"""Delete Items: the commit of an object that is gone, or not to be read."""

from typing import Any

from tablekeeper import aws
from tablekeeper.commit.commit import commit_absence
from tablekeeper.commit.transaction import Tables
from tablekeeper.model.execution import execution_of
from tablekeeper.model.snapshot import Snapshot
from tablekeeper.runtime import metrics
from tablekeeper.runtime.context import logger, seconds_left
from tablekeeper.settings import DeleteSettings

aws.dynamodb()


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Takes `{found, execution}`, returns `{outcome, items_put, items_removed}`."""
    found, execution = Snapshot.read(event["found"]), execution_of(event)
    tables = Tables.of(DeleteSettings.from_environment())
    committed = commit_absence(tables, found, execution, seconds_left(context))
    logger().info(
        "committed", extra={"key": found.key, "execution": execution.id, **committed.payload()}
    )
    metrics.count_commit(found, execution, committed)
    return committed.payload()
