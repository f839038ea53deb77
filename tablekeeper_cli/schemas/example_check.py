"""Whether the examples of a schema are valid, and the items that they make."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from tablekeeper.datasets.catalogue import Catalogue, is_ignored
from tablekeeper.datasets.dataset import KEYWORD, Dataset
from tablekeeper.datasets.items_of_records import make_items
from tablekeeper.datasets.records import RESERVED, Record
from tablekeeper.documents.pointers import pointer
from tablekeeper.errors import TablekeeperError
from tablekeeper.model.keys import TableKey
from tablekeeper.model.snapshot import Snapshot
from tablekeeper.model.times import now
from tablekeeper.validation.validator import violations

from tablekeeper_cli.compare.expiry import DYNAMODB_BEGAN, odd_expiry
from tablekeeper_cli.compare.readable_numbers import ADVICE, WHAT, is_readable
from tablekeeper_cli.schemas.finding import Findings, shortened
from tablekeeper_cli.schemas.subschemas import Path_


class ExampleCheck:
    """Tries the examples of schemas, and adds what is wrong with them to the findings."""

    def __init__(
        self,
        findings: Findings,
        schemas: Mapping[str, Any],
        table_key: TableKey,
        ttl_attribute: str,
        no_items: set[str],
    ) -> None:
        self.findings, self.schemas = findings, schemas
        self.table_key, self.ttl_attribute = table_key, ttl_attribute
        self.no_items = no_items

    def check(self, catalogue: Catalogue, name: str) -> None:
        schema = self.schemas[name]
        examples = schema.get("examples", [])
        if not examples and KEYWORD in schema:
            advice = "Add one: it is checked here, and shows what a record is."
            self.findings.warn(name, "", "there are no examples", advice)
        if KEYWORD in schema and name not in catalogue.datasets:
            return
        probe = Catalogue({**catalogue.schemas, name: {KEYWORD: {"prefix": ""}, **schema}})
        dataset = probe.datasets[name]
        for place, example in enumerate(examples):
            path = ("examples", place)
            if KEYWORD in schema and not isinstance(example, dict):
                self.findings.add(name, path, "a record is an object", "Make it one.")
                continue
            reserved = (*RESERVED, *dataset.own_names)
            if KEYWORD in schema and not example.keys().isdisjoint(reserved):
                what = f"a record with a field {', '.join(reserved)} is refused"
                self.findings.add(
                    name, path, what, "Rename the field: Tablekeeper itself uses the name."
                )
                continue
            record = Record(0, example, name="example")
            before = len(self.findings)
            self._try(name, path, partial(self._validate, record, path, dataset, probe))
            is_valid = len(self.findings) == before and "_document" not in dataset.own_names
            if is_valid and KEYWORD in schema and name not in self.no_items:
                self._try(name, path, partial(self._transform, record, path, dataset, probe))

    def _try(self, name: str, path: Path_, step: Callable[[], None]) -> None:
        try:
            step()
        except TablekeeperError as error:
            kind = type(error).__name__
            what = shortened(str(error)).removeprefix("record 0").lstrip(",: ")
            self.findings.add(
                name, path, f"the example makes no item: {kind}: {what}", error.advice
            )

    def _validate(
        self, record: Record, path: Path_, dataset: Dataset, catalogue: Catalogue
    ) -> None:
        for each in violations([record], dataset, catalogue):
            what = (
                f"the example violates `{each.keyword}`: expected {each.expected}, "
                f"found {each.found}"
            )
            where = pointer(path) + each.pointer
            self.findings.add(dataset.name, where, what, "Mend the example, or the schema.")

    def _transform(
        self, record: Record, path: Path_, dataset: Dataset, catalogue: Catalogue
    ) -> None:
        key = _example_key(dataset)
        snapshot = Snapshot(
            action="validate",
            bucket="example-bucket",
            key=key,
            revision=0,
            as_of=now(),
            dataset=dataset.name,
            digest=catalogue.digest(dataset, str(self.table_key), self.ttl_attribute),
            etag="0123456789abcdef0123456789abcdef",
            version_id="example-version",
            size=1,
            last_modified=now(),
        )
        for made in make_items([record], snapshot, dataset, self.table_key, self.ttl_attribute):
            if not is_readable(made.text):
                self.findings.warn(dataset.name, path, f"the example has {WHAT}", ADVICE)
            expiry = odd_expiry(made.item, self.ttl_attribute, DYNAMODB_BEGAN)
            if expiry:
                advice = "Make `ttl` give a time in epoch seconds, or an ISO 8601 time."
                self.findings.warn(dataset.name, path, f"the example has {expiry}", advice)


def _example_key(dataset: Dataset) -> str:
    """A key that an object of the dataset may have."""
    suffix = dataset.suffixes[0] if dataset.suffixes else ".json"
    key = f"{dataset.prefix}example{suffix}"
    return f"{dataset.prefix}{suffix}" if is_ignored(key, "") else key
