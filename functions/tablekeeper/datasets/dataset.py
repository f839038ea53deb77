"""One dataset: the objects under a key prefix and the schema of their records."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any

from tablekeeper.datasets.bad_records import BadRecords
from tablekeeper.datasets.column_types import column_types
from tablekeeper.datasets.expressions import Expression
from tablekeeper.documents.compression import ENDINGS
from tablekeeper.documents.csv_reader import ABSENT, TEXT, CsvOptions
from tablekeeper.documents.json_reader import FIELD, Location
from tablekeeper.errors import DatasetDefinitionError

SUFFIX = ".schema.json"


KEYWORD = "x-tablekeeper"


FIELDS: Mapping[str, type] = {
    "prefix": str,
    "suffixes": list,
    "format": str,
    "csv": dict,
    "records": str,
    "key": dict,
    "attributes": dict,
    "ttl": str,
    "bad_records": dict,
}
"""What the keyword may hold; x-tablekeeper.meta.json says it in full."""


ALL_FIELDS = "*"
"""The name in `attributes` whose expression gives an object: all its members are attributes."""


JSON, LINES, CSV, DYNAMODB_JSON = FORMATS = ("json", "jsonl", "csv", "dynamodb-json")
JSON_LINES = (".jsonl", ".ndjson")
_ONE_RECORD = {LINES: "a line of JSON Lines", CSV: "a row of CSV", DYNAMODB_JSON: "an item"}


@dataclass(frozen=True)
class Dataset:
    """One schema file with the keyword `x-tablekeeper`."""

    name: str
    schema: Mapping[str, Any] = field(repr=False)
    prefix: str
    suffixes: tuple[str, ...] = ()
    format: str | None = None
    csv: CsvOptions | None = None
    records: Expression | None = None
    key: Mapping[str, Expression] = field(default_factory=dict)
    attributes: Mapping[str, Expression] | None = None
    all_fields: Expression | None = None
    left_out: frozenset[str] = frozenset()
    ttl: Expression | None = None
    bad_records: BadRecords | None = None

    @classmethod
    def read(cls, name: str, schema: Mapping[str, Any]) -> Dataset:
        """Raises DatasetDefinitionError when the keyword cannot be used at all; `check_schemas`
        says more.
        """
        keyword = schema[KEYWORD]
        if not isinstance(keyword, dict) or not isinstance(keyword.get("prefix"), str):
            raise DatasetDefinitionError(f'{name}{SUFFIX}: {KEYWORD} needs a "prefix", a string')
        for field_name, value in keyword.items():
            if not isinstance(value, FIELDS.get(field_name, ())):
                raise DatasetDefinitionError(
                    f'{name}{SUFFIX}: {KEYWORD} cannot have this "{field_name}"; '
                    "x-tablekeeper.meta.json says what it takes"
                )
            if (
                field_name not in ("csv", "bad_records")
                and isinstance(value, dict | list)
                and not all(isinstance(each, str) for each in _texts(field_name, value))
            ):
                raise DatasetDefinitionError(
                    f'{name}{SUFFIX}: {KEYWORD} takes only strings in "{field_name}"'
                )
        if keyword.get("format", JSON) not in FORMATS:
            raise DatasetDefinitionError(
                f"{name}{SUFFIX}: `format` is one of {', '.join(FORMATS)}, not {keyword['format']}"
            )
        try:
            dataset = cls(
                name=name,
                schema=schema,
                prefix=keyword["prefix"],
                suffixes=tuple(keyword.get("suffixes", ())),
                format=keyword.get("format"),
                csv=_csv_options(keyword, schema),
                records=Expression(keyword["records"]) if "records" in keyword else None,
                key={
                    attribute: Expression(text)
                    for attribute, text in keyword.get("key", {}).items()
                },
                attributes={
                    attribute: Expression(text)
                    for attribute, text in keyword["attributes"].items()
                    if text is not None and attribute != ALL_FIELDS
                }
                if "attributes" in keyword
                else None,
                all_fields=Expression(keyword["attributes"][ALL_FIELDS])
                if ALL_FIELDS in keyword.get("attributes", {})
                else None,
                left_out=frozenset(
                    attribute
                    for attribute, text in keyword.get("attributes", {}).items()
                    if text is None
                ),
                ttl=Expression(keyword["ttl"]) if "ttl" in keyword else None,
                bad_records=BadRecords.read(keyword["bad_records"])
                if "bad_records" in keyword
                else None,
            )
            dataset.location  # noqa: B018 - raises what is wrong with it
        except DatasetDefinitionError as error:
            raise DatasetDefinitionError(f"{name}{SUFFIX}: {error}") from None
        return dataset

    def matches(self, key: str) -> bool:
        """Whether an object's key belongs here, other datasets left aside; `.gz`, `.bz2` or `.zst`
        may stand behind a suffix.
        """
        name = _uncompressed(key)
        ends = key.endswith(self.suffixes) or name.endswith(self.suffixes)
        return key.startswith(self.prefix) and (not self.suffixes or ends)

    def is_json_lines(self, key: str) -> bool:
        """Whether an object of this dataset holds one record a line. With `records` and without a
        `format` it never does: they would not be looked for.
        """
        if self.format or self.records:
            return self.format == LINES
        return _uncompressed(key.lower()).endswith(JSON_LINES)

    @cached_property
    def has_all_fields(self) -> bool:
        """Whether an item has all fields of its record, but those that `attributes` leaves out."""
        return self.attributes is None or bool(self.all_fields and self.all_fields.is_current)

    def gives(self, attribute: str) -> Expression | None:
        """The expression of an attribute, `key` left aside, as far as one alone gives it."""
        if attribute in self.left_out:
            return None
        if attribute in (self.attributes or {}):
            return (self.attributes or {})[attribute]
        return Expression(json.dumps(attribute)) if self.has_all_fields else None

    @cached_property
    def object_fields(self) -> frozenset[str]:
        """The fields of `_object` that the dataset's expressions use ("*": all)."""
        expressions = [*self._on_records, *([self.records] if self.records else [])]
        return frozenset().union(*(each.object_fields() for each in expressions))

    @cached_property
    def own_names(self) -> tuple[str, ...]:
        """What the expressions see beside `_object` and `_index`, so that no record may have it."""
        has_name = self.location.kind != FIELD and any(e.sees("_name") for e in self._on_records)
        names = ("_name",) if has_name else ()
        return (*names, "_document") if self._document_paths else names

    @cached_property
    def location(self) -> Location:
        """Where the records of a document are.

        Raises DatasetDefinitionError when `_document` is used where there is none.
        """
        where = self.records.location if self.records else Location()
        if not self._document_paths or where.select:
            return where
        if self.format not in (None, JSON) or not where.fields:
            raise DatasetDefinitionError(
                "`_document` is what stands around the records, which `records` has to name with "
                "a path of fields"
            )
        around = set()
        for path in self._document_paths:
            beside = [
                path[: place + 1]
                for place, (step, field_) in enumerate(zip(path, where.fields, strict=False))
                if step != field_
            ]
            if not beside:
                raise DatasetDefinitionError(
                    f"`{'.'.join(('_document', *path))}` holds the records; name a field beside "
                    f"them, as in `_document.{'.'.join((*where.fields[:-1], 'field'))}`"
                )
            around.add(beside[0])
        return replace(where, around=frozenset(around))

    @property
    def _on_records(self) -> list[Expression]:
        every = [
            *self.key.values(),
            *(self.attributes or {}).values(),
            None if self.has_all_fields else self.all_fields,
            self.ttl,
        ]
        return [each for each in every if each]

    @cached_property
    def _document_paths(self) -> frozenset[tuple[str, ...]]:
        return frozenset().union(*(each.document_paths() for each in self._on_records))


def _uncompressed(key: str) -> str:
    return next((key.removesuffix(end) for end in ENDINGS if key.endswith(end)), key)


def _csv_options(keyword: Mapping[str, Any], schema: Mapping[str, Any]) -> CsvOptions | None:
    """Raises DatasetDefinitionError."""
    options = keyword.get("csv", {})
    record = _ONE_RECORD.get(keyword.get("format", ""))
    if record and "records" in keyword:
        raise DatasetDefinitionError(f"{record} is a record: there is no `records` to find")
    if keyword.get("format") != CSV:
        if options:
            raise DatasetDefinitionError("`csv` is for datasets whose `format` is csv")
        return None
    header = options.get("header")
    given = CsvOptions(types=partial(column_types, schema))
    one = [options.get(each, getattr(given, each)) for each in ("delimiter", "quote")]
    if (
        options.keys() - {"delimiter", "quote", "header", "empty"}
        or not all(isinstance(each, str) and len(each) <= 1 for each in one)
        or not one[0]
        or one[0] == one[1]
        or {"\r", "\n", " "} & {one[0], one[1]}
        or options.get("empty", ABSENT) not in (ABSENT, TEXT)
    ):
        raise DatasetDefinitionError(
            "`csv` takes a `delimiter` and a `quote` of one character each, which differ, a "
            '`header` of names and, as `empty`, "absent" or "text"'
        )
    if header is not None and (
        not isinstance(header, list)
        or not header
        or not all(isinstance(each, str) and each for each in header)
        or len(set(header)) < len(header)
    ):
        raise DatasetDefinitionError("the `header` of `csv` is a list of names, each of them once")
    return replace(
        given,
        delimiter=one[0],
        quote=one[1],
        header=tuple(header) if header else None,
        empty=options.get("empty", ABSENT),
    )


def _texts(member: str, value: Mapping[str, Any] | list[Any]) -> Iterable[Any]:
    """What has to be text in a member of the keyword: beside "*", null leaves a field out."""
    if isinstance(value, list):
        return value
    leaves_out = member == "attributes" and ALL_FIELDS in value
    return [
        each
        for attribute, each in value.items()
        if each is not None or attribute == ALL_FIELDS or not leaves_out
    ]
