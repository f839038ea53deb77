"""Tables at any width."""

from __future__ import annotations

import io
import random

import pytest
from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.text import Text

from tablekeeper_cli.terminal.context import UNLIMITED
from tablekeeper_cli.terminal.tables import Column, Fields, Table, cut

KEY = "countries/a/folder/below/a/folder/below/another/AT.json"


def shown(what: RenderableType, width: int) -> list[str]:
    """The lines that a terminal of this width shows."""
    console = Console(file=io.StringIO(), width=width)
    console.print(what, soft_wrap=width == UNLIMITED)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def problems() -> Table:
    table = Table(
        Column("since", goes=2),
        "status",
        Column("error", goes=1, least=10),
        Column("file", least=20, middle=True),
    )
    table.add_row("2026-11-25 22:00:00Z", "INVALID", "SchemaViolationError", KEY)
    table.add_row("2026-11-25 22:00:01Z", "FAILED", "Boom", "a.json")
    return table


def test_a_wide_table_has_everything_and_no_space_at_the_end_of_a_line() -> None:
    lines = shown(problems(), UNLIMITED)
    assert lines == [
        "since                 status   error                 file",
        f"2026-11-25 22:00:00Z  INVALID  SchemaViolationError  {KEY}",
        "2026-11-25 22:00:01Z  FAILED   Boom                  a.json",
    ]


def test_a_table_narrows_first_and_leaves_out_the_first_column_to_go_after_that() -> None:
    assert shown(problems(), 90)[1] == (
        "2026-11-25 22:00:00Z  INVALID  SchemaViolationError  countries/a/folder…ow/another/AT.json"
    )
    assert shown(problems(), 60) == [
        "status   error                 file",
        "INVALID  SchemaViolationError  countries/a/fo…nother/AT.json",
        "FAILED   Boom                  a.json",
        "not shown: since (--wide shows all)",
    ]
    assert shown(problems(), 32)[1] == "INVALID  countries/a…her/AT.json"
    assert shown(problems(), 32)[-2:] == ["not shown: since, error (--wide", "shows all)"]


def test_a_column_without_content_goes_first_and_is_not_named() -> None:
    table = Table(Column("version", goes=1), Column("who", goes=2), "what")
    table.add_row("", "somebody", "something")
    assert shown(table, 20) == ["who       what", "somebody  something"]


def test_a_column_that_wraps_takes_several_lines() -> None:
    table = Table("file", Column("says", least=10, wraps=True))
    table.add_row("a.json", "one two three four")
    assert shown(table, 20) == ["file    says", "a.json  one two", "        three four"]


def test_numbers_stand_at_the_right() -> None:
    table = Table("dataset", Column("files", number=True))
    table.add_row("a", "1")
    table.add_row("b", "1,000")
    assert shown(table, 80) == ["dataset  files", "a            1", "b        1,000"]


def test_no_line_is_wider_than_the_terminal_and_what_never_goes_stays() -> None:
    seed = random.randrange(10**6)
    print("seed", seed)
    chance = random.Random(seed)
    for _ in range(300):
        columns = [
            Column(
                f"c{number}",
                goes=chance.choice((0, number)),
                least=chance.choice((None, 4, 12)) if number else 4,
                number=chance.random() < 0.3,
                middle=chance.random() < 0.5,
                wraps=chance.random() < 0.2,
            )
            for number in range(chance.randint(1, 7))
        ]
        table = Table(*columns)
        for _ in range(chance.randint(0, 4)):
            table.add_row(*("".join(chance.choices("ab /日", k=chance.randint(0, 40)))
                            for _ in columns))  # fmt: skip
        for width in (60, 80, 120, 200):
            lines = shown(table, width)
            assert max(map(cell_len, lines)) <= width
            assert all(each.name in lines[0] for each in columns if not each.goes)


@pytest.mark.parametrize("width", [4, 5, 9, 10])
def test_a_cell_is_cut_to_its_width(width: int) -> None:
    for middle in (False, True):
        found = cut(Text("日本語のファイル名"), width, middle=middle).plain
        assert width - 2 <= cell_len(found) <= width
        assert "…" in found


def test_fields_stand_below_each_other_and_go_on_below_themselves() -> None:
    assert shown(Fields([("file", "a.json"), ("none", None), ("cause", "x" * 20)]), 20) == [
        "file   a.json",
        "cause  xxxxxxxxxxxxx",
        "       xxxxxxx",
    ]
    assert shown(Fields([("file", "x" * 500)]), UNLIMITED) == ["file  " + "x" * 500]
