"""Write Items: the commit of an object that is there."""

from typing import Any

from tablekeeper import aws
from tablekeeper.commit.file_commit import FileCommit
from tablekeeper.model.execution import execution_of
from tablekeeper.model.snapshot import Snapshot
from tablekeeper.runtime import metrics
from tablekeeper.runtime.context import logger, seconds_left
from tablekeeper.settings import WriteSettings
from tablekeeper.staging.item_set import ItemSet
from tablekeeper.tables import Tables

aws.dynamodb()


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Takes `{found, items, execution}`, returns `{outcome, items_put, items_removed,
    items_kept}`.
    """
    snapshot, execution = Snapshot.read(event["found"]), execution_of(event)
    tables = Tables.of(WriteSettings.from_environment())
    commit = FileCommit(tables, snapshot, execution, seconds_left(context))
    if snapshot.action == "unchanged":
        committed = commit.unchanged()
    else:
        new = ItemSet(tables.staging_bucket, event["items"], tables.table_key)
        committed = commit.items(new)
    logger().info(
        "committed", extra={"key": snapshot.key, "execution": execution.id, **committed.payload()}
    )
    metrics.count_commit(snapshot, execution, committed)
    return committed.payload()
