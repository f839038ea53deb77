"""The command: its subjects put together, and errors turned into messages and exit codes."""

from __future__ import annotations

import os
import sys
from typing import Annotated, NoReturn

from tablekeeper_cli.errors import INTERRUPTED, UNREACHABLE, USAGE, CommandError, UsageError


def _end(message: str, code: int) -> NoReturn:
    try:
        sys.stdout.flush()
    except OSError:
        _drop_output()
    print(f"tablekeeper: {message}", file=sys.stderr)
    sys.exit(code)


def _drop_output() -> None:
    """What is left of the output goes nowhere: Python would fail to write it when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


try:
    import typer

    from tablekeeper_cli.commands import (
        bucket,
        console,
        env,
        failures,
        items,
        plan,
        reprocess,
        schemas,
        smoke,
        status,
        trace,
        verify,
        watch,
    )
    from tablekeeper_cli.terminal.context import group
    from tablekeeper_cli.terminal.text import is_utf8, printable
except KeyboardInterrupt:  # they take a third of a second
    _end("interrupted", INTERRUPTED)

app = group(
    name="tablekeeper",
    add_completion=True,
    examples=("status --stack my-stack", "failures", "trace products/tools.json"),
    pretty_exceptions_enable=False,
)


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(f"tablekeeper {version('tablekeeper')}")
        raise typer.Exit


@app.callback()
def _tablekeeper(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Sees what a stack of Tablekeeper did, why, and puts it right."""


for subject in (
    status,
    watch,
    items,
    failures,
    reprocess,
    trace,
    bucket,
    verify,
    plan,
    schemas,
    smoke,
    console,
    env,
):
    app.add_typer(subject.app)


def main() -> None:
    """Runs one command; an error ends it with a message and its exit code."""
    try:
        _check_arguments()
        _run()
    except CommandError as error:
        _end(str(error), error.exit_code)
    except KeyboardInterrupt:
        _end("interrupted", INTERRUPTED)
    except BrokenPipeError:
        # The reader of the output has closed it: `tablekeeper failures | head`.
        _drop_output()
        sys.exit(0)
    except Exception as error:
        if isinstance(error, OSError) and isinstance(error.filename, str) and error.strerror:
            _end(f"{printable(error.filename)}: {error.strerror}", USAGE)
        # Some of botocore's are OSErrors, too.
        from botocore.exceptions import BotoCoreError, ClientError

        if isinstance(error, BotoCoreError | ClientError):
            _end(str(error), UNREACHABLE)
        if isinstance(error, OSError) and error.strerror:  # the output: a full disk
            _end(error.strerror, UNREACHABLE)
        raise


def _run() -> None:
    """The command, and its output to the end: what fails when Python ends has no handler."""
    try:
        app(prog_name="tablekeeper")
    except SystemExit:
        sys.stdout.flush()
        raise


def _check_arguments() -> None:
    """Raises UsageError for an argument that no service and no output could take."""
    for each in sys.argv:
        if not is_utf8(each):
            raise UsageError(f"an argument is no UTF-8: {printable(each)}")
