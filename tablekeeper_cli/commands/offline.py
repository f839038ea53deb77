"""`plan --offline`: files and schemas without a stack."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tablekeeper_cli.terminal.context import Context
from tablekeeper_cli.terminal.text import LONGEST, printable

if TYPE_CHECKING:
    from rich.console import RenderableType

    from tablekeeper_cli.plan.offline import OfflinePlanner
    from tablekeeper_cli.plan.plan import Plan
    from tablekeeper_cli.plan.planned_item import PlannedItem

SHOWN = 40
"""How many violations and refused items of a file a person is shown."""


def plan_files(
    context: Context,
    planner: OfflinePlanner,
    files: Sequence[tuple[Path, str]],
    *,
    all_items: bool,
) -> bool:
    """Plans files under their keys, and shows each. Whether all of them would be in the table."""
    fine = [True]

    def plans() -> Iterator[tuple[Path, Plan]]:
        for path, key in files:
            with closing(planner.of_file(path, key)) as made:
                fine[0] &= made.fine
                yield path, made

    if context.json:
        context.write_json([("files", (_data(path, made) for path, made in plans()))])
    else:
        for path, made in plans():
            for part in _shown(path, made, all_items):
                context.out.print(part, soft_wrap=True, markup=False)
    return fine[0]


def _data(path: Path, made: Plan) -> dict[str, Any]:
    ledger = ("revision", "now", "counts")
    return {
        "file": str(path),
        **{name: value for name, value in made.about().items() if name not in ledger},
        "violations": [each.data() for each in made.violations()],
        "items": [asdict(each) for each in made.items()],
    }


def _shown(path: Path, made: Plan, all_items: bool) -> Iterator[RenderableType]:
    from rich.text import Text
    from tablekeeper.errors import NoDatasetError

    from tablekeeper_cli.terminal.showing import plural
    from tablekeeper_cli.terminal.tables import Fields

    count = made.counts["put"]
    same = path.as_posix() == made.key
    line = Text(printable(str(path) if same else f"{path} as {made.key}"))
    line.append(": ").append(made.outcome, "bold green" if made.fine else "bold red")
    yield line.append(f" ({plural(count, 'item')})" if made.is_written else "")
    if made.error:
        yield Text(f"{made.error}: {printable(_local(made.cause), 4 * LONGEST)}")
    if made.error == NoDatasetError.__name__:
        yield Text("--key KEY says under which key the file is to be uploaded")
    for text in (*made.assumptions, *made.warnings):
        yield Text(f"assumed: {printable(text)}" if text in made.assumptions
                   else f"warning: {printable(text)}", "dim")  # fmt: skip
    for violation in islice(made.violations(), SHOWN):
        yield Text(f"! {printable(str(violation), 2 * LONGEST)}")
    refused = (each for each in made.items() if each.action == "refused")
    for item in islice(refused, SHOWN):
        yield Text(f"! {_refusal(item)}")
    rest = made.violation_count + made.counts["refused"] - SHOWN
    if rest > 0:
        yield Text(f"... and {rest:,} more; --json has all")
    put = (each for each in made.items() if each.action == "put" and each.item)
    if all_items:
        for item in put:
            yield Text(printable(json.dumps(item.item, ensure_ascii=False)))
        return
    for item in islice(put, 1):
        attributes = (item.item or {}).items()
        yield Fields([(f"    {name}", _text(value)) for name, value in sorted(attributes)])
        if count > 1:
            yield Text(f"    ... and {plural(count - 1, 'more item')}: --items shows all", "dim")


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _refusal(item: PlannedItem) -> str:
    key = printable(_text(item.key))
    if item.also is not None:
        return f"record {item.record}, item {key}: record {item.also} has the same key"
    return f"record {item.record}, item {key}: it belongs to {printable(_local(item.owner))}"


def _local(text: str | None) -> str:
    """The text without the bucket, which there is not."""
    from tablekeeper_cli.plan.offline import BUCKET

    return (text or "").replace(f"s3://{BUCKET}/", "")
