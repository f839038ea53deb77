"""`trace`: the path of an execution through its states."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tablekeeper_cli.terminal.context import Context, add_command

if TYPE_CHECKING:
    from rich.console import RenderableType

    from tablekeeper_cli.executions.traces import Trace


def add_to(app: typer.Typer) -> None:
    """Adds the command of this subject."""
    add_command(app, trace)


def trace(
    context: Context,
    what: Annotated[
        str,
        typer.Argument(
            metavar="KEY|EXECUTION",
            help="An object's key, for its newest execution; or an execution's name or ARN.",
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
    """The path of an execution through its states: how long each took, what was tried again, what
    failed where.
    """
    from tablekeeper_cli.executions import traces

    found = traces.read(context.stack, what, data=data)
    if html or look:
        from tablekeeper_cli.web.pages import trace_page

        page = html or _temporary(found.name)
        page.write_text(trace_page(found), encoding="utf-8")
        context.err.print(f"written: {page}", markup=False)
        if look:
            import webbrowser

            webbrowser.open(page.resolve().as_uri())
        if not context.json:
            return
    context.answer({**vars(found), "definition": None}, lambda: _shown(found))


def _temporary(name: str) -> Path:
    """A file for a browser to read after the command has ended."""
    import tempfile

    return Path(tempfile.mkdtemp(prefix="tablekeeper-")) / f"{name}.html"


def _first_line(text: str | None) -> str:
    return (text or "").partition("\n")[0]


def _shown(found: Trace) -> RenderableType:
    from rich.console import Group

    from tablekeeper_cli.terminal.showing import duration, fields, outcome, table, told, when

    about = fields(
        [
            ("file", found.key or "the input names none"),
            ("status", outcome(found.status)),
            ("execution", found.execution),
            ("started", when(found.started)),
            ("took", duration(found.seconds)),
            ("redrives", str(found.redrives) if found.redrives else None),
            ("error", told(found.error, "bold") if found.error else None),
            ("in state", found.failed_in),
            ("AWS console", found.console_url),
        ]
    )
    numbers = ("took", "input", "output")
    shown = table("state", "ended", *numbers, "error", numbers=numbers)
    for visit in found.visits:
        shown.add_row(
            told(visit.state),
            outcome(visit.status),
            duration(visit.seconds),
            *(
                "" if size is None else f"{size:,} B"
                for size in (visit.input_bytes, visit.output_bytes)
            ),
            told(visit.error or ""),
        )
        if len(visit.attempts) > 1:
            for number, each in enumerate(visit.attempts, start=1):
                waited = f", after {duration(each.waited)}" if each.waited else ""
                shown.add_row(
                    told(f"  attempt {number}{waited}", "dim"),
                    outcome(each.status),
                    duration(each.seconds),
                    "",
                    "",
                    told(": ".join(filter(None, (each.error, _first_line(each.cause))))),
                )
    parts: list[RenderableType] = [about, "", shown]
    if found.cause:
        parts += ["", told(found.cause)]
    for visit in found.visits:
        for name, text in (("input", visit.input), ("output", visit.output)):
            if text is not None:
                parts += ["", told(f"{visit.state}, {name}", "bold"), told(text)]
    return Group(*parts)
