"""Planning one file by the code of the functions."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

from tablekeeper.commit.key_lists import key_lists, keys_of_table
from tablekeeper.datasets.functions import compact_json
from tablekeeper.datasets.no_data import no_data_hint
from tablekeeper.documents.pointers import value_at
from tablekeeper.errors import (
    BadRecordsError,
    DatasetDefinitionError,
    DuplicateItemKeyError,
    InvalidFileError,
    KeyOwnershipError,
    SchemaViolationError,
    StagedSetMissingError,
)
from tablekeeper.ledger.rows import Row
from tablekeeper.model.items import Item, item_key, owner
from tablekeeper.model.keys import ItemKey
from tablekeeper.model.messages import sentence_and_values
from tablekeeper.model.outcome import PARTIAL
from tablekeeper.model.snapshot import SetAside
from tablekeeper.staging.partitioned_lines import PARTITIONS, Lines, copied_manifest
from tablekeeper.steps.file_content import FileContent, Refusal
from tablekeeper.validation.violation import Violation

from tablekeeper_cli.compare.expiry import odd_expiry
from tablekeeper_cli.compare.items import BATCH_KEYS, changes, stored_key
from tablekeeper_cli.compare.readable_numbers import ADVICE, WHAT, is_readable
from tablekeeper_cli.compare.side_by_side import side_by_side
from tablekeeper_cli.compare.target import Target
from tablekeeper_cli.plan.fault import Fault
from tablekeeper_cli.plan.plan import Plan
from tablekeeper_cli.plan.planned_item import CHANGED, PUT, REFUSED, REMOVED, UNCHANGED
from tablekeeper_cli.plan.store import LocalStore

VALUE_CHARACTERS = 100
"""Of a value that violates, in a plan of a local file."""
READERS = 4
"""How many batches of items are read side by side; each is 16 MB at most."""

_LIST_GONE = (
    "the list of the file's keys is gone from the staging bucket: items that it has in the table "
    "may be missing here; `reprocess --force` makes the list again"
)


class Planning:
    """One plan in the making, step by step as an execution goes."""

    def __init__(
        self,
        target: Target,
        content: FileContent,
        row: Row,
        assumptions: list[str],
        store: LocalStore,
    ) -> None:
        snapshot = content.snapshot
        self.target, self.content, self.snapshot = target, content, snapshot
        self.row, self.store = row, store
        self.table_key = target.settings.item_keys
        self.made = Plan(
            snapshot.key,
            snapshot.dataset,
            snapshot.digest,
            "SYNCED",
            row.revision,
            shown_status(row),
            assumptions=assumptions,
            _store=store,
        )

    def plan(self) -> Plan:
        made = self.made
        if self.row.claim:
            made.assumptions.append(
                "a large write of this file is under way, or was cut off, and is taken over"
            )
        if self.snapshot.action == "unchanged":
            made.outcome = "UNCHANGED"
            if self.snapshot.set_aside:
                made.set_aside = self.snapshot.set_aside.records
            if self.snapshot.etag:
                self._all_unchanged()
        elif self.snapshot.action in ("ignore", "delete"):
            made.outcome = "IGNORED" if self.snapshot.action == "ignore" else "DELETED"
            self._read_old()
            self._remove_vanished()
        else:
            self._synced_or_refused()
        made.counts |= self.store.counts()
        return made

    def _synced_or_refused(self) -> None:
        try:
            self._validate()
            self._transform()
            self._read_old()
            self._compare()
            self._remove_vanished()
        except InvalidFileError as error:
            if not isinstance(error, KeyOwnershipError):
                error = error.of_file(self.snapshot.uri, no_data_hint(self.snapshot.key))
            self._refuse("INVALID", error, sentence_and_values(str(error))[0])
        except DatasetDefinitionError as error:
            self._refuse("FAILED", error, f"{error} {error.advice}")

    def _refuse(self, outcome: str, error: Exception, cause: str) -> None:
        self.made.outcome, self.made.error, self.made.cause = outcome, type(error).__name__, cause
        self.store.keep_only_refused()

    def _validate(self) -> None:
        """Raises InvalidFileError and DatasetDefinitionError."""
        made, content = self.made, self.content
        try:
            for fault in content.faults(self.target.settings):
                made.violation_count += 1
                self.store.add_fault(Fault(fault, self._value(fault)))
        finally:
            made.records = content.records_read
        if not made.violation_count:
            return
        message = content.summary(made.violation_count)
        if content.dataset.bad_records is None:
            raise SchemaViolationError(message)
        if not content.is_acceptable():
            raise BadRecordsError(message)
        made.outcome, made.error = PARTIAL, BadRecordsError.__name__
        made.cause = f"{self.snapshot.uri}: {message}. {BadRecordsError.advice}"
        made.set_aside = content.records_bad
        aside = SetAside(content.records_bad, content.records_read, "", message)
        content.snapshot = self.snapshot._replace(set_aside=aside)

    def _value(self, fault: Violation | Refusal) -> str | None:
        """The value that violates, of a file on this machine."""
        if not self.store.is_local or isinstance(fault, Refusal) or not self.content.record:
            return None
        try:
            value = value_at(self.content.record.value, fault.pointer)
        except (LookupError, ValueError):
            return None
        text = compact_json(value)
        return text if len(text) <= VALUE_CHARACTERS else text[:VALUE_CHARACTERS] + "…"

    def _transform(self) -> None:
        """Raises InvalidFileError."""
        first: DuplicateItemKeyError | None = None
        settings, now = self.target.settings, time.time()
        for made in self.content.items(settings):
            if not is_readable(made.text):
                self._warn(made.place, f"{WHAT}. {ADVICE}")
            expiry = odd_expiry(made.item, settings.ttl_attribute, now)
            if expiry:
                self._warn(made.place, f"{expiry}.")
            key = item_key(made.item, self.table_key)
            place = self.store.add_new(key.text, made.place, made.text)
            if place is not None:
                message = f"records {place} and {made.place} both have the key {key.shown}"
                first = first or DuplicateItemKeyError(message)
                self.store.add_entry(REFUSED, key.text, made.place, also=place)
        if first:
            raise first

    def _warn(self, record: int, what: str) -> None:
        """Once for all records: of the first of which it is to be said."""
        if not any(each.endswith(what) for each in self.made.warnings):
            self.made.warnings.append(f"record {record} has {what}")

    def _compare(self) -> None:
        """Raises KeyOwnershipError for the first item that another file has."""
        first: tuple[int, KeyOwnershipError] | None = None
        for key, place, text, have in self._with_current(self.store.new()):
            item = json.loads(text)
            if have is None:
                self.store.add_entry(PUT, key, place, item=item)
            elif owner(have) != self.snapshot.uri:
                self.store.add_entry(REFUSED, key, place, owner=owner(have))
                if first is None or place < first[0]:
                    first = place, KeyOwnershipError(ItemKey(key), owner(have))
            else:
                have.pop("_source")
                changed = list(changes(have, item))
                self.store.add_entry(CHANGED if changed else UNCHANGED, key, place, changes=changed)
        if first:
            raise first[1]

    def _remove_vanished(self) -> None:
        vanished = ((key, -1, "") for key in self.store.vanished())
        for key, _, _, have in self._with_current(vanished):
            if have is not None and owner(have) == self.snapshot.uri:
                self.store.add_entry(REMOVED, key, None)

    def _all_unchanged(self) -> None:
        self._read_old()
        for key in self.store.vanished():
            self.store.add_entry(UNCHANGED, key, None)

    def _read_old(self) -> None:
        """The keys of the items that this file may have in the table."""
        table_key = self.table_key
        self.store.add_old(key.text for key in self.row.item_keys if table_key.fits(key))
        for prefix in key_lists(self.row):
            lines = Lines(self.target.staging_bucket, copied_manifest(prefix))
            try:
                for partition in range(PARTITIONS):
                    self.store.add_old(keys_of_table(lines, partition, table_key.fits))
            except StagedSetMissingError:
                if prefix == self.row.keys_at or lines.exists():
                    self.made.warnings.append(_LIST_GONE)

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
        items = self.target.read_items(keys)
        return batch, {stored_key(item, self.table_key).text: item for item in items}


def shown_status(row: Row) -> str | None:
    """What a person is shown for a file."""
    return row.problem["status"]["S"] if row.problem else row.status
