"""Verify: whether the table equals the bucket, item by item and attribute by attribute.

Every item is derived again from the bucket by the functions' own code, the table is scanned, and
the two are sorted and merged on the local disk. Bucket, table and ledger move meanwhile, so
whatever differs is only suspected: each file concerned is looked at again, ledger row first and
last, with the items read consistently in between. While the row's revision stands still, no commit
came between, and what differs then differs. Nothing is ever written to the stack.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice

from tablekeeper import aws
from tablekeeper.errors import InvalidEventError, TransientServiceError
from tablekeeper.ledger.reads import read_rows
from tablekeeper.model.items import owner
from tablekeeper.model.keys import ItemKey
from tablekeeper.steps.events import object_of

from tablekeeper_cli.compare.items import BATCH_KEYS, read_items, stored_key
from tablekeeper_cli.compare.side_by_side import side_by_side
from tablekeeper_cli.verify.findings import Finding, Kind
from tablekeeper_cli.verify.first_look import FirstLook
from tablekeeper_cli.verify.notebook import NOBODY, Notebook
from tablekeeper_cli.verify.second_look import ROUNDS, MovedError, SecondLook, whose
from tablekeeper_cli.verify.sources import Sources
from tablekeeper_cli.verify.verifier import Progress, Summary, Verifier

LONGEST_PAUSE = 10.0
MOST_RUNNING = 1000
"""How many executions that run are looked at; when more do, any file may be one of theirs."""


def verify(verifier: Verifier, progress: Progress = lambda _stage, _done: None) -> Verification:
    """Looks at everything once and at whatever differs again. Close the result.

    Raises:
        DatasetDefinitionError: a schema cannot be used.
        TransientServiceError: a service kept failing; nothing is known.
        UsageError: the stack keeps no object with this prefix.
    """
    verification = Verification(verifier, progress)
    try:
        verification.run()
    except BaseException:
        verification.close()
        raise
    return verification


class Verification:
    """One comparison, and its findings."""

    def __init__(self, verifier: Verifier, progress: Progress) -> None:
        self.verifier, self.progress = verifier, progress
        self.settings = verifier.settings
        self.notebook = Notebook()
        self._stopped = threading.Event()
        self.sources = Sources(verifier, self._stopped)
        self._first_look = FirstLook(verifier, self.sources, self.notebook, progress)

    @property
    def summary(self) -> Summary:
        counts = self._first_look.counts
        return Summary(
            files=self.notebook.count("SELECT count(*) FROM object"),
            items=counts.items,
            held=counts.held,
            expired=counts.expired,
            problems=dict(sorted(counts.problems.items())),
            conflicts=counts.conflicts,
            kinds=self.notebook.counts(),
            differences=self.notebook.differences(),
        )

    def findings(self) -> Iterator[Finding]:
        return self.notebook.findings()

    def close(self) -> None:
        self.notebook.close()

    def run(self) -> None:
        """Raises as `verify`."""
        pool = ThreadPoolExecutor(self.verifier.concurrency)
        try:
            self._first_look.run(pool)
            self._look_again(pool)
            self._wait_for_moving(pool)
        finally:
            self._stopped.set()
            pool.shutdown(cancel_futures=True)

    def _look_again(self, pool: ThreadPoolExecutor) -> None:
        files = self.notebook.suspected_files()
        for _ in side_by_side(pool, self._look, files, 2 * self.verifier.concurrency):
            self.progress("looked at again", 1)

    def _wait_for_moving(self, pool: ThreadPoolExecutor) -> None:
        """Looks at files that may be on their way until they have arrived, or the time is up."""
        deadline, seconds = time.monotonic() + self.verifier.settle_seconds, 1.0
        at_once = 2 * self.verifier.concurrency
        while next(self.notebook.moving_files(), None) is not None and time.monotonic() < deadline:
            time.sleep(min(seconds, deadline - time.monotonic()))
            seconds = min(LONGEST_PAUSE, 2 * seconds)
            for _ in side_by_side(pool, self._look, self.notebook.moving_files(), at_once):
                pass
        if next(self.notebook.moving_files(), None) is None:
            return
        running = self._running()
        for _ in side_by_side(
            pool, partial(self._judge, running), self.notebook.moving_files(), at_once
        ):
            pass

    def _judge(self, running: set[str] | None, file: str) -> None:
        """A file that is on its way still: whether it moved, or an execution is at it."""
        first = self.notebook.first_state(file)
        state = self._look(file)
        if state is None:
            return
        if running is None or file in running:
            why = "an execution of it may be running" if running is None else "its execution runs"
        elif state != first:
            why = "it has changed since it was looked at first"
        else:
            return
        self.notebook.look_again(file)
        self.notebook.add_finding(Finding(Kind.IN_FLIGHT, file, detail=why, is_difference=False))

    def _running(self) -> set[str] | None:
        """The keys that executions are at; None when they are too many to be looked at."""
        states, keys = aws.states(), set[str]()
        pages = states.get_paginator("list_executions").paginate(
            stateMachineArn=self.verifier.state_machine, statusFilter="RUNNING"
        )
        running = (each for page in pages for each in page["executions"])
        for number, execution in enumerate(running):
            if number == MOST_RUNNING:
                return None
            arn = execution["executionArn"]
            described = states.describe_execution(executionArn=arn)
            try:
                event = json.loads(described.get("input", "{}"))
                keys.add(object_of(event, self.settings.source_bucket))
            except (ValueError, InvalidEventError):
                continue
        return keys

    def _look(self, file: str) -> str | None:
        """Looks at the suspects of a file; its state when it may be on its way, else None.

        Raises TransientServiceError when a service fails in each of five rounds.
        """
        if self._stopped.is_set():
            return None
        if file == NOBODY:
            self._look_at_foreign()
            return None
        state: str | None = None
        for last in (*[False] * (ROUNDS - 1), True):
            self.notebook.look_again(file)
            try:
                state = SecondLook(self.verifier, self.sources, self.notebook, file).run()
            except TransientServiceError:
                if last:
                    raise
                time.sleep(0.5)
                continue
            except MovedError as moved:
                state = moved.state
                continue
            break
        if state is None:
            self.notebook.arrived(file)
        else:
            self.notebook.moving(file, state)
        return state

    def _look_at_foreign(self) -> None:
        verifier = self.verifier
        keys = (ItemKey(key) for key, _, _ in self.notebook.suspected_keys(NOBODY))
        for batch in iter(lambda: list(islice(keys, BATCH_KEYS)), []):
            asked = [key.attributes for key in batch]
            items = [
                each
                for each in read_items(aws.dynamodb(), verifier.items_table, asked)
                if verifier.file_of(each) == NOBODY
            ]
            left = self._left_behind({owner(each) for each in items})
            for item in items:
                key = stored_key(item, self.settings.item_keys).attributes
                mine = owner(item) in left
                detail = whose(item) + (", which is outside of KeyPrefix" if mine else "")
                finding = Finding(
                    Kind.FOREIGN, None, key, detail, is_difference=mine or verifier.owns_table
                )
                self.notebook.add_finding(finding)

    def _left_behind(self, owners: set[str | None]) -> set[str | None]:
        """Those of these files whose items the ledger has: a stack of another KeyPrefix, which may
        write the same table, has a ledger of its own.
        """
        here = [each for each in owners if each and each.startswith(self.verifier.uri(""))]
        rows = read_rows(aws.dynamodb(), self.settings.ledger_table, here)
        return {uri for uri, row in rows.items() if row.item_keys or row.keys_at or row.claim}
