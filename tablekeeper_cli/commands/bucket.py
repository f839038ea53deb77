"""`backfill` and `reconcile`: the table is made equal to the whole bucket."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from tablekeeper_cli.errors import DIFFERENT, UsageError
from tablekeeper_cli.terminal.context import Context, command, group

if TYPE_CHECKING:
    from rich.console import RenderableType

    from tablekeeper_cli.executions.bucket_runs import Counts, RunEnd

app = group()

SHOWN = 30
"""How many files a person is shown."""
NEXT = "`tablekeeper status` shows what runs, `tablekeeper failures` what ended badly"
Prefix = Annotated[str | None, typer.Option(metavar="P", help="Only objects whose keys begin so.")]
InBulk = Annotated[
    bool, typer.Option("--bulk", help="Batches in one function, not an execution for each file.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what differs; change nothing.")]
Concurrency = Annotated[
    int, typer.Option(min=1, max=1000, metavar="N", help="Batches of 100 objects side by side.")
]
Report = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Write every file that differed, one a line.")
]
Wait = Annotated[bool, typer.Option(help="Wait for the end and show it.")]


@command(app, "backfill --dry-run", "backfill --bulk --prefix products/")
def backfill(
    context: Context,
    prefix: Prefix = None,
    bulk: InBulk = False,
    dry_run: DryRun = False,
    concurrency: Concurrency = 10,
    report: Report = None,
    wait: Wait = True,
) -> None:
    """Brings the objects of the bucket into the table.

    A live change always wins. Files that are in the table as they are in the bucket are skipped,
    so starting it again does what is left. Exit code 1 if differences remain.
    """
    how = "look" if dry_run else "bulk" if bulk else "traced"
    _run(context, _Run(how, False, prefix, concurrency), report, wait)


@command(app, "reconcile --dry-run", "reconcile --bulk --report found.jsonl")
def reconcile(
    context: Context,
    prefix: Prefix = None,
    bulk: InBulk = False,
    dry_run: DryRun = False,
    concurrency: Concurrency = 10,
    report: Report = None,
    wait: Wait = True,
) -> None:
    """Finds every file that differs from the table, and mends it.

    It also finds files whose objects are gone. It compares what the ledger says with what the
    bucket lists, and reads no object that does not differ: `tablekeeper verify` compares the
    items. Exit code 1 if differences remain.
    """
    how = "look" if dry_run else "bulk" if bulk else "traced"
    _run(context, _Run(how, True, prefix, concurrency), report, wait)


class _Run(NamedTuple):
    """How to sync, whether to look for orphans too, under which prefix, and how many at once."""

    how: str
    orphans: bool
    prefix: str | None
    concurrency: int


def _run(context: Context, run: _Run, report: Path | None, wait: bool) -> None:
    from tablekeeper.bucket.run_report import LEFT

    from tablekeeper_cli.executions import bucket_runs

    stack = context.stack
    try:
        file = report.open("w", encoding="utf-8") if report else None
    except OSError as error:
        raise UsageError(f"{report}: {error.strerror}") from None
    execution = bucket_runs.start(
        stack, run.how, orphans=run.orphans, prefix=run.prefix, concurrency=run.concurrency
    )
    if not wait:
        context.answer({"execution": execution}, lambda: f"started {execution}")
        return
    ended = _followed(context, execution)
    some: list[dict[str, Any]] = []
    if ended.summary and (file or not context.json):
        for each in bucket_runs.files(stack, ended.summary):
            # A look has no outcomes, and an execution that was aborted has no error.
            if len(some) <= SHOWN and each.get("outcome") in (None, *LEFT):
                some.append(each)
            if file:
                file.write(json.dumps(each, ensure_ascii=False) + "\n")
            elif len(some) > SHOWN:
                break
    if file:
        file.close()
    data = {"status": ended.status, "error": ended.error, **(ended.summary or {})}
    context.answer(data, lambda: _shown(ended, some, report))
    if ended.is_different:
        raise typer.Exit(DIFFERENT)


def _followed(context: Context, execution: str) -> RunEnd:
    from tablekeeper_cli.executions import bucket_runs

    with context.progress() as progress:
        task = progress.add_task("objects", total=None)

        def show(counts: Counts) -> None:
            progress.update(task, total=counts.total, completed=counts.done)

        try:
            return bucket_runs.follow(context.stack, execution, show)
        except KeyboardInterrupt:
            text = (
                f"interrupted: the run goes on, `tablekeeper status` shows when it has ended; "
                f"to stop it: aws stepfunctions stop-execution --execution-arn {execution}"
            )
            context.err.print(text, markup=False)
            raise


def _shown(ended: RunEnd, some: list[dict[str, Any]], report: Path | None) -> list[RenderableType]:
    from tablekeeper.bucket.ends import FINDINGS, TRACED

    from tablekeeper_cli.terminal.showing import outcome, plain, plural
    from tablekeeper_cli.terminal.tables import Column, Fields, Table

    summary = ended.summary
    if summary is None:
        return [plain(f"{ended.status} {ended.error or ''}: {ended.execution}", "bold red")]
    counts = {name: count for name, count in summary["findings"].items() if count}
    findings = Table(
        "found", Column("files", number=True), Column("which means", goes=1, least=20, wraps=True)
    )
    for name, count in counts.items():
        findings.add_row(plain(name), f"{count:,}", plain(FINDINGS.get(name, "")))
    outcomes = Table("outcome", Column("files", number=True))
    for name, count in summary["outcomes"].items():
        outcomes.add_row(outcome(name), f"{count:,}")
    named = Table(
        Column("found", goes=1),
        "outcome",
        Column("error", goes=2, least=12),
        Column("file", least=30, middle=True),
    )
    for each in some[:SHOWN]:
        ends_as, error = each.get("outcome"), plain(each.get("error"))
        named.add_row(each["finding"], outcome(ends_as or ""), error, plain(each["key"]))
    failed = summary["failed_batches"]
    traced = summary["outcomes"].get(TRACED, 0)
    removals = f"{plural(traced, 'file')}, each being removed by an execution of its own: {NEXT}"
    lines = [
        ("objects", f"{summary['files']:,}"),
        ("failed batches", plain(f"{failed:,}", "bold red") if failed else None),
        ("under way", removals if traced else None),
        ("error", plain(ended.error, "bold red") if ended.error else None),
        ("report", str(report) if report else None),
        ("results", summary["results"]),
    ]
    shown = [each for each in (findings, outcomes, named) if each.rows]
    parts: list[RenderableType] = [part for each in shown for part in (each, "")]
    if len(some) > SHOWN:
        parts[-1:] = [plain(f"and more: {report or '--report FILE'} has all"), ""]
    style = "bold red" if ended.is_different else "bold green"
    return [*parts, Fields(lines), plain(_verdict(ended, summary), style)]


def _verdict(ended: RunEnd, summary: dict[str, Any]) -> str:
    from tablekeeper_cli.executions.bucket_runs import batches
    from tablekeeper_cli.terminal.showing import plural

    differ = summary["differences"]
    under = f" under {summary['prefix']}" if summary["prefix"] else ""
    parts = []
    if differ or not ended.is_different:
        files = plural(differ, "file") if differ else "nothing"
        parts.append(f"{files} {'differ' if differ > 1 else 'differs'}{under}")
    if summary["failed_batches"]:
        parts.append(f"{batches(summary)} failed")
    if ended.status != "SUCCEEDED":
        parts.append(f"the run{under} {ended.status}: not every file was looked at")
    return ", ".join(parts)
