"""`verify`: the proof that the table equals the bucket, or what is in its way."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any

import typer

from tablekeeper_cli.commands.choice import Schemas
from tablekeeper_cli.commands.plan import load_catalogue
from tablekeeper_cli.errors import DIFFERENT, CommandError, UsageError
from tablekeeper_cli.terminal.context import Context, command, group
from tablekeeper_cli.terminal.text import LONGEST, json_line, printable

if TYPE_CHECKING:
    from rich.text import Text

    from tablekeeper_cli.verify.findings import Finding
    from tablekeeper_cli.verify.verification import Verification
    from tablekeeper_cli.verify.verifier import Summary, Verifier

app = group()

SHOWN = 40
"""How many findings a person is shown."""
TYPES = {
    "S": "string",
    "N": "number",
    "B": "binary",
    "BOOL": "boolean",
    "NULL": "null",
    "M": "map",
    "L": "list",
    "SS": "string set",
    "NS": "number set",
    "BS": "binary set",
}


@command(app, "verify", "verify --prefix products/ --report found.jsonl")
def verify(
    context: Context,
    prefix: Annotated[
        str, typer.Option(metavar="P", help="Only files whose keys begin so, and their items.")
    ] = "",
    schemas: Schemas = Path("schemas"),
    report: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write every finding to it, one a line.")
    ] = None,
    values: Annotated[
        bool, typer.Option("--values", help="Show values, and not just where they differ.")
    ] = False,
    settle: Annotated[
        float, typer.Option(min=0, metavar="SECONDS", help="How long to wait for files under way.")
    ] = 60,
    concurrency: Annotated[
        int, typer.Option(min=1, max=32, metavar="N", help="Objects looked at side by side.")
    ] = 8,
) -> None:
    """Proves that table == bucket, or shows the differences.

    Derives every item again from the bucket and compares it with the table. Writes nothing. Exit
    code 0: table == bucket. 1: they differ, or the ledger does.
    """
    from tablekeeper_cli.ledger import files
    from tablekeeper_cli.verify.verifier import Verifier

    catalogue = load_catalogue(schemas)
    with ExitStack() as open_files:
        file = open_files.enter_context(_writable(report)) if report else None
        verifier = Verifier.of(
            context.stack,
            catalogue,
            prefix=prefix,
            settle_seconds=settle,
            concurrency=concurrency,
        )
        verification = _verified(context, verifier)
        summary = verification.summary
        if not (summary.files or summary.differences):
            files.check_prefix(context.stack, prefix)
        if file:
            for each in verification.findings():
                file.write(json.dumps(_data(each, values), ensure_ascii=False) + "\n")
        if context.json:
            data = (_data(each, values) for each in verification.findings())
            context.write_json([*asdict(summary).items(), ("findings", data)])
        else:
            for line in _lines(summary, verification, values, report):
                context.out.print(line, soft_wrap=True)
    if summary.differences:
        raise typer.Exit(DIFFERENT)


def _writable(path: Path) -> IO[str]:
    try:
        return path.open("w", encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{printable(str(path))}: {error.strerror}") from None


def _verified(context: Context, verifier: Verifier) -> Verification:
    from tablekeeper import aws
    from tablekeeper.errors import DatasetDefinitionError, TransientServiceError

    from tablekeeper_cli.verify import verification

    tasks: dict[str, Any] = {}
    try:
        with aws.clients_by(context.stack.client), context.progress() as progress:

            def show(stage: str, done: int) -> None:
                if stage not in tasks:
                    tasks[stage] = progress.add_task(stage, total=None)
                progress.advance(tasks[stage], done)

            return verification.verify(verifier, show)
    except TransientServiceError as error:
        raise CommandError(f"{error}; try again") from None
    except DatasetDefinitionError as error:
        raise CommandError(f"{error}. `tablekeeper schemas check` says more") from None


def _data(finding: Finding, values: bool) -> dict[str, Any]:
    """A finding in JSON; without `values`, the type of a value stands in its place."""
    shown = (lambda value: value) if values else _type
    return {
        "kind": finding.kind,
        "is_difference": finding.is_difference,
        "file": finding.file,
        "item": finding.item,
        "detail": finding.detail,
        "changes": [
            {"path": each.path, "expected": shown(each.after), "found": shown(each.before)}
            for each in finding.changes
        ],
    }


def _type(value: Any) -> str | None:
    return None if value is None else TYPES.get(next(iter(value)), "unknown")


def _lines(
    summary: Summary, verification: Verification, values: bool, report: Path | None
) -> Iterator[Text]:
    from rich.text import Text

    from tablekeeper_cli.terminal.showing import plural

    count = sum(summary.kinds.values())
    for each in islice(verification.findings(), SHOWN):
        yield _line(each, values)
    if count > SHOWN:
        where = f"{printable(str(report))} has all" if report else "--report FILE has all"
        yield Text(f"... and {count - SHOWN:,} more; {where}")
    counts = dict(summary.problems)
    partial = counts.pop("PARTIAL", 0)
    notes = [f"{partial:,} PARTIAL: compared with their good records"] if partial else []
    if counts:
        named = ", ".join(f"{number:,} {status}" for status, number in counts.items())
        notes.insert(0, f"{named}: compared with what was committed last")
    bad = f" ({'; '.join(notes)})" if notes else ""
    yield Text(f"{plural(summary.files, 'file')} in the bucket{bad}")
    expired = f", {summary.expired:,} expired and gone" if summary.expired else ""
    yield Text(
        f"{plural(summary.items, 'item')} derived from them, {summary.held:,} in the table{expired}"
    )
    if summary.kinds:
        yield Text(", ".join(f"{number:,} {kind}" for kind, number in summary.kinds.items()))
    if summary.conflicts:
        refused = plural(summary.conflicts, "file")
        yield Text(f"{refused} refused for an item of another file: tablekeeper failures")
    if summary.differences:
        different = plural(summary.differences, "difference")
        yield Text(f"table != bucket: {different}", "bold red")
    else:
        yield Text("table == bucket", "bold green")


def _line(finding: Finding, values: bool) -> Text:
    from rich.text import Text

    line = Text(finding.kind, "red" if finding.is_difference else "yellow")
    line.append(f" {printable(finding.file)}" if finding.file else "", "default")
    if finding.item:
        line.append(f" item {json_line(finding.item)}", "default")
    if finding.detail:
        line.append(f": {printable(finding.detail, 2 * LONGEST)}", "default")
    for each in finding.changes:
        after, before = (
            json_line(side) if values else _type(side) or "nothing"
            for side in (each.after, each.before)
        )
        where = printable(each.path, LONGEST)
        line.append(f"\n    {where}: expected {after}, found {before}", "default")
    return line
