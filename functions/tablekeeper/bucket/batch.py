"""Syncs files without an execution of their own: the steps of statemachine/sync_object.asl.json,
run one after the other by one function, for many files at a time.

It is the live commit without an event. The ledger row is read before the object and the commit
holds for the revision that was read, so a live change at the same time wins, whoever comes first.
What takes long, or a large write, is left to an execution of its own: TRACED.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Self

from tablekeeper.aws import states, transient_errors
from tablekeeper.bucket.attempt import Attempt
from tablekeeper.bucket.differences import Listed, difference, is_under_way
from tablekeeper.bucket.ends import CLAIM, TRACED, End, File, Seen
from tablekeeper.commit.transaction import Tables
from tablekeeper.datasets.catalogue import Catalogue
from tablekeeper.ledger.reads import read_rows
from tablekeeper.model.execution import Execution, event_text
from tablekeeper.model.objects import object_uri
from tablekeeper.model.times import now
from tablekeeper.settings import SyncObjectsSettings

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient

FILES_AT_ONCE = 8
"""Files that one function works on side by side: most of the time is waiting."""
LAST_SECONDS = 90
"""A function begins no file with less than this left; the files are TRACED."""


def sync_batch(objects: Sequence[Listed], how: str, bulk: Bulk) -> list[End]:
    """The ends of those files of a batch that differ from the ledger, at most 100.

    Raises:
        TransientServiceError: a retry helps, and does nothing twice.
    """
    settings, entered = bulk.settings, now()
    uris = [object_uri(settings.source_bucket, each.key) for each in objects]
    rows = read_rows(bulk.tables.client, settings.ledger_table, uris)
    different: list[File] = []
    for listed, uri in zip(objects, uris, strict=True):
        row = rows[uri]
        finding = difference(listed, row, settings, bulk.catalogue)
        if finding and not (finding == CLAIM and is_under_way(bulk.states, row)):
            different.append((listed.key, finding, Seen(row, entered)))
    if how != "bulk":
        outcome = TRACED if how == "traced" else None
        return [End(key, finding, outcome) for key, finding, _ in different]
    return list(bulk.sync_all(different))


class Bulk:
    """Syncs files for one execution; safe for threads."""

    def __init__(
        self,
        states: SFNClient,
        tables: Tables,
        settings: SyncObjectsSettings,
        catalogue: Catalogue,
        execution: Execution,
        remaining: Callable[[], float],
    ) -> None:
        self.states, self.tables, self.settings = states, tables, settings
        self.catalogue, self.execution, self.remaining = catalogue, execution, remaining

    @classmethod
    def of(
        cls,
        settings: SyncObjectsSettings,
        catalogue: Catalogue,
        execution: Execution,
        remaining: Callable[[], float],
    ) -> Self:
        """For the function whose settings these are."""
        return cls(states(), Tables.of(settings), settings, catalogue, execution, remaining)

    def sync_all(self, files: Sequence[File]) -> Iterator[End]:
        """The ends of these files.

        Those that another file's items stand in the way of come last, once more, because the other
        file may be among them.
        """
        waiting: list[File] = []
        with ThreadPoolExecutor(FILES_AT_ONCE) as pool:
            for end in pool.map(self._sync, files):
                if end.outcome:
                    yield end
                else:
                    waiting.append((end.key, end.finding, None))
            yield from pool.map(partial(self._sync, patient=False), waiting)

    def start_traced(self, keys: Sequence[str]) -> None:
        """Starts an execution for each file, once, however often this is tried. Raises
        TransientServiceError.
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

    def _sync(self, file: File, *, patient: bool = True) -> End:
        key, finding, seen = file
        if self.remaining() < LAST_SECONDS:
            return End(key, finding, TRACED)
        outcome, error = Attempt(self, key, finding, patient=patient).run(seen)
        return End(key, finding, outcome, error)
