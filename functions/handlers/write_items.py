"""Write Items: the commit of an object that is there."""

from typing import Any

from tablekeeper import aws
from tablekeeper.commit import Tables, commit_items, commit_unchanged
from tablekeeper.found import Found
from tablekeeper.runtime import execution_of, logger
from tablekeeper.settings import WriteSettings
from tablekeeper.staging import read_items

aws.dynamodb()


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Takes `{found, items, execution}`, returns `{outcome, items_put, items_removed}`."""
    found, execution = Found.read(event["found"]), execution_of(event)
    tables = Tables.of(WriteSettings.from_environment())
    if found.action == "unchanged":
        committed = commit_unchanged(tables, found, execution)
    else:
        committed = commit_items(tables, found, execution, read_items(event["items"]))
    logger().info(
        "committed", extra={"key": found.key, "execution": execution.id, **committed.payload()}
    )
    return committed.payload()
