"""What was seen of the bucket and of the table, on disk until both are read."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any, NamedTuple

from tablekeeper_cli.compare.items import Change
from tablekeeper_cli.verify.findings import Finding, Kind

DERIVED, HELD, LISTED_KEY = range(3)
"""The source of an item's key: a file, the table, a row of the ledger."""


NOBODY = ""
"""In place of a file, for an item that no file stands for."""


class Sighting(NamedTuple):
    """An item by one of the three sources. file is None for an item in the table whose file is not
    verified; expires is the time at which it may vanish, in epoch seconds.
    """

    key: str
    side: int
    file: str | None
    fingerprint: bytes | None = None
    expires: float | None = None


class Notebook:
    """A temporary database; safe for threads. Close it when it is no longer needed.

    What is written once for every item is written without an index and sorted once, on the disk,
    so that memory stays flat.
    """

    def __init__(self) -> None:
        # A database without a name is held in memory and, as far as it is large, in a file that
        # goes with the connection: https://sqlite.org/inmemorydb.html#temp_db
        self.database = sqlite3.connect("", check_same_thread=False, isolation_level=None)
        self.lock = threading.Lock()
        self.database.executescript(
            """
            PRAGMA journal_mode = OFF;
            CREATE TABLE sighting (key TEXT, side INTEGER, file TEXT, print BLOB, expires REAL);
            CREATE TABLE object (file TEXT PRIMARY KEY) WITHOUT ROWID;
            CREATE TABLE suspect (file TEXT, key TEXT, derived INTEGER DEFAULT 0,
                listed INTEGER DEFAULT 0, PRIMARY KEY (file, key)) WITHOUT ROWID;
            CREATE TABLE moving (file TEXT PRIMARY KEY, state TEXT) WITHOUT ROWID;
            CREATE TABLE finding (file TEXT, kind TEXT, item TEXT, detail TEXT, changes TEXT,
                difference INTEGER);
            CREATE INDEX finding_file ON finding (file);
            BEGIN;
            """
        )

    def close(self) -> None:
        self.database.close()

    def saw(self, sightings: Iterable[Sighting]) -> None:
        self._many("INSERT INTO sighting VALUES (?, ?, ?, ?, ?)", sightings)

    def saw_objects(self, files: Iterable[str]) -> None:
        self._many("INSERT OR IGNORE INTO object VALUES (?)", ((each,) for each in files))

    def has_object(self, file: str) -> bool:
        return bool(self._rows("SELECT 1 FROM object WHERE file = ?", file))

    def by_key(self) -> Iterator[list[Sighting]]:
        """All sightings of each key, in no order of keys that means anything."""
        # Nothing is written to this table meanwhile, and one thread alone reads it.
        rows = self.database.execute("SELECT * FROM sighting ORDER BY key, side")
        for _, each in groupby(map(Sighting._make, rows), key=lambda sighting: sighting.key):
            yield list(each)

    def suspect(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Notes files with the keys of items to be looked at again; the key "" is for the file."""
        self._many("INSERT OR IGNORE INTO suspect (file, key) VALUES (?, ?)", pairs)

    def suspected_files(self) -> Iterator[str]:
        return self._paged("SELECT DISTINCT file FROM suspect WHERE file > ? ORDER BY file")

    def suspected_keys(self, file: str) -> Iterator[tuple[str, bool, bool]]:
        """The suspects of a file: key, and whether the file makes it and the ledger lists it."""
        sql = (
            "SELECT key, derived, listed FROM suspect WHERE file = ? AND key > ? "
            "ORDER BY key LIMIT 500"
        )
        rows = self._rows(sql, file, "")
        while rows:
            for key, derived, listed in rows:
                yield key, bool(derived), bool(listed)
            rows = self._rows(sql, file, rows[-1][0])

    def look_again(self, file: str) -> None:
        """Removes what was found of a file."""
        self._run("UPDATE suspect SET derived = 0, listed = 0 WHERE file = ?", file)
        self._run("DELETE FROM finding WHERE file = ?", file)

    def is_suspect(self, file: str, key: str) -> bool:
        rows = self._rows("SELECT 1 FROM suspect WHERE file = ? AND key = ?", file, key)
        return bool(rows)

    def derived(self, file: str, key: str) -> bool:
        """Notes that a file makes this suspect; False when it was noted before."""
        sql = "UPDATE suspect SET derived = 1 WHERE file = ? AND key = ? AND derived = 0"
        return self._run(sql, file, key) == 1

    def listed(self, file: str, keys: Iterable[str]) -> None:
        """Notes which suspects the ledger lists for a file."""
        sql = "UPDATE suspect SET listed = 1 WHERE file = ? AND key = ?"
        self._many(sql, ((file, key) for key in keys))

    def moving(self, file: str, state: str) -> None:
        """Notes a file that may be on its way, with the state in which it was seen first."""
        self._run("INSERT OR IGNORE INTO moving VALUES (?, ?)", file, state)

    def arrived(self, file: str) -> None:
        self._run("DELETE FROM moving WHERE file = ?", file)

    def moving_files(self) -> Iterator[str]:
        return self._paged("SELECT file FROM moving WHERE file > ? ORDER BY file")

    def first_state(self, file: str) -> str:
        """The state in which such a file was seen first."""
        ((state,),) = self._rows("SELECT state FROM moving WHERE file = ?", file)
        return str(state)

    def add_finding(self, finding: Finding) -> None:
        self._run(
            "INSERT INTO finding VALUES (?, ?, ?, ?, ?, ?)",
            finding.file or NOBODY,
            finding.kind,
            json.dumps(finding.item, ensure_ascii=False) if finding.item else None,
            finding.detail,
            json.dumps([vars(each) for each in finding.changes], default=repr),
            finding.is_difference,
        )

    def findings(self) -> Iterator[Finding]:
        rows = self.database.execute("SELECT * FROM finding ORDER BY file, item IS NOT NULL, item")
        for file, kind, item, detail, changes, difference in rows:
            yield Finding(
                Kind(kind),
                file or None,
                json.loads(item) if item else None,
                detail,
                tuple(Change(**each) for each in json.loads(changes)),
                bool(difference),
            )

    def counts(self) -> dict[str, int]:
        counted = dict(self._rows("SELECT kind, count(*) FROM finding GROUP BY kind"))
        return {kind: counted[kind] for kind in Kind if kind in counted}

    def count(self, sql: str) -> int:
        ((number,),) = self._rows(sql)
        return int(number)

    def differences(self) -> int:
        return self.count("SELECT count(*) FROM finding WHERE difference")

    def _many(self, sql: str, rows: Iterable[tuple[Any, ...]]) -> None:
        with self.lock:
            self.database.executemany(sql, rows)

    def _run(self, sql: str, *values: Any) -> int:
        with self.lock:
            return self.database.execute(sql, values).rowcount

    def _rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        with self.lock:
            return self.database.execute(sql, values).fetchall()

    def _paged(self, sql: str) -> Iterator[str]:
        """The names that a query gives, which may change meanwhile; the first one may be ""."""
        rows = self._rows(sql.replace(">", ">=") + " LIMIT 1000", "")
        while rows:
            for (name,) in rows:
                yield name
            rows = self._rows(sql + " LIMIT 1000", rows[-1][0])
