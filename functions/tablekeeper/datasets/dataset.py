"""One dataset: the objects under a key prefix and the schema of their records."""

from __future__ import annotations

from collections.abc import Mapping
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
                isinstance(each, str)
                for each in (value.values() if isinstance(value, dict) else value)
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
                attributes={a: Expression(text) for a, text in keyword["attributes"].items()}
                if "attributes" in keyword
                else None,
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
    def object_fields(self) -> frozenset[str]:
        """The fields of `_object` that the dataset's expressions use ("*": all)."""
        expressions = [
            *self.key.values(),
            *(self.attributes or {}).values(),
            self.records,
            self.ttl,
        ]
        return frozenset().union(*(e.object_fields() for e in expressions if e))
