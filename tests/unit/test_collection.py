"""The names of the tests: the same in every collection, and readable."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.project import ROOT

READABLE = re.compile(r"[A-Za-z0-9_.,:/?'() -]{1,64}")
ANOTHER_DAY = """\
import time
real = time.time
time.time = lambda: real() + 86_400 * {days}
"""


def test_two_collections_give_the_same_readable_names(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Workers that collect in different seconds must agree; no name holds what a test reads.

    The one collection is that of this run, or of what is run of it.
    """
    names = _names(_collection(tmp_path, days=1))
    here = [_name(item) for item in request.session.items]
    assert set(here) - set(names) == set()
    assert len(names) > 1000
    cases = [name.partition("[")[2][:-1] for name in names if "[" in name]
    assert [case for case in cases if not READABLE.fullmatch(case)] == []


def _collection(folder: Path, days: int) -> subprocess.Popen[str]:
    """Begins to collect every test, on another day and with other hashes."""
    (folder / f"day_{days}.py").write_text(ANOTHER_DAY.format(days=days))
    path = os.pathsep.join([str(folder), str(ROOT), str(ROOT / "functions")])
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")},
        "PYTHONHASHSEED": str(days),
        "PYTHONPATH": path,
    }
    options = ["--collect-only", "-q", "-p", f"day_{days}", "-p", "no:cacheprovider", "tests"]
    return subprocess.Popen(
        [sys.executable, "-m", "pytest", *options],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )


def _name(item: pytest.Item) -> str:
    """A test's name without its group, which pytest-xdist adds."""
    group = item.get_closest_marker("xdist_group")
    return item.nodeid.removesuffix(f"@{group.args[0]}") if group else item.nodeid


def _names(collection: subprocess.Popen[str]) -> list[str]:
    """The tests that a collection has found, in order."""
    output, _ = collection.communicate(timeout=300)
    assert collection.returncode == 0, output
    return [line for line in output.splitlines() if "::" in line]
