"""What the trace page and the console have in common: templates, in which everything is escaped."""

from __future__ import annotations

from functools import cache
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from tablekeeper_cli.executions.visits import CAUGHT, FAILED, RUNNING, moment, now
from tablekeeper_cli.terminal import showing
from tablekeeper_cli.web import graph

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tablekeeper_cli.executions.traces import Trace
    from tablekeeper_cli.executions.visits import Visit

TEMPLATES = Path(__file__).parent / "templates"
LONGEST_DATA = 100_000
"""Characters of an input or output that a page shows."""
LOOKS = {
    "SYNCED": "ok",
    "UNCHANGED": "ok",
    "SUCCEEDED": "ok",
    "RELEASED": "warn",
    "WRITING": "warn",
    "CAUGHT": "warn",
    "RUNNING": "warn",
    "PARTIAL": "bad",
    "INVALID": "bad",
    "INCOMPLETE": "bad",
    "FAILED": "bad",
    "TIMED_OUT": "bad",
    "ABORTED": "bad",
}
ORDER = (
    "SYNCED", "UNCHANGED", "DELETED", "IGNORED", "RELEASED", "WRITING", "PARTIAL", "INVALID",
    "INCOMPLETE", "FAILED",
)  # fmt: skip
"""The statuses of files, as pages show them."""
_ROW, _LABEL, _RIGHT, _WIDTH = 26, 210, 90, 1100


@cache
def environment() -> Environment:
    """The templates; autoescape is on in all of them."""
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
    """What every template can use."""
    return {
        "looks": LOOKS,
        "durations": showing.duration,
        "sizes": lambda count: "" if count is None else f"{count:,} B",
        "cut": cut,
        "style": Markup((TEMPLATES / "style.css").read_text()),  # noqa: S704  our own file
    }


def cut(text: str | None) -> str:
    """At most LONGEST_DATA characters of a text."""
    if text is None:
        return ""
    rest = len(text) - LONGEST_DATA
    return text if rest <= 0 else f"{text[:LONGEST_DATA]}\n… and {rest:,} characters more"


def trace_page(trace: Trace) -> str:
    """The page of a trace: whole in itself, without script and without requests."""
    return environment().get_template("trace.html").render(**trace_parts(trace))


def trace_parts(trace: Trace) -> dict[str, Any]:
    """What a template needs to show a trace."""
    return {
        "trace": trace,
        "graph": graph.svg(trace.definition, trace.visits),
        "timeline": timeline(trace.visits),
    }


def timeline(visits: Sequence[Visit]) -> Markup:
    """Bars of visits from top to bottom, of their attempts with the waits between them."""
    if not visits:
        return Markup('<p class="faint">No state was entered.</p>')
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
    room = _WIDTH - _LABEL - _RIGHT

    def x(time: str) -> float:
        return _LABEL + (moment(time) - begin).total_seconds() / span * room

    height = len(visits) * _ROW + 30
    parts = [
        Markup(
            '<svg class="timeline" role="img" aria-label="Timeline" viewBox="0 0 {} {}">'
        ).format(_WIDTH, height)
    ]
    for step in range(5):
        at = _LABEL + room * step / 4
        parts.append(
            Markup(
                '<line class="axis" x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{y}"/>'
                '<text class="when" x="{x:.1f}" y="{t}" text-anchor="middle">{label}</text>'
            ).format(x=at, y=height - 22, t=height - 6, label=showing.duration(span * step / 4))
        )
    for row, visit in enumerate(visits):
        y = row * _ROW + 4
        parts.append(Markup('<text x="0" y="{}">{}</text>').format(y + 13, visit.state))
        last = visit.exited or latest
        whole = (visit.entered, last, "idle" if visit.attempts else _look(visit.status))
        bars = [(each.started, each.ended or last, _look(each.status)) for each in visit.attempts]
        for begun, ended, look in (whole, *bars):
            left = x(begun)
            width = max(x(ended) - left, 2)
            parts.append(
                Markup(
                    '<rect class="bar {}" x="{:.1f}" y="{}" width="{:.1f}" height="16" rx="2"/>'
                ).format(look, left, y, width)
            )
        parts.append(
            Markup('<text class="when" x="{:.1f}" y="{}">{}</text>').format(
                x(last) + 6, y + 13, showing.duration(visit.seconds) if visit.exited else "so far"
            )
        )
    return Markup("\n").join([*parts, Markup("</svg>")])


def _look(status: str) -> str:
    return {
        CAUGHT: "caught",
        FAILED: "failed",
        RUNNING: "running",
    }.get(status, "ok")
