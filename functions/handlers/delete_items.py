"""Delete Items: the commit of an object that is gone, or not to be read."""

from typing import Any

from tablekeeper import aws
from tablekeeper.commit import Tables, commit_absence
from tablekeeper.found import Found
from tablekeeper.runtime import execution_of, logger
from tablekeeper.settings import DeleteSettings

aws.dynamodb()


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Takes `{found, execution}`, returns `{outcome, items_put, items_removed}`."""
    found, execution = Found.read(event["found"]), execution_of(event)
    committed = commit_absence(Tables.of(DeleteSettings.from_environment()), found, execution)
    logger().info(
        "committed", extra={"key": found.key, "execution": execution.id, **committed.payload()}
    )
    return committed.payload()
