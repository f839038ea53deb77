"""What scripts rely on: the members of each command's JSON, and their types."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.desk import Desk

pytestmark = pytest.mark.xdist_group("commands")

EXPECTED = Path(__file__).with_name("json.txt")
GOOD, BAD = "notes/json/good.json", "notes/json/bad.json"


def shape(value: Any) -> Any:
    """The members of an object with the names of their types; an array as its first element's."""
    if isinstance(value, dict):
        return {name: shape(each) for name, each in sorted(value.items())}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return type(value).__name__


def test_json_has_the_members_that_it_had(desk: Desk, schemas: str, tmp_path: Path) -> None:
    """`UPDATE_EXPECTED=1` writes the file anew; a change of it breaks scripts."""
    desk.put(GOOD, [{"pk": "json", "sk": "1", "price": 1.5}])
    desk.put(BAD, [{"pk": "json", "sk": "2", "stars": 9}])
    desk.settled(GOOD, "SYNCED")
    desk.settled(BAD, "INVALID")
    mended = tmp_path / "mended.json"
    mended.write_text('[{"pk": "json", "sk": "1", "price": 2}]')
    report = tmp_path / "own"
    report.mkdir()
    (report / "own.schema.json").write_text('{"type": "object", "x-tablekeeper": {"prefix": "o/"}}')
    desk.stack.client("sqs").send_message(
        QueueUrl=desk.stack.outputs["FailedEventsQueueUrl"], MessageBody="not an event"
    )
    calls: dict[str, tuple[tuple[str, ...], int]] = {
        "env": ((), 0),
        "events": ((), 1),
        "events redrive": ((), 1),
        "schemas check": ((str(report),), 0),
        "backfill": (("--prefix", "notes/json/", "--dry-run", "--no-wait"), 0),
        "failure --report": ((BAD,), 0),
        "plan --offline": ((str(mended), "--key", GOOD, "--schemas", schemas), 0),
        "reprocess --dry-run": ((BAD,), 0),
        "status": ((GOOD,), 0),
        "history": ((BAD,), 0),
        "items": ((GOOD,), 0),
        "item": (("json", "1"), 0),
        "failures": (("--prefix", "notes/json/"), 1),
        "failure": ((BAD,), 0),
        "trace": ((BAD,), 0),
        "plan": ((str(mended), "--key", GOOD, "--schemas", schemas), 0),
        "verify": (("--prefix", "notes/json/", "--schemas", schemas), 0),
        "reconcile": (("--prefix", "notes/json/", "--dry-run"), 1),
        "reprocess": ((BAD,), 1),
    }
    found = {}
    for name, (arguments, code) in calls.items():
        found[name] = shape(desk.ask(*name.split(), *arguments, code=code))
    found["watch"] = shape(desk.first_line("watch", "notes/json/", "--problems"))
    desk.stack.client("sqs").purge_queue(QueueUrl=desk.stack.outputs["FailedEventsQueueUrl"])
    desk.put(BAD, [])
    desk.settled(BAD, "INVALID", "INVALID", "SYNCED")
    text = json.dumps(found, indent=1) + "\n"
    if os.environ.get("UPDATE_EXPECTED"):
        EXPECTED.write_text(text)
    assert text == EXPECTED.read_text()
