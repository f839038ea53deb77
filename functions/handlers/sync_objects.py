"""Sync Objects: compares a batch of the bucket's listing with the ledger, and syncs it."""

from typing import Any

from tablekeeper import aws
from tablekeeper.bucket.batch import sync_batch
from tablekeeper.bucket.differences import ListedObject
from tablekeeper.bucket.run import Run
from tablekeeper.model.execution import execution_of
from tablekeeper.runtime import observer
from tablekeeper.runtime.context import seconds_left
from tablekeeper.runtime.deployed_datasets import catalogue
from tablekeeper.settings import SyncObjectsSettings

aws.dynamodb()


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Takes `{objects, how, execution}`, returns `{files, ends}`: ends of what differed."""
    run = Run.of(
        SyncObjectsSettings.from_environment(),
        catalogue(),
        execution_of(event),
        seconds_left(context),
        observer,
    )
    objects = [ListedObject.of(each) for each in event["objects"]]
    ends = sync_batch(objects, event["how"], run)
    return {"files": len(objects), "ends": [end.payload() for end in ends]}
