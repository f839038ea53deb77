"""How many bad records of a file are set aside, so that the others are in the table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Self, TypeGuard

from tablekeeper.documents.numbers import is_number
from tablekeeper.errors import DatasetDefinitionError

AT_MOST, SHARE = "at_most", "share"


@dataclass(frozen=True)
class BadRecords:
    """At most so many of a file, or at most this share of its records, the bad ones included."""

    at_most: int | None = None
    share: Decimal | None = None

    @classmethod
    def read(cls, value: Mapping[str, Any]) -> Self:
        """From the member `bad_records`. Raises DatasetDefinitionError."""
        at_most, share = value.get(AT_MOST), value.get(SHARE)
        if value.keys() == {AT_MOST} and _is_count(at_most):
            return cls(at_most=int(at_most))
        if value.keys() == {SHARE} and isinstance(share, Decimal) and 0 < share < 1:
            return cls(share=share)
        raise DatasetDefinitionError(
            '`bad_records` takes either "at_most", a whole number from 1, or "share", a number '
            "between 0 and 1"
        )

    def allows(self, bad: int, records: int) -> bool:
        """Whether a file of so many records may have so many bad ones. A file without a good
        record never may: it is more likely to be another file than meant, and would empty the
        table.
        """
        if bad == records:
            return not bad
        if self.at_most is not None:
            return bad <= self.at_most
        return bad <= (self.share or 0) * records

    def __str__(self) -> str:
        """The bound in words."""
        return f"{self.at_most:,}" if self.at_most is not None else f"a share of {self.share}"


def _is_count(value: Any) -> TypeGuard[int | Decimal]:
    """Whether a number of a schema is whole and from 1, such as 2.0."""
    return is_number(value) and value > 0 and value == int(value)
