"""`status` and `history`: what is in the table, what became of a file, and what runs now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer
from tablekeeper.model.outcome import NO_DATASET

from tablekeeper_cli.commands.choice import AND_MORE, Key, Limit, not_empty
from tablekeeper_cli.errors import UnknownError
from tablekeeper_cli.terminal import completion
from tablekeeper_cli.terminal.context import Context, command, group
from tablekeeper_cli.terminal.text import nested

if TYPE_CHECKING:
    from rich.console import RenderableType

    from tablekeeper_cli.executions.running import Progress
    from tablekeeper_cli.ledger.files import File
    from tablekeeper_cli.ledger.history import Event

app = group()

RUNNING = "RUNNING"
NEVER_LEFT_OUT = ("FAILED", "INVALID", "PARTIAL", "INCOMPLETE", "SYNCED")


@command(app, "status", "status products/tools.json")
def status(
    context: Context,
    key: Annotated[
        str | None,
        typer.Argument(
            metavar="KEY",
            help="An object's key; all files without it.",
            autocompletion=completion.keys,
            callback=not_empty,
        ),
    ] = None,
) -> None:
    """What is in the table: all files by outcome, or one file."""
    if key is None:
        _status_of_all(context)
        return
    from tablekeeper_cli.ledger import files

    now = _running(context, key)
    file = files.file(context.stack, key, runs=bool(now))
    running = [{**vars(each), "event": nested(each.event)} for each in now]
    data = {**vars(file), "running": running}
    if now:
        data["status"] = RUNNING
    if file.problem:
        data["problem"] = {**vars(file.problem), "input": nested(file.problem.input)}
    context.answer(data, lambda: _shown_file(file, now))


def _running(context: Context, key: str) -> list[Progress]:
    from tablekeeper_cli.executions import running

    stack = context.stack
    return [running.progress(stack, each) for each in running.of_file(stack, key)]


def _status_of_all(context: Context) -> None:
    from tablekeeper_cli.executions import bucket_runs, running
    from tablekeeper_cli.ledger import files
    from tablekeeper_cli.terminal.showing import STYLES

    counts = files.counts(context.stack) + files.counts_of_no_object(context.stack)
    work, runs = running.work(context.stack), bucket_runs.last(context.stack)
    statuses = sorted({each for each, _ in counts}, key=list(STYLES).index)
    datasets = sorted({dataset for _, dataset in counts})
    data = {
        "stack": context.stack.name,
        "files": {
            dataset: {each: counts[each, dataset] for each in statuses if counts[each, dataset]}
            for dataset in datasets
        },
        "running_executions": work.running,
        "running_executions_at_least": work.running_at_least,
        "oldest_running_execution": work.oldest_running,
        "failed_events": work.failed_events,
        "last_run": runs.newest,
        "last_whole_run": runs.whole,
    }

    context.answer(data, lambda: _shown_files(data, statuses))


def _shown_files(data: dict[str, Any], statuses: list[str]) -> list[RenderableType]:
    from tablekeeper_cli.executions import bucket_runs
    from tablekeeper_cli.terminal.showing import outcome, plain, plural, when
    from tablekeeper_cli.terminal.tables import Column, Fields, Table

    counts, events = data["files"], data["failed_events"]
    runs = bucket_runs.LastRuns(data["last_run"], data["last_whole_run"]).shown
    shown = Table(
        Column("dataset", least=10, middle=True),
        *(
            Column(each, number=True, goes=0 if each in NEVER_LEFT_OUT else 1 + place)
            for place, each in enumerate(statuses)
        ),
    )
    shown.header[1:] = map(outcome, statuses)
    for dataset, numbers in counts.items():
        cells = (f"{numbers[each]:,}" if each in numbers else "" for each in statuses)
        shown.add_row(plain("no dataset" if dataset == NO_DATASET else dataset), *cells)
    if len(counts) > 1:
        sums = (sum(each.get(status, 0) for each in counts.values()) for status in statuses)
        shown.add_row("all", *(f"{number:,}" for number in sums), style="bold")
    more = "more than " if data["running_executions_at_least"] else ""
    since = data["oldest_running_execution"]
    oldest = f", the oldest since {when(since)}" if since else ""
    lines = Fields(
        [
            ("running", f"{more}{plural(data['running_executions'], 'execution')}{oldest}"),
            ("failed events", plain(plural(events, "event"), "bold red" if events else "")),
            *zip(("last run", "last whole run"), map(_shown_run, runs), strict=False),
        ]
    )
    return [shown if counts else "no files yet", "", lines]


def _shown_run(run: dict[str, Any]) -> RenderableType:
    from tablekeeper_cli.executions import bucket_runs
    from tablekeeper_cli.terminal.showing import plain

    return plain(bucket_runs.sentence(run), "bold red" if bucket_runs.is_bad(run) else "")


def _shown_file(file: File, now: list[Progress]) -> list[RenderableType]:
    from tablekeeper_cli.commands.failures import shown_problem
    from tablekeeper_cli.terminal.showing import outcome, plain, plural, size, when
    from tablekeeper_cli.terminal.tables import Fields

    items = "many" if file.items is None else f"{file.items:,}"
    of_items = file.outcome and file.status != file.outcome
    shown: list[tuple[str, Any]] = [
        ("file", file.key),
        ("status", outcome(RUNNING if now else file.status)),
        *(("now", plain(f"{each.sentence}; since {when(each.started)}")) for each in now),
        *(("by", each.execution) for each in now[:1]),
        ("before", outcome(file.status) if now and file.status != RUNNING else None),
        ("items are", outcome(file.outcome) if of_items and file.outcome else None),
        ("dataset", file.dataset),
        ("items", items if file.outcome else None),
        ("set aside", plural(file.set_aside, "bad record") if file.set_aside else None),
        ("version", file.version_id),
        ("etag", file.etag),
        ("size", size(file.size)),
        ("modified", when(file.last_modified) if file.last_modified else None),
        ("committed", when(file.committed_at) if file.committed_at else None),
        ("execution", file.execution),
        ("being written by", file.writing),
        ("incomplete since", when(file.incomplete_since) if file.incomplete_since else None),
        ("revision", str(file.revision) if file.revision else None),
    ]
    about = Fields(shown)
    return [about, "", *shown_problem(file.problem)] if file.problem else [about]


@command(app, "history products/tools.json", "history products/tools.json --wide")
def history(
    context: Context,
    key: Key,
    limit: Limit = 50,
) -> None:
    """Every event of a file: when, who, and what came of it.

    Executions that run come first, then those that have ended, the newest start first.
    """
    from tablekeeper_cli.ledger import history as ledger_history

    running = [_event(each) for each in _running(context, key)]
    ended = list(ledger_history.history(context.stack, key, limit + 1 if limit else None))
    more = 0 < limit < len(ended)
    events = [*running, *ended[: limit or None]]
    if not events:
        raise UnknownError(f"no execution of {key} runs or has ended, or its audit rows expired")
    listed = [{**vars(each), "event": nested(each.event)} for each in events]
    context.answer({"events": listed, "more": more}, lambda: _shown_history(events, more=more))


def _event(now: Progress) -> Event:
    from tablekeeper_cli.ledger import history as ledger_history

    event = ledger_history.event_of(now.execution, now.started, RUNNING, now.event)
    event.details.update({"state": now.sentence})
    return event


def _shown_history(events: list[Event], *, more: bool = False) -> list[RenderableType]:
    from tablekeeper_cli.terminal.showing import outcome, plain, utc
    from tablekeeper_cli.terminal.tables import Column, Table

    shown = Table(
        "ended",
        "outcome",
        Column("what", least=20),
        Column("version", goes=4),
        Column("event", goes=3, least=14),
        Column("who", goes=1, least=16),
        Column("execution", goes=2, least=9, middle=True),
        Column("requester", goes=5, least=12, middle=True),
    )
    for each in events:
        running = each.outcome == RUNNING
        put, removed, kept = (
            each.details.get(name) for name in ("items_put", "items_removed", "items_kept")
        )
        what = each.details.get("state" if running else "error")
        if what is None:
            what = f"+{put} -{removed}" if put is not None else ""
            what += f" ={kept}" if kept else ""
            aside = each.details.get("set_aside")
            what += f", set aside: {aside}" if aside else ""
        version = each.details.get("version_id") or each.details.get("etag") or ""
        who, requester = _who(each)
        shown.add_row(
            f"since {each.at[11:19]}Z" if running else utc(each.at),
            outcome(each.outcome),
            plain(what),
            plain(str(version)[:12]),
            plain(each.reason),
            plain(who),
            plain(each.execution.rpartition(":")[2]),
            plain(requester),
        )
    return [shown, *([AND_MORE] if more else [])]


def _who(event: Event) -> tuple[str, str]:
    """What started an execution, by a person's name alone; and who that is in full, or who asked
    S3 for the change.
    """
    started, by, arn = event.who.partition(" by arn:")
    if not by:
        return event.who, event.requester
    return f"{started} by {arn.rpartition('/')[2].rpartition(':')[2]}", f"arn:{arn}"
