"""Archives of functions: made once for each content, and not kept for ever."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from local import package


def test_an_archive_that_no_deployment_needs_is_deleted_after_days(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(package, "ARCHIVES", tmp_path / "archives")
    package._prune()  # Before the first deployment there is nothing.
    folder = tmp_path / "function"
    folder.mkdir()
    made = []
    for content in ("1", "2", "3"):
        (folder / "a.py").write_text(content)
        made.append(package._archive(folder))
    long_ago = time.time() - (package.ARCHIVE_DAYS + 1) * 86_400
    for each in made[:2]:
        os.utime(each, (long_ago, long_ago))
    (folder / "a.py").write_text("2")
    assert package._archive(folder) == made[1], "what is needed again is kept"
    package._prune()
    assert sorted((tmp_path / "archives").iterdir()) == sorted(made[1:])
