"""What commands share: the stack, and answers for people and for scripts."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, wraps
from inspect import Parameter, Signature, get_annotations, signature
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tablekeeper_cli.stack import Stack
from tablekeeper_cli.terminal.help import PANEL, Command
from tablekeeper_cli.terminal.text import json_text

if TYPE_CHECKING:
    from threading import Event

    from rich.console import Console, RenderableType
    from rich.progress import Progress

UNLIMITED = 1_000_000
"""The width of a pipe, a file, and of `--wide`: nothing is cut and no line is broken."""


@dataclass
class Context:
    """The options that every command takes, and what follows from them."""

    stack_name: str | None = None
    local: bool = False
    region: str | None = None
    profile: str | None = None
    json: bool = False
    wide: bool = False
    unguarded: Event | None = None

    def close(self) -> None:
        """The command has ended: its engine may end, too."""
        if self.unguarded:
            self.unguarded.set()

    @cached_property
    def stack(self) -> Stack:
        """The stack that the options name; a local engine is guarded while the command runs.

        Raises CommandError.
        """
        stack = self.unguarded_stack
        self.unguarded = stack.guard_engine()
        return stack

    @cached_property
    def unguarded_stack(self) -> Stack:
        """The same for what outlives its engine. Raises CommandError."""
        stack = Stack.find(
            self.stack_name, local=self.local, region=self.region, profile=self.profile
        )
        if stack.by_default and self.err.is_terminal and not self.json:
            self.err.print(f"on the local engine {stack.endpoint_url}", style="dim", markup=False)
        return stack

    @cached_property
    def out(self) -> Console:
        """Where answers for people go."""
        from rich.console import Console

        console = Console(highlight=False)
        if self.wide or not console.is_terminal:
            console.width = UNLIMITED
        return console

    @cached_property
    def err(self) -> Console:
        """Where progress and warnings go, so that an answer can be piped."""
        from rich.console import Console

        return Console(stderr=True, highlight=False)

    def answer(
        self, data: Any, show: Callable[[], RenderableType | list[RenderableType] | None]
    ) -> None:
        """Prints the data as JSON with `--json`, else what `show` makes of it, part by part.

        Dataclasses, sets, times, bytes and Decimals in the data become JSON's types; text from
        files is never markup.
        """
        if self.json:
            sys.stdout.write(json_text(data, default=json_value, indent=2) + "\n")
            return
        shown = show()
        for part in shown if isinstance(shown, list) else [shown]:
            if part is not None:
                self.out.print(part, markup=False, soft_wrap=self.out.width == UNLIMITED)

    def write_json(self, members: Iterable[tuple[str, Any]]) -> None:
        """Prints an object as JSON, member by member; one that is an iterator as an array, element
        by element, so that it may be long.
        """
        write, end = sys.stdout.write, "{"
        for name, value in members:
            write(f"{end}\n  {json.dumps(name)}: ")
            end = ","
            if isinstance(value, Iterator):
                before = "["
                for each in value:
                    write(f"{before}\n    {json_text(each, default=json_value)}")
                    before = ","
                write("[]" if before == "[" else "\n  ]")
            else:
                write(json_text(value, default=json_value))
        write("\n}\n")

    def flush(self) -> None:
        """What was answered is out, though the command goes on."""
        sys.stdout.flush()

    @contextmanager
    def progress(self) -> Iterator[Progress]:
        """A progress display on standard error: none with `--json`, or without a terminal."""
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
        from rich.progress import TimeElapsedColumn as Elapsed

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), Elapsed())
        hidden = self.json or not self.err.is_terminal
        with Progress(*columns, console=self.err, disable=hidden, transient=True) as progress:
            yield progress


def json_value(value: Any) -> Any:
    """What json.dumps writes for a value of another type than JSON's; bytes are in base64."""
    from base64 import b64encode
    from datetime import datetime
    from decimal import Decimal

    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, set | frozenset):
        return sorted(value)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bytes):
        return b64encode(value).decode()
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    raise TypeError(f"{type(value).__name__} has no form in JSON")


OPTIONS: dict[str, Any] = {
    "stack_name": Annotated[
        str | None,
        typer.Option("--stack", metavar="NAME", help="A stack on AWS.", rich_help_panel=PANEL),
    ],
    "local": Annotated[
        bool,
        typer.Option(
            "--local",
            help="The engine of `make up`: the default beside a .local/stack.json.",
            rich_help_panel=PANEL,
        ),
    ],
    "region": Annotated[
        str | None, typer.Option(metavar="REGION", help="Its region.", rich_help_panel=PANEL)
    ],
    "profile": Annotated[
        str | None, typer.Option(metavar="NAME", help="Credentials.", rich_help_panel=PANEL)
    ],
    "json": Annotated[bool, typer.Option("--json", help="Answer in JSON.", rich_help_panel=PANEL)],
    "wide": Annotated[
        bool, typer.Option("--wide", help="Every column, nothing cut.", rich_help_panel=PANEL)
    ],
}
"""The options of every command: the fields of `Context`."""


def command(
    app: typer.Typer, *examples: str, **settings: Any
) -> Callable[[Callable[..., None]], Any]:
    """Adds a function as a command, with the options of `Context`, which is its first argument.
    Examples are what stands behind `tablekeeper`, settings those of Typer's.
    """

    def add(function: Callable[..., None]) -> Callable[..., None]:
        app.command(cls=Command, epilog=_epilog(examples), **settings)(_with_options(function))
        return function

    return add


def group(
    default: Callable[..., None] | None = None, *, examples: Sequence[str] = (), **settings: Any
) -> typer.Typer:
    """An application to add commands to, or a group of them; `default` is what the group does when
    no command of it is named.
    """
    app = typer.Typer(
        no_args_is_help=default is None,
        rich_markup_mode=None,
        epilog=_epilog(examples),
        **settings,
    )
    if default:
        app.callback(invoke_without_command=True)(_with_options(default, is_group=True))
    return app


def _epilog(examples: Sequence[str]) -> str | None:
    r"""Examples as lines: `\b` keeps a paragraph from being filled."""
    lines = [f"  tablekeeper {each}" for each in examples]
    return "\n".join(("\b", "Examples:", *lines)) if lines else None


def _with_options(function: Callable[..., None], *, is_group: bool = False) -> Callable[..., None]:
    hints = get_annotations(function, eval_str=True)
    own = list(signature(function).parameters.values())[1:]
    defaults = {field.name: field.default for field in dataclasses.fields(Context)}
    parameters = [
        *(parameter.replace(annotation=hints[parameter.name]) for parameter in own),
        *(
            Parameter(name, Parameter.KEYWORD_ONLY, default=defaults[name], annotation=annotation)
            for name, annotation in OPTIONS.items()
        ),
    ]
    if is_group:
        called = Parameter("called", Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
        parameters.insert(0, called)

    @wraps(function)
    def command(called: typer.Context | None = None, **values: Any) -> None:
        if called is None or called.invoked_subcommand is None:
            context = Context(**{name: values.pop(name) for name in OPTIONS})
            try:
                function(context, **values)
            finally:
                context.close()

    command.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {each.name: each.annotation for each in parameters}
    return command
