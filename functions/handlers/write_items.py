"""Write Items: the commit of an object that is there."""

from typing import Any

from tablekeeper import aws
from tablekeeper.commit.commit import commit_items, commit_unchanged
from tablekeeper.commit.transaction import Tables
from tablekeeper.model.execution import execution_of
from tablekeeper.model.snapshot import Snapshot
from tablekeeper.runtime import metrics
from tablekeeper.runtime.context import logger, seconds_left
from tablekeeper.settings import WriteSettings
from tablekeeper.staging.item_set import ItemSet

aws.dynamodb()


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Takes `{found, items, execution}`, returns `{outcome, items_put, items_removed}`."""
    found, execution = Snapshot.read(event["found"]), execution_of(event)
    tables = Tables.of(WriteSettings.from_environment())
    if found.action == "unchanged":
        committed = commit_unchanged(tables, found, execution)
    else:
        new = ItemSet(tables.staging_bucket, event["items"], tables.table_key)
        committed = commit_items(tables, found, execution, new, seconds_left(context))
    logger().info(
        "committed", extra={"key": found.key, "execution": execution.id, **committed.payload()}
    )
    metrics.count_commit(found, execution, committed)
    return committed.payload()
