"""Sync Orphans: files of a shard of the ledger whose objects are gone."""

from typing import Any

from tablekeeper import aws
from tablekeeper.bucket.orphans import Progress, Search, sync_orphans
from tablekeeper.bucket.run import Run
from tablekeeper.model.execution import execution_of
from tablekeeper.runtime import observer
from tablekeeper.runtime.context import seconds_left
from tablekeeper.runtime.deployed_datasets import catalogue
from tablekeeper.settings import SyncObjectsSettings

aws.dynamodb()


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Takes `{shard, prefix, how, place, before, execution}` and returns what the next invocation
    takes as `before`: `{part, files, outcomes, after}`.
    """
    run = Run.of(
        SyncObjectsSettings.from_environment(),
        catalogue(),
        execution_of(event),
        seconds_left(context),
        observer,
    )
    search = Search(event["shard"], event["prefix"], event["how"], event["place"])
    progress = sync_orphans(search, Progress(**event["before"]), run)
    return progress._asdict()
