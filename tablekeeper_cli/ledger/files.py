"""Files by the ledger: lists, counts, and one file's row. Reads only."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from typing import Any

from tablekeeper.ledger.rows import CURRENT, SHARDS, Row
from tablekeeper.model.objects import MAX_URI_BYTES
from tablekeeper.model.outcome import NO_DATASET

from tablekeeper_cli.errors import UnknownError, UsageError
from tablekeeper_cli.ledger.problems import INCOMPLETE, WRITING, Problem, failures, problem_of
from tablekeeper_cli.ledger.queries import Attributes, Query, get_row, rows_of, text_of
from tablekeeper_cli.stack import NO_OBJECT, Stack


@dataclass(frozen=True)
class ListedFile:
    """A file as the index `files` lists it.

    status is what a person is shown: the problem's if there is one, else that of the items.
    outcome is that of the items alone; None when the file was never committed.
    """

    key: str
    status: str
    dataset: str
    outcome: str | None
    error: str | None
    incomplete_since: str | None


@dataclass(frozen=True)
class File:
    """All that the ledger's row says of a file. Times are ISO 8601, size is in bytes, set_aside is
    the number of bad records that have no item.
    """

    key: str
    status: str
    outcome: str | None
    dataset: str | None
    etag: str | None
    version_id: str | None
    size: int | None
    last_modified: str | None
    digest: str | None
    committed_at: str | None
    execution: str | None
    revision: int
    items: int | None
    set_aside: int | None
    incomplete_since: str | None
    writing: str | None
    problem: Problem | None


def counts(stack: Stack) -> Counter[tuple[str, str]]:
    """The number of files by status and dataset; incomplete files count as INCOMPLETE, too."""
    counted: Counter[tuple[str, str]] = Counter()
    for each in _listed(stack, ""):
        counted[each.status, each.dataset] += 1
        if each.incomplete_since:
            counted[INCOMPLETE, each.dataset] += 1
    return counted


def counts_of_no_object(stack: Stack) -> Counter[tuple[str, str]]:
    """The same of inputs that name no object of the bucket, which are in no list of files."""
    others = (each for each in failures(stack) if each.key.startswith(NO_OBJECT))
    return Counter((each.status, each.dataset) for each in others)


def list_files(
    stack: Stack,
    *,
    prefix: str = "",
    statuses: Iterable[str] = (),
    dataset: str | None = None,
    after: str | None = None,
) -> Iterator[ListedFile]:
    """Files in the order of their keys, those after a key alone."""
    wanted = set(statuses)
    for each in _listed(stack, prefix, after):
        shown = {each.status, INCOMPLETE} if each.incomplete_since else {each.status}
        if (wanted and not wanted & shown) or (dataset and each.dataset != dataset):
            continue
        yield each


def _listed(stack: Stack, prefix: str, after: str | None = None) -> Iterator[ListedFile]:
    """The index `files`, its partitions merged."""
    partitions = (_files_in(stack, shard, prefix, after) for shard in SHARDS)
    merged = heapq.merge(*partitions, key=lambda row: row["pk"]["S"].encode())
    return (listed_file(stack, row) for row in merged)


def _files_in(stack: Stack, shard: str, prefix: str, after: str | None) -> Iterator[Attributes]:
    condition, values = "file_shard = :shard", {":shard": {"S": shard}}
    if after is not None and after >= prefix:
        condition += " AND pk BETWEEN :after AND :last"
        values |= {":after": {"S": stack.uri(after)}, ":last": {"S": _last(stack.uri(prefix))}}
    else:
        condition += " AND begins_with(pk, :prefix)"
        values[":prefix"] = {"S": stack.uri(prefix)}
    for row in rows_of(stack, Query("files", condition, values)):
        if after is None or row["pk"]["S"] != stack.uri(after):
            yield row


def _last(prefix: str) -> str:
    """The last of all keys with this prefix that the index can hold, and a query of it compare
    with: the last code point, over and over.
    """
    return prefix + "\U0010ffff" * ((MAX_URI_BYTES - len(prefix.encode())) // 4)


def listed_file(stack: Stack, row: Attributes) -> ListedFile:
    """A file by its row in the index, or by its row."""
    outcome = text_of(row, "status")
    dataset = text_of(row, "dataset") or text_of(row, "problem_dataset") or NO_DATASET
    return ListedFile(
        key=stack.key(row["pk"]["S"]),
        status=text_of(row, "problem_status") or outcome or WRITING,
        dataset=dataset,
        outcome=outcome,
        error=text_of(row, "problem_error"),
        incomplete_since=_incomplete_since(row),
    )


def _incomplete_since(row: Attributes) -> str | None:
    """None while a write without a problem replaces items: it is under way, and ends."""
    return text_of(row, "incomplete_since") if "problem_status" in row else None


def check_prefix(stack: Stack, prefix: str, *, in_bucket: bool = True) -> None:
    """Makes sure that the key of a file begins so, in the ledger or in the bucket.

    Raises UsageError.
    """
    if in_bucket:
        listed = stack.client("s3").list_objects_v2(Bucket=stack.bucket, Prefix=prefix, MaxKeys=1)
        if listed["KeyCount"]:
            return
    if prefix and not next(list_files(stack, prefix=prefix), None):
        raise UsageError(f"the ledger has no file whose key begins with {prefix!r}")


def file(stack: Stack, key: str, *, runs: bool = False) -> File:
    """A file by its row; one whose first execution `runs` has none yet. Raises UnknownError."""
    row = get_row(stack, stack.uri(key), CURRENT)
    if row is None and runs:
        nothing: Any = dict.fromkeys(each.name for each in fields(File))
        nothing |= {"key": stack.key(stack.uri(key)), "status": "RUNNING", "revision": 0}
        return File(**nothing)
    if row is None:
        raise UnknownError(
            f"the ledger has no row of {key}: no event of it has come, or its execution is still "
            "under way; `tablekeeper events` shows events that could not start one"
        )
    read = Row.of(row)
    outcome, problem = read.status, problem_of(stack, key, row)
    return File(
        key=stack.key(row["pk"]["S"]),
        status=problem.status if problem else outcome or WRITING,
        outcome=outcome,
        dataset=text_of(row, "dataset"),
        etag=read.etag,
        version_id=read.version_id,
        size=int(row["size"]["N"]) if "size" in row else None,
        last_modified=read.last_modified,
        digest=read.digest,
        committed_at=text_of(row, "committed_at"),
        execution=text_of(row, "execution"),
        revision=read.revision,
        items=None if read.keys_at else len(read.item_keys),
        set_aside=read.set_aside.records if read.set_aside else None,
        incomplete_since=_incomplete_since(row),
        writing=read.claim.execution if read.claim else None,
        problem=problem,
    )


def problem(stack: Stack, key: str) -> Problem:
    """A file's problem. Raises UnknownError: the file is unknown, or has no problem."""
    known = file(stack, key)
    if not known.problem:
        raise UnknownError(f"nothing is wrong with {known.key}: it is {known.status}")
    return known.problem
