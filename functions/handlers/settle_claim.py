"""Settle Claim: ends an unfinished large write of a file whose new content is bad."""

from typing import Any

from tablekeeper import aws
from tablekeeper.commit.file_commit import FileCommit
from tablekeeper.model.execution import execution_of
from tablekeeper.model.snapshot import Snapshot
from tablekeeper.runtime.context import logger, seconds_left
from tablekeeper.settings import SettleSettings
from tablekeeper.tables import Tables

aws.dynamodb()


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Takes `{found, execution}`, returns `{settled}`: UNDONE, FINISHED or INCOMPLETE."""
    snapshot, execution = Snapshot.read(event["found"]), execution_of(event)
    tables = Tables.of(SettleSettings.from_environment())
    settled = FileCommit(tables, snapshot, execution, seconds_left(context)).settle()
    logger().info(
        "settled", extra={"key": snapshot.key, "execution": execution.id, "settled": settled}
    )
    return {"settled": settled}
