"""`reprocess`, `events` and `events redrive`: new executions."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tablekeeper_cli.commands.failures import (
    Dataset,
    Error,
    Prefix,
    Since,
    Status,
    checked,
    moment,
)
from tablekeeper_cli.ledger import problems as ledger_problems
from tablekeeper_cli.terminal.context import Context, add_command, group

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import RenderableType

    from tablekeeper_cli.executions.reprocess import Ended, Started
    from tablekeeper_cli.executions.swaps import Swap
    from tablekeeper_cli.ledger.problems import Problem

Rate = Annotated[float, typer.Option(min=0.01, help="Executions to start a second, at most.")]
SHOWN = 30


def add_to(app: typer.Typer) -> None:
    """Adds the commands of this subject."""
    add_command(app, reprocess)
    failed_events = group(list_events)
    add_command(failed_events, redrive)
    app.add_typer(failed_events, name="events")


def reprocess(
    context: Context,
    keys: Annotated[list[str] | None, typer.Argument(metavar="[KEY]...", help="Objects.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Every file that has a problem.")] = False,
    status: Status = None,
    error: Error = None,
    dataset: Dataset = None,
    since: Since = None,
    prefix: Prefix = "",
    force: Annotated[
        bool, typer.Option("--force", help="Write even what is unchanged: items edited by hand.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would start.")] = False,
    rate: Rate = 10,
    wait: Annotated[bool, typer.Option(help="Wait for the ends and tell them.")] = True,
) -> None:
    """Starts new executions for files, from the inputs that the ledger keeps, and tells how each
    ends. It is always safe: an execution looks at the bucket as it is now.

    Files that wait for each other's items are a swap: the smaller one lets its items go first.
    Exit code 1 if a file still has a problem.
    """
    from tablekeeper_cli.errors import DIFFERENT, UsageError

    chosen = bool(every or status or error or dataset or since or prefix)
    if bool(keys) == chosen:
        raise UsageError(
            "name keys, or choose files that have a problem: --all, --status, --error, --dataset, "
            "--since, --prefix"
        )
    stack = context.stack
    if keys:
        named = [stack.key(stack.uri(each)) for each in dict.fromkeys(keys)]
    else:
        found = ledger_problems.failures(
            stack,
            status=checked(status),
            error=error,
            dataset=dataset,
            since=moment(since),
            prefix=prefix,
        )
        named = [each.key for each in found]
    run = _Run(context, force)
    problems = run.read_problems(named)
    swaps = run.find_swaps(problems)
    in_swaps = {key for swap in swaps for key in swap.keys}
    alone = [key for key in named if key not in in_swaps]
    if dry_run:
        data: dict[str, Any] = {"files": alone, "swaps": [swap.keys for swap in swaps]}
        context.answer(data, lambda: _shown_plan(alone, swaps, problems))
        return
    ended = run.start(alone, problems, rate, wait) + run.break_swaps(swaps)
    outcomes = Counter(each.outcome for each in ended)
    data = {
        "started": len(run.started),
        "outcomes": dict(outcomes),
        "files": ended if wait else run.started,
    }
    context.answer(data, lambda: _shown_ends(run.started, ended, outcomes, wait=wait))
    if any(each.is_bad for each in ended):
        raise typer.Exit(DIFFERENT)


class _Run:
    """One reprocessing: what was started, and how it ended."""

    def __init__(self, context: Context, force: bool) -> None:
        self.context, self.stack, self.force = context, context.stack, force
        self.started: list[Started] = []

    def read_problems(self, keys: Sequence[str]) -> dict[str, Problem]:
        """The problems of these files; a file without one has none."""

        with self.context.progress() as progress:
            return {
                each.key: each
                for each in ledger_problems.problems(
                    self.stack, progress.track(keys, description="reading the ledger")
                )
            }

    def find_swaps(self, problems: dict[str, Problem]) -> list[Swap]:
        """The swaps that these files are part of."""
        from tablekeeper_cli.executions.swaps import find_swap

        swaps: list[Swap] = []
        for key, problem in problems.items():
            if problem.owner and not any(key in swap.keys for swap in swaps):
                swap = find_swap(self.stack, problem)
                swaps += [swap] if swap else []
        return swaps

    def start(
        self, keys: Sequence[str], problems: dict[str, Problem], rate: float, wait: bool
    ) -> list[Ended]:
        """Starts an execution for each file, and waits for the ends."""
        from tablekeeper_cli.executions import reprocess

        ended: list[Ended] = []
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

    def break_swaps(self, swaps: Sequence[Swap]) -> list[Ended]:
        """Ends each swap; the files' last ends."""
        from tablekeeper_cli.executions.swaps import break_swap
        from tablekeeper_cli.terminal.showing import clean

        ended: list[Ended] = []
        for swap in swaps:
            names = ", ".join(map(clean, swap.keys))
            self.context.err.print(f"a swap: {names}", markup=False, style="yellow")
            begun = break_swap(self.stack, swap, self.started.append)
            ended += begun
        return ended

    def _interrupted(self, total: int) -> None:
        text = (
            f"interrupted: {len(self.started)} of {total} executions were started and go on; "
            "`tablekeeper status` shows how many still run"
        )
        self.context.err.print(text, markup=False)


def _shown_plan(
    alone: Sequence[str], swaps: Sequence[Swap], problems: dict[str, Problem]
) -> RenderableType:
    from rich.console import Group

    from tablekeeper_cli.terminal.showing import outcome, plural, table, told

    total = len(alone) + sum(len(swap.keys) for swap in swaps)
    shown = table("status", "error", "file")
    for key in alone:
        problem = problems.get(key)
        shown.add_row(
            outcome(problem.status) if problem else "",
            told(problem.error) if problem else "",
            told(key),
        )
    lines = [
        told(f"a swap, {swap.keys[0]} lets its items go first: {', '.join(swap.keys)}", "yellow")
        for swap in swaps
    ]
    return Group(f"{plural(total, 'file')} would be reprocessed", "", shown, *lines)


def _shown_ends(
    started: Sequence[Started], ended: Sequence[Ended], outcomes: Counter[str], *, wait: bool
) -> RenderableType:
    from rich.console import Group

    from tablekeeper_cli.terminal.showing import outcome, plural, table, told

    if not wait:
        return told(f"{plural(len(started), 'execution')} started")
    counts = table("outcome", "files", numbers=["files"])
    for name, count in outcomes.most_common():
        counts.add_row(outcome(name), f"{count:,}")
    bad = [each for each in ended if each.is_bad]
    if not bad:
        return counts if ended else told("nothing to reprocess", "green")
    again = table("outcome", "error", "file", "says")
    for each in bad[:SHOWN]:
        says = (each.message or "").partition("\n")[0]
        again.add_row(outcome(each.outcome), told(each.error), told(each.key), told(says))
    rest = len(bad) - SHOWN
    more = [f"and {plural(rest, 'more file')}: `tablekeeper failures`"] if rest > 0 else []
    return Group(counts, "", again, *more)


def list_events(
    context: Context,
    limit: Annotated[int, typer.Option(min=1, help="Show so many.")] = 100,
) -> None:
    """What the failed events queue holds. Exit code 1 if it is not empty."""
    from tablekeeper_cli.errors import DIFFERENT
    from tablekeeper_cli.executions import failed_events

    found = failed_events.waiting(context.stack, limit)
    context.answer(
        [{**vars(each), "receipt": None} for each in found],
        lambda: _shown_events(found),
    )
    if found:
        raise typer.Exit(DIFFERENT)


def _shown_events(found: Sequence[Any]) -> RenderableType:
    from tablekeeper_cli.terminal.showing import table, told, when

    if not found:
        return told("no event waits", "green")
    shown = table("sent", "file", "event", "why it could not start")
    for each in found:
        shown.add_row(when(each.sent), told(each.key), told(each.reason), told(each.error))
    return shown


def redrive(
    context: Context,
    limit: Annotated[int | None, typer.Option(min=1, help="Start so many at most.")] = None,
    rate: Rate = 10,
) -> None:
    """Starts an execution for each event of the failed events queue, and removes only those events
    that started one. Exit code 1 if an event stays.
    """
    from tablekeeper_cli.errors import DIFFERENT
    from tablekeeper_cli.executions import failed_events

    done: list[failed_events.Redriven] = []
    with context.progress() as progress:
        task = progress.add_task("events", total=limit)
        for each in failed_events.redrive(context.stack, rate, limit):
            done.append(each)
            progress.advance(task)
    stay = [each for each in done if each.problem]
    data = {
        "started": len(done) - len(stay),
        "stay": len(stay),
        "events": [
            {"key": each.event.key, "execution": each.execution, "problem": each.problem}
            for each in done
        ],
    }
    context.answer(data, lambda: _shown_redriven(done, stay))
    if stay:
        raise typer.Exit(DIFFERENT)


def _shown_redriven(done: Sequence[Any], stay: Sequence[Any]) -> RenderableType:
    from rich.console import Group

    from tablekeeper_cli.terminal.showing import plural, table, told

    summary = told(f"{plural(len(done) - len(stay), 'execution')} started")
    if not stay:
        return summary
    shown = table("file", "why it stays")
    for each in stay:
        shown.add_row(told(each.event.key), told(each.problem))
    return Group(summary, "", shown)
