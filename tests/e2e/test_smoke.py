"""`tablekeeper smoke` on the engine: all points that exist there are held."""

from __future__ import annotations

import pytest

from tests.e2e.desk import Desk
from tests.e2e.observer import Observer

pytestmark = pytest.mark.xdist_group("commands")

ONLY_ON_AWS = {"metrics", "logs"}
"""The engine makes no metrics of logs, and has no log groups by the stack's name."""


def test_every_point_that_the_engine_has_is_held_and_nothing_is_left(desk: Desk) -> None:
    before = desk.ask("status")
    # What is to be aborted does not end before; if it had not begun, the next one is held.
    desk.stack.faults.inject("Fetch Object", "delay", seconds=10, match="aborted.json")
    told = desk.ask("smoke", "--patience", "240", code=None)
    verdicts = {each["name"]: (each["verdict"], each["seen"]) for each in told["points"]}
    apart = {name: each for name, each in verdicts.items() if each[0] != "held"}
    assert set(apart) <= ONLY_ON_AWS, apart
    assert told["broken"] == 0
    Observer(desk.stack).sweep()  # It lists the executions that ended badly, which stay.
    assert desk.ask("status")["files"] == before["files"]
    assert desk.ask("failures", "--error", "InvalidEventError", code=None)["count"] == 0
    ledger = desk.stack.outputs["LedgerTableName"]
    pages = desk.stack.client("dynamodb").get_paginator("scan").paginate(TableName=ledger)
    names = [row["pk"]["S"] for page in pages for row in page["Items"]]
    assert not [name for name in names if "tablekeeper-smoke/" in name]
