"""Syncs files without an execution of their own: the steps of statemachine/sync_object.asl.json,
run one after the other by one function, for many files at a time.

It is the live commit without an event. The ledger row is read before the object and the commit
is conditional on the revision that was read, so a live change at the same time wins, in either
order. What takes long, or a large write, is left to an execution of its own: TRACED.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any

from tablekeeper.bucket.differences import ListedObject, difference, is_under_way
from tablekeeper.bucket.ends import CLAIM, TRACED, End, File
from tablekeeper.bucket.run import Run
from tablekeeper.ledger.reads import read_rows
from tablekeeper.ledger.rows import OBJECT, Row
from tablekeeper.ledger.view import LedgerView
from tablekeeper.model.objects import object_uri
from tablekeeper.model.times import now

FILES_AT_ONCE = 16
"""Files that one function works on side by side: most of the time is waiting."""
LAST_SECONDS = 90
"""A function begins no file with less than this left; the files are TRACED."""


def sync_batch(objects: Sequence[ListedObject], how: str, run: Run) -> list[End]:
    """The ends of those files of a batch that differ from the ledger, at most 100.

    Raises:
        TransientServiceError: a retry helps, and does nothing twice.
    """
    settings, entered = run.settings, now()
    uris = [object_uri(settings.source_bucket, each.key) for each in objects]
    rows = read_rows(run.tables.client, settings.ledger_table, uris)
    different: list[File] = []
    for listed, uri in zip(objects, uris, strict=True):
        row = rows[uri]
        finding = difference(listed, row, settings, run.catalogue)
        if finding == CLAIM and _writes(row, listed, run) and is_under_way(run, row):
            continue
        if finding:
            different.append((listed.key, finding, LedgerView(row, entered)))
    if how != "bulk":
        outcome = TRACED if how == "traced" else None
        return [End(key, finding, outcome) for key, finding, _ in different]
    return list(sync_all(run, different))


def _writes(row: Row, listed: ListedObject, run: Run) -> bool:
    """Whether a row's claim writes just what the object and its dataset make now. One that writes
    anything else is not waited for: the file is started, and takes the claim over.
    """
    if row.claim is None:
        return False
    claimed: dict[str, Any] = {
        name: row.claim.snapshot.get(name) for name in OBJECT if name != "dataset"
    }
    done = replace(row, claim=None, problem=None, status=row.claim.outcome, **claimed)
    return difference(listed, done, run.settings, run.catalogue) is None


def sync_all(run: Run, files: Sequence[File]) -> Iterator[End]:
    """The ends of these files.

    Files that were refused because another file owns an item are tried again at the end, because
    the other file may be among them.
    """
    waiting: list[File] = []
    with ThreadPoolExecutor(FILES_AT_ONCE) as pool:
        for file, end in zip(files, pool.map(partial(_sync, run), files), strict=True):
            if end.outcome:
                yield end
            else:
                waiting.append(file)
        yield from pool.map(partial(_sync, run, patient=False), waiting)


def _sync(run: Run, file: File, *, patient: bool = True) -> End:
    # A batch in which nothing differs does not load the steps.
    from tablekeeper.bucket.attempt import Attempt

    key, finding, view = file
    if run.remaining() < LAST_SECONDS:
        return End(key, finding, TRACED)
    outcome, error = Attempt(run, key, finding, patient=patient).run(view)
    return End(key, finding, outcome, error)
