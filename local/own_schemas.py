"""Dataset files in built functions: the project's own, and those of a folder elsewhere."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from local.environment import ROOT, python
from local.errors import LocalStackError

ENDING = ".schema.json"


def check_schemas(folder: Path, item_keys: str) -> None:
    """Runs `tablekeeper schemas check` and prints what it warns of. Raises LocalStackError: it
    found errors.
    """
    if not any(folder.glob(f"*{ENDING}")):
        raise LocalStackError(f"there is no *{ENDING} in {folder}")
    ran = subprocess.run(
        [
            *(str(python("dev")), "-m", "tablekeeper_cli", "schemas", "check", str(folder)),
            *("--item-keys", item_keys),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if ran.returncode:
        raise LocalStackError(f"{folder} cannot be deployed:\n{ran.stdout}{ran.stderr}")
    print(ran.stdout, end="", file=sys.stderr)


def dataset_files(schemas: Path | None, beside: bool) -> dict[str, bytes]:
    """What the functions carry in schemas/, by file name: the project's own datasets, and those of
    a folder beside them or in their place.
    """
    files = files_of(ROOT / "schemas")
    if schemas and not beside:
        files = {name: text for name, text in files.items() if not name.endswith(ENDING)}
    return files | (files_of(schemas) if schemas else {})


def files_of(folder: Path) -> dict[str, bytes]:
    """The JSON files of a folder by name."""
    return {path.name: path.read_bytes() for path in folder.glob("*.json")}


def schema_folders(build: Path) -> list[Path]:
    """The schemas/ of each function that `sam build` wrote. Raises LocalStackError: none has."""
    folders = [each for each in build.glob("*/schemas") if each.is_dir()]
    if not folders:
        raise LocalStackError(f"{build} holds no built function: `sam build` comes first")
    return folders


def put_files(build: Path, files: Mapping[str, bytes]) -> None:
    """Has each function that `sam build` wrote carry these files and no others in schemas/.

    Files are replaced, never written to: they may be links. Raises LocalStackError.
    """
    for folder in schema_folders(build):
        for old in folder.glob("*.json"):
            old.unlink()
        for name, content in files.items():
            (folder / name).write_bytes(content)
