"""`schemas check`: what is wrong with the files in schemas/."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tablekeeper_cli.errors import DIFFERENT, UsageError
from tablekeeper_cli.terminal.context import Context, command, group
from tablekeeper_cli.terminal.text import printable

if TYPE_CHECKING:
    from rich.text import Text
    from tablekeeper.model.keys import TableKey

    from tablekeeper_cli.schemas.finding import Finding

app = group()
schemas = group(help="Checks the files in schemas/.", examples=("schemas check",))
app.add_typer(schemas, name="schemas")

DEFAULT_KEY = "pk:S,sk:S"
"""The items table's key by the template's own parameters."""


@command(schemas, "schemas check", "schemas check ../my/schemas --item-keys id:S")
def check(
    context: Context,
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="The folder of the dataset files.")
    ] = Path("schemas"),
    item_keys: Annotated[
        str | None,
        typer.Option(
            metavar="KEYS",
            help=f"The items table's key; {DEFAULT_KEY}, or that of the stack that is named.",
        ),
    ] = None,
) -> None:
    """Shows everything that is wrong with the files in schemas/.

    It needs no stack. Exit code 0: no errors, perhaps warnings. 1: errors.
    """
    from tablekeeper_cli.schemas.check import check
    from tablekeeper_cli.schemas.finding import ERROR
    from tablekeeper_cli.terminal.showing import plural

    if not folder.is_dir():
        raise UsageError(f"there is no folder {printable(str(folder))}")
    key, ttl_attribute = _table(context, item_keys)
    findings = check(folder, key, ttl_attribute)
    errors = sum(each.severity == ERROR for each in findings)
    if context.json:
        data = {
            "folder": str(folder),
            "item_keys": str(key),
            "errors": errors,
            "findings": findings,
        }
        context.answer(data, lambda: None)
    else:
        for line in _lines(findings):
            context.out.print(line, soft_wrap=True)
        counts = f"{plural(errors, 'error')}, {plural(len(findings) - errors, 'warning')}"
        context.out.print(f"{printable(str(folder))}: {counts}", markup=False)
    if errors:
        raise typer.Exit(DIFFERENT)


def parsed_key(item_keys: str | None) -> TableKey:
    """The key that `--item-keys` names, or the template's own. Raises UsageError."""
    from tablekeeper.model.keys import TableKey

    try:
        return TableKey.parse(item_keys or DEFAULT_KEY)
    except ValueError:
        raise UsageError(
            f"--item-keys takes one or two of name:type, type S or N, as {DEFAULT_KEY}"
        ) from None


def _table(context: Context, item_keys: str | None) -> tuple[TableKey, str]:
    """The key of the items table, and the name of its TTL attribute."""
    if not (context.stack_name or context.local):
        return parsed_key(item_keys), "expires_at"
    if item_keys:
        raise UsageError("give --item-keys, or name a stack, whose keys are taken")
    from tablekeeper_cli.compare.target import table_key

    parameters = context.stack.parameters
    return table_key(parameters), parameters["TtlAttribute"]


def _lines(findings: list[Finding]) -> Iterator[Text]:
    from rich.text import Text

    for each in findings:
        line = Text(f"{printable(each.file)}{printable(each.pointer and ' ' + each.pointer)}: ")
        line.append(each.severity, "bold red" if each.severity == "error" else "yellow")
        line.append(f": {printable(each.what)}")
        yield line.append(f"\n    {printable(each.advice)}", "dim")
