"""Syncs files without an execution of their own: the steps of statemachine/sync_object.asl.json,
run one after the other by one function, for many files at a time.

It is the live commit without an event. The ledger row is read before the object and the commit
holds for the revision that was read, so a live change at the same time wins, whoever comes first.
What takes long, or a large write, is left to an execution of its own: TRACED.
"""

from __future__ import annotations

import hashlib
import json
import random
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from tablekeeper.aws import states, transient_errors
from tablekeeper.bucket.differences import (
    CLAIM,
    ORPHAN,
    Listed,
    difference,
    is_under_way,
)
from tablekeeper.commit.commit import commit_absence, commit_items, commit_unchanged
from tablekeeper.commit.transaction import Committed, Tables
from tablekeeper.datasets.catalogue import Catalogue
from tablekeeper.errors import (
    TRANSFORM,
    VALIDATE,
    WRITE,
    ContentionError,
    InvalidFileError,
    KeyOwnershipError,
    ObjectChangedError,
    StaleRevisionError,
    TransientServiceError,
    UnfinishedWriteError,
)
from tablekeeper.ledger.failures import Failure, record_failure, record_invalid
from tablekeeper.ledger.rows import Row, event_text, read_row, read_rows
from tablekeeper.model.snapshot import Execution, Found, now, object_uri
from tablekeeper.runtime import metrics
from tablekeeper.runtime.context import dataset_of, logger
from tablekeeper.settings import SyncObjectsSettings
from tablekeeper.staging.item_set import ItemSet
from tablekeeper.steps.fetch import MAX_ROUNDS, look
from tablekeeper.steps.transform import transform_document
from tablekeeper.steps.validate import validate

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient

TRACED = "TRACED"
"""The end of a file that is left to an execution of its own."""
FILES_AT_ONCE = 8
"""Files that one function works on side by side: most of the time is waiting."""
LAST_SECONDS = 90
"""A function begins no file with less than this left; the files are TRACED."""
TRIES = 5
"""Of one file, when a service throttles or fails for a moment, beside the retries of its client."""
CAUSE_CHARACTERS = 32_768
"""As Step Functions cuts the Cause of an error.
https://docs.aws.amazon.com/step-functions/latest/apireference/API_HistoryEvent.html
"""


@dataclass(frozen=True)
class End:
    """How a file ended: what was different, and the outcome; an error when that is a bad one."""

    key: str
    finding: str
    outcome: str | None = None
    error: str | None = None

    def payload(self) -> dict[str, str]:
        """As a part of a state's output."""
        values = {"finding": self.finding, "outcome": self.outcome, "error": self.error}
        return {"key": self.key, **{name: each for name, each in values.items() if each}}


@dataclass(frozen=True)
class Seen:
    """A ledger row, and when it was about to be read."""

    row: Row
    entered: str


File = tuple[str, str, Seen | None]
"""A key, what is different, and what was read of it."""


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
        outcome, error = _Attempt(self, key, finding, patient=patient).run(seen)
        return End(key, finding, outcome, error)


class _Attempt:
    """One file's way through the steps."""

    def __init__(self, bulk: Bulk, key: str, finding: str, *, patient: bool) -> None:
        self.bulk, self.key, self.finding, self.patient = bulk, key, finding, patient
        self.tables, self.settings = bulk.tables, bulk.settings
        self.state = "Sync Objects"
        self.execution = replace(bulk.execution, event=bulk.input_of(key))

    def run(self, seen: Seen | None) -> tuple[str | None, str | None]:
        """The outcome, None when it is to be tried once more; and the error of a bad one."""
        try:
            return self._rounds(seen)
        except UnfinishedWriteError:
            return TRACED, None
        except Exception as error:  # noqa: BLE001 - whatever it is, it is this file's
            return self._failed(error)

    def _rounds(self, seen: Seen | None) -> tuple[str | None, str | None]:
        rounds = tries = 0
        while True:
            try:
                return self._round(seen)
            except (StaleRevisionError, ObjectChangedError):
                rounds += 1
                if rounds > MAX_ROUNDS:
                    raise ContentionError(
                        f"the ledger row moved in each of {MAX_ROUNDS} rounds"
                    ) from None
                _pause(0.25 * 2 ** min(rounds, 6))
            except TransientServiceError:
                tries += 1
                if tries == TRIES:
                    raise
                _pause(2**tries)
            seen = None

    def _round(self, seen: Seen | None) -> tuple[str | None, str | None]:
        if seen is None:
            entered, uri = now(), object_uri(self.settings.source_bucket, self.key)
            seen = Seen(read_row(self.tables.client, self.tables.ledger, uri), entered)
        found, document = look(
            self.key, seen.row, seen.entered, self.settings, self.bulk.catalogue, {}
        )
        if found.action == "unchanged":
            return self._committed(found, commit_unchanged(self.tables, found, self.execution))
        if found.action != "validate":
            remaining = self.bulk.remaining
            ended = commit_absence(self.tables, found, self.execution, remaining, seen.row)
            return self._committed(found, ended)
        if self.finding == ORPHAN:
            # It is there again, and whoever removes what is gone may not write what is there.
            return TRACED, None
        if found.claim or document is None or "object" in document:
            return TRACED, None
        try:
            return self._written(found, document, seen.row)
        except KeyOwnershipError as error:
            if self.patient:
                return None, None
            return self._invalid(found, error)
        except InvalidFileError as error:
            return self._invalid(found, error)

    def _written(
        self, found: Found, document: dict[str, Any], row: Row
    ) -> tuple[str | None, str | None]:
        settings, catalogue = self.settings, self.bulk.catalogue
        self.state = VALIDATE
        # A report is named after its execution, which here has many files.
        one = replace(self.execution, name=f"{self.execution.name}-{self._digest()}")
        validate(found, document, one, settings, catalogue)
        self.state = TRANSFORM
        made = transform_document(found, document, settings, catalogue)
        items = ItemSet(settings.staging_bucket, made, settings.item_keys)
        if items.staged is not None:
            return TRACED, None
        self.state = WRITE
        remaining = self.bulk.remaining
        committed = commit_items(self.tables, found, self.execution, items, remaining, row)
        return self._committed(found, committed)

    def _committed(self, found: Found, committed: Committed) -> tuple[str, None]:
        about = {"key": found.key, "execution": self.execution.id}
        logger().info("committed", extra={**about, **committed.payload()})
        metrics.count_commit(found, self.execution, committed)
        return committed.outcome, None

    def _invalid(self, found: Found, error: InvalidFileError) -> tuple[str, str]:
        failure = self._failure(error)
        record_invalid(
            self.tables.client,
            self.tables.ledger,
            found,
            self.execution,
            failure,
            self.tables.audit_retention,
        )
        return self._ended_badly("INVALID", failure)

    def _failed(self, error: Exception) -> tuple[str, str]:
        failure = self._failure(error)
        record_failure(
            self.tables.client,
            self.tables.ledger,
            self.execution,
            failure,
            self.tables.audit_retention,
        )
        return self._ended_badly("FAILED", failure)

    def _ended_badly(self, outcome: str, failure: Failure) -> tuple[str, str]:
        about = {"key": self.key, "execution": self.execution.id}
        logger().warning("ended badly", extra={**about, "outcome": outcome, "error": failure.error})
        metrics.count_bad_end(dataset_of(self.key), outcome)
        return outcome, failure.error

    def _digest(self) -> str:
        return hashlib.sha256(self.key.encode()).hexdigest()[:16]

    def _failure(self, error: Exception) -> Failure:
        """As Lambda tells Step Functions of an error."""
        name = type(error).__name__
        told = {
            "errorMessage": str(error),
            "errorType": name,
            "stackTrace": traceback.format_tb(error.__traceback__),
        }
        cause = json.dumps(told, ensure_ascii=False, separators=(",", ":"))
        return Failure(self.state, name, cause[:CAUSE_CHARACTERS])


def _pause(longest: float) -> None:
    """Of any length up to this, in seconds, which keeps rivals apart."""
    time.sleep(random.uniform(0, longest))  # noqa: S311 - nothing secret
