"""The diagram in docs/architecture.md is the definition's, and its check fails when it is not."""

import copy
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.project import ROOT, definition, exits, states
from tools import diagram as tool


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the page, which the tool takes for the real one."""
    copied = tmp_path / tool.PAGE.name
    copied.write_text(tool.PAGE.read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.setattr(tool, "PAGE", copied)
    return copied


def _run(monkeypatch: pytest.MonkeyPatch, option: str) -> None:
    monkeypatch.setattr(sys, "argv", ["diagram.py", option])
    tool.main()


def test_the_page_s_diagram_is_that_of_the_definition() -> None:
    command = [sys.executable, str(ROOT / "tools" / "diagram.py"), "--check"]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr


def test_a_stale_diagram_is_reported_and_rewritten(
    page: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = page.read_text(encoding="utf-8")
    page.write_text(original.replace("[*] --> FetchObject", "[*] --> WriteItems"))
    with pytest.raises(SystemExit, match="--write"):
        _run(monkeypatch, "--check")
    _run(monkeypatch, "--write")
    assert page.read_text(encoding="utf-8") == original
    _run(monkeypatch, "--check")


@pytest.mark.parametrize("name", states())
def test_every_state_and_each_of_its_exits_is_drawn(name: str) -> None:
    lines = tool.diagram(definition()).splitlines()
    ids = dict(line.strip().split(" : ", 1)[::-1] for line in lines if re.match(r"\s+\w+ : ", line))
    assert set(ids) == set(states())
    drawn = {
        m[2] for line in lines if (m := re.match(r"\s+(\S+) --> (\S+)", line)) and m[1] == ids[name]
    }
    ends = states()[name].get("End") or states()[name]["Type"] == "Fail"
    assert drawn == {ids[target] for target, _ in exits(states()[name])} | (
        {"[*]"} if ends else set()
    )


def test_the_diagram_changes_with_the_definition() -> None:
    changed: dict[str, Any] = copy.deepcopy(definition())
    changed["States"]["Transform Records"]["Next"] = "Delete Items"
    assert tool.diagram(changed) != tool.diagram(definition())


def test_labels_hold_nothing_that_mermaid_would_cut() -> None:
    """A label ends at a colon, a semicolon or the end of its line."""
    for line in tool.diagram(definition()).splitlines()[2:-1]:
        _, _, label = line.partition(" : ")
        assert not re.search(r"[:;#]", label), line
