"""`smoke`: a first hour on a stack, point by point."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from tablekeeper_cli.errors import DIFFERENT, UsageError
from tablekeeper_cli.terminal.context import Context, command, group

app = group()

STYLES = {"held": "green", "broken": "bold red", "not reached": "yellow"}


@command(app, "smoke --write-dataset schemas", "smoke --stack my-stack --json")
def smoke(
    context: Context,
    write_dataset: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Only write the dataset that the run needs, to deploy it."
        ),
    ] = None,
    patience: Annotated[
        float, typer.Option(min=1, metavar="SECONDS", help="How long to wait for one thing.")
    ] = 300,
) -> None:
    """Tries a deployed stack, point by point, and removes what it made.

    Under a prefix of its own it puts, overwrites, deletes and restores files, provokes failures,
    starts an event of the failed events queue, reconciles, verifies, and reads logs, metrics and
    alarms. Each point is held, broken, or not reached. Exit code 1 if one is broken or the first
    cannot be reached.
    """
    from rich.text import Text

    from tablekeeper_cli.compare.target import table_key
    from tablekeeper_cli.smoke import place as places
    from tablekeeper_cli.smoke.points import BROKEN, HELD
    from tablekeeper_cli.smoke.run import run

    stack = context.stack
    if write_dataset is not None:
        path = write_dataset / places.DATASET_FILE
        held = places.dataset(table_key(stack.parameters))
        try:
            path.write_text(json.dumps(held, indent=2) + "\n", encoding="utf-8")
        except OSError as error:
            raise UsageError(f"{path}: {error.strerror}") from None
        context.answer(
            {"written": str(path)}, lambda: Text(f"{path} is written: deploy, then smoke")
        )
        return
    points = []
    for point in run(places.Place(stack, patience)):
        points.append(point)
        if not context.json:
            verdict = Text(f"{point.verdict:<12}", style=STYLES[point.verdict])
            context.out.print(Text.assemble(verdict, f"{point.name}: {point.seen}"), soft_wrap=True)
            context.flush()
    broken = [each for each in points if each.verdict == BROKEN]
    data = {"stack": stack.name, "region": stack.region, "broken": len(broken), "points": points}
    held_points = sum(each.verdict == HELD for each in points)
    context.answer(
        data, lambda: Text(f"{held_points} of {len(points)} points held, {len(broken)} broken")
    )
    if broken or points[0].verdict != HELD:
        raise typer.Exit(DIFFERENT)
