"""The one way from the content of a file to its records, their violations and its items."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from tablekeeper.datasets.catalogue import Catalogue
from tablekeeper.datasets.dataset import Dataset
from tablekeeper.datasets.items_of_records import RecordItem, make_items
from tablekeeper.datasets.records import Record, read_records
from tablekeeper.errors import SchemaViolationError
from tablekeeper.model.snapshot import Snapshot
from tablekeeper.settings import FetchSettings, TransformSettings

if TYPE_CHECKING:
    from tablekeeper.validation.violation import Violation

ItemSettings = FetchSettings | TransformSettings


@dataclass
class FileContent:
    """The content of one file, which `text` opens anew for each method. It can be iterated twice,
    for datasets with fields around the records that stand behind them.

    `records_read` counts the records of the last method. All that is read raises InvalidFileError,
    and whatever `text` raises.
    """

    snapshot: Snapshot
    catalogue: Catalogue
    text: Callable[[], Iterable[str]]
    records_read: int = 0

    @cached_property
    def dataset(self) -> Dataset:
        """Raises NoDatasetError."""
        return self.catalogue.get(self.snapshot.key)

    def violations(self) -> Iterator[Violation]:
        """Every violation of every record."""
        # Transform Records makes items alone, and starts faster without the validator.
        from tablekeeper.validation.validator import violations

        yield from violations(self._records(), self.dataset, self.catalogue)

    def items(self, settings: ItemSettings) -> Iterator[RecordItem]:
        """The items of records that are known to be valid."""
        return self._items(self._records(), settings)

    def valid_items(self, settings: ItemSettings) -> Iterator[RecordItem]:
        """The items, while each record is valid. Raises SchemaViolationError for the first one
        that is not.
        """
        return self._items(self._valid(), settings)

    def _items(self, records: Iterable[Record], settings: ItemSettings) -> Iterator[RecordItem]:
        keys, ttl = settings.item_keys, settings.ttl_attribute
        return make_items(records, self.snapshot, self.dataset, keys, ttl)

    def _records(self) -> Iterator[Record]:
        self.records_read = 0
        for record in read_records(self.text(), self.snapshot.key, self.dataset):
            self.records_read += 1
            yield record

    def _valid(self) -> Iterator[Record]:
        from tablekeeper.validation.validator import violations

        for record in self._records():
            for violation in violations((record,), self.dataset, self.catalogue):
                raise SchemaViolationError(str(violation))
            yield record
