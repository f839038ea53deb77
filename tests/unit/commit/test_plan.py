"""The plan of a large write: what a lane holds of its partition."""

from __future__ import annotations

import threading
import tracemalloc
from contextlib import suppress

import pytest
from tablekeeper.commit import lanes
from tablekeeper.commit.key_lists import Known, KnownItems
from tablekeeper.commit.plan import COMPARED_AT_ONCE, Plan
from tablekeeper.ledger.rows import ADDING, Claim, Row
from tablekeeper.model.keys import ItemKey
from tablekeeper.settings import WriteSettings
from tablekeeper.staging.partitioned_lines import LinesWriter, copied_manifest
from tablekeeper.tables import Tables

from tests.support.quick import quick_pipeline

COUNT = 4000
CHANGED = range(100, COUNT, 1000)
FOUND = {"action": "validate", "bucket": "source", "key": "notes/a.jsonl", "revision": 1}
LOOK = {"as_of": "2026-01-01T00:00:00Z", "digest": "d", "etag": "e"}


def test_a_lane_that_writes_does_not_hold_the_keys_of_its_partition(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    quick_pipeline(monkeypatch)
    plan = _plan()
    tracemalloc.start()
    lanes = [plan.replaced(0) for _ in range(4)]
    firsts = [next(lane)[0] for lane in lanes]
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert firsts == [_key(CHANGED[0])] * 4
    assert [key for key, *_ in lanes[0]] == [_key(number) for number in CHANGED[1:]]
    assert held < 1_500_000


def test_few_threads_at_once_hold_the_keys_of_a_partition_and_none_of_a_lane(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What a thread has freed stays its own until it ends: lanes would keep a table each."""
    quick_pipeline(monkeypatch)
    plan, partition = _plan(), KnownItems.partition
    of_lanes, comparing, crowds = set(), set(), []
    too_many = threading.Barrier(COMPARED_AT_ONCE + 1)

    def lane() -> None:
        of_lanes.add(threading.current_thread())
        assert [key for key, *_ in plan.replaced(0)] == [_key(number) for number in CHANGED]

    def compare(old: KnownItems, number: int) -> Known:
        comparing.add(threading.current_thread())
        with suppress(threading.BrokenBarrierError):
            crowds.append(too_many.wait(timeout=0.1))
        return partition(old, number)

    monkeypatch.setattr(KnownItems, "partition", compare)
    lanes.in_parallel([lane] * lanes.LANES)
    assert len(comparing) == len(of_lanes) == lanes.LANES
    assert not comparing & of_lanes
    assert not crowds


def _key(number: int) -> ItemKey:
    return ItemKey.of({"pk": {"S": f"a{number:06}"}, "sk": {"S": "1"}})


def _plan() -> Plan:
    """Of a partition of many items, a few of which have changed."""
    sets = {name: LinesWriter("staging", "items") for name in ("items", "keys", "digests")}
    old = {name: LinesWriter("staging", "keys/x") for name in ("", "/digests")}
    for number in range(COUNT):
        key, digest = _key(number).text, f"{number:032x}"
        sets["items"].add(0, key)
        sets["keys"].add(0, key)
        sets["digests"].add(0, "f" * 32 if number in CHANGED else digest)
        old[""].add(0, key)
        old["/digests"].add(0, digest)
    items = {"count": COUNT, **{name: each.close() for name, each in sets.items()}}
    for name, each in old.items():
        each.close(copied_manifest(f"keys/x{name}"), basis="b")
    tables = Tables.of(WriteSettings.from_environment())
    claim = Claim(
        revision=2,
        state=ADDING,
        owner="EVENT#x#y#0",
        base=1,
        outcome="SYNCED",
        execution="arn:x",
        snapshot={**FOUND, **LOOK},
        items=items,
        pending=("keys/y",),
        basis="b",
        trusts=True,
    )
    return Plan(tables, claim, Row(revision=1, keys_at="keys/x"))
