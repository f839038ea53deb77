"""One run over the whole bucket: what the invocations of its functions share."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from tablekeeper.aws import states, transient_errors
from tablekeeper.bucket.joint_transactions import JointTransactions
from tablekeeper.datasets.catalogue import Catalogue
from tablekeeper.model.execution import Execution, event_text
from tablekeeper.model.outcome import CommitResult
from tablekeeper.model.snapshot import Snapshot
from tablekeeper.settings import SyncObjectsSettings
from tablekeeper.tables import Tables

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient


class Observer(Protocol):
    """Logs and counts the end of each file; a function's own, since only functions have a log."""

    def committed(self, snapshot: Snapshot, execution: Execution, result: CommitResult) -> None:
        """A file was committed."""

    def ended_badly(self, key: str, execution: Execution, outcome: str, error: str) -> None:
        """A file ended INVALID or FAILED, with the name of an error."""


@dataclass(frozen=True)
class Run:
    """What every file of a run is synchronized with; safe for threads.

    `remaining` gives the seconds that are left to the function.
    """

    tables: Tables
    settings: SyncObjectsSettings
    catalogue: Catalogue
    execution: Execution
    remaining: Callable[[], float]
    observer: Observer

    @classmethod
    def of(
        cls,
        settings: SyncObjectsSettings,
        catalogue: Catalogue,
        execution: Execution,
        remaining: Callable[[], float],
        observer: Observer,
    ) -> Run:
        """For the function whose settings these are."""
        tables = Tables.of(settings)
        tables = replace(tables, joint=JointTransactions(tables.client).transact)
        return cls(tables, settings, catalogue, execution, remaining, observer)

    @property
    def states(self) -> SFNClient:
        """Few batches need it."""
        return states()

    def start_traced(self, keys: Sequence[str]) -> None:
        """Starts an execution for each file, once, however often this is tried.

        Raises:
            TransientServiceError: a retry helps.
        """
        from botocore.exceptions import ClientError

        for key in keys:
            name = hashlib.sha256(f"{self.execution.audit_key} {key}".encode()).hexdigest()[:40]
            try:
                with transient_errors():
                    self.states.start_execution(
                        stateMachineArn=self.settings.state_machine_arn,
                        name=f"bulk-{name}",
                        input=self.input_of(key),
                    )
            except ClientError as error:
                if error.response["Error"]["Code"] != "ExecutionAlreadyExists":
                    raise

    def input_of(self, key: str) -> str:
        """The input of an execution for a file."""
        detail = {"bucket": {"name": self.settings.source_bucket}, "object": {"key": key}}
        return event_text({"detail": detail})
