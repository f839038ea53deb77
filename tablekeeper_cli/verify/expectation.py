"""What the items of a file stand for, by its row in the ledger and by what is in the bucket."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from tablekeeper.errors import InvalidFileError
from tablekeeper.ledger.rows import INCOMPLETE, RELEASED, Row
from tablekeeper.model.times import CLOCK_SKEW

from tablekeeper_cli.verify.findings import Kind

CURRENT, COMMITTED, NOTHING, UNDECIDED = "current", "committed", "nothing", "undecided"
"""The items are those of the object as it is now; of the version that the row names; there are
none; it cannot be found out.
"""


@dataclass(frozen=True)
class Present:
    """An object in the bucket. last_modified is as in `Snapshot`, None where S3 does not say it;
    unreadable says why its content cannot be read, if so.
    """

    etag: str | None
    version_id: str | None
    size: int
    last_modified: str | None
    unreadable: InvalidFileError | None = None


@dataclass(frozen=True)
class Expectation:
    """What the items stand for: one of the four above.

    kind and detail say what is wrong with the row, if anything; when the file is `behind`, that
    may pass by itself: an execution may be on its way.
    """

    items: str
    kind: Kind | None = None
    detail: str = ""
    behind: bool = False


def expected_of(row: Row, present: Present | None, *, ignored: bool) -> Expectation:
    """What the items of a file stand for; present is None when the object is gone.

    A file that has failed stands for what was committed last: the ledger says why the newest
    content is not in the table. One that is PARTIAL stands for its good records.
    """
    if row.claim:
        if row.claim.state == INCOMPLETE:
            return Expectation(UNDECIDED, Kind.CLAIM, "INCOMPLETE: the write cannot be finished")
        return Expectation(
            UNDECIDED, Kind.CLAIM, f"{row.claim.state}: begun, not ended", behind=True
        )
    if row.problem and row.has_failed:
        committed = COMMITTED if row.is_written else NOTHING
        if present is None or ignored:
            why = "matches IgnorePatterns" if ignored else "is gone"
            return Expectation(
                committed, Kind.STALE, f"it has a problem, and the object {why}", behind=True
            )
        failed = row.problem.get("etag", {}).get("S")
        if failed and failed != present.etag:
            detail = f"its problem is of etag {failed}, but the object's is {present.etag}"
            return Expectation(committed, Kind.STALE, detail, behind=True)
        if row.status == RELEASED:
            detail = (
                "RELEASED: items that its content no longer has are gone; it waits to be written"
            )
            return Expectation(UNDECIDED, Kind.STALE, detail, behind=True)
        if _unanswered(row, present):
            return Expectation(
                committed, Kind.STALE, "changed after its problem was recorded", behind=True
            )
        return Expectation(committed)
    if ignored or present is None:
        why = "matches IgnorePatterns" if ignored else "is gone"
        if row.is_written:
            return Expectation(
                NOTHING, Kind.STALE, f"{row.status}, but the object {why}", behind=True
            )
        return Expectation(NOTHING)
    if present.unreadable and row.is_written and row.etag == present.etag:
        return Expectation(UNDECIDED, Kind.UNVERIFIABLE, str(present.unreadable))
    if row.revision == 0:
        return Expectation(
            CURRENT, Kind.UNKNOWN, "the ledger has no row of the object", behind=True
        )
    if not row.is_written:
        return Expectation(
            CURRENT, Kind.STALE, f"{row.status}, but the object is there", behind=True
        )
    if row.etag != present.etag:
        detail = f"{row.status} with etag {row.etag}, but the object's is {present.etag}"
        return Expectation(CURRENT, Kind.STALE, detail, behind=True)
    # Another version with the same content makes the same items, unless an expression has the
    # version: then the items themselves differ.
    return Expectation(CURRENT)


def version_of(version_id: str | None) -> str | None:
    """A version id that can be asked for; an object without one has "null", once its bucket has
    versions.
    """
    return None if version_id == "null" else version_id


def _unanswered(row: Row, present: Present) -> bool:
    until = row.answered_until
    if present.last_modified is None:
        return False
    changed = datetime.fromisoformat(present.last_modified)
    return until is not None and changed > datetime.fromisoformat(until) + CLOCK_SKEW
