"""A list that is cut says so, and what leads to all."""

from __future__ import annotations

import io
import json
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import typer
from rich.console import Console

from tablekeeper_cli.commands import bucket, failures, reprocess, status
from tablekeeper_cli.executions import bucket_runs, failed_events
from tablekeeper_cli.ledger import history
from tablekeeper_cli.terminal.context import Context
from tests.unit.cli.commands.test_outputs import EVENTS, FAILED_EVENT, PROBLEM, STACK, SUMMARY

MORE = "and more: --limit 0 lists all"


def answered(capsys: pytest.CaptureFixture[str], call: Any, **asked: Any) -> tuple[Any, str]:
    """What a command answers in JSON, and the last line for a person."""
    answers = []
    for as_json in (True, False):
        context, out = Context(json=as_json), io.StringIO()
        vars(context).update(stack=STACK, out=Console(file=out, width=200))
        with suppress(typer.Exit):
            call(context, **asked)
        answers.append(capsys.readouterr().out + out.getvalue())
    return json.loads(answers[0]), answers[1].splitlines()[-1]


@pytest.mark.parametrize(("limit", "listed"), [(2, 2), (3, 3), (4, 3), (0, 3)])
def test_history_and_events(
    limit: int,
    listed: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(status, "_running", lambda *_: [])
    monkeypatch.setattr(history, "history", lambda _, __, most: iter(EVENTS[1:4][:most]))
    monkeypatch.setattr(failed_events.OtherReaders, "_hidden", lambda _: 0)
    monkeypatch.setattr(failed_events, "waiting", lambda _, most: ([FAILED_EVENT] * 3)[:most])
    calls: list[Any] = [
        answered(capsys, status.history, key="notes/a.json", limit=limit),
        answered(capsys, reprocess.list_events, limit=limit),
    ]
    for data, last in calls:
        assert (len(data["events"]), data["more"]) == (listed, listed < 3)
        assert (last == MORE) == data["more"]


@pytest.mark.parametrize("report", [None, "found.jsonl"])
@pytest.mark.parametrize("bad", [bucket.SHOWN, bucket.SHOWN + 1])
def test_files_that_a_run_found(
    bad: int, report: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = {"finding": "STALE", "outcome": "INVALID", "error": "Boom", "key": "notes/a.json"}
    ended = bucket_runs.RunEnd("arn", "SUCCEEDED", None, SUMMARY)
    monkeypatch.setattr(bucket_runs, "start", lambda *_, **__: "arn")
    monkeypatch.setattr(bucket_runs, "follow", lambda *_: ended)
    monkeypatch.setattr(bucket_runs, "files", lambda *_: iter([file] * bad))
    context, out = Context(), io.StringIO()
    vars(context).update(stack=STACK, out=Console(file=out, width=200))
    path = tmp_path / report if report else None
    with pytest.raises(typer.Exit):
        bucket.reconcile(context, report=path)
    lines = [each.rstrip() for each in out.getvalue().splitlines()]
    assert sum(each.endswith("notes/a.json") for each in lines) == bucket.SHOWN
    more = f"and more: {path or '--report FILE'} has all"
    assert (more in lines) == (bad > bucket.SHOWN)
    assert path is None or len(path.read_text().splitlines()) == bad


def test_violations_of_which_the_ledger_holds_the_first() -> None:
    violations = [PROBLEM.violations[0]] * 12
    problem = replace(PROBLEM, violations=violations, violation_count=15)
    assert "and 3 more; --report shows all" in failures.shown_problem(problem)
    all_of_them = replace(problem, violation_count=12)
    assert not any("more" in str(each) for each in failures.shown_problem(all_of_them))
