"""Tables and fields that fit the width of the terminal, and say what they leave out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.text import Text

from tablekeeper_cli.terminal.text import clean

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType

GAP = 2
"""Cells between two columns."""
ELLIPSIS = "…"
NARROWEST = 4
"""Cells that a column keeps however narrow the terminal is."""


@dataclass(frozen=True)
class Column:
    """A column of a table.

    `goes` is its place in the order in which columns are left out: the highest first, 0 never.
    `least` is the width in cells down to which it is narrowed; None: it keeps its width. A cell
    that is too wide loses its end; its middle, with `middle`, for keys and names whose ends differ;
    nothing, with `wraps`: it takes several lines.
    """

    name: str
    goes: int = 0
    least: int | None = None
    number: bool = False
    middle: bool = False
    wraps: bool = False


class Table:
    """Rows of cells. It leaves out and cuts no more than the width makes necessary, and names
    what it left out.
    """

    def __init__(self, *columns: Column | str) -> None:
        self.columns = [Column(each) if isinstance(each, str) else each for each in columns]
        self.header = [Text(each.name, "dim") for each in self.columns]
        self.rows: list[list[Text]] = []

    def add_row(self, *cells: str | Text, style: str = "") -> None:
        row = [cell if isinstance(cell, Text) else Text(clean(cell)) for cell in cells]
        for cell, column in zip(row, self.columns, strict=True):
            if style:
                cell.stylize(style)
            if not column.wraps and "\n" in cell.plain:
                cell.plain = cell.plain.replace("\n", " ")
        self.rows.append(row)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        width = options.max_width
        widths = self._widths(width)
        for row in (self.header, *self.rows):
            yield from self._lines(row, widths, console)
        left_out = [
            each.name
            for place, each in enumerate(self.columns)
            if place not in widths and not self._is_empty(place)
        ]
        if left_out:
            note = Text(f"not shown: {', '.join(left_out)} (--wide shows all)", "dim")
            for line in note.wrap(console, width):
                line.rstrip()
                yield line

    def _is_empty(self, place: int) -> bool:
        return not any(row[place].plain for row in self.rows)

    def _widths(self, width: int) -> dict[int, int]:
        """The widths of the columns that are shown, by their places."""
        natural = {
            place: max(cell_len(line) for row in (self.header, *self.rows)
                       for line in row[place].plain.split("\n"))
            for place in range(len(self.columns))
        }  # fmt: skip
        shown = dict(natural)
        while _total(shown) > width:
            least = {place: self._least(place, natural[place]) for place in shown}
            if _total(least) <= width:
                return _grown(least, natural, width - _total(least))
            going = max(shown, key=self._going)
            if not self._going(going):
                return _squeezed(least, width)
            del shown[going]
        return shown

    def _least(self, place: int, natural: int) -> int:
        column = self.columns[place]
        if column.least is None:
            return natural
        return min(natural, max(column.least, cell_len(column.name)))

    def _going(self, place: int) -> int:
        """Columns without content go before all others."""
        column = self.columns[place]
        return 1000 if column.goes and self._is_empty(place) else column.goes

    def _lines(
        self, row: Sequence[Text], widths: dict[int, int], console: Console
    ) -> Iterator[Text]:
        cells = []
        for place, width in widths.items():
            column, cell = self.columns[place], row[place]
            wrapped = (column.wraps and cell_len(cell.plain) > width) or "\n" in cell.plain
            cells.append(
                list(cell.wrap(console, width, overflow="fold"))
                if wrapped
                else [cut(cell, width, middle=column.middle)]
            )
        for number in range(max(map(len, cells))):
            line, pad = Text(), 0
            for (place, width), lines in zip(widths.items(), cells, strict=True):
                cell = lines[number] if number < len(lines) else Text()
                cell.rstrip()
                room = width - cell_len(cell.plain)
                before = room if self.columns[place].number else 0
                if cell.plain:  # spaces come before a cell, never behind the last one
                    line.append(" " * (pad + before)).append_text(cell)
                    pad = room - before + GAP
                else:
                    pad += width + GAP
            yield line


class Fields:
    """Names and values, one a line; a long value goes on below itself."""

    def __init__(self, pairs: Iterable[tuple[str, RenderableType | None]]) -> None:
        self.pairs = [
            (name, value if isinstance(value, Text) else Text(clean(str(value))))
            for name, value in pairs
            if value is not None
        ]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        indent = max((cell_len(name) for name, _ in self.pairs), default=0) + GAP
        room = max(options.max_width - indent, 2 * NARROWEST)
        for name, value in self.pairs:
            lines = value.wrap(console, room, overflow="fold") if value.plain else [Text()]
            for number, each in enumerate(lines):
                each.rstrip()
                line = Text().append(name if number == 0 else "", "dim")
                if each.plain:
                    line.append(" " * (indent - cell_len(line.plain))).append_text(each)
                yield line


def _total(widths: dict[int, int]) -> int:
    return sum(widths.values()) + GAP * (len(widths) - 1)


def _grown(least: dict[int, int], natural: dict[int, int], room: int) -> dict[int, int]:
    """The widths with the room dealt out among the columns that lack some, a cell at a time."""
    grown = dict(least)
    while room:
        for place in [each for each in grown if grown[each] < natural[each]]:
            if room:
                grown[place] += 1
                room -= 1
    return grown


def _squeezed(widths: dict[int, int], width: int) -> dict[int, int]:
    """The widths with the widest made narrower until they fit, or each is at its narrowest."""
    squeezed = dict(widths)
    while _total(squeezed) > width:
        widest = max(squeezed, key=lambda place: squeezed[place])
        if squeezed[widest] <= NARROWEST:
            break
        squeezed[widest] -= 1
    return squeezed


def cut(cell: Text, width: int, *, middle: bool) -> Text:
    """The cell, in so many cells of the terminal."""
    if cell_len(cell.plain) <= width:
        return cell.copy()
    tail = (width - 1) // 2 if middle else 0
    head = _fitting(cell.plain, width - 1 - tail)
    end = len(cell.plain) - _fitting(cell.plain[::-1], tail)
    return cell[:head].append(ELLIPSIS).append_text(cell[end:])


def _fitting(text: str, width: int) -> int:
    """How many characters of the text's begin fit into a width."""
    for count in range(len(text) + 1):
        if cell_len(text[:count]) > width:
            return count - 1
    return len(text)
