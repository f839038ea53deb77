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
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice, takewhile
from typing import Any

from tablekeeper import aws
from tablekeeper.datasets.catalogue import Catalogue, is_ignored
from tablekeeper.datasets.items_of_records import Made, make_items
from tablekeeper.datasets.records import Record, read_records
from tablekeeper.documents.text import text_of
from tablekeeper.errors import (
    ArchivedObjectError,
    EncryptedObjectError,
    InvalidEventError,
    InvalidFileError,
    ObjectChangedError,
    SchemaViolationError,
    StagedSetMissingError,
    TransientServiceError,
)
from tablekeeper.ledger.rows import CURRENT as CURRENT_ROW
from tablekeeper.ledger.rows import SHARDS, Row
from tablekeeper.model.items import Item, item_key, owner
from tablekeeper.model.keys import ItemKey
from tablekeeper.model.objects import key_of, object_uri
from tablekeeper.model.snapshot import Snapshot
from tablekeeper.model.times import iso_milliseconds
from tablekeeper.settings import FetchSettings
from tablekeeper.staging.partitioned_lines import PARTITIONS, Lines, copied_manifest
from tablekeeper.steps.content import CHUNK_BYTES
from tablekeeper.steps.events import object_of
from tablekeeper.validation.validator import violations

from tablekeeper_cli.compare.items import (
    BATCH_KEYS,
    fingerprint,
    read_items,
    stored_key,
)
from tablekeeper_cli.compare.side_by_side import side_by_side
from tablekeeper_cli.verify import second_look
from tablekeeper_cli.verify.expectation import (
    COMMITTED,
    CURRENT,
    UNTOLD,
    Present,
    Standing,
    standing,
    version_of,
)
from tablekeeper_cli.verify.findings import (
    FOREIGN,
    IN_FLIGHT,
    Finding,
)
from tablekeeper_cli.verify.notebook import (
    DERIVED,
    HELD,
    LISTED_KEY,
    NOBODY,
    Notebook,
    Sighting,
)
from tablekeeper_cli.verify.second_look import (
    ROUNDS,
    GoneError,
    MovedError,
    SecondLook,
    whose,
)

LONGEST_PAUSE = 10.0
SEGMENTS = 4
"""How many segments of the table are scanned side by side. A page is 1 MB, and some 20 MB once it
is parsed; parsing keeps the interpreter busy, so more would take memory and save no time.
"""
MOST_RUNNING = 1000
"""How many executions that run are looked at; when more do, any file may be one of theirs."""
_BATCH = 500

Progress = Callable[[str, int], None]
"""Is told a stage, and how many more are done: objects, items, files looked at again."""


@dataclass(frozen=True)
class Summary:
    """What was compared, and what came of it; `differences` decides.

    items are those that the files make, held those in the table that name these files; expired
    ones may be absent, and were. problems are the files whose newest content is not in the table
    and whose ledger row says why, by status. kinds counts the findings, differences or not.
    """

    files: int
    items: int
    held: int
    expired: int
    problems: dict[str, int]
    kinds: dict[str, int]
    differences: int


@dataclass
class _Counts:
    items: int = 0
    held: int = 0
    expired: int = 0
    problems: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Verifier:
    """Compares one stack's table with its bucket, by the schemas of one folder; where no function
    runs, use it within `aws.clients_by`.

    With a prefix, it looks at the files under it alone. In a table of Tablekeeper's own an item
    without a file is a difference; in one that was there before it may be anybody's.
    `state_machine` is the ARN of the one that keeps an object.
    """

    catalogue: Catalogue
    settings: FetchSettings
    items_table: str
    staging_bucket: str
    state_machine: str
    owns_table: bool
    key_prefix: str = ""
    prefix: str = ""
    settle_seconds: float = 60.0
    concurrency: int = 8

    def verify(self, progress: Progress = lambda _stage, _done: None) -> Verification:
        """Looks at everything once and at whatever differs again. Close the result.

        Raises:
            DatasetDefinitionError: a schema cannot be used.
            TransientServiceError: a service kept failing; nothing is known.
        """
        verification = Verification(self, progress)
        try:
            verification.run()
        except BaseException:
            verification.close()
            raise
        return verification

    @property
    def scope(self) -> str | None:
        """The prefix of the keys that are looked at; None when there can be none."""
        if self.prefix.startswith(self.key_prefix):
            return self.prefix
        return self.key_prefix if self.key_prefix.startswith(self.prefix) else None


class Verification:
    """One comparison, and what it found."""

    def __init__(self, verifier: Verifier, progress: Progress) -> None:
        self.verifier, self.progress = verifier, progress
        self.settings = verifier.settings
        self.notebook = Notebook()
        self._counts = _Counts()
        self._stopped = threading.Event()
        self._lock = threading.Lock()

    @property
    def summary(self) -> Summary:
        """What came of it."""
        counts = self._counts
        return Summary(
            files=self.notebook.count("SELECT count(*) FROM object"),
            items=counts.items,
            held=counts.held,
            expired=counts.expired,
            problems=dict(sorted(counts.problems.items())),
            kinds=self.notebook.counts(),
            differences=self.notebook.differences(),
        )

    def findings(self) -> Iterator[Finding]:
        """Every finding, file by file."""
        return self.notebook.findings()

    def close(self) -> None:
        """Frees the memory and the disk."""
        self.notebook.close()

    def run(self) -> None:
        """Raises as `Verifier.verify`."""
        if self.verifier.scope is None:
            return
        pool = ThreadPoolExecutor(self.verifier.concurrency)
        try:
            self._see_objects(pool)
            self._see_table(pool)
            self._see_rows()
            self._compare()
            self._look_again(pool)
            self._wait_for_moving(pool)
        finally:
            self._stopped.set()
            pool.shutdown(cancel_futures=True)

    # ---- the first look: what may differ ----

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
            .paginate(Bucket=self.settings.source_bucket, Prefix=str(self.verifier.scope))
        )
        for page in pages:
            for entry in page.get("Contents", ()):
                yield entry["Key"]

    def _with_rows(self, keys: Sequence[str]) -> Iterator[tuple[str, Row]]:
        self.notebook.saw_objects(keys)
        asked = [{"pk": {"S": self._uri(key)}, "sk": {"S": CURRENT_ROW}} for key in keys]
        answers = read_items(aws.dynamodb(), self.settings.ledger_table, asked)
        rows = {each["pk"]["S"]: Row.of(each) for each in answers}
        for key in keys:
            yield key, rows.get(self._uri(key), Row())

    def _see_object(self, pair: tuple[str, Row]) -> None:
        key, row = pair
        if self._stopped.is_set():
            return
        if row.problem:
            with self._lock:
                self._counts.problems[row.problem["status"]["S"]] += 1
        try:
            with self._content(key, row) as (stands, _, made):
                if stands.kind:
                    self.notebook.suspect([(key, "")])
                if stands.items != UNTOLD:
                    self._saw(self._derived(key, made))
                    self._saw(Sighting(each, LISTED_KEY, key) for each in self._keys_of_row(row))
        except (
            InvalidFileError,
            ObjectChangedError,
            StagedSetMissingError,
            TransientServiceError,
            GoneError,
        ):
            self.notebook.suspect([(key, "")])

    def _derived(self, key: str, made: Iterable[Made]) -> Iterator[Sighting]:
        table_key = self.settings.item_keys
        for each in made:
            yield Sighting(
                item_key(each.item, table_key).text,
                DERIVED,
                key,
                fingerprint(each.item),
                self._expires(each.item),
            )

    def _saw(self, sightings: Iterator[Sighting]) -> None:
        while batch := list(islice(sightings, _BATCH)):
            self.notebook.saw(batch)

    def _see_table(self, pool: ThreadPoolExecutor) -> None:
        count = min(self.verifier.concurrency, SEGMENTS)
        for held in pool.map(partial(self._see_segment, count), range(count)):
            self._counts.held += held

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
        while not self._stopped.is_set():
            with aws.transient_errors():
                page = next(pages, None)
            if page is None:
                break
            found: Any = page["Items"]
            seen = [self._held(item) for item in found]
            held += sum(bool(each.file) for each in seen)
            self.notebook.saw(seen)
            self.progress("items", len(seen))
        return held

    def _held(self, item: Item) -> Sighting:
        file = self._file_of(item)
        asked = file if file != NOBODY else (None if self.verifier.prefix else NOBODY)
        if asked and not asked.startswith(str(self.verifier.scope)):
            asked = None
        key = stored_key(item, self.settings.item_keys).text
        return Sighting(key, HELD, asked, fingerprint(item))

    def _see_rows(self) -> None:
        """Suspects the files that the ledger has for SYNCED and that are not in the bucket."""
        client = aws.dynamodb()
        for shard in SHARDS:
            pages = client.get_paginator("query").paginate(
                TableName=self.settings.ledger_table,
                IndexName="files",
                KeyConditionExpression="file_shard = :shard AND begins_with(pk, :prefix)",
                ExpressionAttributeValues={
                    ":shard": {"S": shard},
                    ":prefix": {"S": self._uri(str(self.verifier.scope))},
                },
            )
            for page in pages:
                for row in page["Items"]:
                    key = key_of(row["pk"]["S"])
                    is_tombstone = row.get("status", {}).get("S") == "DELETED"
                    if not is_tombstone and not self.notebook.has_object(key):
                        self.notebook.suspect([(key, "")])

    def _compare(self) -> None:
        now = time.time()
        suspects: list[tuple[str, str]] = []
        for sightings in self.notebook.by_key():
            suspects += self._suspects(sightings, now)
            if len(suspects) >= _BATCH:
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
        self._counts.items += len(makers)
        for each in derived:
            if held is None and each.expires is not None and each.expires <= now:
                self._counts.expired += 1
            elif held is None or (held.file, held.fingerprint) != (each.file, each.fingerprint):
                yield str(each.file), key
        if len(makers) < len(derived):
            yield from ((file, key) for file in makers)
        yield from ((file, key) for file in makers ^ listed)
        if held and held.file not in (None, *makers) and not (held.file == NOBODY and makers):
            yield str(held.file), key

    # ---- the second look: what does differ ----

    def _look_again(self, pool: ThreadPoolExecutor) -> None:
        files = self.notebook.suspected_files()
        for _ in side_by_side(pool, self._look, files, 2 * self.verifier.concurrency):
            self.progress("looked at again", 1)

    def _wait_for_moving(self, pool: ThreadPoolExecutor) -> None:
        """Looks at files that may be on their way until they have arrived, or the time is up."""
        deadline, seconds = second_look.clock() + self.verifier.settle_seconds, 1.0
        at_once = 2 * self.verifier.concurrency
        while (
            next(self.notebook.moving_files(), None) is not None and second_look.clock() < deadline
        ):
            second_look.pause(min(seconds, deadline - second_look.clock()))
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
        self.notebook.found(Finding(IN_FLIGHT, file, detail=why, is_difference=False))

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
                state = SecondLook(self, file).run()
            except TransientServiceError:
                if last:
                    raise
                second_look.pause(0.5)
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
        keys = (ItemKey(key) for key, _, _ in self.notebook.suspected_keys(NOBODY))
        for batch in iter(lambda: list(islice(keys, BATCH_KEYS)), []):
            asked = [key.attributes for key in batch]
            for item in read_items(aws.dynamodb(), self.verifier.items_table, asked):
                if self._file_of(item) == NOBODY:
                    key = stored_key(item, self.settings.item_keys).attributes
                    mine = self.verifier.owns_table
                    self.notebook.found(
                        Finding(FOREIGN, None, key, whose(item), is_difference=mine)
                    )

    # ---- files ----

    @contextmanager
    def _content(
        self, key: str, row: Row
    ) -> Generator[tuple[Standing, Present | None, Iterator[Made]]]:
        """What the items of a file stand for, the object that is there now, and the items.

        Making them raises InvalidFileError, ObjectChangedError and TransientServiceError.
        """
        bucket = self.settings.source_bucket
        with _opened(bucket, key) as (present, chunks):
            ignored = is_ignored(key, self.settings.ignore_patterns)
            stands = standing(row, present, ignored=ignored)
            if stands.items == CURRENT and present:
                yield stands, present, self._make(key, present, chunks)
            elif stands.items != COMMITTED:
                yield stands, present, iter(())
            elif present and (row.etag, version_of(row.version_id)) == (
                present.etag,
                version_of(present.version_id),
            ):
                yield stands, present, self._make(key, present, chunks)
            else:
                with self._committed(key, row) as made:
                    yield stands, present, made

    @contextmanager
    def _committed(self, key: str, row: Row) -> Generator[Iterator[Made]]:
        """The items of the version that the row names. Raises GoneError."""
        version = version_of(row.version_id)
        with _opened(self.settings.source_bucket, key, version) as (present, chunks):
            if present is None or present.etag != row.etag:
                named = f"version {version}" if version else f"the content with etag {row.etag}"
                raise GoneError(f"{named}, which the items were made of, is gone")
            if present.unreadable:
                raise GoneError(str(present.unreadable))
            yield self._make(key, present, chunks)

    def _make(self, key: str, present: Present, chunks: Iterable[bytes]) -> Iterator[Made]:
        """The items of an object, as the functions make them. Raises InvalidFileError."""
        settings, catalogue = self.settings, self.verifier.catalogue
        if present.unreadable:
            raise present.unreadable
        dataset = catalogue.get(key)
        found = Snapshot(
            action="validate",
            bucket=settings.source_bucket,
            key=key,
            revision=0,
            as_of="",
            dataset=dataset.name,
            etag=present.etag,
            version_id=present.version_id,
            size=present.size,
            last_modified=present.last_modified,
        )

        def valid(records: Iterable[Record]) -> Iterator[Record]:
            for record in records:
                for violation in violations((record,), dataset, catalogue):
                    raise SchemaViolationError(str(violation))
                yield record

        text = text_of(chunks, settings.max_document_bytes)
        records = valid(read_records(text, key, dataset))
        made = make_items(records, found, dataset, settings.item_keys, settings.ttl_attribute)
        yield from takewhile(lambda _: not self._stopped.is_set(), made)

    def _keys_of_row(self, row: Row) -> Iterator[str]:
        """The keys that the ledger lists. Raises StagedSetMissingError."""
        yield from (key.text for key in row.item_keys)
        if row.keys_at:
            lines = Lines(self.verifier.staging_bucket, copied_manifest(row.keys_at))
            for partition in range(PARTITIONS):
                yield from lines.partition(partition)

    def _uri(self, key: str) -> str:
        return object_uri(self.settings.source_bucket, key)

    def _file_of(self, item: Item) -> str:
        """The key of the file that an item names; NOBODY when it names none that can be here."""
        named, prefix = owner(item), self._uri(self.verifier.key_prefix)
        return key_of(named) if named and named.startswith(prefix) else NOBODY

    def _expires(self, item: Item) -> float | None:
        value = item.get(self.settings.ttl_attribute, {}).get("N")
        return None if value is None else float(value)


@contextmanager
def _opened(
    bucket: str, key: str, version: str | None = None
) -> Generator[tuple[Present | None, Iterator[bytes]]]:
    """An object, or a version of it, and its content; None when it is not there.

    Reading the content raises TransientServiceError.
    """
    present, body = _open(bucket, key, {"VersionId": version} if version else {})
    if body is None:
        yield present, iter(())
        return
    with closing(body):
        yield present, _chunks(body)


def _open(bucket: str, key: str, version: Any) -> tuple[Present | None, Any]:
    from botocore.exceptions import ClientError

    try:
        with aws.transient_errors():
            answer: Any = aws.s3().get_object(Bucket=bucket, Key=key, **version)
    except ClientError as error:
        code = error.response["Error"].get("Code", "")
        message = error.response["Error"].get("Message", "")
        if code in ("NoSuchKey", "NoSuchVersion", "404"):
            return None, None
        if code == "InvalidObjectState":
            with aws.transient_errors():
                answer = aws.s3().head_object(Bucket=bucket, Key=key, **version)
            why = ArchivedObjectError("the object is in an archive storage class")
            return replace(_present(answer), unreadable=why), None
        if code == "InvalidRequest" and "encrypt" in message.lower():
            unreadable = EncryptedObjectError("the object is encrypted with SSE-C")
            return Present(None, None, 0, "", unreadable), None
        raise
    return _present(answer), answer["Body"]


def _present(answer: Any) -> Present:
    return Present(
        etag=answer["ETag"].strip('"'),
        version_id=answer.get("VersionId"),
        size=answer["ContentLength"],
        last_modified=iso_milliseconds(answer["LastModified"]),
    )


def _chunks(body: Any) -> Iterator[bytes]:
    with aws.transient_errors():
        yield from body.iter_chunks(CHUNK_BYTES)
