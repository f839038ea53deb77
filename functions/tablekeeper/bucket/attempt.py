"""One attempt to synchronize one object of a batch."""

from __future__ import annotations

import hashlib
import json
import random
import time
import traceback
from dataclasses import replace
from typing import Any

from tablekeeper.bucket.ends import ORPHAN, TRACED
from tablekeeper.bucket.run import Run
from tablekeeper.commit.file_commit import FileCommit
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
from tablekeeper.ledger.failures import Failure, record_failure, record_invalid, uri_of
from tablekeeper.ledger.reads import read_row
from tablekeeper.ledger.rows import Row
from tablekeeper.ledger.view import LedgerView
from tablekeeper.model.objects import object_uri
from tablekeeper.model.outcome import CommitResult
from tablekeeper.model.snapshot import Snapshot
from tablekeeper.model.times import now
from tablekeeper.staging.item_set import ItemSet
from tablekeeper.steps.fetch import MAX_ROUNDS, look
from tablekeeper.steps.transform import transform_document
from tablekeeper.steps.validate import validate

TRIES = 5
"""Of one file, when a service throttles or fails for a moment, beside the retries of its client."""
CAUSE_CHARACTERS = 32_768
"""As Step Functions cuts the Cause of an error.
https://docs.aws.amazon.com/step-functions/latest/apireference/API_HistoryEvent.html
"""


class Attempt:
    """One file's way through the steps."""

    def __init__(self, run: Run, key: str, finding: str, *, patient: bool) -> None:
        self._run, self.key, self.finding, self.patient = run, key, finding, patient
        self.tables, self.settings = run.tables, run.settings
        self.state = "Sync Objects"
        self.execution = replace(run.execution, event=run.input_of(key))
        if uri_of(self.execution.event) != object_uri(self.settings.source_bucket, key):
            # The ledger cannot hold the key: such files share a row, with an outcome for each.
            self.execution = replace(self.execution, name=f"{run.execution.name}-{self._digest()}")

    def run(self, view: LedgerView | None) -> tuple[str | None, str | None]:
        """The outcome, None when it is to be tried once more; and the error of a bad one."""
        try:
            return self._rounds(view)
        except UnfinishedWriteError:
            return TRACED, None
        except Exception as error:  # noqa: BLE001 - whatever it is, it is this file's
            return self._failed(error)

    def _rounds(self, view: LedgerView | None) -> tuple[str | None, str | None]:
        rounds = tries = 0
        while True:
            try:
                view = view or self._view()
                return self._round(view)
            except StaleRevisionError:
                # The execution that moved the row may have newer schemas/: this function may have
                # begun before a deployment, and reads its own copy once.
                return TRACED, None
            except ObjectChangedError:
                rounds += 1
                if rounds > MAX_ROUNDS:
                    raise ContentionError(
                        f"the object changed in each of {MAX_ROUNDS} rounds"
                    ) from None
                _pause(0.25 * 2 ** min(rounds, 6))
            except TransientServiceError:
                tries += 1
                if tries == TRIES:
                    raise
                _pause(2**tries)

    def _view(self) -> LedgerView:
        entered, uri = now(), object_uri(self.settings.source_bucket, self.key)
        return LedgerView(read_row(self.tables.client, self.tables.ledger, uri), entered)

    def _round(self, view: LedgerView) -> tuple[str | None, str | None]:
        snapshot, document = look(self.key, view, self.settings, self._run.catalogue, {})
        if snapshot.action == "unchanged":
            return self._committed(snapshot, self._commit(snapshot, view.row).unchanged())
        if snapshot.action != "validate":
            return self._committed(snapshot, self._commit(snapshot, view.row).absence())
        if self.finding == ORPHAN:
            # The object exists again, and the function that removes items may not write any.
            return TRACED, None
        if snapshot.claim or document is None or "object" in document:
            return TRACED, None
        try:
            return self._written(snapshot, document, view.row)
        except KeyOwnershipError as error:
            if self.patient:
                return None, None
            return self._invalid(snapshot, error)
        except InvalidFileError as error:
            return self._invalid(snapshot, error)

    def _written(
        self, snapshot: Snapshot, document: dict[str, Any], row: Row
    ) -> tuple[str | None, str | None]:
        settings, catalogue = self.settings, self._run.catalogue
        self.state = VALIDATE
        # A report is named after its execution, which here has many files.
        one = replace(self.execution, name=f"{self.execution.name}-{self._digest()}")
        verdict = validate(snapshot, document, one, settings, catalogue)
        snapshot = snapshot._replace(set_aside=verdict.set_aside)
        self.state = TRANSFORM
        made = transform_document(snapshot, document, settings, catalogue)
        items = ItemSet(settings.staging_bucket, made, settings.item_keys)
        if items.staged is not None:
            return TRACED, None
        self.state = WRITE
        return self._committed(snapshot, self._commit(snapshot, row).items(items))

    def _commit(self, snapshot: Snapshot, row: Row) -> FileCommit:
        return FileCommit(self.tables, snapshot, self.execution, self._run.remaining, row)

    def _committed(self, snapshot: Snapshot, committed: CommitResult) -> tuple[str, None]:
        self._run.observer.committed(snapshot, self.execution, committed)
        return committed.outcome, None

    def _invalid(self, snapshot: Snapshot, error: InvalidFileError) -> tuple[str, str]:
        failure = self._failure(error)
        record_invalid(self.tables, snapshot, self.execution, failure)
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
        self._run.observer.ended_badly(self.key, self.execution, outcome, failure.error)
        return outcome, failure.error

    def _digest(self) -> str:
        return hashlib.sha256(self.key.encode()).hexdigest()[:16]

    def _failure(self, error: Exception) -> Failure:
        """An error in the form in which Lambda reports it to Step Functions."""
        name = type(error).__name__
        cause = {
            "errorMessage": str(error),
            "errorType": name,
            "stackTrace": traceback.format_tb(error.__traceback__),
        }
        text = json.dumps(cause, ensure_ascii=False, separators=(",", ":"))
        return Failure(self.state, name, text[:CAUSE_CHARACTERS])


def _pause(longest: float) -> None:
    """Of any length up to this, in seconds, which keeps rivals apart."""
    time.sleep(random.uniform(0, longest))  # noqa: S311 - nothing secret
