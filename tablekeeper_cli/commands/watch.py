"""`watch`: outcomes as they come."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from tablekeeper_cli.terminal import completion
from tablekeeper_cli.terminal.context import UNLIMITED, Context, command, group
from tablekeeper_cli.terminal.text import json_text

if TYPE_CHECKING:
    from rich.text import Text

    from tablekeeper_cli.executions.outcomes import LeftOut, Outcome

app = group()


@command(app, "watch", "watch products/ --problems", "watch --json")
def watch(
    context: Context,
    prefix: Annotated[
        str,
        typer.Argument(
            metavar="PREFIX",
            help="Only keys that begin so.",
            autocompletion=completion.keys,
            show_default=False,
        ),
    ] = "",
    problems: Annotated[
        bool, typer.Option("--problems", help="Only files that have a problem.")
    ] = False,
    lines: Annotated[
        int, typer.Option(min=0, max=1000, metavar="N", help="Begin with the newest N outcomes.")
    ] = 10,
) -> None:
    """Follows the outcomes of executions as they come, until Ctrl-C.

    What a run in bulk did has no execution of its own and is not here: `history KEY` has it. With
    --json each line is an object.
    """
    from dataclasses import asdict

    from tablekeeper_cli.executions.outcomes import Watch

    for each in Watch(context.stack, prefix=prefix, problems=problems).follow(lines):
        if context.json:
            typer.echo(json_text(asdict(each)))
        else:
            context.out.print(_line(each, context), soft_wrap=True)
        context.flush()


def _line(each: Outcome | LeftOut, context: Context) -> Text:
    from rich.text import Text

    from tablekeeper_cli.executions.outcomes import LeftOut
    from tablekeeper_cli.terminal.showing import duration, outcome, plain, plural
    from tablekeeper_cli.terminal.tables import cut

    width, bucket = context.out.width, context.stack.bucket
    if isinstance(each, LeftOut):
        count = plural(each.left_out, "outcome")
        return Text(f"... {count} left out: more came than can be read", "yellow")
    line = Text().append(f"{each.at[11:19]}Z  ", "dim")
    line.append_text(outcome(each.outcome))
    line.append(" " * max(1, 11 - len(each.outcome)))
    took = duration(each.seconds)
    room = max(width - len(line.plain) - len(took) - 2, 16)
    line.append_text(cut(plain(each.key), room, middle=True))
    line.append(f"  {took}", "dim")
    if each.error:
        message = (each.message or "").partition("\n")[0]
        message = message.removeprefix(f"s3://{bucket}/{each.key}: ")
        indent = "" if width == UNLIMITED else "\n" + " " * 11
        why = plain(f"{each.error}: {message}" if message else each.error)
        line.append(indent or "  ")
        line.append_text(cut(why, max(width - 11, 16), middle=False))
    return line
