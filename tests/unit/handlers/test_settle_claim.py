"""Settle Claim: a large write in the way of a bad file is undone, finished or given up."""

from __future__ import annotations

from typing import Any

import pytest
from handlers import settle_claim
from tablekeeper import tables
from tablekeeper.errors import StaleRevisionError

from tests.support.quick import quick_pipeline
from tests.unit.commit.conftest import Client
from tests.unit.commit.test_large_write import (
    KEY,
    CutOffError,
    cut_off_at,
    happens,
    held,
    records,
)
from tests.unit.conftest import Pipeline

pytestmark = pytest.mark.usefixtures("large")


@pytest.fixture
def pipeline(monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    return quick_pipeline(monkeypatch)


def settle(pipeline: Pipeline) -> str:
    found = pipeline.fetch(KEY)["found"]
    payload = {"found": found, "execution": pipeline.execution(KEY)}
    settled: str = settle_claim.handler(payload, None)["settled"]
    return settled


def cut_off(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, call: int) -> None:
    """`abcdefgh` stands; a write of `efghijkl` is cut off; then the file turns bad."""
    pipeline.put(KEY, records("abcdefgh", v=1))
    pipeline.sync(KEY)
    pipeline.put(KEY, records("efghijkl", v=2))
    with monkeypatch.context() as patched:
        happens(pipeline, patched, cut_off_at(call))
        with pytest.raises(CutOffError):
            pipeline.sync(KEY)
    pipeline.put(KEY, b"bad")


def adding(pipeline: Pipeline) -> bool:
    return bool(pipeline.fetch(KEY)["found"]["claim"] == "ADDING")


@pytest.mark.parametrize("call", range(2, 9))
def test_a_claim_is_undone_or_finished(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, call: int
) -> None:
    cut_off(pipeline, monkeypatch, call)
    if adding(pipeline):
        assert settle(pipeline) == "UNDONE"
        assert held(pipeline) == dict.fromkeys("abcdefgh", "1")
    else:
        assert settle(pipeline) == "FINISHED"
        assert held(pipeline) == dict.fromkeys("efghijkl", "2")
    assert "claim" not in pipeline.row(KEY)
    assert pipeline.outcomes(KEY) == ["SYNCED"]


def test_what_is_finished_is_not_written_twice_and_its_digests_count(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    put, to_be_cut_off = list[str](), [True]

    def counted(arguments: Any) -> None:
        puts = [each["Put"] for each in arguments["TransactItems"] if "Put" in each]
        items = [each["Item"]["pk"]["S"] for each in puts if each["TableName"] == "items"]
        if len(put) + len(items) == 16 and to_be_cut_off:  # the last of the second version's
            to_be_cut_off.pop()
            raise CutOffError
        put.extend(items)

    client = Client(pipeline.dynamodb, counted)
    monkeypatch.setattr(tables, "dynamodb", lambda: client)
    pipeline.put(KEY, records("abcdefgh", v=1))
    pipeline.sync(KEY)
    pipeline.put(KEY, records("abcdefgh", v=2))
    with pytest.raises(CutOffError):
        pipeline.sync(KEY)
    pipeline.put(KEY, b"bad")
    assert settle(pipeline) == "FINISHED"
    assert sorted(put[8:]) == [*"abcdefgh"]
    pipeline.put(KEY, [*records("abcdefg", v=2), *records("h", v=3)])
    assert pipeline.sync(KEY)["items_put"] == 1


def test_both_ways_were_among_them(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    cut_off(pipeline, monkeypatch, 2)
    assert adding(pipeline)
    settle(pipeline)
    cut_off(pipeline, monkeypatch, 8)
    assert not adding(pipeline)


def test_what_cannot_be_finished_is_incomplete_and_a_good_file_mends_it(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut_off(pipeline, monkeypatch, 7)
    assert not adding(pipeline)
    staged: Any = pipeline.s3.list_objects_v2(Bucket="staging", Prefix="items/")["Contents"]
    for each in staged:
        pipeline.s3.delete_object(Bucket="staging", Key=each["Key"])
    assert settle(pipeline) == "INCOMPLETE"
    row = pipeline.row(KEY)
    assert "claim" in row
    assert "claim_state" not in row
    assert pipeline.fetch(KEY)["found"]["claim"] == "INCOMPLETE"
    pipeline.put(KEY, records("xyz", v=3))
    assert pipeline.sync(KEY)["outcome"] == "SYNCED"
    assert held(pipeline) == dict.fromkeys("xyz", "3")
    assert "claim" not in pipeline.row(KEY)


def test_a_row_that_moved_is_left_alone(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut_off(pipeline, monkeypatch, 3)
    found = pipeline.fetch(KEY)["found"]
    pipeline.put(KEY, records("q"))
    pipeline.sync(KEY)
    with pytest.raises(StaleRevisionError):
        settle_claim.handler({"found": found, "execution": pipeline.execution(KEY)}, None)
    assert held(pipeline) == {"q": None}
