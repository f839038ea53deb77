"""A page of the list of files: chosen, in an order, with what runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from tablekeeper.model.outcome import NO_DATASET

from tablekeeper_cli.executions.running import Running
from tablekeeper_cli.executions.visits import RUNNING
from tablekeeper_cli.ledger import facts, files
from tablekeeper_cli.ledger.facts import Facts
from tablekeeper_cli.ledger.files import ListedFile
from tablekeeper_cli.stack import Stack
from tablekeeper_cli.web import looks
from tablekeeper_cli.web.now import UnderWay

PAGE = 100
"""Files of one page."""
SORTED = 1000
"""Files that can be ordered by something else than their keys: each needs a read of its row."""


@dataclass(frozen=True)
class Choice:
    """Which files, in which order, from which key or place on."""

    prefix: str = ""
    status: str = ""
    dataset: str = ""
    sort: str = "key"
    after: str = ""
    place: int = 0

    @classmethod
    def of(cls, given: Mapping[str, str]) -> Choice:
        """What a request asks for; what it asks for wrongly is left out."""
        sort, place = given.get("sort", ""), given.get("place", "")
        return cls(
            prefix=given.get("prefix", "").strip(),
            status=given.get("status", "").strip(),
            dataset=given.get("dataset", "").strip(),
            sort=sort if sort in ORDERS else "key",
            after=given.get("after", ""),
            place=int(place) if place.isdecimal() and len(place) < 6 else 0,
        )

    def query(self, **changes: Any) -> dict[str, Any]:
        """The parameters of an address with this choice, but for some changes."""
        values = vars(self) | changes
        return {name: value for name, value in values.items() if value and value != "key"}


@dataclass(frozen=True)
class Row:
    """A file of the list; facts is None when the ledger has no row yet."""

    file: ListedFile
    facts: Facts | None
    running: list[Running]

    @property
    def items(self) -> float:
        """The number of items; infinite when the file's row does not hold their keys."""
        if not self.facts:
            return -1
        return float("inf") if self.facts.items is None else self.facts.items

    @property
    def at(self) -> str:
        """When the file was committed or failed last, or began to be processed."""
        if self.running:
            return self.running[0].started
        return (self.facts.at if self.facts else None) or ""

    @property
    def size(self) -> int:
        return (self.facts.size if self.facts else None) or -1


@dataclass(frozen=True)
class Page:
    """Rows; `more` is what the address of the next page changes; None when there is none. partial
    says that only the first SORTED files by key are in order.
    """

    rows: list[Row]
    more: dict[str, Any] | None
    partial: bool = False


ORDERS: dict[str, tuple[str, Callable[[Row], Any], bool]] = {
    "key": ("key", lambda row: row.file.key, False),
    "status": ("what is wrong first", lambda row: looks.place(row.file.status), False),
    "when": ("newest first", lambda row: row.at, True),
    "-when": ("oldest first", lambda row: row.at or "~", False),
    "size": ("largest first", lambda row: row.size, True),
    "items": ("most items first", lambda row: row.items, True),
}
"""By name: what it is, and the key and the direction to sort by."""


def page(stack: Stack, choice: Choice, now: UnderWay) -> Page:
    chosen = _chosen(stack, choice, now)
    if choice.sort == "key":
        files = list(islice(chosen, PAGE + 1))
        more = {"after": files[PAGE - 1].key} if len(files) > PAGE else None
        return Page(_rows(stack, files[:PAGE], now), more)
    files = list(islice(chosen, SORTED + 1))
    _, by, reverse = ORDERS[choice.sort]
    rows = sorted(_rows(stack, files[:SORTED], now), key=by, reverse=reverse)
    end = choice.place + PAGE
    return Page(
        rows[choice.place : end],
        {"place": end} if len(rows) > end else None,
        partial=len(files) > SORTED,
    )


def _chosen(stack: Stack, choice: Choice, now: UnderWay) -> Iterator[ListedFile]:
    """The files, those first that run and are not in the ledger yet."""
    if choice.status == RUNNING or not (choice.after or choice.status or choice.dataset):
        running = sorted(now.keys(choice.prefix))
        known = facts.facts(stack, running)
        for key in running:
            if key not in known:
                yield ListedFile(key, RUNNING, NO_DATASET, None, None, None)
            elif choice.status and choice.dataset in ("", known[key].file.dataset):
                yield known[key].file
    if choice.status != RUNNING:
        yield from files.list_files(
            stack,
            prefix=choice.prefix,
            statuses=[choice.status] if choice.status else (),
            dataset=choice.dataset or None,
            after=choice.after or None,
        )


def _rows(stack: Stack, files: list[ListedFile], now: UnderWay) -> list[Row]:
    known = facts.facts(stack, [each.key for each in files])
    return [Row(each, known.get(each.key), now.of_file(each.key)) for each in files]
