"""A second look at what differs, since files change while they are read."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from tablekeeper import aws
from tablekeeper.datasets.items_of_records import RecordItem
from tablekeeper.errors import (
    DuplicateItemKeyError,
    InvalidFileError,
    ObjectChangedError,
    StagedSetMissingError,
)
from tablekeeper.ledger.reads import read_row
from tablekeeper.ledger.rows import Row
from tablekeeper.model.items import Item, item_key, owner
from tablekeeper.model.keys import ItemKey
from tablekeeper.model.objects import object_uri

from tablekeeper_cli.compare.items import BATCH_KEYS, changes, fingerprint, read_items, stored_key
from tablekeeper_cli.verify.expectation import COMMITTED, UNDECIDED, Expectation
from tablekeeper_cli.verify.findings import Finding, Kind
from tablekeeper_cli.verify.notebook import NOBODY, Notebook
from tablekeeper_cli.verify.sources import GoneError, Sources
from tablekeeper_cli.verify.verifier import Verifier

ROUNDS = 5
"""How often a file is looked at again at once, when it moves under the eyes or a read fails."""


class SecondLook:
    """One look at the suspects of a file."""

    def __init__(self, verifier: Verifier, sources: Sources, notebook: Notebook, file: str) -> None:
        self.verifier, self.sources, self.notebook = verifier, sources, notebook
        self.file, self.settings = file, verifier.settings
        self.uri = object_uri(self.settings.source_bucket, file)
        self.items_differ = self.is_refused = False

    def run(self) -> str | None:
        """The file's state when it may be on its way; findings are in the notebook.

        Raises:
            MovedError: a commit came between.
            TransientServiceError: a retry helps.
        """
        row = self._row()
        try:
            with self.sources.content(self.file, row) as (expectation, present, made):
                state = f"{row.revision} {present and (present.etag, present.version_id)}"
                self._find(row, expectation, made)
        except GoneError as gone:
            differs = gone.kind != Kind.UNVERIFIABLE
            finding = Finding(gone.kind, self.file, detail=str(gone), is_difference=differs)
            self.notebook.add_finding(finding)
            expectation, state = Expectation(UNDECIDED), ""
        except ObjectChangedError:
            raise MovedError(str(row.revision)) from None
        if self._row().revision != row.revision:
            raise MovedError(str(row.revision))
        return state if expectation.behind else None

    def _find(self, row: Row, expectation: Expectation, made: Iterator[RecordItem]) -> None:
        if expectation.kind:
            detail, differs = expectation.detail, expectation.kind != Kind.UNVERIFIABLE
            self.notebook.add_finding(
                Finding(expectation.kind, self.file, None, detail, (), differs)
            )
        if expectation.items == UNDECIDED:
            return
        is_outdated = self._is_outdated(row)
        # Nothing writes the version below a refused one again: it stays as the schemas of its
        # time made it.
        self.is_refused = is_outdated and expectation == Expectation(COMMITTED)
        try:
            self._compare_derived(made)
        except InvalidFileError as error:
            self.notebook.look_again(self.file)
            self._found_bad(row, expectation, error)
            return
        self._compare_extra()
        if expectation.kind and expectation.items != COMMITTED:
            return  # the row does not speak of this content
        if not is_outdated:
            self._compare_listed(row)
        elif self.items_differ:
            self._found_outdated(row, "its items differ from what it makes now")

    def _found_bad(self, row: Row, expectation: Expectation, error: InvalidFileError) -> None:
        """The file makes no items now, so its content does not give those that it had."""
        name = type(error).__name__
        if expectation.kind:
            detail = f"{expectation.detail}; its content is bad ({name})"
            self.notebook.add_finding(Finding(expectation.kind, self.file, detail=detail))
        elif self._is_outdated(row):
            self._found_outdated(row, f"now its content is bad ({name})")
        else:
            self.notebook.add_finding(
                Finding(Kind.UNRECORDED, self.file, detail=f"{name}: {error}")
            )

    def _found_outdated(self, row: Row, why: str) -> None:
        detail, kind = f"written under {row.digest}; {why}", Kind.OUTDATED
        if self.is_refused:
            detail, kind = f"the version before the refused one was {detail}", Kind.UNVERIFIABLE
        finding = Finding(kind, self.file, detail=detail, is_difference=not self.is_refused)
        self.notebook.add_finding(finding)

    def _is_outdated(self, row: Row) -> bool:
        catalogue = self.verifier.catalogue
        dataset = catalogue.find(self.file)
        if dataset is None or row.digest is None:
            return row.digest is not None
        keys, ttl = str(self.settings.item_keys), self.settings.ttl_attribute
        return row.digest != catalogue.digest(dataset, keys, ttl)

    def _compare_derived(self, made: Iterator[RecordItem]) -> None:
        """Raises InvalidFileError."""
        suspected = (each for each in made if self._is_suspect(each.item))
        while batch := list(islice(suspected, BATCH_KEYS)):
            keys = [item_key(each.item, self.settings.item_keys) for each in batch]
            have = self._held(keys)
            for key, each in zip(keys, batch, strict=True):
                self._compare(key, each.item, have.get(key))

    def _is_suspect(self, item: Item) -> bool:
        key = item_key(item, self.settings.item_keys).text
        if not self.notebook.is_suspect(self.file, key):
            return False
        if not self.notebook.derived(self.file, key):
            raise DuplicateItemKeyError(f"two records both have the key {key}")
        return True

    def _compare(self, key: ItemKey, item: Item, have: Item | None) -> None:
        if have is None:
            if not self._has_expired(item):
                self._found(Kind.MISSING, key)
        elif owner(have) != self.uri:
            if self.verifier.file_of(have) == NOBODY:
                self._found(Kind.FOREIGN, key, whose(have))
            elif not self._has_expired(item):
                self._found(Kind.MISSING, key, whose(have))
        else:
            values = {name: value for name, value in have.items() if name != "_source"}
            if fingerprint(values) != fingerprint(item):
                self._found(Kind.DIFFERENT, key, "", tuple(changes(values, item)))

    def _has_expired(self, item: Item) -> bool:
        """Whether DynamoDB may have deleted it, and another file may have its key since."""
        expires = self.verifier.expires(item)
        return expires is not None and expires <= time.time()

    def _found(self, kind: Kind, key: ItemKey, detail: str = "", changed: Any = ()) -> None:
        self.items_differ = True
        if not self.is_refused:
            self.notebook.add_finding(Finding(kind, self.file, key.attributes, detail, changed))

    def _compare_listed(self, row: Row) -> None:
        keys = self.sources.keys_of_row(row)
        try:
            suspects = [key for key in keys if self.notebook.is_suspect(self.file, key)]
            self.notebook.listed(self.file, suspects)
        except StagedSetMissingError as error:
            self.notebook.add_finding(Finding(Kind.UNLISTED, self.file, detail=str(error)))
            return
        for text, derived, listed in self.notebook.suspected_keys(self.file):
            if text and derived != listed:
                kind = Kind.UNLISTED if derived else Kind.LISTED
                self.notebook.add_finding(Finding(kind, self.file, ItemKey(text).attributes))

    def _compare_extra(self) -> None:
        """Suspects that the file does not make. One that the row has of before the table had
        another key is no item of the table.
        """
        table_key = self.settings.item_keys
        others = (
            ItemKey(text)
            for text, derived, _ in self.notebook.suspected_keys(self.file)
            if text and not derived and table_key.fits(ItemKey(text))
        )
        while batch := list(islice(others, BATCH_KEYS)):
            have = self._held(batch)
            for key in batch:
                if key in have and owner(have[key]) == self.uri:
                    self._found(Kind.EXTRA, key)

    def _held(self, keys: Sequence[ItemKey]) -> dict[ItemKey, Item]:
        asked = [key.attributes for key in keys]
        table = self.verifier.items_table
        items = read_items(aws.dynamodb(), table, asked)
        return {stored_key(item, self.settings.item_keys): item for item in items}

    def _row(self) -> Row:
        return read_row(aws.dynamodb(), self.settings.ledger_table, self.uri)


class MovedError(Exception):
    """A commit came between; state is what was seen before it."""

    def __init__(self, state: str) -> None:
        super().__init__(state)
        self.state = state


def whose(item: Item) -> str:
    """In words, whom an item belongs to."""
    named = owner(item)
    if named:
        return f"it belongs to {named}"
    return "its lineage is broken" if "_source" in item else "it has no lineage"
