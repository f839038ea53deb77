"""`failures` and `failure`: what is wrong, and what to do."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tablekeeper_cli.commands.choice import (
    Choice,
    Dataset,
    Error,
    Limit,
    Prefix,
    Since,
    Status,
    not_empty,
)
from tablekeeper_cli.errors import DIFFERENT
from tablekeeper_cli.terminal import completion
from tablekeeper_cli.terminal.context import Context, command, group
from tablekeeper_cli.terminal.text import nested

if TYPE_CHECKING:
    from rich.console import RenderableType

    from tablekeeper_cli.ledger.problems import Failure, Problem, Violation

app = group()

SHOWN_VIOLATIONS = 20


@command(
    app,
    "failures",
    "failures --dataset products --since 4h",
    "failures --error SchemaViolationError --json",
)
def failures(
    context: Context,
    status: Status = None,
    error: Error = None,
    dataset: Dataset = None,
    since: Since = None,
    prefix: Prefix = "",
    limit: Limit = 100,
) -> None:
    """Every file that has a problem, and how many by error.

    Exit code 1 if there is one.
    """
    counts: Counter[tuple[str, str, str]] = Counter()
    listed: list[Failure] = []
    choice = Choice(status, error, dataset, since, prefix)
    for each in choice.failures(context.stack):
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
    }
    context.answer(data, lambda: _shown_failures(counts, listed, total))
    if total:
        raise typer.Exit(DIFFERENT)


def _shown_failures(counts: Any, listed: list[Failure], total: int) -> list[RenderableType]:
    from tablekeeper_cli.terminal.showing import moment_ago, outcome, plain, plural, utc
    from tablekeeper_cli.terminal.tables import Column, Table

    if not total:
        return [plain("nothing is wrong", "green")]
    by_error = Table(
        "status",
        Column("error", least=16),
        Column("dataset", goes=1, least=8, middle=True),
        Column("files", number=True),
    )
    for (status, error, dataset), count in counts.most_common():
        by_error.add_row(outcome(status), plain(error), plain(dataset), f"{count:,}")
    each_one = Table(
        Column("since", goes=4),
        Column("last tried", goes=2, number=True),
        Column("next try", goes=3),
        "status",
        Column("error", goes=1, least=12),
        Column("file", least=30, middle=True),
    )
    for each in listed:
        each_one.add_row(
            utc(each.since),
            moment_ago(each.at),
            _next_try(each),
            outcome("INCOMPLETE" if each.incomplete_since else each.status),
            plain(each.error),
            plain(each.key),
        )
    rest = total - len(listed)
    more = [f"and {plural(rest, 'more file')}: --limit 0 lists all"] if rest else []
    return [by_error, "", each_one, *more]


@command(app, "failure products/tools.json", "failure products/tools.json --report")
def failure(
    context: Context,
    key: Annotated[
        str,
        typer.Argument(
            metavar="KEY",
            help="An object's key.",
            autocompletion=completion.bad_keys,
            callback=not_empty,
        ),
    ],
    report: Annotated[
        bool, typer.Option("--report", help="The report: every violation, not just the first.")
    ] = False,
) -> None:
    """What is wrong with a file, and what to do."""
    from tablekeeper_cli.ledger import files, reports

    problem = files.problem(context.stack, key)
    if report:
        whole = reports.read(context.stack, problem)
        context.answer(whole, lambda: shown_report(whole))
        return
    context.answer(
        {**vars(problem), "input": nested(problem.input)}, lambda: shown_problem(problem)
    )


def shown_report(report: Any) -> list[RenderableType]:
    from tablekeeper_cli.ledger.problems import violation_of
    from tablekeeper_cli.terminal.tables import Fields

    listed = [violation_of(each) for each in report["listed"]]
    about = [
        (name.replace("_", " "), str(value))
        for name, value in report.items()
        if name not in ("listed", "all", "in_all")
    ]
    rest = report["violations"] - len(listed)
    more = [f"and {rest:,} more, in {report['all']}"] if rest else []
    return [Fields(about), "", _violations(listed), *more]


def _violations(violations: list[Violation]) -> RenderableType:
    from tablekeeper_cli.terminal.showing import plain
    from tablekeeper_cli.terminal.tables import Column, Table

    shown = Table(
        Column("record", number=True),
        Column("line", goes=1, number=True),
        Column("JSON Pointer", least=14, middle=True),
        Column("keyword", goes=2),
        Column("expected", least=16, wraps=True),
        Column("found", least=12, wraps=True),
    )
    for each in violations:
        shown.add_row(
            str(each.record),
            str(each.line or ""),
            plain(each.pointer or '""'),
            plain(each.keyword),
            plain(each.expected),
            plain(each.found),
        )
    return shown


def _next_try(each: Failure | Problem) -> str:
    """When the sweep starts the file again, or what that waits for."""
    from tablekeeper_cli.ledger.problems import waits_for
    from tablekeeper_cli.terminal.showing import utc

    return utc(each.next_try) if each.next_try else waits_for(each)


def shown_problem(problem: Problem) -> list[RenderableType]:
    from tablekeeper_cli.terminal.showing import outcome, plain, when
    from tablekeeper_cli.terminal.tables import Fields

    about = Fields(
        [
            ("file", problem.key),
            ("problem", outcome(problem.status)),
            ("error", plain(problem.error, "bold")),
            ("in state", problem.state),
            ("since", when(problem.since)),
            ("last tried", when(problem.at)),
            ("next try", _next_try(problem)),
            ("execution", problem.execution),
            ("report", problem.report),
        ]
    )
    what: list[RenderableType]
    if problem.violations:
        summary = plain(problem.message.partition("\n")[0])
        listed = problem.violations[:SHOWN_VIOLATIONS]
        rest = (problem.violation_count or 0) - len(listed)
        more = [f"and {rest:,} more; --report shows all"] if rest > 0 else []
        what = [summary, "", _violations(listed), *more]
    else:
        what = [plain(problem.message)]
    todo = plain(f"What to do: {problem.advice}", "bold")
    return [about, "", *what, "", todo]
