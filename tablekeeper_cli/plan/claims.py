"""Which item would be whose, once the files are written that were planned before."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from tablekeeper.model.items import Item, owner
from tablekeeper.model.keys import ItemKey
from tablekeeper.model.objects import object_uri
from tablekeeper.settings import FetchSettings

from tablekeeper_cli.compare.items import stored_key
from tablekeeper_cli.plan.plan import Plan


class Claims:
    """A temporary database of what planned files put into the table, and what they let go of; safe
    for threads. Close it when it is no longer needed.
    """

    def __init__(self) -> None:
        # A database without a name is held in memory and, as far as it is large, in a file that
        # goes with the connection: https://sqlite.org/inmemorydb.html#temp_db
        self.database = sqlite3.connect("", check_same_thread=False, isolation_level=None)
        self.lock = threading.Lock()
        self.database.executescript(
            """
            PRAGMA journal_mode = OFF;
            CREATE TABLE put (key TEXT PRIMARY KEY, file TEXT) WITHOUT ROWID;
            CREATE TABLE let_go (key TEXT, file TEXT, PRIMARY KEY (key, file)) WITHOUT ROWID;
            BEGIN;
            """
        )

    def close(self) -> None:
        self.database.close()

    def add(self, made: Plan) -> None:
        """The file has its items from now on, where no file before has them."""
        for table, keys in (("put", made.puts()), ("let_go", made.lets_go())):
            sql = f"INSERT OR IGNORE INTO {table} VALUES (?, ?)"  # noqa: S608 - two words
            with self.lock:
                self.database.executemany(sql, ((key, made.key) for key in keys))

    def refuse(self, made: Plan) -> bool:
        """Whether an item that a file would put is one of a file before."""
        return any(self._file_of(key) is not None for key in made.puts())

    def items(
        self, keys: Sequence[Mapping[str, Any]], held: Iterable[Item], settings: FetchSettings
    ) -> Iterator[Item]:
        """The items with these keys, of which the table holds these now: those of a file before
        with nothing but key and lineage, and none that its file lets go of.
        """
        found = {stored_key(item, settings.item_keys).text: item for item in held}
        for key in keys:
            text = ItemKey.of(dict(key)).text
            file, item = self._file_of(text), found.get(text)
            if file is not None:
                source = {"bucket": {"S": settings.source_bucket}, "key": {"S": file}}
                yield {**key, "_source": {"M": source}}
            elif item is not None and owner(item) not in self._let_go_by(text, settings):
                yield item

    def _file_of(self, key: str) -> str | None:
        rows = self._rows("SELECT file FROM put WHERE key = ?", key)
        return rows[0][0] if rows else None

    def _let_go_by(self, key: str, settings: FetchSettings) -> list[str]:
        rows = self._rows("SELECT file FROM let_go WHERE key = ?", key)
        return [object_uri(settings.source_bucket, file) for (file,) in rows]

    def _rows(self, sql: str, *values: str) -> list[Any]:
        with self.lock:
            return self.database.execute(sql, values).fetchall()
