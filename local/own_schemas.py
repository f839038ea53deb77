"""Dataset files of a folder elsewhere in built functions, in the place of the project's own."""

from __future__ import annotations

import subprocess
from pathlib import Path

from local.environment import ROOT, python
from local.errors import LocalStackError

PATTERN = "*.schema.json"


def check_schemas(folder: Path) -> None:
    """Runs `tablekeeper schemas check`. Raises LocalStackError with what it found."""
    if not any(folder.glob(PATTERN)):
        raise LocalStackError(f"there is no {PATTERN} in {folder}")
    ran = subprocess.run(
        [str(python("dev")), "-m", "tablekeeper_cli", "schemas", "check", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if ran.returncode:
        raise LocalStackError(f"{folder} cannot be deployed:\n{ran.stdout}{ran.stderr}")


def replace_schemas(build: Path, folder: Path) -> None:
    """Replaces the dataset files of each function in a folder that `sam build` wrote.

    Raises LocalStackError: no function there has any.
    """
    places = [each for each in build.glob("*/schemas") if each.is_dir()]
    if not places:
        raise LocalStackError(f"{build} holds no built function: `sam build` comes first")
    for place in places:
        for old in place.glob(PATTERN):
            old.unlink()
        for new in folder.glob(PATTERN):
            (place / new.name).write_bytes(new.read_bytes())
