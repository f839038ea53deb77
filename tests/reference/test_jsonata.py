"""JSONata's reference implementation, which is JavaScript, gives what jsonata-python gives, for the
expressions of both definitions on what other tests evaluate them on.

The engine, moto and the tests' own interpreter all read expressions with jsonata-python; AWS does
not.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.support.project import ROOT

EVALUATE = Path(__file__).with_name("evaluate.mjs")
RECORDED = (
    "tests/statemachine/test_records.py",
    "tests/statemachine/test_sync_bucket.py",
    "tests/unit/test_second_reading.py",
)
SOME = "transient-error-twice or test_records or test_sync_bucket"
"""Which of their tests: of the second reading, one for each kind of state."""
OF_NOW = ("$now(", "$millis(", "$random(")
"""What gives another value each time."""


def test_the_reference_gives_the_same(tmp_path: Path, jsonata_package: Path) -> None:
    file = tmp_path / "recorded.jsonl"
    recording = ["-p", "tests.reference.recording", "-p", "no:cacheprovider", "-q"]
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", *recording, "-k", SOME, *RECORDED],
        cwd=ROOT,
        env={**os.environ, "RECORDED_EXPRESSIONS": str(file), "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout
    lines = file.read_text().splitlines()
    reference = subprocess.run(
        ["node", str(EVALUATE), str(jsonata_package)],
        input=file.read_text(),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout.splitlines()
    pairs = [
        (json.loads(ours), json.loads(its)) for ours, its in zip(lines, reference, strict=True)
    ]
    assert [pair for pair in pairs if not _agree(*pair)] == []
    different = {ours["expression"] for ours, _ in pairs}
    print(f"{len(pairs):,} evaluations of {len(different):,} expressions")
    assert len(different) > 100


def _agree(ours: dict[str, Any], its: dict[str, Any]) -> bool:
    if "error" in ours or "error" in its:
        return "error" in ours and "error" in its
    value, other = ours["value"], its.get("value")
    if any(function in ours["expression"] for function in OF_NOW):
        return type(value) is type(other)
    return bool(value == other or _read(value) == _read(other))


def _read(value: Any) -> Any:
    """Text that is JSON as what it says: the keys of an object may be in another order."""
    if isinstance(value, dict):
        return {name: _read(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_read(each) for each in value]
    try:
        return json.loads(value) if isinstance(value, str) else value
    except ValueError:
        return value
