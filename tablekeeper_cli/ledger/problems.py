"""Problems: why files are not in the table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tablekeeper import causes, errors
from tablekeeper.model.outcome import NO_DATASET
from tablekeeper.model.times import iso_milliseconds
from tablekeeper.recovery.schedule import next_try

from tablekeeper_cli.ledger.advice import advice
from tablekeeper_cli.ledger.queries import Attributes, Query, rows_at, rows_of, text_of
from tablekeeper_cli.stack import Stack

INCOMPLETE, WRITING = "INCOMPLETE", "WRITING"


PROBLEMS = ("FAILED", "INVALID", "PARTIAL")


@dataclass(frozen=True)
class Failure:
    """A file's problem, as the index `problems` lists it. Times are ISO 8601: since is the first
    failure of this content, at the last one, next_try from when on the sweep starts the file again;
    None when it waits for a person.
    """

    key: str
    status: str
    error: str
    dataset: str
    since: str
    at: str
    next_try: str | None
    incomplete_since: str | None


@dataclass(frozen=True)
class Violation:
    """One way in which a record violates its schema."""

    record: int
    pointer: str
    keyword: str
    expected: str
    found: str
    line: int | None


@dataclass(frozen=True)
class Problem:
    """Everything that is recorded of a problem, and what to do.

    message is what the cause says, and what follows advice are the values in it, as far as they are
    known: violations are the first of violation_count, report is where all of them are. record
    (from 0), line and column (from 1) and pointer are the place of another error. item is the key
    of an item in DynamoDB JSON, owner the object that it belongs to. A row of a release whose
    problems had only sentences has no values. since, at and next_try are as in `Failure`.
    """

    key: str
    status: str
    error: str
    state: str
    since: str
    at: str
    next_try: str | None
    started: str
    execution: str
    input: str
    message: str
    advice: str
    violations: list[Violation]
    violation_count: int | None
    report: str | None
    record: int | None
    line: int | None
    column: int | None
    pointer: str | None
    item: dict[str, Any] | None
    owner: str | None


@dataclass(frozen=True)
class ProblemFilter:
    """Which problems are asked for: those that agree with each of these that is not empty. A file
    that FAILED before its dataset was known may be of any.
    """

    status: str | None = None
    error: str | None = None
    dataset: str | None = None
    since: datetime | None = None
    prefix: str = ""

    def has(self, failure: Failure) -> bool:
        """Whether a problem is one of these, by all but the time."""
        return (
            self.error in (None, "", failure.error)
            and may_be_of(self.dataset, failure.status, failure.error, failure.dataset)
            and failure.key.startswith(self.prefix)
            and (self.status != INCOMPLETE or failure.incomplete_since is not None)
        )


def may_be_of(wanted: str | None, status: str, error: str, dataset: str) -> bool:
    """Whether a problem is one of a dataset, or of any where none is wanted. An input that names no
    object of the bucket is of none.
    """
    is_file = error != errors.InvalidEventError.__name__
    unknown = (status, dataset) == ("FAILED", NO_DATASET) and is_file
    return unknown or wanted in (None, "", dataset)


ANY = ProblemFilter()


def failures(stack: Stack, wanted: ProblemFilter = ANY) -> Iterator[Failure]:
    """Files with a problem, the newest problem first; reads the sparse index alone."""
    for each in (wanted.status,) if wanted.status in PROBLEMS else PROBLEMS:
        condition, values = "problem_status = :status", {":status": {"S": each}}
        if wanted.since:
            condition += " AND problem_at >= :since"
            values[":since"] = {"S": iso_milliseconds(wanted.since)}
        query = Query("problems", condition, values, backwards=True)
        for row in rows_of(stack, query):
            failure = Failure(
                key=stack.key(row["pk"]["S"]),
                status=row["problem_status"]["S"],
                error=row["problem_error"]["S"],
                dataset=row["problem_dataset"]["S"],
                since=row.get("problem_since", row["problem_at"])["S"],
                at=row["problem_at"]["S"],
                next_try=_next_try(row),
                incomplete_since=text_of(row, "incomplete_since"),
            )
            if wanted.has(failure):
                yield failure


def problems(stack: Stack, keys: Iterable[str]) -> Iterator[Problem]:
    """The problems of those among these files that have one, a hundred files a request."""
    for row in rows_at(stack, keys, consistent=True):
        problem = problem_of(stack, stack.key(row["pk"]["S"]), row)
        if problem:
            yield problem


def _next_try(row: Attributes) -> str | None:
    at = row["problem_at"]["S"]
    since = row.get("problem_since", row["problem_at"])["S"]
    due = next_try(row["problem_status"]["S"], row["problem_error"]["S"], since, at)
    return iso_milliseconds(due) if due else None


def problem_of(stack: Stack, key: str, row: Attributes) -> Problem | None:
    if "problem" not in row:
        return None
    held = {name: value["S"] for name, value in row["problem"]["M"].items()}
    values = causes.values_of(held["cause"])
    return Problem(
        key=stack.key(stack.uri(key)),
        status=held["status"],
        error=held["error"],
        state=held["state"],
        since=row.get("problem_since", row["problem_at"])["S"],
        at=held["at"],
        next_try=_next_try(row),
        started=held.get("started", held["at"]),
        execution=held["execution"],
        input=held["input"],
        message=causes.message_of(held["cause"]),
        advice=advice(held["error"]),
        violations=[violation_of(each) for each in values.get("first", ())],
        violation_count=values.get("count"),
        report=values.get("report"),
        record=values.get("record"),
        line=values.get("line"),
        column=values.get("column"),
        pointer=values.get("pointer"),
        item=values.get("item"),
        owner=values.get("owner"),
    )


def violation_of(values: Mapping[str, Any]) -> Violation:
    """A violation from its values in a message or a report, or from those of a record that makes no
    item.
    """
    return Violation(
        record=values["record"],
        pointer=values.get("pointer", ""),
        keyword=values.get("keyword") or values["error"],
        expected=values.get("expected", ""),
        found=values.get("found") or values.get("message", ""),
        line=values.get("line"),
    )


def waits_for(each: Failure | Problem) -> str:
    """What a problem waits for that has no next try."""
    if each.error == errors.KeyOwnershipError.__name__:
        return "when no other file has the item"
    return "by a person" if each.status == "FAILED" else "when it is mended"


def error_names() -> list[str]:
    """The names of Tablekeeper's own errors that a file may have."""
    return sorted(
        name
        for name, known in vars(errors).items()
        if isinstance(known, type)
        and issubclass(known, errors.TablekeeperError)
        and known.status in PROBLEMS
    )
