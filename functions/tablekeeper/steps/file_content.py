"""The one way from the content of a file to its records, their violations and its items."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from tablekeeper.datasets.catalogue import Catalogue
from tablekeeper.datasets.dataset import Dataset
from tablekeeper.datasets.items_of_records import RecordItem, make_item, make_items
from tablekeeper.datasets.records import Record, records_and_errors
from tablekeeper.errors import (
    BadRecordsError,
    DatasetChangedError,
    InvalidFileError,
    SchemaViolationError,
)
from tablekeeper.model.keys import TableKey
from tablekeeper.model.snapshot import Snapshot
from tablekeeper.settings import FetchSettings, TransformSettings, ValidateSettings

if TYPE_CHECKING:
    from tablekeeper.validation.violation import Violation

ItemSettings = FetchSettings | TransformSettings | ValidateSettings


class Refusal(NamedTuple):
    """Why a record that can be read makes no item, or why it cannot be read: an error's name, and
    its message. `line` is the line of the file where the record begins, from 1, `pointer` the place
    that the message names, or "".
    """

    record: int
    line: int | None
    error: str
    message: str
    pointer: str = ""

    def __str__(self) -> str:
        record = f"record {self.record}" + (f" (line {self.line:,})" if self.line else "")
        return f"{record}: {self.error}: {self.message}"


@dataclass
class FileContent:
    """The content of one file, which `text` opens anew for each method. It can be iterated twice,
    for datasets with fields around the records that stand behind them.

    `records_read` counts the records of the last method, `records_bad` those that a dataset with
    `bad_records` does not take; `record` is the one that was read last. All that is read raises
    InvalidFileError, and whatever `text` raises.
    """

    snapshot: Snapshot
    catalogue: Catalogue
    text: Callable[[], Iterable[str]]
    records_read: int = 0
    records_bad: int = 0
    record: Record | None = None

    @cached_property
    def dataset(self) -> Dataset:
        """Raises NoDatasetError."""
        return self.catalogue.get(self.snapshot.key)

    def faults(self, settings: ItemSettings) -> Iterator[Violation | Refusal]:
        """Every violation of every record. In a dataset with `bad_records`, whatever else is wrong
        with one record, too, instead of raising it.
        """
        # Transform Records makes items alone, and starts faster without the validator.
        from tablekeeper.validation.validator import violations

        if self.dataset.bad_records is None:
            yield from violations(self._records(), self.dataset, self.catalogue)
            return
        for faults, _ in self._judged(settings):
            yield from faults

    def items(self, settings: ItemSettings) -> Iterator[RecordItem]:
        """The items of the good records, in a file that is known to have no others than those that
        the snapshot sets aside.

        Raises DatasetChangedError when they are others.
        """
        aside = self.snapshot.set_aside
        if aside is None:
            return make_items(self._records(), self.snapshot, self.dataset, *_table(settings))
        return self._known_good(settings, aside.records)

    def valid_items(self, settings: ItemSettings) -> Iterator[RecordItem]:
        """The items of the good records. Raises SchemaViolationError for the first bad one or,
        in a dataset with `bad_records`, BadRecordsError at the end when they are too many.
        """
        for faults, item in self._judged(settings):
            if item:
                yield item
            elif self.dataset.bad_records is None:
                raise SchemaViolationError(str(faults[0]))
        if not self.is_acceptable():
            raise BadRecordsError(f"{self.records_bad:,} of {self.records_read:,} records are bad")

    def is_acceptable(self) -> bool:
        """Whether the file, once it was read, has no more bad records than its dataset allows."""
        rule = self.dataset.bad_records
        return rule is None or rule.allows(self.records_bad, self.records_read)

    def summary(self, faults: int) -> str:
        """In words, how much is wrong with the file's records, once they were read."""
        bad, rule, read = (
            self.records_bad,
            self.dataset.bad_records,
            f"{self.records_read:,} record",
        )
        read += "" if self.records_read == 1 else "s"
        if rule is None:
            what = "violation" if faults == 1 else "violations"
            return f"{faults:,} {what} of {self.dataset.name}.schema.json in {read}"
        if self.is_acceptable():
            return f"{bad:,} of {read} set aside"
        bound = "none is good" if bad == self.records_read else f"its dataset sets aside {rule}"
        return f"{bad:,} of {read} {'is' if bad == 1 else 'are'} bad, and {bound}"

    def _known_good(self, settings: ItemSettings, known: int) -> Iterator[RecordItem]:
        yield from (item for _, item in self._judged(settings) if item)
        if self.records_bad != known:
            raise DatasetChangedError(
                f"{self.snapshot.uri}: this function finds {self.records_bad:,} bad records, "
                f"Validate Records {known:,}"
            )

    def _records(self) -> Iterator[Record]:
        for record in self._records_and_errors():
            if record.error:
                raise record.error
            yield record

    def _records_and_errors(self) -> Iterator[Record]:
        self.records_read = self.records_bad = 0
        for record in records_and_errors(self.text(), self.snapshot.key, self.dataset):
            self.records_read += 1
            self.record = record
            yield record

    def _judged(
        self, settings: ItemSettings
    ) -> Iterator[tuple[list[Violation | Refusal], RecordItem | None]]:
        """Of each record what is wrong with it, or its item. Without `bad_records` in the dataset
        only violations are given, and every other error is raised.
        """
        from tablekeeper.validation.validator import violations

        source, dataset = self.snapshot.object_scope(), self.dataset
        names = _table(settings)
        for record in self._records_and_errors():
            faults: list[Violation | Refusal] = []
            item: RecordItem | None = None
            try:
                if record.error:
                    raise record.error
                faults += violations((record,), dataset, self.catalogue)
                if not faults:
                    item = make_item(record, source, dataset, *names)
            except InvalidFileError as error:
                if dataset.bad_records is None:
                    raise
                faults = [_refusal(record, error)]
            self.records_bad += item is None
            yield faults, item


def _table(settings: ItemSettings) -> tuple[TableKey, str]:
    return settings.item_keys, settings.ttl_attribute


def _refusal(record: Record, error: InvalidFileError) -> Refusal:
    where = error.values.get("pointer", "")
    return Refusal(record.place, record.line, type(error).__name__, str(error), where)
