"""`console`: pages to look at a stack with."""

from __future__ import annotations

from typing import Annotated

import typer

from tablekeeper_cli.terminal.context import Context, add_command

PORT = 8765


def add_to(app: typer.Typer) -> None:
    """Adds the command of this subject."""
    add_command(app, console, examples=("console --open", "console --port 0"))


def console(
    context: Context,
    port: Annotated[
        int, typer.Option(min=0, max=65535, metavar="N", help="The port on 127.0.0.1; 0 takes any.")
    ] = PORT,
    look: Annotated[bool, typer.Option("--open", help="Open it in a browser.")] = False,
) -> None:
    """Serves read-only pages on 127.0.0.1, until Ctrl-C."""
    from tablekeeper_cli.errors import CommandError
    from tablekeeper_cli.web.app import serve

    def tell(address: str) -> None:
        context.answer({"address": address}, lambda: f"{address} (Ctrl-C ends it)")
        context.flush()
        if look:
            import webbrowser

            webbrowser.open(address)

    try:
        serve(context.stack, port, tell)
    except OSError as error:
        raise CommandError(
            f"port {port}: {error.strerror or error}; choose another by --port"
        ) from None
