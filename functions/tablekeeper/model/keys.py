"""Primary keys: an item's own, and the key schema of its table."""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NamedTuple

from tablekeeper.model.numbers import DIGITS, shortest_text

_SHOWN_CHARACTERS = 500


class ItemKey(NamedTuple):
    """An item's primary key in DynamoDB JSON, as sorted JSON text: equal keys have equal text.

    DynamoDB returns 1E+40 as forty-one digits, so numbers are brought into one text, that of
    `numbers.shortest_text`.
    """

    text: str

    @classmethod
    def of(cls, attributes: dict[str, Any]) -> ItemKey:
        """The key of these attributes, such as `{"pk": {"S": "a"}}`."""
        one = {
            name: {"N": _number_text(value["N"])} if "N" in value else value
            for name, value in attributes.items()
        }
        return cls(json.dumps(one, sort_keys=True, separators=(",", ":"), ensure_ascii=False))

    @property
    def attributes(self) -> dict[str, Any]:
        """The key attributes in DynamoDB JSON."""
        attributes: dict[str, Any] = json.loads(self.text)
        return attributes

    @property
    def shown(self) -> str:
        """The text as sentences name it, cut where it is very long."""
        long = len(self.text) > _SHOWN_CHARACTERS
        return f"{self.text[:_SHOWN_CHARACTERS]}…" if long else self.text


@dataclass(frozen=True)
class TableKey:
    """The primary key of the items table: names and types (S or N) of its one or two attributes,
    partition first.
    """

    attributes: tuple[tuple[str, str], ...]

    @classmethod
    def parse(cls, text: str) -> TableKey:
        """Reads `pk:S,sk:S`.

        Raises:
            ValueError: anything but one or two attributes of type S or N.
        """
        attributes = tuple(
            (name, kind) for name, _, kind in (part.rpartition(":") for part in text.split(","))
        )
        if not 1 <= len(attributes) <= 2 or any(
            not name or kind not in ("S", "N") for name, kind in attributes
        ):
            raise ValueError("expected one or two of name:type, type S or N")
        return cls(attributes)

    @property
    def names(self) -> tuple[str, ...]:
        """The attributes' names, partition key first."""
        return tuple(name for name, _ in self.attributes)

    def fits(self, key: ItemKey) -> bool:
        """Whether an item key has these attributes, with these types. One of before the table had
        another key does not.
        """
        kinds = {name: next(iter(value)) for name, value in key.attributes.items()}
        return kinds == dict(self.attributes)

    def __str__(self) -> str:
        return ",".join(f"{name}:{kind}" for name, kind in self.attributes)


def _number_text(text: str) -> str:
    if len(text) <= DIGITS and text.isdecimal() and text[0] != "0":
        return text
    return shortest_text(Decimal(text))
