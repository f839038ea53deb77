"""Delete Items: the commit of an object that is gone, or not to be read."""

from typing import Any

from tablekeeper import aws
from tablekeeper.commit.file_commit import FileCommit
from tablekeeper.model.execution import execution_of
from tablekeeper.model.snapshot import Snapshot
from tablekeeper.runtime import metrics
from tablekeeper.runtime.context import logger, seconds_left
from tablekeeper.settings import DeleteSettings
from tablekeeper.tables import Tables

aws.dynamodb()


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Takes `{found, execution}`, returns `{outcome, items_put, items_removed, items_kept}`."""
    snapshot, execution = Snapshot.read(event["found"]), execution_of(event)
    tables = Tables.of(DeleteSettings.from_environment())
    committed = FileCommit(tables, snapshot, execution, seconds_left(context)).absence()
    logger().info(
        "committed", extra={"key": snapshot.key, "execution": execution.id, **committed.payload()}
    )
    metrics.count_commit(snapshot, execution, committed)
    return committed.payload()
