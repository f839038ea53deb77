"""`status`, `history` and `item`: what is in the table, and where it came from."""

from __future__ import annotations

import typer

from tablekeeper_cli.context import Context, add_command


def add_to(app: typer.Typer) -> None:
    """Adds the commands of this subject."""
    add_command(app, status)


def status(context: Context) -> None:
    """Counts the files by outcome."""
    context.answer(context.stack.outputs, lambda: str(context.stack))
