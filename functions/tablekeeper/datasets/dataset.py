"""One dataset: the objects under a key prefix and the schema of their records."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from tablekeeper.datasets.expressions import Expression
from tablekeeper.errors import DatasetDefinitionError

SUFFIX = ".schema.json"


KEYWORD = "x-tablekeeper"


FIELDS: Mapping[str, type] = {
    "prefix": str,
    "suffixes": list,
    "format": str,
    "records": str,
    "key": dict,
    "attributes": dict,
    "ttl": str,
}
"""What the keyword may hold; x-tablekeeper.meta.json says it in full."""


ALL_FIELDS = "*"
"""The name in `attributes` whose expression gives an object: all its members are attributes."""


JSON_LINES = (".jsonl", ".ndjson")


@dataclass(frozen=True)
class Dataset:
    """One schema file with the keyword `x-tablekeeper`."""

    name: str
    schema: Mapping[str, Any] = field(repr=False)
    prefix: str
    suffixes: tuple[str, ...] = ()
    format: str | None = None
    records: Expression | None = None
    key: Mapping[str, Expression] = field(default_factory=dict)
    attributes: Mapping[str, Expression] | None = None
    all_fields: Expression | None = None
    left_out: frozenset[str] = frozenset()
    ttl: Expression | None = None

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
            if isinstance(value, dict | list) and not all(
                isinstance(each, str) for each in _texts(field_name, value)
            ):
                raise DatasetDefinitionError(
                    f'{name}{SUFFIX}: {KEYWORD} takes only strings in "{field_name}"'
                )
        try:
            return cls(
                name=name,
                schema=schema,
                prefix=keyword["prefix"],
                suffixes=tuple(keyword.get("suffixes", ())),
                format=keyword.get("format"),
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
            )
        except DatasetDefinitionError as error:
            raise DatasetDefinitionError(f"{name}{SUFFIX}: {error}") from None

    def matches(self, key: str) -> bool:
        """Whether an object's key belongs here, other datasets left aside; `.gz` may stand behind a
        suffix.
        """
        name = key.removesuffix(".gz")
        ends = key.endswith(self.suffixes) or name.endswith(self.suffixes)
        return key.startswith(self.prefix) and (not self.suffixes or ends)

    def is_json_lines(self, key: str) -> bool:
        """Whether an object of this dataset holds one record a line."""
        if self.format:
            return self.format == "jsonl"
        return key.lower().removesuffix(".gz").endswith(JSON_LINES)

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
        expressions = [
            *self.key.values(),
            *(self.attributes or {}).values(),
            None if self.has_all_fields else self.all_fields,
            self.records,
            self.ttl,
        ]
        return frozenset().union(*(e.object_fields() for e in expressions if e))


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
