"""`plan`: what a file, or a changed schema, would do to the table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tablekeeper_cli.commands.choice import MOST, Schemas
from tablekeeper_cli.commands.schemas import DEFAULT_KEY, parsed_key
from tablekeeper_cli.errors import DIFFERENT, CommandError, UnknownError, UsageError
from tablekeeper_cli.terminal import completion
from tablekeeper_cli.terminal.context import Context, command, group
from tablekeeper_cli.terminal.text import LONGEST, json_line, printable

if TYPE_CHECKING:
    from rich.text import Text
    from tablekeeper.datasets.catalogue import Catalogue

    from tablekeeper_cli.plan.plan import Plan
    from tablekeeper_cli.plan.planned_item import PlannedItem

app = group()

SHOWN = 40
"""How many items, violations or objects a person is shown."""
SIGNS = {"put": "+", "changed": "~", "unchanged": "=", "removed": "-", "refused": "!"}
STYLES = {"put": "green", "changed": "yellow", "removed": "red", "refused": "bold red"}


@command(
    app,
    "plan tools.json --key products/tools.json",
    "plan --key products/tools.json",
    "plan --dataset products --schemas ../changed/schemas",
    "plan --offline --schemas schemas samples/products/*.json",
)
def plan(
    context: Context,
    files: Annotated[
        list[Path] | None,
        typer.Argument(metavar="FILE", help="A local file, as if it were uploaded."),
    ] = None,
    key: Annotated[
        str | None,
        typer.Option(
            metavar="KEY",
            help="The key of FILE; or of an object in the bucket.",
            autocompletion=completion.keys,
        ),
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="All files that belong to a dataset, or did.",
            autocompletion=completion.datasets,
        ),
    ] = None,
    schemas: Schemas = Path("schemas"),
    offline: Annotated[
        bool,
        typer.Option("--offline", help="FILEs alone, without a stack, into an empty table."),
    ] = False,
    items: Annotated[
        bool, typer.Option("--items", help="With --offline: every item, not just the first.")
    ] = False,
    item_keys: Annotated[
        str | None,
        typer.Option(metavar="KEYS", help=f"With --offline: the table's key.  [{DEFAULT_KEY}]"),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(
            min=1, max=MOST, metavar="N", help="With --dataset: look at so many objects at most."
        ),
    ] = None,
    concurrency: Annotated[
        int,
        typer.Option(
            min=1, max=32, metavar="N", help="With --dataset: objects looked at side by side."
        ),
    ] = 8,
) -> None:
    """Shows what a file or a schema would do, and does nothing.

    With --offline it needs no stack: it validates FILEs and shows their items. The key of a file is
    the end of its path that belongs to a dataset, or --key.

    Exit code 0: the table would be as the bucket is. 1: something would be refused.
    """
    for each in files or ():
        if not each.is_file():
            raise UsageError(f"{printable(str(each))} is no file")
    catalogue = load_catalogue(schemas)
    if offline:
        if not files or dataset or limit or (key and len(files) > 1):
            raise UsageError("give --offline FILE..., or --offline FILE --key KEY")
        from tablekeeper_cli.commands.offline import plan_files
        from tablekeeper_cli.plan.offline import OfflinePlanner

        offline_planner = OfflinePlanner.with_keys(catalogue, parsed_key(item_keys))
        named = [(each, key or offline_planner.key_of(each)) for each in files]
        if not plan_files(context, offline_planner, named, all_items=items):
            raise typer.Exit(DIFFERENT)
        return
    if items or item_keys:
        raise UsageError("--items and --item-keys need --offline; --json has every item")
    if (files and not key) or bool(key) == bool(dataset) or (limit and not dataset):
        raise UsageError("give FILE --key KEY, or --key KEY, or --dataset NAME [--limit N]")
    if files and len(files) > 1:
        raise UsageError("several FILEs need --offline")
    file = files[0] if files else None
    if dataset and dataset not in catalogue.datasets:
        names = ", ".join(sorted(catalogue.datasets)) or "none"
        raise UnknownError(f"{schemas} has no dataset {printable(dataset)}; it has {names}")
    from tablekeeper import aws
    from tablekeeper.errors import TransientServiceError

    from tablekeeper_cli.plan.dataset import plans_of_dataset
    from tablekeeper_cli.plan.planner import Planner

    planner = Planner.of(context.stack, catalogue)
    where = str(schemas.resolve())
    try:
        with aws.clients_by(context.stack.client):
            if dataset:
                plans = plans_of_dataset(planner, dataset, limit=limit, concurrency=concurrency)
                fine = _all(context, dataset, plans, limit, where)
            else:
                key = str(key).removeprefix(context.stack.address)
                made = planner.of_file(file, key) if file else planner.of_object(key)
                fine = _one(context, made, where)
    except TransientServiceError as error:
        raise CommandError(f"{error}; try again") from None
    if not fine:
        raise typer.Exit(DIFFERENT)


def load_catalogue(folder: Path) -> Catalogue:
    """The datasets of a folder. Raises CommandError and UsageError."""
    from tablekeeper.datasets.catalogue import Catalogue
    from tablekeeper.errors import DatasetDefinitionError

    if not folder.is_dir():
        raise UsageError(f"there is no folder {folder}; name one with --schemas DIR")
    try:
        return Catalogue.load(folder)
    except DatasetDefinitionError as error:
        raise CommandError(f"{error}. `tablekeeper schemas check {folder}` says more") from None


def _one(context: Context, made: Plan, schemas: str) -> bool:
    if context.json:

        def members() -> Iterator[tuple[str, Any]]:
            yield from made.about().items()
            yield "schemas", schemas
            yield "violations", (each.data() for each in made.violations())
            yield "items", (asdict(each) for each in made.items())

        context.write_json(members())
    else:
        for line in _lines(made, schemas):
            context.out.print(line, soft_wrap=True)
    made.close()
    return made.fine


def _lines(made: Plan, schemas: str) -> Iterator[Text]:
    from rich.text import Text

    counts = ", ".join(f"{count:,} {action}" for action, count in made.counts.items() if count)
    line = Text(f"{printable(made.key)}: would be ")
    line.append(made.outcome, "bold green" if made.fine else "bold red")
    yield line.append(f" ({counts or 'no items'})")
    if made.error:
        yield Text(f"{made.error}: {printable(made.cause or '', 4 * LONGEST)}")
    shown = f"{made.now} at revision {made.revision}" if made.now else "not in the ledger"
    yield Text(f"now: {shown}; dataset: {made.dataset or 'none'}; schemas: {schemas}", "dim")
    for assumption in made.assumptions:
        yield Text(f"assumed: {printable(assumption)}", "dim")
    for warning in made.warnings:
        yield Text(f"warning: {printable(warning)}", "yellow")
    yield from _first(made.violation_count, (Text(f"! {each}") for each in _violations(made)))
    different = (each for each in made.items() if each.action != "unchanged")
    count = sum(count for action, count in made.counts.items() if action != "unchanged")
    yield from _first(count, (_item(each) for each in different))


def _violations(made: Plan) -> Iterator[str]:
    for each in made.violations():
        yield printable(str(each), 2 * LONGEST)


def _first(count: int, lines: Iterator[Text]) -> Iterator[Text]:
    from rich.text import Text

    for _, line in zip(range(SHOWN), lines, strict=False):
        yield line
    if count > SHOWN:
        yield Text(f"... and {count - SHOWN:,} more; --json has all")


def _item(each: PlannedItem) -> Text:
    from rich.text import Text

    style = STYLES.get(each.action, "")
    line = Text(f"{SIGNS[each.action]} {each.action} {json_line(each.key)}", style)
    if each.record is not None:
        line.append(f" record {each.record}", "dim")
    if each.also is not None:
        line.append(f": record {each.also} has the same key", "default")
    elif each.action == "refused":
        owner = printable(each.owner) if each.owner else "no file of Tablekeeper"
        line.append(f": it belongs to {owner}", "default")
    for change in each.changes:
        before, after = json_line(change.before), json_line(change.after)
        line.append(f"\n    {printable(change.path, LONGEST)}: {before} -> {after}", "default")
    return line


def _all(
    context: Context, dataset: str, plans: Iterator[Plan], limit: int | None, schemas: str
) -> bool:
    total = _Total()
    with context.progress() as progress:
        task = progress.add_task(f"{dataset}: objects", total=limit)

        def counted() -> Iterator[Plan]:
            for made in plans:
                total.add(made)
                progress.advance(task)
                yield made

        if context.json:

            def members() -> Iterator[tuple[str, Any]]:
                yield "dataset", dataset
                yield "schemas", schemas
                yield "objects", (made.about() for made in counted())
                yield "summary", total.summary()

            context.write_json(members())
        else:
            parts = [_object(made) for made in counted() if total.is_shown(made)]
    if not context.json:
        _show_all(context, dataset, schemas, total, parts)
    return total.fine


def _show_all(
    context: Context, dataset: str, schemas: str, total: _Total, parts: list[Text]
) -> None:
    from rich.text import Text

    for line in parts:
        context.out.print(line, soft_wrap=True)
    if total.different > len(parts):
        context.out.print(f"... and {total.different - len(parts):,} more; --json has all")
    counts = ", ".join(f"{count:,} {name}" for name, count in total.outcomes.items())
    lines = [f"{dataset}: {counts or 'no objects in the bucket'}; schemas: {schemas}"]
    items = ", ".join(f"{count:,} {name}" for name, count in total.items.items() if count)
    lines.append(f"items: {items or 'none'}")
    lines += [f"{total.now_bad:,} now invalid, {total.now_good:,} now valid"]
    context.out.print(Text("\n".join(lines)), soft_wrap=True)


class _Total:
    """What the plans of many objects come to."""

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()
        self.items: Counter[str] = Counter()
        self.now_bad = self.now_good = self.different = 0
        self.fine = True

    def add(self, made: Plan) -> None:
        self.outcomes[made.outcome] += 1
        self.items.update(made.counts)
        self.fine &= made.fine
        self.now_bad += not made.fine and not made.was_bad
        self.now_good += made.fine and made.was_bad
        self.different += _is_different(made)

    def is_shown(self, made: Plan) -> bool:
        return _is_different(made) and self.different <= SHOWN

    def summary(self) -> dict[str, Any]:
        return {
            "outcomes": self.outcomes,
            "items": self.items,
            "now_invalid": self.now_bad,
            "now_valid": self.now_good,
        }


def _is_different(made: Plan) -> bool:
    changed = any(made.counts[action] for action in ("put", "changed", "removed"))
    return changed or not made.fine or made.was_bad


def _object(made: Plan) -> Text:
    from rich.text import Text

    counts = ", ".join(f"{count:,} {action}" for action, count in made.counts.items() if count)
    line = Text(f"{printable(made.key)}: ")
    line.append(made.outcome, "green" if made.fine else "red")
    line.append(f" (now {made.now or 'unknown'}; {counts or 'no items'})")
    if made.error:
        line.append(f" {made.error}: {printable(made.cause or '', LONGEST)}")
    return line
