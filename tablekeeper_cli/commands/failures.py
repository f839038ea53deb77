"""`failures` and `failure`: what is wrong, and what to do."""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tablekeeper_cli.ledger import problems, queries
from tablekeeper_cli.terminal.context import Context, add_command

if TYPE_CHECKING:
    from rich.console import RenderableType

    from tablekeeper_cli.ledger.problems import Failure, Problem

SHOWN_VIOLATIONS = 20
_AGE = re.compile(r"(\d+)(min|m|h|d|w)")
_MINUTES = {"m": 1, "min": 1, "h": 60, "d": 24 * 60, "w": 7 * 24 * 60}

Status = Annotated[
    str | None, typer.Option(help="FAILED, INVALID or INCOMPLETE.", metavar="STATUS")
]
Error = Annotated[str | None, typer.Option(help="The name of an error.", metavar="NAME")]
Dataset = Annotated[str | None, typer.Option(help="The name of a dataset.", metavar="NAME")]
Since = Annotated[
    str | None,
    typer.Option(help="A time in ISO 8601, or an age such as 90min, 4h, 2d.", metavar="TIME"),
]
Prefix = Annotated[str, typer.Option(help="Keys that begin with this.")]


def add_to(app: typer.Typer) -> None:
    """Adds the commands of this subject."""
    for command in (failures, failure):
        add_command(app, command)


def moment(text: str | None) -> datetime | None:
    """The time that `--since` names. Raises UsageError."""
    from datetime import UTC, timedelta

    from tablekeeper_cli.errors import UsageError

    if text is None:
        return None
    if age := _AGE.fullmatch(text):
        return datetime.now(UTC) - timedelta(minutes=int(age[1]) * _MINUTES[age[2]])
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{text!r} is no time: 2026-01-31T12:00:00Z, or an age as 4h") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def checked(status: str | None) -> str | None:
    """The status that `--status` names. Raises UsageError."""
    from tablekeeper_cli.errors import UsageError

    statuses = ("FAILED", "INVALID", "INCOMPLETE")
    if status is not None and status.upper() not in statuses:
        raise UsageError(f"{status!r} is none of {', '.join(statuses)}")
    return status.upper() if status else None


def failures(
    context: Context,
    status: Status = None,
    error: Error = None,
    dataset: Dataset = None,
    since: Since = None,
    prefix: Prefix = "",
    limit: Annotated[int, typer.Option(min=0, help="List so many; 0 lists all.")] = 100,
) -> None:
    """Every file that has a problem: how many by error, and which. Exit code 1 if there is one."""
    from collections import Counter

    from tablekeeper_cli.errors import DIFFERENT

    capacity = queries.Capacity()
    counts: Counter[tuple[str, str, str]] = Counter()
    listed: list[Failure] = []
    for each in problems.failures(
        context.stack,
        status=checked(status),
        error=error,
        dataset=dataset,
        since=moment(since),
        prefix=prefix,
        capacity=capacity,
    ):
        counts[each.status, each.error, each.dataset] += 1
        if not limit or len(listed) < limit:
            listed.append(each)
    total = sum(counts.values())
    data = {
        "count": total,
        "by_error": [
            {"status": status, "error": error, "dataset": dataset, "count": count}
            for (status, error, dataset), count in counts.most_common()
        ],
        "failures": listed,
        "capacity_units": dict(capacity.units),
    }
    context.answer(data, lambda: _shown_failures(counts, listed, total))
    if total:
        raise typer.Exit(DIFFERENT)


def _shown_failures(counts: Any, listed: list[Failure], total: int) -> RenderableType:
    from rich.console import Group

    from tablekeeper_cli.terminal.showing import outcome, plural, table, told, when

    if not total:
        return told("nothing is wrong", "green")
    by_error = table("status", "error", "dataset", "files", numbers=["files"])
    for (status, error, dataset), count in counts.most_common():
        by_error.add_row(outcome(status), told(error), told(dataset), f"{count:,}")
    each_one = table("since", "status", "error", "file")
    for each in listed:
        each_one.add_row(
            when(each.at),
            outcome("INCOMPLETE" if each.incomplete_since else each.status),
            told(each.error),
            told(each.key),
        )
    rest = total - len(listed)
    more = [f"and {plural(rest, 'more file')}: --limit 0 lists all"] if rest else []
    return Group(by_error, "", each_one, *more)


def failure(context: Context, key: Annotated[str, typer.Argument(help="An object's key.")]) -> None:
    """What is wrong with a file, and what to do."""
    from tablekeeper_cli.ledger import files

    found = files.problem(context.stack, key)
    context.answer(found, lambda: shown_problem(found))


def shown_problem(problem: Problem) -> RenderableType:
    """A problem, in full."""
    from rich.console import Group

    from tablekeeper_cli.terminal.showing import fields, outcome, plural, table, told, when

    about = fields(
        [
            ("file", problem.key),
            ("problem", outcome(problem.status)),
            ("error", told(problem.error, "bold")),
            ("in state", problem.state),
            ("at", when(problem.at)),
            ("execution", problem.execution),
            ("report", problem.report),
        ]
    )
    if problem.violations:
        columns = ("record", "line", "JSON Pointer", "keyword", "expected", "found")
        has_lines = any(each.line for each in problem.violations)
        shown = table(*columns if has_lines else columns[:1] + columns[2:], numbers=columns[:2])
        for each in problem.violations[:SHOWN_VIOLATIONS]:
            shown.add_row(
                str(each.record),
                *([str(each.line or "")] if has_lines else []),
                told(each.pointer or '""'),
                told(each.keyword),
                told(each.expected),
                told(each.found),
            )
        summary = told(problem.message.partition("\n")[0])
        rest = len(problem.violations) - SHOWN_VIOLATIONS
        more = [f"and {plural(rest, 'more')} in the report"] if rest > 0 else []
        what: RenderableType = Group(summary, "", shown, *more)
    else:
        what = told(problem.message)
    todo = told(f"What to do: {problem.advice}", "bold")
    return Group(about, "", what, "", todo)
