"""What an execution would do with a file, found by the functions' own code, without doing it.

A plan reads the ledger's row, the items in the table and the content, and writes nothing but a
temporary database of SQLite's: that spills to the local disk what is too much for memory.
"""

from __future__ import annotations

import base64
import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tablekeeper import aws
from tablekeeper.commit.claim import key_lists
from tablekeeper.datasets.catalogue import Catalogue, is_ignored
from tablekeeper.datasets.items_of_records import make_items
from tablekeeper.datasets.records import Record, read_records
from tablekeeper.documents.json_stream import text_of
from tablekeeper.errors import (
    DatasetDefinitionError,
    DuplicateItemKeyError,
    InvalidFileError,
    ItemKey,
    KeyOwnershipError,
    ObjectChangedError,
    SchemaViolationError,
)
from tablekeeper.ledger.rows import Row, read_row
from tablekeeper.model.items import Item, item_key, owner
from tablekeeper.model.snapshot import Found, now, object_uri
from tablekeeper.settings import FetchSettings, TableKey
from tablekeeper.staging.partitioned_lines import PARTITIONS, Lines, copied_manifest
from tablekeeper.steps.content import CHUNK_BYTES, read_document
from tablekeeper.steps.fetch import before_the_object, fetch, judge
from tablekeeper.validation.validator import Violation, violations

from tablekeeper_cli.compare.items import (
    BATCH_KEYS,
    Change,
    changes,
    read_items,
    stored_key,
)
from tablekeeper_cli.compare.side_by_side import side_by_side
from tablekeeper_cli.errors import CommandError, UnknownError

if TYPE_CHECKING:
    from tablekeeper_cli.stack import Stack

PUT, CHANGED, UNCHANGED, REMOVED, REFUSED = ACTIONS = (
    "put",
    "changed",
    "unchanged",
    "removed",
    "refused",
)
"""What becomes of an item. A refused one belongs to another file, or has the key of another record;
it refuses its whole file.
"""
READERS = 4
"""How many batches of items are read side by side; each is 16 MB at most."""
ROUNDS = 5
UNKNOWN_VERSION = "(the version id that S3 will give)"


@dataclass(frozen=True)
class PlannedItem:
    """What becomes of one item. `key`, `item` and the values in `changes` are in DynamoDB JSON.

    `record` is the place of its record in the file, None where it has none any more. `item` is
    given when it is put. A refused item has the `owner` that it belongs to, or None when
    Tablekeeper did not write it; or `also` is the earlier record that has the same key.
    """

    action: str
    key: Mapping[str, Any]
    record: int | None = None
    item: Mapping[str, Any] | None = None
    changes: Sequence[Change] = ()
    owner: str | None = None
    also: int | None = None


@dataclass
class Plan:
    """What an execution would do with one key. Close it when it is no longer needed.

    outcome is the execution's, error the name that it would be INVALID or FAILED with. records is
    the number of records that were read. counts has the number of items by action. `now` is what
    the ledger shows for the file: a problem's status, else the status, None for an unknown file.
    assumptions say in words what a plan cannot know.
    """

    key: str
    dataset: str | None
    digest: str | None
    outcome: str
    revision: int
    now: str | None
    error: str | None = None
    cause: str | None = None
    records: int = 0
    violation_count: int = 0
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(ACTIONS, 0))
    assumptions: list[str] = field(default_factory=list)
    _store: _Store | None = field(default=None, repr=False)

    @property
    def fine(self) -> bool:
        """Whether the table would be as the bucket is."""
        return self.outcome in ("SYNCED", "UNCHANGED", "DELETED")

    def about(self) -> dict[str, Any]:
        """All but the violations and the items, which may be many."""
        return {name: value for name, value in vars(self).items() if not name.startswith("_")}

    def violations(self) -> Iterator[Violation]:
        """The violations of the dataset's schema, in the order of the records."""
        return self._store.violations() if self._store else iter(())

    def items(self) -> Iterator[PlannedItem]:
        """What becomes of each item: in the order of the records, then those without one."""
        return self._store.entries() if self._store else iter(())

    def close(self) -> None:
        """Frees the memory and the disk that its items take."""
        if self._store:
            self._store.close()


@dataclass(frozen=True)
class Planner:
    """Makes plans for one stack with the schemas of one folder; use it within
    `aws.clients_by(stack.client)`.
    """

    catalogue: Catalogue
    settings: FetchSettings
    items_table: str
    staging_bucket: str
    key_prefix: str = ""

    @classmethod
    def of(cls, stack: Stack, catalogue: Catalogue) -> Planner:
        """The planner of a deployed stack, by its parameters."""
        return cls(
            catalogue=catalogue,
            settings=fetch_settings(stack),
            items_table=stack.items,
            staging_bucket=stack.staging,
            key_prefix=stack.parameters.get("KeyPrefix", ""),
        )

    def of_file(self, path: Path, key: str) -> Plan:
        """What would become of a local file that is uploaded under a key.

        Raises:
            OSError: the file cannot be read.
            TransientServiceError: a retry helps.
        """
        row = self._row(key)
        seen = before_the_object(key, row, now(), self.settings, self.catalogue)
        if self._is_left_out(key):
            return self._left_out(key, row)
        if is_ignored(key, self.settings.ignore_patterns):
            return self._plan(Found(action="ignore", **seen), row, lambda: iter(()), [])
        seen |= {"etag": _md5(path), "size": path.stat().st_size, "last_modified": now()}
        dataset = self.catalogue.find(key)
        used = dataset.object_fields if dataset else frozenset[str]()
        if used & {"version_id", "*"} and self._has_versions():
            seen["version_id"] = UNKNOWN_VERSION
        found, refused = judge(seen, row, dataset, self.settings, force=False)
        assumptions = list(_assumptions(found, used))
        limit = self.settings.max_document_bytes

        def text() -> Iterator[str]:
            return (
                read_document(refused, found, limit) if refused else text_of(_chunks(path), limit)
            )

        return self._plan(found, row, text, assumptions)

    def of_object(self, key: str) -> Plan:
        """What would become of the object that is in the bucket now.

        Raises:
            UnknownError: neither the bucket nor the ledger knows the key.
            CommandError: it changed in each of five rounds.
            TransientServiceError: a retry helps.
        """
        if self._is_left_out(key):
            return self._left_out(key, self._row(key))
        named = {"bucket": {"name": self.settings.source_bucket}, "object": {"key": key}}
        for _ in range(ROUNDS):
            payload = {"event": {"detail": named}, "round": 0, "entered": now()}
            answer = fetch(payload, self.settings, self.catalogue)
            found, row = Found.read(answer["found"]), self._row(key)
            if found.action == "delete" and not row.revision:
                raise UnknownError(f"neither the bucket nor the ledger knows {found.uri}")
            if row.revision != found.revision:
                continue
            text = partial(
                read_document, answer["document"], found, self.settings.max_document_bytes
            )
            try:
                return self._plan(found, row, text, [])
            except ObjectChangedError:
                continue
        raise CommandError(f"{key} changed in each of {ROUNDS} rounds; try again when it is quiet")

    def of_dataset(
        self, name: str, *, limit: int | None = None, concurrency: int = 8
    ) -> Iterator[Plan]:
        """The plans of the objects in the bucket that belong to a dataset, at most `limit`, without
        their items.

        Raises as `of_object`, and KeyError when there is no such dataset. An object that is gone by
        the time it is read is left out.
        """
        keys = islice(self._keys(name), limit)
        with ThreadPoolExecutor(concurrency) as pool:
            try:
                for plan in side_by_side(pool, self._summary, keys, 2 * concurrency):
                    if plan:
                        yield plan
            finally:
                pool.shutdown(wait=False, cancel_futures=True)

    def _summary(self, key: str) -> Plan | None:
        try:
            plan = self.of_object(key)
        except UnknownError:
            return None
        plan.close()
        return plan

    def _keys(self, name: str) -> Iterator[str]:
        prefix = self.catalogue.datasets[name].prefix
        if not prefix.startswith(self.key_prefix):
            prefix = self.key_prefix
        pages = (
            aws.s3()
            .get_paginator("list_objects_v2")
            .paginate(Bucket=self.settings.source_bucket, Prefix=prefix)
        )
        for page in pages:
            for each in page.get("Contents", ()):
                key = each["Key"]
                dataset = self.catalogue.find(key)
                mine = dataset is not None and dataset.name == name
                if mine and not is_ignored(key, self.settings.ignore_patterns):
                    yield key

    def _row(self, key: str) -> Row:
        uri = object_uri(self.settings.source_bucket, key)
        return read_row(aws.dynamodb(), self.settings.ledger_table, uri)

    def _has_versions(self) -> bool:
        answer = aws.s3().get_bucket_versioning(Bucket=self.settings.source_bucket)
        return "Status" in answer

    def _is_left_out(self, key: str) -> bool:
        return not key.startswith(self.key_prefix)

    def _left_out(self, key: str, row: Row) -> Plan:
        why = f'the stack keeps only keys that begin with "{self.key_prefix}": nothing would happen'
        return Plan(key, None, None, "IGNORED", row.revision, _shown(row), assumptions=[why])

    def _plan(
        self, found: Found, row: Row, text: Callable[[], Iterator[str]], assumptions: list[str]
    ) -> Plan:
        store = _Store()
        try:
            return _Planning(self, found, row, text, assumptions, store).plan()
        except BaseException:
            store.close()
            raise


class _Planning:
    """One plan in the making, step by step as an execution goes."""

    def __init__(
        self,
        planner: Planner,
        found: Found,
        row: Row,
        text: Callable[[], Iterator[str]],
        assumptions: list[str],
        store: _Store,
    ) -> None:
        self.planner, self.found, self.row = planner, found, row
        self.text, self.store = text, store
        self.table_key = planner.settings.item_keys
        self.made = Plan(
            found.key,
            found.dataset,
            found.digest,
            "SYNCED",
            row.revision,
            _shown(row),
            assumptions=assumptions,
            _store=store,
        )

    def plan(self) -> Plan:
        made = self.made
        if self.row.claim:
            made.assumptions.append(
                "a large write of this file is under way, or was cut off, and is taken over"
            )
        if self.found.action == "unchanged":
            made.outcome = "UNCHANGED"
            if self.found.etag:
                self._all_unchanged()
        elif self.found.action in ("ignore", "delete"):
            made.outcome = "IGNORED" if self.found.action == "ignore" else "DELETED"
            self._remove_vanished()
        else:
            self._synced_or_refused()
        made.counts |= self.store.counts()
        return made

    def _synced_or_refused(self) -> None:
        try:
            self._validate()
            self._transform()
            self._compare()
            self._remove_vanished()
        except InvalidFileError as error:
            message = str(error)
            if not isinstance(error, KeyOwnershipError):
                message = f"{self.found.uri}: {message}. {error.advice}"
            self._refuse("INVALID", error, message)
        except DatasetDefinitionError as error:
            self._refuse("FAILED", error, f"{error} {error.advice}")

    def _refuse(self, outcome: str, error: Exception, cause: str) -> None:
        self.made.outcome, self.made.error, self.made.cause = outcome, type(error).__name__, cause
        self.store.keep_only_refused()

    def _validate(self) -> None:
        """Raises InvalidFileError and DatasetDefinitionError."""
        made, catalogue = self.made, self.planner.catalogue

        def counted(records: Iterable[Record]) -> Iterator[Record]:
            for record in records:
                made.records += 1
                yield record

        dataset = catalogue.get(self.found.key)
        records = counted(read_records(self.text(), self.found.key, dataset))
        for violation in violations(records, dataset, catalogue):
            made.violation_count += 1
            self.store.add_violation(violation)
        if made.violation_count:
            plural = "violation" if made.violation_count == 1 else "violations"
            raise SchemaViolationError(
                f"{made.violation_count:,} {plural} of {dataset.name}.schema.json "
                f"in {made.records:,} records"
            )

    def _transform(self) -> None:
        """Raises InvalidFileError."""
        settings, dataset = self.planner.settings, self.planner.catalogue.get(self.found.key)
        records = read_records(self.text(), self.found.key, dataset)
        first: DuplicateItemKeyError | None = None
        for made in make_items(
            records, self.found, dataset, settings.item_keys, settings.ttl_attribute
        ):
            key = item_key(made.item, self.table_key)
            place = self.store.add_new(key.text, made.place, made.text)
            if place is not None:
                message = f"records {place} and {made.place} both have the key {key.text}"
                first = first or DuplicateItemKeyError(message)
                self.store.add_entry(REFUSED, key.text, made.place, also=place)
        if first:
            raise first

    def _compare(self) -> None:
        """Raises KeyOwnershipError for the first item that another file has."""
        first: tuple[int, KeyOwnershipError] | None = None
        for key, place, text, have in self._with_current(self.store.new()):
            item = json.loads(text)
            if have is None:
                self.store.add_entry(PUT, key, place, item=item)
            elif owner(have) != self.found.uri:
                self.store.add_entry(REFUSED, key, place, owner=owner(have))
                if first is None or place < first[0]:
                    first = place, KeyOwnershipError(ItemKey(key), owner(have))
            else:
                have.pop("_source")
                found = list(changes(have, item))
                self.store.add_entry(CHANGED if found else UNCHANGED, key, place, changes=found)
        if first:
            raise first[1]

    def _remove_vanished(self) -> None:
        self._read_old()
        vanished = ((key, -1, "") for key in self.store.vanished())
        for key, _, _, have in self._with_current(vanished):
            if have is not None and owner(have) == self.found.uri:
                self.store.add_entry(REMOVED, key, None)

    def _all_unchanged(self) -> None:
        self._read_old()
        for key in self.store.vanished():
            self.store.add_entry(UNCHANGED, key, None)

    def _read_old(self) -> None:
        """The keys of the items that this file may have in the table."""
        self.store.add_old(key.text for key in self.row.item_keys)
        for prefix in key_lists(self.row):
            lines = Lines(self.planner.staging_bucket, copied_manifest(prefix))
            if prefix == self.row.keys_at or lines.exists():
                for partition in range(PARTITIONS):
                    self.store.add_old(lines.partition(partition))

    def _with_current(
        self, rows: Iterable[tuple[str, int, str]]
    ) -> Iterator[tuple[str, int, str, Item | None]]:
        """Each row with the item that has its key in the table now."""
        rows = iter(rows)
        batches = iter(lambda: list(islice(rows, BATCH_KEYS)), [])
        with ThreadPoolExecutor(READERS) as pool:
            for batch, have in side_by_side(pool, self._current, batches, READERS):
                for key, place, text in batch:
                    yield key, place, text, have.get(key)

    def _current(
        self, batch: list[tuple[str, int, str]]
    ) -> tuple[list[tuple[str, int, str]], dict[str, Item]]:
        keys = [ItemKey(key).attributes for key, _, _ in batch]
        items = read_items(aws.dynamodb(), self.planner.items_table, keys)
        return batch, {stored_key(item, self.table_key).text: item for item in items}


def fetch_settings(stack: Stack) -> FetchSettings:
    """What a stack's parameters tell Fetch Object."""
    parameters = stack.parameters
    return FetchSettings(
        source_bucket=stack.bucket,
        ledger_table=stack.ledger,
        ignore_patterns=parameters["IgnorePatterns"],
        item_keys=table_key(parameters),
        ttl_attribute=parameters["TtlAttribute"],
        max_document_bytes=int(parameters["MaxDocumentBytes"]),
    )


def table_key(parameters: Mapping[str, str]) -> TableKey:
    """The primary key of the items table, by the stack's parameters."""
    text = f"{parameters['PartitionKeyName']}:{parameters['PartitionKeyType']}"
    if parameters["SortKeyName"]:
        text += f",{parameters['SortKeyName']}:{parameters['SortKeyType']}"
    return TableKey.parse(text)


class _Store:
    """A temporary database: new items, keys that were there before, and what becomes of each."""

    def __init__(self) -> None:
        # A database without a name is held in memory and, as far as it is large, in a file that
        # goes with the connection: https://sqlite.org/inmemorydb.html#temp_db
        self.database = sqlite3.connect("", check_same_thread=False, isolation_level=None)
        self.database.executescript(
            """
            PRAGMA journal_mode = OFF;
            CREATE TABLE new (key TEXT PRIMARY KEY, place INTEGER, item TEXT) WITHOUT ROWID;
            CREATE TABLE old (key TEXT PRIMARY KEY) WITHOUT ROWID;
            CREATE TABLE entry (action TEXT, key TEXT, place INTEGER, details TEXT);
            CREATE TABLE violation (record INTEGER, pointer TEXT, keyword TEXT, expected TEXT);
            BEGIN;
            """
        )

    def close(self) -> None:
        self.database.close()

    def add_new(self, key: str, place: int, item: str) -> int | None:
        """Adds an item; the place of the record that has its key already, if one has."""
        row = key, place, item
        if self.database.execute("INSERT OR IGNORE INTO new VALUES (?, ?, ?)", row).rowcount:
            return None
        ((found,),) = self.database.execute("SELECT place FROM new WHERE key = ?", (key,))
        return int(found)

    def new(self) -> Iterator[tuple[str, int, str]]:
        yield from self.database.execute("SELECT key, place, item FROM new")

    def add_old(self, keys: Iterable[str]) -> None:
        self.database.executemany("INSERT OR IGNORE INTO old VALUES (?)", ((key,) for key in keys))

    def vanished(self) -> Iterator[str]:
        """The old keys that no new item has."""
        for (key,) in self.database.execute(
            "SELECT key FROM old WHERE key NOT IN (SELECT key FROM new)"
        ):
            yield key

    def add_entry(self, action: str, key: str, place: int | None, **details: Any) -> None:
        text = json.dumps(details, ensure_ascii=False, default=_plain) if details else "{}"
        self.database.execute("INSERT INTO entry VALUES (?, ?, ?, ?)", (action, key, place, text))

    def entries(self) -> Iterator[PlannedItem]:
        for action, key, place, text in self.database.execute(
            "SELECT action, key, place, details FROM entry ORDER BY place IS NULL, place, key"
        ):
            details = json.loads(text)
            details["changes"] = [Change(**each) for each in details.get("changes", ())]
            yield PlannedItem(action, ItemKey(key).attributes, place, **details)

    def counts(self) -> dict[str, int]:
        return dict(self.database.execute("SELECT action, count(*) FROM entry GROUP BY action"))

    def keep_only_refused(self) -> None:
        """For a file that is refused nothing else happens to any item."""
        self.database.execute("DELETE FROM entry WHERE action <> ?", (REFUSED,))

    def add_violation(self, violation: Violation) -> None:
        self.database.execute("INSERT INTO violation VALUES (?, ?, ?, ?)", violation)

    def violations(self) -> Iterator[Violation]:
        for row in self.database.execute("SELECT * FROM violation"):
            yield Violation(*row)


def _plain(value: Any) -> Any:
    if isinstance(value, Change):
        return vars(value)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    raise TypeError(type(value).__name__)


def _assumptions(found: Found, used: frozenset[str]) -> Iterator[str]:
    if found.action == "unchanged" or used & {"etag", "*"}:
        yield (
            "the etag is the MD5 of the file, as after an upload in one part that is not encrypted "
            "with SSE-KMS"
        )
    if used & {"last_modified", "*"}:
        yield "`_object.last_modified` is the time of this plan"
    if found.version_id:
        yield f"`_object.version_id` is unknown before the upload: {found.version_id}"


def _shown(row: Row) -> str | None:
    """What a person is shown for a file."""
    return row.problem["status"]["S"] if row.problem else row.status


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk


def _md5(path: Path) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    for chunk in _chunks(path):
        digest.update(chunk)
    return digest.hexdigest()
