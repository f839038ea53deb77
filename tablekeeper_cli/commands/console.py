"""`console`: pages to look at a stack with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from tablekeeper_cli.errors import CommandError
from tablekeeper_cli.terminal.context import Context, command, group

if TYPE_CHECKING:
    from socket import socket

app = group()

PORT, LISTENS = 8765, 128


@command(app, "console --open", "console --port 0")
def console(
    context: Context,
    port: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=65535,
            metavar="N",
            help=f"The port on 127.0.0.1; 0 takes any.  [default: {PORT}, or any if it is taken]",
            show_default=False,
        ),
    ] = None,
    look: Annotated[bool, typer.Option("--open", help="Open it in a browser.")] = False,
) -> None:
    """Serves read-only pages on 127.0.0.1, until Ctrl-C."""
    from tablekeeper_cli.web.app import serve

    def show(address: str) -> None:
        context.answer({"address": address}, lambda: f"{address} (Ctrl-C ends it)")
        context.flush()
        if look:
            import webbrowser

            webbrowser.open(address)

    serve(context.unguarded_stack, _listener(port), show)


def _listener(port: int | None) -> socket:
    """A socket that is bound to the port. Raises CommandError.

    It is bound here, once: between a look whether a port is free and a bind it can be taken.
    """
    import socket

    for each in (PORT, 0) if port is None else (port,):
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", each))
            # Two sockets may be bound to a port with this option; one of them may listen.
            listener.listen(LISTENS)
        except OSError as error:
            listener.close()
            reason = error.strerror or str(error)
        else:
            return listener
    raise CommandError(f"port {port}: {reason}; choose another by --port")
