"""The plan of a large write: what a lane holds of its partition."""

from __future__ import annotations

import tracemalloc

import pytest
from tablekeeper.commit.plan import Plan
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
