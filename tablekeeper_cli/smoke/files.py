"""Points about files: what becomes of them when they are put, overwritten, deleted and restored."""

from __future__ import annotations

from typing import Any

from tablekeeper_cli.smoke.place import LARGE_RECORDS, Place
from tablekeeper_cli.smoke.points import BrokenError, NotReachedError

NEW, BAD = "new.json", "bad.json"


def new_file(place: Place) -> str:
    """An event starts an execution, which commits the file with its lineage."""
    records = place.records(NEW, 3)
    key = place.put(NEW, records)
    place.until(
        lambda: place.row(key),
        lambda: (
            f"no execution has recorded {key}: events do not arrive, or the roles do not suffice"
        ),
    )
    if place.shown(key)[1] == "NoDatasetError":
        raise NotReachedError(
            "the stack has no dataset for these files: "
            "`tablekeeper smoke --write-dataset schemas`, then deploy again"
        )
    place.becomes(key, "SYNCED")
    for record in records:
        item = place.item(record)
        source = item.get("_source", {}).get("M", {})
        if source.get("key", source.get("object", {})).get("S", key) != key or not item:
            raise BrokenError(f"the item of {record['id']} is not there, or is of another file")
    return f"{key} is SYNCED, with 3 items"


def vanished_record(place: Place) -> str:
    """An overwrite puts what is new, and removes what is no longer there."""
    before, after = place.records(NEW, 3), place.records(NEW, 3, begin=2)
    key = place.put(NEW, after)
    place.until(
        lambda: all(map(place.item, after)) and not any(map(place.item, before[:2])),
        lambda: f"the items of {key} are not those of its second version",
    )
    return "2 items new, 2 removed, 1 as it was"


def vanished_object(place: Place) -> str:
    """A delete removes the items."""
    return _deleted(place, f"{place.prefix}{NEW}", place.records(NEW, 3, begin=2))


def _deleted(place: Place, key: str, records: list[dict[str, Any]]) -> str:
    place.stack.client("s3").delete_object(Bucket=place.stack.bucket, Key=key)
    place.becomes(key, "DELETED")
    if any(map(place.item, records)):
        raise BrokenError(f"{key} is DELETED, and its items are there")
    return f"{key} is DELETED, without items"


def restored_object(place: Place) -> str:
    """When a delete marker is removed, what is current again is in the table again."""
    key, s3 = f"{place.prefix}{NEW}", place.stack.client("s3")
    versions = s3.list_object_versions(Bucket=place.stack.bucket, Prefix=key)
    if not versions.get("DeleteMarkers"):
        raise NotReachedError("the bucket has no versions, so nothing can be restored")
    marker = versions["DeleteMarkers"][0]["VersionId"]
    s3.delete_object(Bucket=place.stack.bucket, Key=key, VersionId=marker)
    place.becomes(key, "SYNCED")
    if not all(map(place.item, place.records(NEW, 3, begin=2))):
        raise BrokenError(f"{key} is SYNCED again, and items are missing")
    return f"{key} is SYNCED again"


def large_file(place: Place) -> str:
    """More than a transaction and a payload hold goes through the staging bucket."""
    records = place.records("large.json", LARGE_RECORDS)
    key = place.put("large.json", records)
    place.becomes(key, "SYNCED")
    missing = [each for each in (records[0], records[-1]) if not place.item(each)]
    if missing:
        raise BrokenError(f"{key} is SYNCED, and {missing[0]['id']} is missing")
    return f"{key} is SYNCED, with {LARGE_RECORDS:,} items"


def large_items(place: Place) -> str:
    """One transaction removes items that have more bytes than one can put."""
    records = place.records("items.json", 15)
    text = place.secret * (300_000 // len(place.secret))
    key = place.put("items.json", [each | {"text": text} for each in records])
    place.becomes(key, "SYNCED")
    return _deleted(place, key, records)


def bad_file(place: Place) -> str:
    """A bad file is INVALID, by Record Failure, and the items of its good version stay."""
    good = place.records(BAD, 1)
    key = place.put(BAD, good)
    place.becomes(key, "SYNCED")
    place.put(BAD, b'[{"id": "a", "number": 1}, {"id": 2}]')
    place.becomes(key, "INVALID")
    error = place.shown(key)[1]
    if error != "SchemaViolationError":
        raise BrokenError(f"{key} is INVALID for {error}, not for SchemaViolationError")
    if not place.item(good[0]):
        raise BrokenError(f"{key} is INVALID, and the item of its good version is gone")
    ends = [
        row for row in place.audit_rows(place.stack.uri(key)) if row["outcome"]["S"] == "INVALID"
    ]
    if len(ends) != 1:
        raise BrokenError(f"{key} has {len(ends)} rows of an INVALID execution, not one")
    return f"{key} is INVALID, its item of before is there"


def mended_file(place: Place) -> str:
    """A good version ends the problem."""
    key = place.put(BAD, place.records(BAD, 2))
    place.becomes(key, "SYNCED")
    return f"{key} is SYNCED, its problem is gone"
