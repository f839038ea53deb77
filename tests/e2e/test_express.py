"""Events start an Express workflow: the table and the ledger are as ever."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from local.running import running_stack
from tests.e2e.conftest import SCHEMAS
from tests.e2e.desk import Desk

pytestmark = pytest.mark.xdist_group("express")
PARAMETERS = {"LiveStateMachineType": "EXPRESS", "ReconcileSchedule": "rate(1 day)"}


@pytest.fixture(scope="module")
def express(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """A stack whose live state machine is Express."""
    folder = tmp_path_factory.mktemp("express")
    settings = {"schemas": SCHEMAS, "parameters": PARAMETERS, "wait_scale": 0.1}
    with running_stack(folder, **settings) as stack:  # type: ignore[arg-type]
        yield Desk(stack)


def machine(desk: Desk, key: str) -> str:
    """The state machine whose execution is the newest in a file's history."""
    execution: str = desk.ask("history", key)["events"][0]["execution"]
    return execution.split(":")[6]


def test_files_are_kept_and_failures_recorded_and_reprocessed_in_the_standard_one(
    express: Desk,
) -> None:
    good, bad = "notes/express/good.json", "notes/express/bad.json"
    express.put(good, [{"pk": "express", "sk": "1"}])
    express.put(bad, b"[")
    express.settled(good, "SYNCED")
    express.settled(bad, "INVALID")
    express.s3.delete_object(Bucket=express.bucket, Key=good)
    express.settled(good, "SYNCED", "DELETED")
    assert "Express" in machine(express, good)
    assert "Express" in machine(express, bad)
    with express.events_off():
        express.put(bad, [{"pk": "express", "sk": "2"}])
        assert express.ask("reprocess", bad)["outcomes"] == {"SYNCED": 1}
    assert "Express" not in machine(express, bad)
    assert express.ask("reconcile", "--prefix", "notes/express/")["differences"] == 0
