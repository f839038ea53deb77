"""`status`, `history` and `item`: what is in the table, and where it came from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from tablekeeper_cli.executions import running
from tablekeeper_cli.ledger import history as ledger_history
from tablekeeper_cli.ledger import items
from tablekeeper_cli.terminal.context import Context, add_command

if TYPE_CHECKING:
    from rich.console import RenderableType

    from tablekeeper_cli.ledger.files import File
    from tablekeeper_cli.ledger.history import Event


def add_to(app: typer.Typer) -> None:
    """Adds the commands of this subject."""
    for command in (status, history, item):
        add_command(app, command)


def status(
    context: Context,
    key: Annotated[
        str | None, typer.Argument(help="An object's key; all files without it.")
    ] = None,
) -> None:
    """What is in the table: all files by outcome, or one file."""
    from tablekeeper_cli.ledger import files

    if key is None:
        _status_of_all(context)
        return
    found = files.file(context.stack, key)
    context.answer(found, lambda: _shown_file(found))


def _status_of_all(context: Context) -> None:
    from tablekeeper_cli.executions import bucket_runs
    from tablekeeper_cli.ledger import files
    from tablekeeper_cli.terminal.showing import (
        STYLES,
        fields,
        outcome,
        plural,
        table,
        told,
        when,
    )

    counts = files.counts(context.stack)
    work, run = running.work(context.stack), bucket_runs.last(context.stack)
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
        "last_run": run,
    }

    def show() -> RenderableType:
        from rich.console import Group
        from rich.text import Text

        shown = table("dataset", *statuses, numbers=statuses)
        for dataset in datasets:
            numbers = (counts[each, dataset] for each in statuses)
            shown.add_row(told(dataset), *(f"{number:,}" if number else "" for number in numbers))
        if len(datasets) > 1:
            sums = (sum(counts[each, dataset] for dataset in datasets) for each in statuses)
            shown.add_row("all", *(f"{number:,}" for number in sums), style="bold")
        for column, each in zip(shown.columns[1:], statuses, strict=True):
            column.header = outcome(each)
        more = "more than " if work.running_at_least else ""
        oldest = f", the oldest since {when(work.oldest_running)}" if work.oldest_running else ""
        waiting = plural(work.failed_events, "event")
        bad = "bold red" if run and bucket_runs.is_bad(run) else ""
        last_run = told(bucket_runs.sentence(run), bad) if run else None
        lines = fields(
            [
                ("running", f"{more}{plural(work.running, 'execution')}{oldest}"),
                ("failed events", told(waiting, "bold red" if work.failed_events else "")),
                ("last run", last_run),
            ]
        )
        return Group(shown if datasets else Text("no files yet"), "", lines)

    context.answer(data, show)


def _shown_file(found: File) -> RenderableType:
    from rich.console import Group

    from tablekeeper_cli.commands.failures import shown_problem
    from tablekeeper_cli.terminal.showing import fields, outcome, size, when

    items = "many" if found.items is None else f"{found.items:,}"
    of_items = found.outcome and found.problem
    shown: list[tuple[str, Any]] = [
        ("file", found.key),
        ("status", outcome(found.status)),
        ("items are", outcome(found.outcome) if of_items and found.outcome else None),
        ("dataset", found.dataset),
        ("items", items if found.outcome else None),
        ("version", found.version_id),
        ("etag", found.etag),
        ("size", size(found.size)),
        ("modified", when(found.last_modified) if found.last_modified else None),
        ("committed", when(found.committed_at) if found.committed_at else None),
        ("execution", found.execution),
        ("being written by", found.writing),
        ("incomplete since", when(found.incomplete_since) if found.incomplete_since else None),
        ("revision", str(found.revision)),
    ]
    about = fields(shown)
    return Group(about, "", shown_problem(found.problem)) if found.problem else about


def history(
    context: Context,
    key: Annotated[str, typer.Argument(help="An object's key.")],
    limit: Annotated[int, typer.Option(min=1, help="Show so many, the newest first.")] = 50,
) -> None:
    """Every event of a file: when, who, which version, what came of it, and by which execution."""
    from tablekeeper_cli.errors import UnknownError

    events = list(ledger_history.history(context.stack, key, limit))
    if not events:
        raise UnknownError(f"no execution of {key} has ended, or its audit rows have expired")
    context.answer(events, lambda: _shown_history(events))


def _shown_history(events: list[Event]) -> RenderableType:
    from tablekeeper_cli.terminal.showing import outcome, table, told

    shown = table("ended", "outcome", "items", "version", "event", "who", "execution")
    for each in events:
        put, removed = (each.details.get(name) for name in ("items_put", "items_removed"))
        error = each.details.get("error")
        shown.add_row(
            each.at[:19].replace("T", " ") + "Z",
            outcome(each.outcome),
            told(error) if error else told(f"+{put} -{removed}" if put is not None else ""),
            told((each.details.get("version_id") or each.details.get("etag") or "")[:12]),
            told(each.reason),
            told(each.requester),
            told(each.execution.rpartition(":")[2]),
        )
    return shown


def item(
    context: Context,
    pk: Annotated[str, typer.Argument(metavar="PK", help="The value of the partition key.")],
    sk: Annotated[
        str | None, typer.Argument(metavar="[SK]", help="The value of the sort key.")
    ] = None,
) -> None:
    """Where an item came from: the file, its version and the execution that wrote it."""

    if sk is None and items.has_sort_key(context.stack):
        keys = items.items_of_partition(context.stack, pk)
        if len(keys) > 1:
            context.answer(keys, lambda: _shown_keys(keys))
            return
        sk = list(keys[0].values())[1]
    found = items.item(context.stack, pk, sk)
    context.answer(found, lambda: _shown_item(found))


def _shown_keys(keys: list[dict[str, str]]) -> RenderableType:
    from rich.console import Group

    from tablekeeper_cli.terminal.showing import table, told

    names = list(keys[0])
    shown = table(*names)
    for each in keys:
        shown.add_row(*(told(each[name]) for name in names))
    return Group(f"{len(keys)} items have this partition key; name the sort key, too", "", shown)


def _shown_item(found: Any) -> RenderableType:
    import json

    from rich.console import Group
    from rich.text import Text

    from tablekeeper_cli.terminal.showing import fields, told

    if found.lineage:
        names = ("key", "version_id", "etag", "dataset", "execution", "time")
        shown = [(name.replace("_", " "), found.lineage.get(name)) for name in names]
        lineage: RenderableType = fields([("file" if n == "key" else n, v) for n, v in shown])
    else:
        lineage = Text("Tablekeeper did not write this item: it has no _source", style="red")
    attributes = fields(
        [
            (told(name).plain, json.dumps(value, ensure_ascii=False))
            for name, value in sorted(found.attributes.items())
        ]
    )
    return Group(lineage, "", attributes)
