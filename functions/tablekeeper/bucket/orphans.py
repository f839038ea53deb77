"""Orphans: files of the ledger whose objects are gone, or outside of KeyPrefix.

No listing of the bucket names them, so they are looked for from the other side: by the ledger's
index `files`, a shard of it at a time, with a HeadObject for each file that it holds something of.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple

from tablekeeper import aws
from tablekeeper.bucket.batch import sync_all
from tablekeeper.bucket.differences import is_under_way
from tablekeeper.bucket.ends import ORPHAN, ORPHANS, TRACED, End
from tablekeeper.bucket.run import Run
from tablekeeper.ledger.reads import read_row
from tablekeeper.model.objects import key_of, object_uri
from tablekeeper.model.outcome import PARTIAL, SYNCED

HEADS_AT_ONCE = 16
LAST_SECONDS = 180
"""A function begins no page of the index with less than this left."""
MAX_ORPHANS = 5000
"""Found by one invocation; then it begins no other page, and the next one continues there."""


class Progress(NamedTuple):
    """What the invocations for a shard did so far: how many, how many files they looked at, and how
    many of them are orphans, by outcome; and the ledger's key after which the next one goes on,
    None at the end.
    """

    part: int = 0
    files: int = 0
    outcomes: Mapping[str, int] = {}
    after: str | None = None


class Search(NamedTuple):
    """A shard of the ledger, a prefix of keys, how to sync (`look` removes nothing), and the prefix
    in the staging bucket of what is found.
    """

    shard: str
    prefix: str
    how: str
    place: str


def sync_orphans(search: Search, before: Progress, run: Run) -> Progress:
    """Removes the items of files whose objects are gone.

    Writes a line for each to the staging bucket. A file whose items are too many to be removed here
    gets an execution of its own.

    Raises:
        TransientServiceError: a retry helps, and does nothing twice.
    """
    files, outcomes, ends = before.files, Counter(before.outcomes), list[End]()
    after: str | None = None
    with ThreadPoolExecutor(HEADS_AT_ONCE) as pool:
        for rows, last in _pages(run, search.shard, search.prefix, before.after):
            after = last
            files += len(rows)
            are_gone = pool.map(partial(_is_orphan, run), rows)
            gone = [row.key for row, is_gone in zip(rows, are_gone, strict=True) if is_gone]
            removals = _removed(run, gone, search.how)
            ends += removals
            outcomes.update(end.outcome or search.how for end in removals)
            if run.remaining() < LAST_SECONDS or len(ends) >= MAX_ORPHANS:
                break
    if ends:
        body = "".join(json.dumps(end.payload(), ensure_ascii=False) + "\n" for end in ends)
        key = f"{search.place}{ORPHANS}/{search.shard}-{before.part}.jsonl"
        with aws.transient_errors():
            aws.s3().put_object(Bucket=run.settings.staging_bucket, Key=key, Body=body.encode())
    return Progress(before.part + 1, files, dict(outcomes), after)


def _removed(run: Run, gone: list[str], how: str) -> list[End]:
    if how == "look":
        return [End(key, ORPHAN) for key in gone]
    ends = list(sync_all(run, [(key, ORPHAN, None) for key in gone]))
    run.start_traced([end.key for end in ends if end.outcome == TRACED])
    return ends


class _Row(NamedTuple):
    """A row of the index."""

    key: str
    is_claimed: bool


def _pages(
    run: Run, shard: str, prefix: str, after: str | None
) -> Iterator[tuple[list[_Row], str | None]]:
    """Those of a shard's files that have items, a problem or a claim, a page at a time, with the
    ledger's key that the page ends with; None for the last. An input with an empty key failed under
    a row that is of no object.
    """
    uri = object_uri(run.settings.source_bucket, prefix)
    while True:
        query: dict[str, Any] = {
            "TableName": run.tables.ledger,
            "IndexName": "files",
            "KeyConditionExpression": "file_shard = :shard AND begins_with(pk, :uri)",
            "FilterExpression": "#status IN (:synced, :partial) OR "
            "attribute_exists(problem_status) OR attribute_exists(claim_state) OR "
            "attribute_exists(incomplete_since)",
            "ProjectionExpression": "pk, claim_state",
            "ExpressionAttributeNames": {"#status": "status"},
            "ExpressionAttributeValues": {
                ":shard": {"S": shard},
                ":uri": {"S": uri},
                ":synced": {"S": SYNCED},
                ":partial": {"S": PARTIAL},
            },
        }
        if after:
            query["ExclusiveStartKey"] = {
                "file_shard": {"S": shard},
                "pk": {"S": after},
                "sk": {"S": "CURRENT"},
            }
        with aws.transient_errors():
            page: Mapping[str, Any] = run.tables.client.query(**query)
        last = page.get("LastEvaluatedKey")
        after = last["pk"]["S"] if last else None
        rows = [_Row(key_of(row["pk"]["S"]), "claim_state" in row) for row in page["Items"]]
        yield [row for row in rows if row.key], after
        if after is None:
            return


def _is_orphan(run: Run, row: _Row) -> bool:
    from botocore.exceptions import ClientError

    bucket = run.settings.source_bucket
    if not row.key.startswith(run.settings.key_prefix):
        return True
    try:
        with aws.transient_errors():
            aws.s3().head_object(Bucket=bucket, Key=row.key)
    except ClientError as error:
        code = error.response["Error"].get("Code")
        if code in ("404", "NoSuchKey"):
            return not (row.is_claimed and _is_being_removed(run, row.key))
        # An object that cannot be read, such as one encrypted with SSE-C, is there.
        if code not in ("400", "403"):
            raise
    return False


def _is_being_removed(run: Run, key: str) -> bool:
    """Whether a claim under way removes the file's items. One that writes is taken over: it looked
    when the object was there, and the event of its end may be lost.
    """
    row = read_row(
        run.tables.client, run.tables.ledger, object_uri(run.settings.source_bucket, key)
    )
    removes = row.claim is not None and row.claim.outcome == "DELETED"
    return removes and is_under_way(run, row)
