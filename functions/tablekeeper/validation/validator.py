"""Violations: what a dataset's JSON Schema says of its records.

jsonschema is the reference, and writes the reports. jsonschema-rs is asked first, because it is
many times as fast; what it accepts needs no second opinion, and only that.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from tablekeeper.datasets.catalogue import Catalogue, Dataset
from tablekeeper.datasets.records import Record
from tablekeeper.documents.json_stream import shown
from tablekeeper.validation.fast_check import acceptor


class Violation(NamedTuple):
    """One way in which a record violates its schema; never holds the record's values."""

    record: int
    pointer: str
    keyword: str
    expected: str

    def __str__(self) -> str:
        where = f'"{shown(self.pointer)}"' if self.pointer else "the whole record"
        return f"record {self.record}, {where}: {self.keyword}: expected {self.expected}"


def violations(
    records: Iterable[Record], dataset: Dataset, catalogue: Catalogue
) -> Iterator[Violation]:
    """Every violation of the dataset's schema, but no more than 10,000 of one record, in the order
    of the records, which are read once and not kept.

    Raises:
        DatasetDefinitionError: the schema refers to one that is not in schemas/.
        NestingError: a recursive schema met a record nested too deep for it.
    """
    accepts = acceptor(catalogue, dataset.name)
    if accepts is None:
        yield from _by_reference(records, dataset, catalogue)
        return
    for record in records:
        if not accepts(record.value):
            yield from _by_reference((record,), dataset, catalogue)


def _by_reference(
    records: Iterable[Record], dataset: Dataset, catalogue: Catalogue
) -> Iterator[Violation]:
    from tablekeeper.validation.full_check import reference

    validator = reference(catalogue, dataset.name)
    for record in records:
        yield from validator.violations(record)
