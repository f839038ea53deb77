"""Transform Records: records become items in DynamoDB JSON."""

from typing import Any

from tablekeeper.model.snapshot import Snapshot
from tablekeeper.runtime.deployed_datasets import catalogue
from tablekeeper.settings import TransformSettings
from tablekeeper.steps.transform import transform_document


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Takes `{found, document}`, returns `{items}` or where they are staged."""
    snapshot = Snapshot.read(event["found"])
    return transform_document(
        snapshot, event["document"], TransformSettings.from_environment(), catalogue()
    )
