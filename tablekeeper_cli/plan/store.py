"""A local file in the place of an object."""

from __future__ import annotations

import base64
import json
import sqlite3
from collections.abc import Iterable, Iterator
from typing import Any

from tablekeeper.model.keys import ItemKey
from tablekeeper.steps.file_content import Refusal
from tablekeeper.validation.violation import Violation

from tablekeeper_cli.compare.items import Change
from tablekeeper_cli.plan.fault import Fault
from tablekeeper_cli.plan.planned_item import REFUSED, PlannedItem


class LocalStore:
    """A temporary database: new items, keys that were there before, and what becomes of each.
    `is_local` says that the content is a file on this machine, whose values may be shown.
    """

    def __init__(self, *, is_local: bool = False) -> None:
        self.is_local = is_local
        # A database without a name is held in memory and, as far as it is large, in a file that
        # goes with the connection: https://sqlite.org/inmemorydb.html#temp_db
        self.database = sqlite3.connect("", check_same_thread=False, isolation_level=None)
        self.database.executescript(
            """
            PRAGMA journal_mode = OFF;
            CREATE TABLE new (key TEXT PRIMARY KEY, place INTEGER, item TEXT) WITHOUT ROWID;
            CREATE TABLE old (key TEXT PRIMARY KEY) WITHOUT ROWID;
            CREATE TABLE entry (action TEXT, key TEXT, place INTEGER, details TEXT);
            CREATE TABLE fault (kind TEXT, what TEXT, value TEXT);
            BEGIN;
            """
        )

    def close(self) -> None:
        self.database.close()

    def add_new(self, key: str, place: int, item: str) -> int | None:
        """Adds an item; the place of the record that has its key already, if one has."""
        row = key, place, item
        if self.database.execute("INSERT OR IGNORE INTO new VALUES (?, ?, ?)", row).rowcount:
            return None
        ((first,),) = self.database.execute("SELECT place FROM new WHERE key = ?", (key,))
        return int(first)

    def new(self) -> Iterator[tuple[str, int, str]]:
        yield from self.database.execute("SELECT key, place, item FROM new")

    def add_old(self, keys: Iterable[str]) -> None:
        self.database.executemany("INSERT OR IGNORE INTO old VALUES (?)", ((key,) for key in keys))

    def vanished(self) -> Iterator[str]:
        """The old keys that no new item has."""
        for (key,) in self.database.execute(
            "SELECT key FROM old WHERE key NOT IN (SELECT key FROM new)"
        ):
            yield key

    def add_entry(self, action: str, key: str, place: int | None, **details: Any) -> None:
        text = json.dumps(details, ensure_ascii=False, default=_plain) if details else "{}"
        self.database.execute("INSERT INTO entry VALUES (?, ?, ?, ?)", (action, key, place, text))

    def entries(self) -> Iterator[PlannedItem]:
        for action, key, place, text in self.database.execute(
            "SELECT action, key, place, details FROM entry ORDER BY place IS NULL, place, key"
        ):
            details = json.loads(text)
            details["changes"] = [Change(**each) for each in details.get("changes", ())]
            yield PlannedItem(action, ItemKey(key).attributes, place, **details)

    def keys(self, action: str) -> Iterator[str]:
        """The keys of the items that this becomes of."""
        for (key,) in self.database.execute("SELECT key FROM entry WHERE action = ?", (action,)):
            yield key

    def counts(self) -> dict[str, int]:
        return dict(self.database.execute("SELECT action, count(*) FROM entry GROUP BY action"))

    def keep_only_refused(self) -> None:
        """For a file that is refused nothing else happens to any item."""
        self.database.execute("DELETE FROM entry WHERE action <> ?", (REFUSED,))

    def add_fault(self, fault: Fault) -> None:
        row = type(fault.what).__name__, json.dumps(fault.what, ensure_ascii=False), fault.value
        self.database.execute("INSERT INTO fault VALUES (?, ?, ?)", row)

    def faults(self) -> Iterator[Fault]:
        for kind, what, value in self.database.execute("SELECT * FROM fault"):
            of_kind = Violation if kind == Violation.__name__ else Refusal
            yield Fault(of_kind(*json.loads(what)), value)


def _plain(value: Any) -> Any:
    if isinstance(value, Change):
        return vars(value)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    raise TypeError(type(value).__name__)
