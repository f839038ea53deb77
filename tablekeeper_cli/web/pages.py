"""What the trace page and the console have in common: templates, in which everything is escaped."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from tablekeeper.model.times import now

from tablekeeper_cli.executions.visits import RUNNING, Visit, moment
from tablekeeper_cli.terminal import showing
from tablekeeper_cli.terminal.text import clean
from tablekeeper_cli.web import graph, looks, plain_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tablekeeper_cli.executions.traces import Trace
    from tablekeeper_cli.executions.visits import Attempts

TEMPLATES = Path(__file__).parent / "templates"
LONGEST_DATA = 20_000
"""Characters of an input or output that a page shows."""


@cache
def environment() -> Environment:
    """The templates for pages that are kept; autoescape is on in all of them."""
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals.update(shared())
    return made


def shared() -> dict[str, Any]:
    return {
        "look": looks.look,
        "marks": looks.MARKS,
        "durations": showing.duration,
        "sizes": size,
        "cut": cut,
        "clean": clean,
        "json": lambda text: cut(plain_json.pretty(text)),
        "at": showing.when,
        "style": Markup((TEMPLATES / "style.css").read_text()),  # noqa: S704  our own file
    }


def size(count: int | None) -> str:
    """A number of bytes in its largest unit: 812 B, 1.2 kB, 3.4 MB."""
    if count is None:
        return ""
    shown = float(count)
    for unit in ("B", "kB", "MB"):
        if shown < 1000:
            return f"{count} B" if unit == "B" else f"{shown:.1f} {unit}"
        shown /= 1000
    return f"{shown:,.1f} GB"


def cut(text: str | None) -> str:
    """At most LONGEST_DATA characters of a text."""
    if text is None:
        return ""
    rest = len(text) - LONGEST_DATA
    return text if rest <= 0 else f"{text[:LONGEST_DATA]}\n… and {rest:,} characters more"


def ago(time: str | None) -> Markup:
    """How long ago a time of the ledger was, or how far off it is; the time itself for a mouse that
    rests there.
    """
    if not time:
        return Markup("")
    then, today = moment(time), moment(now())
    words = showing.ago(then)
    if then > today:
        words = f"in {showing.ago(today - (then - today)).removesuffix(' ago')}"
    return Markup('<time datetime="{}" title="{}">{}</time>').format(time, showing.utc(time), words)


def trace_page(trace: Trace) -> str:
    """The page of a trace: whole in itself, without script and without requests."""
    return environment().get_template("trace.html").render(**trace_parts(trace))


def trace_parts(trace: Trace) -> dict[str, Any]:
    return {
        "trace": trace,
        "graph": graph.svg(trace.definition, trace.visits),
        "timeline": timeline(trace.visits),
    }


@dataclass(frozen=True)
class Bar:
    """A part of a timeline, in percent of its length."""

    look: str
    left: float
    width: float
    title: str


@dataclass(frozen=True)
class Row:
    """A visit in a timeline; attempts are there when there was more than one."""

    visit: Visit
    look: str
    bars: list[Bar]
    attempts: list[tuple[Attempts, str]]


@dataclass(frozen=True)
class Timeline:
    """Visits from top to bottom, above an axis whose marks are `ticks`."""

    rows: list[Row]
    ticks: list[str]


def timeline(visits: Sequence[Visit]) -> Timeline:
    """Bars of visits, and of their attempts with the waits between them."""
    if not visits:
        return Timeline([], [])
    begin = moment(visits[0].entered)
    latest = max(
        time
        for each in visits
        for time in (
            each.exited,
            each.entered,
            *chain(*((a.started, a.ended) for a in each.attempts)),
        )
        if time
    )
    if visits[-1].status == RUNNING:
        latest = max(latest, now())
    span = max((moment(latest) - begin).total_seconds(), 0.001)

    def bar(look: str, started: str, ended: str | None, title: str) -> Bar:
        left = (moment(started) - begin).total_seconds() / span * 100
        right = (moment(ended or latest) - begin).total_seconds() / span * 100
        return Bar(look, left, right - left, title)

    rows = []
    for visit in visits:
        attempts = [
            (attempt, status)
            for same, status in looks.attempts(visit)
            for attempt in visit.attempts[same.first - 1 : same.first - 1 + same.count]
        ]
        of_visit = "idle" if attempts else looks.visit_look(visit)
        length = showing.duration(visit.seconds) if visit.exited else "so far"
        bars = [bar(of_visit, visit.entered, visit.exited, f"{visit.state}: {length}")]
        for number, (attempt, status) in enumerate(attempts, start=1):
            title = f"attempt {number}: {status}, {showing.duration(attempt.seconds)}"
            bars.append(bar(looks.look(status), attempt.started, attempt.ended, title))
        same = looks.attempts(visit)
        shown = same if len(visit.attempts) > 1 else []
        rows.append(Row(visit, looks.visit_look(visit), bars, shown))
    return Timeline(rows, [showing.duration(span * step / 4) for step in range(5)])
