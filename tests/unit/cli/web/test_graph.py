"""The graph draws every state and every edge, once, and nothing over anything."""

from __future__ import annotations

import json
import random
from itertools import combinations, pairwise
from typing import Any
from xml.etree import ElementTree

import pytest

from tablekeeper_cli.executions.visits import Attempt, Visit
from tablekeeper_cli.web.graph import HEIGHT, WIDTH, Layout, edges, layout, svg
from tablekeeper_cli.web.looks import look
from tablekeeper_cli.web.pages import timeline
from tests.support.interpreter import DEFINITION

AT = "2026-01-31T12:00:00.000Z"
OURS = json.loads(DEFINITION.read_text())


def randomly(seed: int) -> dict[str, Any]:
    """A definition of some states that lead anywhere."""
    chance = random.Random(seed)
    names = [f"S{number}" for number in range(chance.randint(1, 25))]
    return {
        "StartAt": names[0],
        "States": {
            name: {
                "Type": "Choice",
                "Choices": [{"Next": chance.choice(names)} for _ in range(chance.randint(0, 3))],
            }
            for name in names
        },
    }


DEFINITIONS = [OURS, *map(randomly, range(60))]


def inside(point: tuple[float, float], found: Layout, but: set[str]) -> list[str]:
    x, y = point
    return [
        box.state
        for box in found.boxes
        if box.x < x < box.x + WIDTH and box.y < y < box.y + HEIGHT and box.state not in but
    ]


@pytest.mark.parametrize("definition", DEFINITIONS, ids=range(len(DEFINITIONS)))
def test_everything_has_a_place_of_its_own(definition: dict[str, Any]) -> None:
    found = layout(definition)
    assert sorted(box.state for box in found.boxes) == sorted(definition["States"])
    drawn = sorted((line.begin, line.end) for line in found.lines)
    assert drawn == sorted({(begin, end) for begin, end, _ in edges(definition)})
    for one, other in combinations(found.boxes, 2):
        assert abs(one.x - other.x) >= WIDTH or abs(one.y - other.y) >= HEIGHT
    for box in found.boxes:
        assert 0 <= box.x <= found.width - WIDTH
        assert 0 <= box.y <= found.height - HEIGHT


@pytest.mark.parametrize("definition", DEFINITIONS, ids=range(len(DEFINITIONS)))
def test_no_line_runs_behind_a_state(definition: dict[str, Any]) -> None:
    found = layout(definition)
    for line in found.lines:
        for (x1, y1), (x2, y2) in pairwise(line.points):
            if line.back or x1 == x2:
                for step in range(21):
                    point = (x1 + (x2 - x1) * step / 20, y1 + (y2 - y1) * step / 20)
                    assert inside(point, found, {line.begin, line.end}) == []


def test_our_own_fits_a_screen() -> None:
    assert layout(OURS).width <= 1160


def test_a_timeline_of_what_still_runs_ends_now() -> None:
    times = [f"2026-01-31T12:00:{second:02}.000Z" for second in (0, 1, 11)]
    visit = Visit("Write Items", "Task", times[0])
    visit.attempts = [
        Attempt(times[0], ended=times[1], status="FAILED"),
        Attempt(times[2], waited=10.0),
    ]
    (row,) = timeline([visit]).rows
    assert [each.look for each in row.bars] == ["idle", "retried", "running"]
    for bar in row.bars:
        assert 0 <= bar.left <= bar.left + bar.width <= 100.01


def test_what_was_caught_failed_and_tried_again_looks_alike_everywhere() -> None:
    visit = Visit("<b>", "Task", AT, AT, "CAUGHT", "Other")
    visit.attempts = [Attempt(AT, 0.0, AT, "FAILED", "Slow"), Attempt(AT, 0.0, AT, "FAILED", "Bad")]
    (row,) = timeline([visit]).rows
    assert [status for _, status in row.attempts] == ["RETRIED", "CAUGHT"]
    assert [each.look for each in row.bars] == ["idle", "retried", "caught"]
    assert [row.look, *map(look, ("RETRIED", "CAUGHT"))] == ["caught", "retried", "caught"]
    drawn = svg({"StartAt": "<b>", "States": {"<b>": {"Type": "Task"}}}, [visit])
    assert 'class="state caught"' in drawn
    assert "! &lt;b&gt;" in drawn
    assert '<a href="#state-1"><g class="state caught">' in drawn
    assert "↻ 2 attempts" in drawn


def test_the_path_is_marked_and_names_are_escaped() -> None:
    definition = {
        "StartAt": "<b>",
        "States": {
            "<b>": {"Type": "Task", "Next": "End", "Catch": [{"Next": "Other"}]},
            "End": {"Type": "Succeed"},
            "Other": {"Type": "Fail"},
        },
    }
    path = [
        Visit("<b>", "Task", "", status="CAUGHT", next="Other"),
        Visit("Other", "Fail", "", status="FAILED"),
    ]
    root = ElementTree.fromstring(svg(definition, path))
    states = {group.findtext("title"): group.get("class") for group in root.iter("g")}
    assert states == {
        "<b>: caught": "state caught",
        "End: not visited": "state unvisited",
        "Other: failed": "state failed",
    }
    taken = [each for each in root.iter("path") if "taken" in str(each.get("class"))]
    assert [each.findtext("title") for each in taken] == ["<b> to Other, by a Catch"]
