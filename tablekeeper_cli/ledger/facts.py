"""What the index `files` does not hold of files, read from their rows a hundred at a time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tablekeeper_cli.ledger.files import ListedFile, listed_file
from tablekeeper_cli.ledger.queries import Attributes, rows_at, text_of
from tablekeeper_cli.stack import Stack

_ATTRIBUTES = (
    "pk", "status", "dataset", "problem_status", "problem_error", "problem_dataset",
    "incomplete_since", "size", "committed_at", "problem_at", "item_keys", "keys_at",
)  # fmt: skip


@dataclass(frozen=True)
class Facts:
    """Of one file: what the index lists, size in bytes, the number of its items (None when the row
    does not hold their keys), and when it was committed or failed last, in ISO 8601.
    """

    file: ListedFile
    size: int | None
    items: int | None
    at: str | None


def facts(stack: Stack, keys: Iterable[str]) -> dict[str, Facts]:
    """By key, of those files that have a row. Reads are eventually consistent."""
    found = (_facts(stack, row) for row in rows_at(stack, keys, _ATTRIBUTES))
    return {each.file.key: each for each in found}


def _facts(stack: Stack, row: Attributes) -> Facts:
    times = filter(None, (text_of(row, "committed_at"), text_of(row, "problem_at")))
    return Facts(
        file=listed_file(stack, row),
        size=int(row["size"]["N"]) if "size" in row else None,
        items=None if "keys_at" in row else len(row.get("item_keys", {}).get("L", ())),
        at=max(times, default=None),
    )
