"""Options that several commands have, and what is wrong with a choice of files with a problem."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from tablekeeper.model.outcome import NO_DATASET

from tablekeeper_cli.errors import UsageError
from tablekeeper_cli.stack import SCHEMAS_VARIABLE
from tablekeeper_cli.terminal import completion

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from tablekeeper_cli.ledger.problems import Failure
    from tablekeeper_cli.stack import Stack

_AGE = re.compile(r"(\d+)(min|m|h|d|w)")
LOOKED_AT = 10_000
"""Rows that are read to find out whether a name that no problem has is one at all."""
_MINUTES = {"m": 1, "min": 1, "h": 60, "d": 24 * 60, "w": 7 * 24 * 60}

Status = Annotated[
    str | None,
    typer.Option(
        help="FAILED, INVALID, PARTIAL or INCOMPLETE.",
        metavar="STATUS",
        autocompletion=completion.statuses,
    ),
]
Error = Annotated[
    str | None,
    typer.Option(help="Only this error.", metavar="NAME", autocompletion=completion.errors),
]
Dataset = Annotated[
    str | None,
    typer.Option(
        help="Only this dataset, and failures of an unknown one.",
        metavar="NAME",
        autocompletion=completion.datasets,
    ),
]
Since = Annotated[
    str | None,
    typer.Option(help="From a time in ISO 8601, or an age: 90min, 4h, 2d.", metavar="TIME"),
]
Prefix = Annotated[str, typer.Option(help="Only keys that begin so.", metavar="P")]


def not_empty(parameter: typer.CallbackParam, value: Any) -> Any:
    """An argument, or several. Raises UsageError for an empty one, as of a shell variable that is
    not set.
    """
    if "" in (value if isinstance(value, list | tuple) else [value]):
        raise UsageError(f"{parameter.metavar} is empty")
    return value


Key = Annotated[
    str,
    typer.Argument(
        metavar="KEY",
        help="An object's key.",
        autocompletion=completion.keys,
        callback=not_empty,
    ),
]
MOST = 1_000_000_000
"""The largest number that a limit may be."""
Limit = Annotated[
    int, typer.Option(min=0, max=MOST, metavar="N", help="List so many; 0 lists all.")
]
AND_MORE = "and more: --limit 0 lists all"
"""Below a list that its limit cuts."""
Schemas = Annotated[
    Path,
    typer.Option(metavar="DIR", envvar=SCHEMAS_VARIABLE, help="The folder of the dataset files."),
]


def moment(text: str | None) -> datetime | None:
    """The time that `--since` names. Raises UsageError."""
    from datetime import UTC, datetime, timedelta

    if not text:
        return None
    try:
        if age := _AGE.fullmatch(text):
            return datetime.now(UTC) - timedelta(minutes=int(age[1]) * _MINUTES[age[2]])
        time = datetime.fromisoformat(text)
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):  # the latter: before the year 1, or after 9999
        raise UsageError(f"{text!r} is no time: 2026-01-31T12:00:00Z, or an age as 4h") from None


@dataclass(frozen=True)
class Choice:
    """Files with a problem, by status, error, dataset, time and prefix."""

    status: str | None = None
    error: str | None = None
    dataset: str | None = None
    since: str | None = None
    prefix: str = ""

    def __bool__(self) -> bool:
        return any((self.status, self.error, self.dataset, self.since, self.prefix))

    def failures(self, stack: Stack) -> Iterator[Failure]:
        """The files. When there is none, makes sure that the choice names something that there is.

        Raises UsageError.
        """
        from tablekeeper_cli.ledger.problems import ProblemFilter, failures

        status = self.status.upper() if self.status else None
        if status not in (None, *completion.STATUSES):
            raise UsageError(f"{self.status!r} is none of {', '.join(completion.STATUSES)}")
        any_file, unknown = False, 0
        wanted = ProblemFilter(status, self.error, self.dataset, moment(self.since), self.prefix)
        for each in failures(stack, wanted):
            is_own = self.dataset in (None, "", each.dataset)
            any_file, unknown = any_file or is_own, unknown + (not is_own)
            yield each
        if not any_file:
            self._check(stack, unknown)

    def _check(self, stack: Stack, unknown: int) -> None:
        from tablekeeper_cli.ledger import files, problems

        if self.error and "." not in self.error and self.error not in problems.error_names():
            now = {each.error for each in islice(problems.failures(stack), LOOKED_AT)}
            if self.error not in now:
                raise UsageError(
                    f"there is no error {self.error!r}; {_there_are('files have', now)}"
                    f"{_near(self.error, problems.error_names())}"
                )
        if self.dataset:
            self._check_dataset(stack, unknown)
        files.check_prefix(stack, self.prefix, in_bucket=False)

    def _check_dataset(self, stack: Stack, unknown: int) -> None:
        """Looks for a file of the dataset, among so many files that it takes seconds at most. So
        many failed before theirs was known: they may be all that the dataset has.
        """
        from tablekeeper_cli.ledger import files

        known: set[str] = set()
        looked_at = 0
        for each in islice(files.list_files(stack), LOOKED_AT):
            looked_at += 1
            if each.dataset == self.dataset:
                return
            known.add(each.dataset)
        there_are = _there_are("the ledger has", known - {NO_DATASET})
        if unknown:
            typer.echo(
                f"tablekeeper: no file is known to belong to a dataset {self.dataset!r}, and "
                f"{unknown:,} failed before theirs was known; {there_are}",
                err=True,
            )
            return
        if looked_at < LOOKED_AT:
            raise UsageError(f"no file belongs to a dataset {self.dataset!r}; {there_are}")
        typer.echo(
            f"tablekeeper: none of the first {LOOKED_AT:,} files belongs to a dataset "
            f"{self.dataset!r}; among them {there_are}",
            err=True,
        )


def _there_are(what: str, names: set[str]) -> str:
    return f"{what} {', '.join(sorted(names)) or 'none'}"


def _near(name: str, names: list[str]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name, names, 3)
    return f"; near it are {', '.join(near)}" if near else ""
