"""A smoke run: its points one after the other, and the removal of what it made."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from botocore.exceptions import BotoCoreError, ClientError
from tablekeeper.errors import TablekeeperError

from tablekeeper_cli.errors import CommandError
from tablekeeper_cli.smoke import files, recorders, watching
from tablekeeper_cli.smoke.place import Place
from tablekeeper_cli.smoke.points import (
    BROKEN,
    HELD,
    NOT_REACHED,
    BrokenError,
    NotReachedError,
    Point,
)

FIRST = "a new file"
POINTS: tuple[tuple[str, Callable[[Place], str]], ...] = (
    (FIRST, files.new_file),
    ("a record that vanished", files.vanished_record),
    ("a trace", watching.traced_file),
    ("a vanished object", files.vanished_object),
    ("a restored object", files.restored_object),
    ("a large file", files.large_file),
    ("large items", files.large_items),
    ("a bad file", files.bad_file),
    ("a mended file", files.mended_file),
    ("an input that names no object", recorders.no_object),
    ("an aborted execution", recorders.aborted_execution),
    ("the failed events queue", recorders.failed_events),
    ("a reconcile", recorders.reconcile),
    ("a traced backfill", recorders.traced_backfill),
    ("the whole bucket", recorders.whole_bucket),
    ("verify", recorders.verify),
    ("ListExecutions", watching.listed_execution),
    ("logs", watching.logs),
    ("metrics", watching.metrics),
    ("alarms", watching.alarms),
    ("the dashboard", watching.dashboard),
)
"""What is tried, in this order; without the first one nothing else can be."""
REMOVAL = "nothing is left"


def run(place: Place) -> Iterator[Point]:
    """Each point as it is settled; last, whether what was made is removed."""
    reached = True
    try:
        for name, check in POINTS:
            if not reached:
                yield Point(name, NOT_REACHED, f"{FIRST} is not in the table")
                continue
            point = _settled(name, lambda check=check: check(place))  # type: ignore[misc]
            reached = point.verdict == HELD or name != FIRST
            yield point
    finally:
        removal = _settled(REMOVAL, lambda: _removed(place))
    yield removal


def _removed(place: Place) -> str:
    place.remove()
    return f"{len(place.keys)} files, their items and their rows are removed"


def _settled(name: str, check: Callable[[], str]) -> Point:
    try:
        return Point(name, HELD, check())
    except NotReachedError as error:
        return Point(name, NOT_REACHED, str(error))
    except (BrokenError, BotoCoreError, ClientError, CommandError, TablekeeperError) as error:
        return Point(name, BROKEN, str(error) or type(error).__name__)
