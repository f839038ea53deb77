"""The demo notices what is not as it should be; tests/e2e shows that it is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from local import demo
from local.demo import CHAPTERS, NEXT, STORY, Call, Demo
from local.environment import ROOT
from local.errors import LocalStackError
from local.stack import Stack


@pytest.mark.parametrize(
    ("call", "complaint"),
    [
        (Call("tablekeeper --version", ("tablekeeper 99",)), r"does not say \['tablekeeper 99'\]"),
        (Call("tablekeeper --version", (), code=1), "ended with 0, not 1"),
        (Call("tablekeeper no", ("x",)), "No such command"),
    ],
    ids=["text", "code", "error"],
)
def test_a_command_that_ends_otherwise_ends_the_demo(
    call: Call, complaint: str, tmp_path: Path
) -> None:
    with pytest.raises(LocalStackError, match=complaint):
        Demo(Stack.on(4711, tmp_path))._run(call)


def test_another_status_ends_the_demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = Demo(Stack.on(4711, tmp_path))
    monkeypatch.setattr(told, "_row", lambda: {"revision": "1", "status_shown": "FAILED"})
    with pytest.raises(LocalStackError, match="is FAILED, not INVALID"):
        told.tell(demo.Chapter("t", None, "INVALID", ()))


def test_the_story_is_that_of_the_readme() -> None:
    """A reader who goes on with the README meets the same dataset and the same file."""
    text = (ROOT / "README.md").read_text()
    schema = json.loads((STORY / "products.schema.json").read_text())
    shown = text.partition("```json\n")[2].partition("```")[0]
    assert json.loads(shown) == schema
    assert (STORY / "files" / "tools.json").read_text().strip() in text
    uploads = {chapter.upload for chapter in CHAPTERS} - {None}
    assert uploads == {"tools.json", "bad.json", "mended.json"}


def test_what_the_demo_says_itself_fits_80_columns() -> None:
    titles = [chapter.title for chapter in CHAPTERS]
    calls = [f"$ {call.line}" for chapter in CHAPTERS for call in chapter.calls]
    assert max(map(len, [*titles, *calls, *NEXT.splitlines()])) <= 80
