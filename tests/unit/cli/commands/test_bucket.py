"""`reconcile`: what it names."""

from __future__ import annotations

from typing import Any

import pytest
from typer.testing import CliRunner

from tablekeeper_cli.app import app
from tablekeeper_cli.errors import DIFFERENT
from tablekeeper_cli.executions import bucket_runs
from tablekeeper_cli.stack import Stack
from tests.unit.cli.commands.test_outputs import STACK, SUMMARY


@pytest.mark.parametrize(("options", "named"), [([], "bcde"), (["--dry-run"], "f")])
def test_every_file_that_still_differs_is_named(
    options: list[str], named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    how = "look" if options else "bulk"
    ends: list[dict[str, Any]] = [
        {"key": "a", "finding": "STALE", "outcome": "SYNCED"},
        {"key": "b", "finding": "STALE", "outcome": "INVALID", "error": "NestingError"},
        {"key": "c", "finding": "STALE", "outcome": "FAILED", "error": "Boom"},
        # Its execution was aborted, which has no error.
        {"key": "d", "finding": "STALE", "outcome": "FAILED"},
        {"key": "e", "finding": "ORPHAN", "outcome": "TRACED"},
    ]
    if options:
        ends = [{"key": "f", "finding": "STALE"}]
    end = bucket_runs.RunEnd("arn", "SUCCEEDED", None, {**SUMMARY, "how": how, "findings": {}})
    monkeypatch.setattr(Stack, "find", lambda *_, **__: STACK)
    monkeypatch.setattr(bucket_runs, "start", lambda *_, **__: "arn")
    monkeypatch.setattr(bucket_runs, "follow", lambda *_: end)
    monkeypatch.setattr(bucket_runs, "files", lambda *_: iter(ends))
    told = CliRunner().invoke(app, ["reconcile", "--wide", *options])
    assert told.exit_code == DIFFERENT
    lines = told.stdout.splitlines()
    assert [line[-1] for line in lines if line.startswith(("STALE", "ORPHAN"))] == list(named)
