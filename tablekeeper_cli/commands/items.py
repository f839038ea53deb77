"""`item` and `items`: where an item came from, and which items a file has."""

from __future__ import annotations

import json
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tablekeeper_cli.commands.choice import AND_MORE, Key, Limit, not_empty
from tablekeeper_cli.terminal.context import Context, command, group, json_value
from tablekeeper_cli.terminal.text import clean

if TYPE_CHECKING:
    from rich.console import RenderableType

    from tablekeeper_cli.ledger.items import Item

app = group()


@command(app, "items products/tools.json")
def items(
    context: Context,
    key: Key,
    limit: Limit = 100,
) -> None:
    """The items of a file, by their keys.

    They are those of its last commit; `item` shows one.
    """
    from tablekeeper_cli.ledger import items as ledger_items

    keys = ledger_items.keys_of_file(context.stack, key)
    listed = list(islice(keys, limit or None))
    rest = next(keys, None) is not None
    data = {"items": listed, "more": rest}
    context.answer(data, lambda: _shown_keys(listed, rest))


def _shown_keys(keys: list[dict[str, str]], rest: bool) -> list[RenderableType]:
    from tablekeeper_cli.terminal.showing import plain
    from tablekeeper_cli.terminal.tables import Column, Table

    if not keys:
        return [plain("the file has no items")]
    names = list(keys[0])
    shown = Table(*(Column(name, least=12, middle=True) for name in names))
    for each in keys:
        shown.add_row(*(plain(each[name]) for name in names))
    return [shown, *([AND_MORE] if rest else [])]


@command(
    app,
    "item 4711 product",
    "item 4711 --json",
    context_settings={"ignore_unknown_options": True},  # a negative number is a key
)
def item(
    context: Context,
    pk: Annotated[
        str,
        typer.Argument(metavar="PK", help="The value of the partition key.", callback=not_empty),
    ],
    sk: Annotated[
        str | None,
        typer.Argument(metavar="SK", help="The value of the sort key.", callback=not_empty),
    ] = None,
) -> None:
    """Where an item came from: its file, version and execution."""
    from tablekeeper_cli.ledger import items as ledger_items

    if sk is None and ledger_items.has_sort_key(context.stack):
        keys, rest = ledger_items.items_of_partition(context.stack, pk)
        if len(keys) > 1:
            data = {"items": keys, "more": rest}
            context.answer(data, lambda: _shown_partition(keys, rest))
            return
        sk = list(keys[0].values())[1]
    record = ledger_items.item(context.stack, pk, sk)
    context.answer(record, lambda: _shown_item(record))


def _shown_partition(keys: list[dict[str, str]], rest: bool) -> list[RenderableType]:
    more = "more than " if rest else ""
    head = f"{more}{len(keys):,} items have this partition key; name the sort key, too"
    return [head, "", *_shown_keys(keys, rest=False)]


def _shown_item(item: Item) -> list[RenderableType]:
    from rich.text import Text

    from tablekeeper_cli.terminal.tables import Fields

    if item.lineage:
        names = ("key", "version_id", "etag", "dataset", "execution", "time")
        shown: list[Any] = [
            ("file" if name == "key" else name.replace("_", " "), item.lineage.get(name))
            for name in names
        ]
        lineage: RenderableType = Fields(shown)
    else:
        lineage = Text("Tablekeeper did not write this item: it has no _source", style="red")
    attributes = Fields(
        [
            (clean(name), json.dumps(value, ensure_ascii=False, default=json_value))
            for name, value in sorted(item.attributes.items())
        ]
    )
    return [lineage, "", attributes]
