"""Logs and counts how the files of a run over the whole bucket ended."""

from __future__ import annotations

from tablekeeper.model.execution import Execution
from tablekeeper.model.outcome import CommitResult
from tablekeeper.model.snapshot import Snapshot
from tablekeeper.runtime import metrics
from tablekeeper.runtime.context import logger
from tablekeeper.runtime.deployed_datasets import dataset_of


def committed(snapshot: Snapshot, execution: Execution, result: CommitResult) -> None:
    """A file was committed."""
    about = {"key": snapshot.key, "execution": execution.id}
    logger().info("committed", extra={**about, **result.payload()})
    metrics.count_commit(snapshot, execution, result)


def ended_badly(key: str, execution: Execution, outcome: str, error: str) -> None:
    """A file ended INVALID or FAILED, with the name of an error."""
    about = {"key": key, "execution": execution.id}
    logger().warning("ended badly", extra={**about, "outcome": outcome, "error": error})
    metrics.count_bad_end(dataset_of(key), outcome)
