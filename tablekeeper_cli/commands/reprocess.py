"""`reprocess`, `events` and `events redrive`: new executions."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tablekeeper_cli.commands.choice import (
    AND_MORE,
    MOST,
    Choice,
    Dataset,
    Error,
    Limit,
    Prefix,
    Since,
    Status,
    not_empty,
)
from tablekeeper_cli.errors import DIFFERENT, UnknownError, UsageError
from tablekeeper_cli.terminal import completion
from tablekeeper_cli.terminal.context import Context, command, group
from tablekeeper_cli.terminal.text import nested, printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import RenderableType
    from rich.text import Text

    from tablekeeper_cli.executions.reprocess import ExecutionEnd, StartedExecution
    from tablekeeper_cli.ledger.problems import Problem
    from tablekeeper_cli.stack import Stack

app = group()

Rate = Annotated[
    float, typer.Option(min=0.01, metavar="N", help="Executions to start a second, at most.")
]
SHOWN = 30


@command(
    app,
    "reprocess products/tools.json",
    "reprocess --all --dry-run",
    "reprocess --error TransientServiceError --since 4h --rate 5",
)
def reprocess(
    context: Context,
    keys: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="KEY", help="Objects.", autocompletion=completion.keys, callback=not_empty
        ),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Every file that has a problem.")] = False,
    status: Status = None,
    error: Error = None,
    dataset: Dataset = None,
    since: Since = None,
    prefix: Prefix = "",
    force: Annotated[
        bool, typer.Option("--force", help="Write even what is unchanged: items edited by hand.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Start nothing; show what would.")
    ] = False,
    rate: Rate = 10,
    wait: Annotated[bool, typer.Option(help="Wait for the ends and show them.")] = True,
) -> None:
    """Starts new executions for files, and shows how each ends.

    It starts them from the inputs that the ledger keeps. It is always safe: an execution looks at
    the bucket as it is now.

    Files that keep each other's items out come undone by themselves, within a few minutes. Exit
    code 1 if a file still has a problem.
    """
    choice = Choice(status, error, dataset, since, prefix)
    if bool(keys) == (every or bool(choice)):
        raise UsageError(
            "name keys, or choose files that have a problem: --all, --status, --error, --dataset, "
            "--since, --prefix"
        )
    stack = context.stack
    if keys:
        named = [stack.key(stack.uri(each)) for each in dict.fromkeys(keys)]
        _check_known(stack, named)
    else:
        named = [each.key for each in choice.failures(stack)]
    run = _Run(context, force)
    problems = run.read_problems(named)
    if dry_run:
        data: dict[str, Any] = {"files": named}
        context.answer(data, lambda: _shown_plan(named, problems))
        return
    ended = run.start(named, problems, rate, wait)
    outcomes = Counter(each.outcome for each in ended)
    data = {
        "started": len(run.started),
        "outcomes": dict(outcomes),
        "files": ended if wait else run.started,
    }
    context.answer(data, lambda: _shown_ends(run.started, ended, outcomes, wait=wait))
    if any(each.is_bad for each in ended):
        raise typer.Exit(DIFFERENT)


def _check_known(stack: Stack, keys: Sequence[str]) -> None:
    """Raises UnknownError for the first key that is in neither the ledger nor the bucket: nothing
    is started then, and no row is written.
    """
    from botocore.exceptions import ClientError

    from tablekeeper_cli.ledger import files

    for key in keys:
        try:
            files.file(stack, key)
        except UnknownError:
            try:
                name = stack.uri(key).removeprefix(stack.address)
                stack.client("s3").head_object(Bucket=stack.bucket, Key=name)
            except ClientError as error:
                # What may not be looked at may be there.
                if error.response["Error"].get("Code") not in ("404", "NoSuchKey"):
                    continue
                raise UnknownError(
                    f"{printable(key)} is in neither bucket nor ledger; nothing was started"
                ) from None


class _Run:
    """One reprocessing: what was started, and how it ended."""

    def __init__(self, context: Context, force: bool) -> None:
        self.context, self.stack, self.force = context, context.stack, force
        self.started: list[StartedExecution] = []

    def read_problems(self, keys: Sequence[str]) -> dict[str, Problem]:
        """The problems of these files; a file without one has none."""
        from tablekeeper_cli.ledger import problems as ledger_problems

        with self.context.progress() as progress:
            return {
                each.key: each
                for each in ledger_problems.problems(
                    self.stack, progress.track(keys, description="reading the ledger")
                )
            }

    def start(
        self, keys: Sequence[str], problems: dict[str, Problem], rate: float, wait: bool
    ) -> list[ExecutionEnd]:
        from tablekeeper_cli.executions import reprocess

        ended: list[ExecutionEnd] = []
        with self.context.progress() as progress:
            starts = progress.add_task("started", total=len(keys))
            ends = progress.add_task("ended", total=len(keys), visible=wait)
            try:
                for key in reprocess.within_rate(keys, rate):
                    kept = problems[key].input if key in problems else None
                    text = reprocess.input_of(self.stack, key, kept, force=self.force)
                    self.started.append(reprocess.start(self.stack, key, text))
                    progress.advance(starts)
                if wait:
                    ended = reprocess.follow(
                        self.stack, self.started, lambda _: progress.advance(ends)
                    )
            except KeyboardInterrupt:
                self._interrupted(len(keys))
                raise
        return ended

    def _interrupted(self, total: int) -> None:
        text = (
            f"interrupted: {len(self.started)} of {total} executions were started and go on; "
            "`tablekeeper status` shows how many still run"
        )
        self.context.err.print(text, markup=False)


def _shown_plan(keys: Sequence[str], problems: dict[str, Problem]) -> list[RenderableType]:
    from tablekeeper_cli.terminal.showing import outcome, plain, plural
    from tablekeeper_cli.terminal.tables import Column, Table

    shown = Table(
        "status", Column("error", goes=1, least=12), Column("file", least=30, middle=True)
    )
    for key in keys:
        problem = problems.get(key)
        shown.add_row(
            outcome(problem.status) if problem else "",
            plain(problem.error) if problem else "",
            plain(key),
        )
    return [f"{plural(len(keys), 'file')} would be reprocessed", "", shown]


def _shown_ends(
    started: Sequence[StartedExecution],
    ended: Sequence[ExecutionEnd],
    outcomes: Counter[str],
    *,
    wait: bool,
) -> list[RenderableType]:
    from tablekeeper_cli.terminal.showing import outcome, plain, plural
    from tablekeeper_cli.terminal.tables import Column, Table

    if not wait:
        return [plain(f"{plural(len(started), 'execution')} started")]
    counts = Table("outcome", Column("files", number=True))
    for name, count in outcomes.most_common():
        counts.add_row(outcome(name), f"{count:,}")
    bad = [each for each in ended if each.is_bad]
    if not bad:
        return [counts if ended else plain("nothing to reprocess", "green")]
    again = Table(
        "outcome",
        Column("error", goes=2, least=12),
        Column("file", least=30, middle=True),
        Column("says", goes=1, least=30, wraps=True),
    )
    for each in bad[:SHOWN]:
        says = (each.message or "").partition("\n")[0]
        again.add_row(outcome(each.outcome), plain(each.error), plain(each.key), plain(says))
    rest = len(bad) - SHOWN
    more = [f"and {plural(rest, 'more file')}: `tablekeeper failures`"] if rest > 0 else []
    return [counts, "", again, *more]


def list_events(
    context: Context,
    limit: Limit = 100,
) -> None:
    """Events that could not start an execution.

    Exit code 1 if the failed events queue is not empty.
    """
    from tablekeeper_cli.executions import failed_events

    others = failed_events.OtherReaders(context.stack)
    waiting = failed_events.waiting(context.stack, limit + 1 if limit else MOST)
    events, more = waiting[: limit or None], 0 < limit < len(waiting)
    listed = [
        {
            **{name: value for name, value in vars(each).items() if name != "receipt"},
            "body": nested(each.body),
        }
        for each in events
    ]
    held = others.held()
    context.answer(
        {"events": listed, "more": more, "held": held},
        lambda: _shown_events(events, held, more=more),
    )
    if events or held:
        raise typer.Exit(DIFFERENT)


failed_events = group(list_events, examples=("events", "events redrive"))
app.add_typer(failed_events, name="events")


def _held(events: int) -> Text:
    from tablekeeper_cli.terminal.showing import plain, plural

    are = "is" if events == 1 else "are"
    text = f"{plural(events, 'event')} {are} held by another reader, for two minutes at most"
    return plain(text, "bold red")


def _shown_events(events: Sequence[Any], held: int, *, more: bool = False) -> list[RenderableType]:
    from tablekeeper_cli.terminal.showing import moment_ago, plain, utc
    from tablekeeper_cli.terminal.tables import Column, Table

    if not events:
        return [_held(held) if held else plain("no event waits", "green")]
    shown = Table(
        Column("sent", goes=3),
        Column("age", goes=2, number=True),
        Column("file", least=24, middle=True),
        Column("event", goes=1, least=14),
        Column("why it could not start", least=22, wraps=True),
    )
    for each in events:
        shown.add_row(
            utc(each.sent),
            moment_ago(each.sent),
            plain(each.key),
            plain(each.reason),
            plain(each.error),
        )
    return [shown, *([AND_MORE] if more else [])]


@command(failed_events, "events redrive --limit 1", "events redrive")
def redrive(
    context: Context,
    limit: Annotated[
        int | None, typer.Option(min=1, max=MOST, metavar="N", help="Start so many at most.")
    ] = None,
    rate: Rate = 10,
) -> None:
    """Starts an execution for each event of the queue.

    It removes only those events that started one. Exit code 1 if an event stays.
    """
    from tablekeeper_cli.executions import failed_events

    others = failed_events.OtherReaders(context.stack)
    done: list[failed_events.Redrive] = []
    with context.progress() as progress:
        task = progress.add_task("events", total=limit)
        for each in failed_events.redrive(context.stack, rate, limit):
            done.append(each)
            progress.advance(task)
    stay, held = [each for each in done if each.problem], others.held()
    data = {
        "started": len(done) - len(stay),
        "stay": len(stay),
        "held": held,
        "events": [
            {"key": each.event.key, "execution": each.execution, "problem": each.problem}
            for each in done
        ],
    }
    context.answer(data, lambda: _shown_redriven(done, stay, held))
    if stay or held:
        raise typer.Exit(DIFFERENT)


def _shown_redriven(done: Sequence[Any], stay: Sequence[Any], held: int) -> list[RenderableType]:
    from tablekeeper_cli.terminal.showing import plain, plural
    from tablekeeper_cli.terminal.tables import Column, Table

    started = plain(f"{plural(len(done) - len(stay), 'execution')} started")
    summary: list[RenderableType] = [started, _held(held)] if held else [started]
    if not stay:
        return summary
    shown = Table(
        Column("file", least=24, middle=True), Column("why it stays", least=22, wraps=True)
    )
    for each in stay:
        shown.add_row(plain(each.event.key), plain(each.problem))
    return [*summary, "", shown]
