"""The console that `make up` starts beside the engine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from local import console_process
from local.stack import Stack

CONSOLE = """#!/bin/sh
printf '{"address": "http://127.0.0.1/%s"}\\n' $$
exec sleep 60
"""


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    """A stack without an engine, and a console that does nothing but live."""
    console = tmp_path / "python"
    console.write_text(CONSOLE)
    console.chmod(0o755)
    monkeypatch.setattr(console_process, "python", lambda _: console)
    made = Stack.on(4711, tmp_path)
    made.save()
    yield made
    console_process.stop_console(tmp_path)


def address(folder: str) -> str:
    return str(json.loads((Path(folder) / "console.json").read_text())["address"])


def test_a_console_of_another_engine_is_started_anew(
    stack: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    console_process.start_console(stack)
    first = address(stack.state_dir)
    console_process.start_console(stack)
    assert address(stack.state_dir) == first
    other = replace(stack, outputs={"SourceBucketName": "another"})
    other.save()
    console_process.start_console(other)
    second = address(stack.state_dir)
    assert second != first
    assert "that of another engine" in capsys.readouterr().err
    pid = int(first.rpartition("/")[2])
    assert not Path(f"/proc/{pid}/cmdline").exists() or not _command(pid)
    folder = Path(stack.state_dir)
    console_process.stop_console(folder)
    assert console_process._console(folder) is None


def _command(pid: int) -> str:
    """What a process runs; nothing for one that has ended and nobody has waited for."""
    return Path(f"/proc/{pid}/cmdline").read_text()
