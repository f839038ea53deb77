"""The first look at the bucket, the table and the ledger: what may differ."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Any

from tablekeeper import aws
from tablekeeper.datasets.items_of_records import RecordItem
from tablekeeper.errors import (
    InvalidFileError,
    ObjectChangedError,
    StagedSetMissingError,
    TransientServiceError,
)
from tablekeeper.ledger.rows import CURRENT as CURRENT_ROW
from tablekeeper.ledger.rows import SHARDS, Row
from tablekeeper.model.items import Item, item_key
from tablekeeper.model.objects import key_of

from tablekeeper_cli.compare.items import BATCH_KEYS, fingerprint, read_items, stored_key
from tablekeeper_cli.compare.side_by_side import side_by_side
from tablekeeper_cli.verify.conflicts import is_refused_for_an_item
from tablekeeper_cli.verify.expectation import UNDECIDED
from tablekeeper_cli.verify.notebook import DERIVED, HELD, LISTED_KEY, NOBODY, Notebook, Sighting
from tablekeeper_cli.verify.sources import GoneError, Sources
from tablekeeper_cli.verify.verifier import Progress, Verifier

SEGMENTS = 4
"""How many segments of the table are scanned side by side. A page is 1 MB, and some 20 MB once it
is parsed; parsing keeps the interpreter busy, so more would take memory and save no time.
"""
OPEN = {"problem_status", "claim_state", "incomplete_since"}
"""The index's attributes of a file with a problem or a claim."""
BATCH_ROWS = 500
"""How many rows are written to the notebook at once."""


@dataclass
class Counts:
    """What was counted on the way; `Summary` says of what."""

    items: int = 0
    held: int = 0
    expired: int = 0
    problems: Counter[str] = field(default_factory=Counter)
    conflicts: int = 0


class FirstLook:
    """Reads everything once, and leaves what may differ in the notebook."""

    def __init__(
        self, verifier: Verifier, sources: Sources, notebook: Notebook, progress: Progress
    ) -> None:
        self.verifier, self.sources = verifier, sources
        self.notebook, self.progress = notebook, progress
        self.settings = verifier.settings
        self.counts = Counts()
        self._lock = threading.Lock()

    def run(self, pool: ThreadPoolExecutor) -> None:
        """Raises TransientServiceError, DatasetDefinitionError and UsageError."""
        self._see_objects(pool)
        self._see_table(pool)
        self._see_rows()
        self._compare()

    def _see_objects(self, pool: ThreadPoolExecutor) -> None:
        keys = self._listed_objects()
        batches = iter(lambda: list(islice(keys, BATCH_KEYS)), [])
        rows = (pair for batch in batches for pair in self._with_rows(batch))
        at_once = 2 * self.verifier.concurrency
        for _ in side_by_side(pool, self._see_object, rows, at_once):
            self.progress("objects", 1)

    def _listed_objects(self) -> Iterator[str]:
        pages = (
            aws.s3()
            .get_paginator("list_objects_v2")
            .paginate(Bucket=self.settings.source_bucket, Prefix=self.verifier.scope)
        )
        for page in pages:
            for entry in page.get("Contents", ()):
                yield entry["Key"]

    def _with_rows(self, keys: Sequence[str]) -> Iterator[tuple[str, Row]]:
        self.notebook.saw_objects(keys)
        asked = [{"pk": {"S": self.verifier.uri(key)}, "sk": {"S": CURRENT_ROW}} for key in keys]
        answers = read_items(aws.dynamodb(), self.settings.ledger_table, asked)
        rows = {each["pk"]["S"]: Row.of(each) for each in answers}
        for key in keys:
            yield key, rows.get(self.verifier.uri(key), Row())

    def _see_object(self, pair: tuple[str, Row]) -> None:
        key, row = pair
        if self.sources.stopped.is_set():
            return
        if row.problem:
            with self._lock:
                self.counts.problems[row.problem["status"]["S"]] += 1
        try:
            with self.sources.content(key, row) as (expectation, _, made):
                if expectation.kind:
                    self.notebook.suspect([(key, "")])
                elif is_refused_for_an_item(row):
                    with self._lock:
                        self.counts.conflicts += 1
                if expectation.items != UNDECIDED:
                    self._saw(self._derived(key, made))
                    keys = self.sources.keys_of_row(row)
                    self._saw(Sighting(each, LISTED_KEY, key) for each in keys)
        except (
            InvalidFileError,
            ObjectChangedError,
            StagedSetMissingError,
            TransientServiceError,
            GoneError,
        ):
            self.notebook.suspect([(key, "")])

    def _derived(self, key: str, made: Iterable[RecordItem]) -> Iterator[Sighting]:
        table_key = self.settings.item_keys
        for each in made:
            yield Sighting(
                item_key(each.item, table_key).text,
                DERIVED,
                key,
                fingerprint(each.item),
                self.verifier.expires(each.item),
            )

    def _saw(self, sightings: Iterator[Sighting]) -> None:
        while batch := list(islice(sightings, BATCH_ROWS)):
            self.notebook.saw(batch)

    def _see_table(self, pool: ThreadPoolExecutor) -> None:
        count = min(self.verifier.concurrency, SEGMENTS)
        for held in pool.map(partial(self._see_segment, count), range(count)):
            self.counts.held += held

    def _see_segment(self, count: int, number: int) -> int:
        held = 0
        pages = iter(
            aws.dynamodb()
            .get_paginator("scan")
            .paginate(
                TableName=self.verifier.items_table,
                ConsistentRead=True,
                Segment=number,
                TotalSegments=count,
            )
        )
        while not self.sources.stopped.is_set():
            with aws.transient_errors():
                page = next(pages, None)
            if page is None:
                break
            items: Any = page["Items"]
            seen = [self._held(item) for item in items]
            held += sum(bool(each.file) for each in seen)
            self.notebook.saw(seen)
            self.progress("items", len(seen))
        return held

    def _held(self, item: Item) -> Sighting:
        file = self.verifier.file_of(item)
        asked = file if file != NOBODY else (None if self.verifier.prefix else NOBODY)
        if asked and not asked.startswith(self.verifier.scope):
            asked = None
        key = stored_key(item, self.settings.item_keys).text
        return Sighting(key, HELD, asked, fingerprint(item))

    def _see_rows(self) -> None:
        """Suspects the files that are not in the bucket, and of which the ledger says anything but
        that they are gone.
        """
        client = aws.dynamodb()
        for shard in SHARDS:
            pages = client.get_paginator("query").paginate(
                TableName=self.settings.ledger_table,
                IndexName="files",
                KeyConditionExpression="file_shard = :shard AND begins_with(pk, :uri)",
                ExpressionAttributeValues={
                    ":shard": {"S": shard},
                    ":uri": {"S": self.verifier.uri(self.verifier.scope)},
                },
            )
            for page in pages:
                for row in page["Items"]:
                    key = key_of(row["pk"]["S"])
                    is_gone = row.get("status", {}).get("S") == "DELETED" and not OPEN & row.keys()
                    if not is_gone and not self.notebook.has_object(key):
                        self.notebook.suspect([(key, "")])

    def _compare(self) -> None:
        now = time.time()
        suspects: list[tuple[str, str]] = []
        for sightings in self.notebook.by_key():
            suspects += self._suspects(sightings, now)
            if len(suspects) >= BATCH_ROWS:
                self.notebook.suspect(suspects)
                suspects = []
        self.notebook.suspect(suspects)

    def _suspects(self, sightings: Sequence[Sighting], now: float) -> Iterator[tuple[str, str]]:
        """What is to be looked at again of one key: pairs of a file and the key."""
        key = sightings[0].key
        derived = [each for each in sightings if each.side == DERIVED]
        listed = {str(each.file) for each in sightings if each.side == LISTED_KEY}
        held = next((each for each in sightings if each.side == HELD), None)
        makers = {str(each.file) for each in derived}
        self.counts.items += len(makers)
        for each in derived:
            if held is None and each.expires is not None and each.expires <= now:
                self.counts.expired += 1
            elif held is None or (held.file, held.fingerprint) != (each.file, each.fingerprint):
                yield str(each.file), key
        if len(makers) < len(derived):
            yield from ((file, key) for file in makers)
        yield from ((file, key) for file in makers ^ listed)
        if held and held.file not in (None, *makers) and not (held.file == NOBODY and makers):
            yield str(held.file), key
