"""The first commit of an object: its condition is that there is no row, so none is read."""

from __future__ import annotations

from typing import Any

import pytest
from tablekeeper import tables
from tablekeeper.errors import StaleRevisionError
from tablekeeper.model import sizes

from tests.support.quick import quick_pipeline
from tests.unit.commit.conftest import Client
from tests.unit.conftest import Pipeline

KEY = "notes/a.json"
RECORDS = [{"pk": name, "sk": "1"} for name in "abc"]


class Reads(Client):
    """A client that counts the rows it reads."""

    rows = 0

    def get_item(self, **arguments: Any) -> Any:
        self.rows += 1
        return self.client.get_item(**arguments)


@pytest.fixture
def pipeline(monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    return quick_pipeline(monkeypatch)


def _reads(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> Reads:
    client = Reads(pipeline.dynamodb)
    monkeypatch.setattr(tables, "dynamodb", lambda: client)
    return client


def test_the_first_commit_reads_no_row_and_the_next_one_does(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = _reads(pipeline, monkeypatch)
    pipeline.put(KEY, RECORDS)
    assert pipeline.sync(KEY)["items_put"] == 3
    assert client.rows == 0
    pipeline.put(KEY, RECORDS[:2])
    assert pipeline.sync(KEY)["items_removed"] == 1
    assert client.rows == 1


def test_a_row_that_came_meanwhile_is_not_overwritten(pipeline: Pipeline) -> None:
    pipeline.put(KEY, RECORDS)
    fetched, late = pipeline.fetch(KEY), pipeline.execution(KEY)
    pipeline.put(KEY, RECORDS[:1])
    pipeline.sync(KEY)
    with pytest.raises(StaleRevisionError):
        pipeline.commit(fetched, late)
    assert len(pipeline.items()) == 1


def test_a_second_attempt_finds_the_outcome_of_the_first(pipeline: Pipeline) -> None:
    pipeline.put(KEY, RECORDS)
    fetched, execution = pipeline.fetch(KEY), pipeline.execution(KEY)
    pipeline.commit(fetched, execution)
    assert pipeline.commit(fetched, execution)["outcome"] == "SYNCED"
    assert pipeline.outcomes(KEY) == ["SYNCED"]


def test_few_items_whose_keys_do_not_fit_the_row_are_claimed_and_gone_on_with(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, in_turn: None
) -> None:
    monkeypatch.setattr(sizes, "ROW_KEY_BYTES", 20)
    client = _reads(pipeline, monkeypatch)

    def cut_off(_: Any) -> None:
        if client.calls == 2:
            raise InterruptedError

    client.before = cut_off
    pipeline.put(KEY, RECORDS)
    fetched, execution = pipeline.fetch(KEY), pipeline.execution(KEY)
    with pytest.raises(InterruptedError):
        pipeline.commit(fetched, execution)
    assert pipeline.commit(fetched, execution)["outcome"] == "SYNCED"
    assert len(pipeline.items()) == 3
    assert pipeline.row(KEY)["keys_at"]
