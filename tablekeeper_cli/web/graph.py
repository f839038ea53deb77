"""A state machine's graph as SVG: states in layers from the start downwards, the path of an
execution coloured.

Layers, order and places follow Sugiyama, Tagawa and Toda, "Methods for Visual Understanding of
Hierarchical System Structures" (1981): break cycles, layer by the longest path, order each layer by
the mean place of its neighbours, route long edges through places of their own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from markupsafe import Markup

from tablekeeper_cli.executions.visits import Visit
from tablekeeper_cli.web.looks import MARKS, visit_look

WIDTH, HEIGHT, GAP_X, GAP_Y, MARGIN = 148, 44, 28, 46, 16
LANE = 16
"""Widths in CSS pixels: of a state, between states, between layers, around all; and of an edge that
passes a layer.
"""
SWEEPS = 12
_TIP = Markup(
    '<marker id="{}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="9" markerHeight="9" '
    'markerUnits="userSpaceOnUse" '
    'orient="auto"><path d="M0 0L8 4L0 8z"/></marker>'
)
Edge = tuple[str, str]
Points = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Box:
    """A state's place: its upper left corner."""

    state: str
    x: float
    y: float


@dataclass(frozen=True)
class Line:
    """An edge's way, as points; back is whether it leads upwards."""

    begin: str
    end: str
    kind: str
    points: Points
    back: bool


@dataclass(frozen=True)
class Layout:
    """Where everything is, and how large the whole is."""

    boxes: tuple[Box, ...]
    lines: tuple[Line, ...]
    width: float
    height: float


def layout(definition: Mapping[str, Any]) -> Layout:
    """Places every state and every edge of a definition."""
    kinds: dict[Edge, str] = {}
    for begin, end, kind in edges(definition):
        kinds.setdefault((begin, end), kind)
    states = list(definition["States"])
    back = _back_edges(definition["StartAt"], states, kinds)
    forward = [edge for edge in kinds if edge not in back]
    layers = _layers(states, forward)
    rows, chains = _rows(states, forward, layers)
    _order(rows, chains)
    places = _places(rows, chains)
    right = max(places[name] + _width(name) for row in rows for name in row)
    boxes = tuple(
        Box(name, places[name], MARGIN + layer * (HEIGHT + GAP_Y))
        for layer, row in enumerate(rows)
        for name in row
        if isinstance(name, str)
    )
    tops = {box.state: box for box in boxes}
    lines = []
    for edge, chain in chains.items():
        lines.append(Line(*edge, kinds[edge], _down(chain, places, tops), back=False))
    sides = sorted(back, key=lambda edge: tops[edge[0]].y - tops[edge[1]].y)
    for lane, edge in enumerate(sides, start=1):
        points = _up(tops[edge[0]], tops[edge[1]], right + LANE * lane, boxes)
        lines.append(Line(*edge, kinds[edge], points, back=True))
    width = right + LANE * (len(sides) + 1) + MARGIN
    return Layout(boxes, tuple(lines), width, len(rows) * (HEIGHT + GAP_Y) - GAP_Y + 2 * MARGIN)


Node = str | tuple[str, str, int]
"""A state, or the place where an edge passes a layer: begin, end, layer."""


def _back_edges(start: str, states: Sequence[str], kinds: Iterable[Edge]) -> set[Edge]:
    """Edges to a state that the search from the start is still within."""
    after: dict[str, list[str]] = {state: [] for state in states}
    for begin, end in kinds:
        after[begin].append(end)
    back: set[Edge] = set()
    done: set[str] = set()

    def search(path: list[str]) -> None:
        for below in after[path[-1]]:
            if below in path:
                back.add((path[-1], below))
            elif below not in done:
                search([*path, below])
        done.add(path[-1])

    for root in (start, *states):
        if root not in done:
            search([root])
    return back


def _layers(states: Sequence[str], forward: Sequence[Edge]) -> dict[str, int]:
    """Each state below all that lead to it."""
    layers = dict.fromkeys(states, 0)
    for _ in states:
        for begin, end in forward:
            layers[end] = max(layers[end], layers[begin] + 1)
    return layers


def _rows(
    states: Sequence[str], forward: Sequence[Edge], layers: Mapping[str, int]
) -> tuple[list[list[Node]], dict[Edge, list[Node]]]:
    rows: list[list[Node]] = [[] for _ in range(max(layers.values()) + 1)]
    for state in states:
        rows[layers[state]].append(state)
    chains: dict[Edge, list[Node]] = {}
    for begin, end in forward:
        passed: list[Node] = []
        for layer in range(layers[begin] + 1, layers[end]):
            passed.append((begin, end, layer))
            rows[layer].append(passed[-1])
        chains[begin, end] = [begin, *passed, end]
    return rows, chains


def _neighbours(chains: Mapping[Edge, Sequence[Node]]) -> tuple[Any, Any]:
    above: dict[Node, list[Node]] = {}
    below: dict[Node, list[Node]] = {}
    for chain in chains.values():
        for upper, lower in pairwise(chain):
            above.setdefault(lower, []).append(upper)
            below.setdefault(upper, []).append(lower)
    return above, below


def _order(rows: list[list[Node]], chains: Mapping[Edge, Sequence[Node]]) -> None:
    """Orders each row by the mean place of its neighbours, down and up again; keeps the order with
    the fewest crossings.
    """
    above, below = _neighbours(chains)
    best, fewest = [list(row) for row in rows], _crossings(rows, below)
    for sweep in range(SWEEPS):
        near, order = (above, rows[1:]) if sweep % 2 == 0 else (below, rows[-2::-1])
        for row in order:
            places = {node: place for each in rows for place, node in enumerate(each)}
            means = {
                node: sum(places[each] for each in near[node]) / len(near[node])
                if near.get(node)
                else float(places[node])
                for node in row
            }
            row.sort(key=means.__getitem__)
        count = _crossings(rows, below)
        if count < fewest:
            best, fewest = [list(row) for row in rows], count
    rows[:] = best


def _crossings(rows: Sequence[Sequence[Node]], below: Mapping[Node, Sequence[Node]]) -> int:
    count = 0
    for row, next_row in pairwise(rows):
        places = {node: place for place, node in enumerate(next_row)}
        ends = [sorted(places[each] for each in below.get(node, ())) for node in row]
        for index, left in enumerate(ends):
            for right in ends[index + 1 :]:
                count += sum(1 for a in left for b in right if a > b)
    return count


def _width(node: Node) -> int:
    return WIDTH if isinstance(node, str) else LANE


def _places(
    rows: Sequence[Sequence[Node]], chains: Mapping[Edge, Sequence[Node]]
) -> dict[Node, float]:
    """The left edge of every node: near the mean of its neighbours, in its row's order."""
    above, below = _neighbours(chains)
    places: dict[Node, float] = {}
    for row in rows:
        x = 0.0
        for node in row:
            places[node] = x
            x += _width(node) + GAP_X
    for sweep in range(SWEEPS):
        near, order = (above, rows) if sweep % 2 == 0 else (below, list(reversed(rows)))
        for row in order:
            wanted = [
                sum(places[each] + _width(each) / 2 for each in near[node]) / len(near[node])
                - _width(node) / 2
                if near.get(node)
                else places[node]
                for node in row
            ]
            _spread(row, wanted, places)
    left = min(places.values()) - MARGIN
    return {node: x - left for node, x in places.items()}


def _spread(row: Sequence[Node], wanted: Sequence[float], places: dict[Node, float]) -> None:
    """As near to what is wanted as the order and the gaps allow: half from the left, half from the
    right.
    """
    left, right = [], []
    edge = float("-inf")
    for node, x in zip(row, wanted, strict=True):
        left.append(max(x, edge))
        edge = left[-1] + _width(node) + GAP_X
    edge = float("inf")
    for node, x in zip(reversed(row), reversed(wanted), strict=True):
        right.append(min(x, edge - _width(node) - GAP_X))
        edge = right[-1]
    for node, low, high in zip(row, left, reversed(right), strict=True):
        places[node] = (low + high) / 2


def _down(chain: Sequence[Node], places: Mapping[Node, float], tops: Mapping[str, Box]) -> Points:
    first, last = tops[str(chain[0])], tops[str(chain[-1])]
    points = [(first.x + WIDTH / 2, first.y + HEIGHT)]
    for step, node in enumerate(chain[1:-1], start=1):
        x, y = places[node] + LANE / 2, first.y + step * (HEIGHT + GAP_Y)
        points += [(x, y), (x, y + HEIGHT)]
    return (*points, (last.x + WIDTH / 2, last.y))


def _up(begin: Box, end: Box, lane: float, boxes: Iterable[Box]) -> Points:
    """To the lane, up, and back; through the gaps between layers where a state is in the way."""
    rightmost = {box.y: box.x for box in sorted(boxes, key=lambda box: box.x)}
    corner = WIDTH * 0.85
    if rightmost[begin.y] == begin.x:
        y_begin = begin.y + HEIGHT / 2
        first: Points = ((begin.x + WIDTH, y_begin),)
    else:
        y_begin = begin.y + HEIGHT + MARGIN * 0.75
        first = ((begin.x + corner, begin.y + HEIGHT), (begin.x + corner, y_begin))
    if rightmost[end.y] == end.x:
        y_end = end.y + HEIGHT / 2
        last: Points = ((end.x + WIDTH, y_end),)
    else:
        y_end = end.y - MARGIN * 0.75
        last = ((end.x + corner, y_end), (end.x + corner, end.y))
    return (*first, (lane, y_begin), (lane, y_end), *last)


def svg(definition: Mapping[str, Any], visited: Sequence[Visit]) -> Markup:
    """The graph, with the path of these visits; colours come from the page's style sheet. A state
    leads to its last visit, `#state-N` on the page.
    """
    placed = layout(definition)
    taken = {(each.state, each.next) for each in visited if each.next}
    last = {each.state: (place, each) for place, each in enumerate(visited, start=1)}
    counts = Counter(each.state for each in visited)
    parts = [
        Markup(
            '<svg class="graph" role="img" aria-label="The state machine; visited states are '
            'marked" viewBox="0 0 {w:.0f} {h:.0f}" width="{w:.0f}" height="{h:.0f}">'
        ).format(w=placed.width, h=placed.height),
        Markup("<defs>{}{}</defs>").format(_TIP.format("tip"), _TIP.format("tip-taken")),
    ]
    lines = sorted(placed.lines, key=lambda each: (each.begin, each.end) in taken)
    parts += [_line(line, (line.begin, line.end) in taken) for line in lines]
    for box in placed.boxes:
        kind = definition["States"][box.state]["Type"]
        place, visit = last.get(box.state, (0, None))
        shown = _box(box, kind, visit, counts[box.state])
        parts.append(Markup('<a href="#state-{}">{}</a>').format(place, shown) if visit else shown)
    return Markup("\n").join([*parts, Markup("</svg>")])


def _line(line: Line, taken: bool) -> Markup:
    tip = "tip-taken" if taken else "tip"
    classes = f"edge {line.kind}{' taken' if taken else ''}"
    return Markup(
        '<path class="{}" d="{}" marker-end="url(#{})"><title>{} to {}{}</title></path>'
    ).format(
        classes,
        _path(line.points, line.back),
        tip,
        line.begin,
        line.end,
        ", by a Catch" if line.kind == "catch" else "",
    )


def _path(points: Sequence[tuple[float, float]], back: bool) -> str:
    begin, *rest = points
    text = f"M{begin[0]:.1f} {begin[1]:.1f}"
    if back:
        return text + "".join(f"L{x:.1f} {y:.1f}" for x, y in rest)
    x, y = begin
    for next_x, next_y in rest:
        bend = (next_y - y) / 2
        text += (
            f"C{x:.1f} {y + bend:.1f} {next_x:.1f} {next_y - bend:.1f} {next_x:.1f} {next_y:.1f}"
        )
        x, y = next_x, next_y
    return text


def _box(box: Box, kind: str, visit: Visit | None, count: int) -> Markup:
    """A state; it looks as its last visit ended."""
    look = visit_look(visit) if visit else ""
    mark = f"{MARKS[look]} " if look else ""
    tried = len(visit.attempts) if visit else 0
    times = (
        f", {count} times" if count > 1 else f" {MARKS['retried']} {tried} attempts" * (tried > 1)
    )
    return Markup(
        '<g class="state {look}"><title>{state}: {visit}</title>'
        '<rect x="{x:.1f}" y="{y:.1f}" width="{w}" height="{h}" rx="6"/>'
        '<text class="name" x="{cx:.1f}" y="{y1:.1f}">{mark}{state}</text>'
        '<text class="kind" x="{cx:.1f}" y="{y2:.1f}">{kind}{times}</text></g>'
    ).format(
        look=look or "unvisited",
        visit=look or "not visited",
        state=box.state,
        x=box.x,
        y=box.y,
        w=WIDTH,
        h=HEIGHT,
        cx=box.x + WIDTH / 2,
        y1=box.y + 19,
        y2=box.y + 34,
        mark=mark,
        kind=kind,
        times=times,
    )


def edges(definition: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Every way from a state to a state: from, to, and by what: next, choice, default or catch."""
    for name, state in definition["States"].items():
        for choice in state.get("Choices", ()):
            if "Next" in choice:
                yield name, choice["Next"], "choice"
        if "Default" in state:
            yield name, state["Default"], "default"
        if "Next" in state:
            yield name, state["Next"], "next"
        for catcher in state.get("Catch", ()):
            yield name, catcher["Next"], "catch"
