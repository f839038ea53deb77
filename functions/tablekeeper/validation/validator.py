"""Violations of a dataset's JSON Schema.

jsonschema-rs looks at each record first, because it is many times as fast. A record that it does
not accept goes to jsonschema, the reference.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tablekeeper.datasets.catalogue import Catalogue
from tablekeeper.datasets.dataset import Dataset
from tablekeeper.datasets.records import Record
from tablekeeper.validation.fast_check import acceptor
from tablekeeper.validation.violation import Violation


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
