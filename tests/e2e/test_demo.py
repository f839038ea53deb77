"""`make demo`, as a new user sees it."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from local.demo import CHAPTERS
from local.environment import LOCAL, ROOT

pytestmark = pytest.mark.xdist_group("deployment")

SCREENS, LINES = 2, 40


def test_the_demo_tells_its_story_on_two_screens_and_leaves_no_engine() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "local.demo"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    lines = ran.stdout.splitlines()
    assert len(lines) <= SCREENS * LINES
    assert max(len(line) for line in lines if str(ROOT) not in line) <= 80
    assert "\x1b" not in ran.stdout
    calls = [call.line for chapter in CHAPTERS for call in chapter.calls]
    assert [line[2:] for line in lines if line.startswith("$ ")] == calls
    assert re.search(r"table == bucket\n\nAll was as it should be \(\d+ s\)", ran.stdout)
    assert not (LOCAL / "demo" / "engine.json").exists()
