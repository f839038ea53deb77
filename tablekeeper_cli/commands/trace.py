"""`trace`: the path of an execution through its states."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tablekeeper_cli.commands.choice import not_empty
from tablekeeper_cli.errors import UsageError
from tablekeeper_cli.terminal import completion
from tablekeeper_cli.terminal.context import Context, command, group
from tablekeeper_cli.terminal.text import nested, printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import RenderableType

    from tablekeeper_cli.executions.traces import Trace

app = group()


@command(
    app,
    "trace products/tools.json",
    "trace products/tools.json --open",
    "trace reprocess-20260131T120000-0123456789ab --data",
)
def trace(
    context: Context,
    what: Annotated[
        str,
        typer.Argument(
            metavar="KEY|EXECUTION",
            help="An object's key, for its newest execution; or an execution's name or ARN.",
            autocompletion=completion.keys,
            callback=not_empty,
        ),
    ],
    html: Annotated[
        Path | None, typer.Option(help="Write a page with graph and timeline.", metavar="FILE")
    ] = None,
    look: Annotated[bool, typer.Option("--open", help="Open that page in a browser.")] = False,
    data: Annotated[
        bool, typer.Option("--data", help="With the states' inputs and outputs: the documents.")
    ] = False,
) -> None:
    """The path of an execution through its states.

    How long each took, what was tried again and why, and what failed where.
    """
    from tablekeeper_cli.executions import traces

    execution = traces.read(context.stack, what, data=data)
    if html or look:
        from tablekeeper_cli.web.pages import trace_page

        page = html or _temporary(execution.name)
        try:
            page.write_text(trace_page(execution), encoding="utf-8")
        except OSError as error:
            raise UsageError(f"{printable(str(page))}: {error.strerror}") from None
        context.err.print(f"written: {page}", markup=False)
        if look:
            import webbrowser

            webbrowser.open(page.resolve().as_uri())
        if not context.json:
            return
    context.answer(_data(execution), lambda: _shown(execution))


def _data(trace: Trace) -> dict[str, Any]:
    """A trace in JSON: the definition, which is long, is left out, and text that is JSON nested."""
    shown = {name: value for name, value in vars(trace).items() if name != "definition"}
    visits = [
        {**vars(each), "input": nested(each.input), "output": nested(each.output)}
        for each in trace.visits
    ]
    return {**shown, "event": nested(trace.event), "visits": visits}


def _temporary(name: str) -> Path:
    """A file for a browser to read after the command has ended."""
    import tempfile

    return Path(tempfile.mkdtemp(prefix="tablekeeper-")) / f"{name}.html"


def _shown(trace: Trace) -> list[RenderableType]:
    from tablekeeper_cli.terminal.showing import duration, outcome, plain, when
    from tablekeeper_cli.terminal.tables import Fields

    about = Fields(
        [
            ("file", trace.key or "the input names none"),
            ("status", outcome(trace.status)),
            ("execution", trace.execution),
            ("started", when(trace.started)),
            ("took", duration(trace.seconds) if trace.stopped else None),
            ("redrives", str(trace.redrives) if trace.redrives else None),
            ("error", plain(trace.error, "bold") if trace.error else None),
            ("in state", trace.failed_in),
            ("AWS console", trace.console_url),
        ]
    )
    parts: list[RenderableType] = [about, "", _states(trace)]
    for reason in _reasons(trace):
        parts += ["", plain(reason)]
    if trace.cause:
        parts += ["", plain(trace.cause)]
    for visit in trace.visits:
        for name, text in (("input", visit.input), ("output", visit.output)):
            if text is not None:
                parts += ["", plain(f"{visit.state}, {name}", "bold"), plain(text)]
    return parts


def _states(trace: Trace) -> RenderableType:
    from tablekeeper_cli.executions.visits import attempts_by_error
    from tablekeeper_cli.terminal.showing import duration, outcome, plain
    from tablekeeper_cli.terminal.tables import Column, Table

    shown = Table(
        Column("state", least=16),
        "ended",
        Column("took", goes=1, number=True),
        Column("input", goes=3, number=True),
        Column("output", goes=2, number=True),
        Column("error", least=20, middle=True),
    )
    for visit in trace.visits:
        sizes = (visit.input_bytes, visit.output_bytes)
        shown.add_row(
            plain(visit.state),
            outcome(visit.status),
            duration(visit.seconds) if visit.exited else "so far",
            *("" if size is None else f"{size:,} B" for size in sizes),
            plain(visit.error or ""),
        )
        if len(visit.attempts) == 1 and visit.exited:
            continue
        for each in attempts_by_error(visit.attempts):
            shown.add_row(
                plain(f"  {each.sentence}", "dim"),
                outcome(each.status),
                duration(each.seconds),
                "",
                "",
                plain(each.error or ""),
            )
    return shown


def _reasons(trace: Trace) -> Iterator[str]:
    """Why attempts failed, each reason once, but for what ended the execution."""
    from tablekeeper_cli.executions.visits import attempts_by_error

    said = {trace.cause}
    for visit in trace.visits:
        for each in attempts_by_error(visit.attempts):
            if each.cause and each.cause not in said:
                said.add(each.cause)
                yield f"{visit.state}, {each.sentence}: {each.error}: {each.cause}"
