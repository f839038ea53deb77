"""Knots: files that keep each other's items give up what their own content no longer has, and
nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tablekeeper import tables
from tablekeeper.errors import KeyOwnershipError, StaleRevisionError, UnfinishedWriteError
from tablekeeper.model import sizes
from tablekeeper.staging import partitioned_lines

from tests.support.quick import quick_pipeline
from tests.unit.commit.conftest import Client, record_refusal
from tests.unit.conftest import Pipeline

A, B = "notes/a.json", "notes/b.json"


@pytest.fixture
def pipeline(monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    """In memory: these writes take many transactions."""
    return quick_pipeline(monkeypatch)


def put(pipeline: Pipeline, key: str, values: dict[str, int]) -> None:
    pipeline.put(key, [{"pk": name, "sk": "1", "v": value} for name, value in values.items()])


def held(pipeline: Pipeline, key: str) -> dict[str, str]:
    return {
        item["pk"]["S"]: item["v"]["N"]
        for item in pipeline.items()
        if item["_source"]["M"]["key"]["S"] == key
    }


def run(pipeline: Pipeline, key: str, **flags: Any) -> Any:
    """An execution's output, or the error with which it is INVALID."""
    execution = pipeline.execution(key) | {"event": pipeline.event(key, **flags)}
    for _ in range(8):
        fetched = pipeline.fetch(key, **flags)
        try:
            return pipeline.commit(fetched, execution)
        except StaleRevisionError:
            continue
        except KeyOwnershipError as error:
            if not record_refusal(fetched, execution, error):
                raise
            return type(error).__name__
    raise AssertionError("read again and again")


def release(pipeline: Pipeline, key: str) -> Any:
    return run(pipeline, key, release_items=True)


def knot(pipeline: Pipeline) -> None:
    """Each of two files wants an item of the other, keeps two, and has one that nobody wants."""
    put(pipeline, A, {"a": 1, "b": 1, "keep": 1, "old": 1})
    put(pipeline, B, {"m": 1, "n": 1, "stay": 1})
    for key in (A, B):
        assert run(pipeline, key)["outcome"] == "SYNCED"
    put(pipeline, A, {"a": 2, "m": 2, "keep": 1})
    put(pipeline, B, {"b": 2, "n": 2, "stay": 1})
    for key in (A, B):
        assert run(pipeline, key) == "KeyOwnershipError"


@pytest.mark.usefixtures("either")
def test_a_knot_comes_undone(pipeline: Pipeline) -> None:
    knot(pipeline)
    ended = release(pipeline, A)
    assert (ended["outcome"], ended["items_put"]) == ("RELEASED", 0)
    assert held(pipeline, A) == {"a": "1", "keep": "1"}, "what its content still has stays as it is"
    row = pipeline.row(A)
    assert row["problem_status"] == {"S": "INVALID"}
    assert row["problem"]["M"]["released"] == {"BOOL": True}
    assert "claim" not in row
    assert run(pipeline, B)["outcome"] == "SYNCED"
    ended = run(pipeline, A)
    assert ended["outcome"] == "SYNCED"
    assert ended["items_kept"] == 1, "the digests of what stayed are known"
    assert held(pipeline, A) == {"a": "2", "m": "2", "keep": "1"}
    assert held(pipeline, B) == {"b": "2", "n": "2", "stay": "1"}
    assert not {"problem", "doubted", "incomplete_since"} & pipeline.row(A).keys()


@pytest.mark.usefixtures("either")
def test_only_a_refusal_for_ownership_lets_go(pipeline: Pipeline) -> None:
    put(pipeline, A, {"a": 1, "b": 1})
    run(pipeline, A)
    assert release(pipeline, A)["outcome"] == "UNCHANGED"
    put(pipeline, A, {"a": 2})
    assert release(pipeline, A)["outcome"] == "SYNCED"
    assert held(pipeline, A) == {"a": "2"}


@pytest.mark.usefixtures("either")
def test_the_flag_of_a_release_before_lets_nothing_go(pipeline: Pipeline) -> None:
    knot(pipeline)
    assert run(pipeline, A, release=True) == "KeyOwnershipError"
    assert len(held(pipeline, A)) == 4


@pytest.mark.usefixtures("either")
def test_a_new_refusal_removes_the_mark(pipeline: Pipeline) -> None:
    knot(pipeline)
    release(pipeline, A)
    put(pipeline, A, {"a": 3, "m": 3})
    assert run(pipeline, A) == "KeyOwnershipError"
    assert "released" not in pipeline.row(A)["problem"]["M"]


@pytest.mark.usefixtures("either")
def test_what_was_released_is_gone_with_its_object(pipeline: Pipeline) -> None:
    knot(pipeline)
    release(pipeline, A)
    pipeline.s3.delete_object(Bucket="source", Key=A)
    assert run(pipeline, A)["outcome"] == "DELETED"
    assert held(pipeline, A) == {}
    assert "problem" not in pipeline.row(A)


@pytest.mark.usefixtures("large")
@pytest.mark.parametrize("then", ["again", "another", "ordinary"])
def test_a_large_release_that_was_cut_off_is_ended_by_whoever_comes_next(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, then: str
) -> None:
    knot(pipeline)
    client = Client(pipeline.dynamodb)
    monkeypatch.setattr(tables, "dynamodb", lambda: client)
    # A write of its own is tried first, refused and undone.
    fetched = pipeline.fetch(A, release_items=True)
    execution = pipeline.execution(A) | {"event": pipeline.event(A, release_items=True)}
    for _ in range(3):
        client.calls = 0
        pipeline.seconds_left = lambda: 1000.0 if client.calls < 2 else 0.0
        try:
            pipeline.commit(fetched, execution)
        except UnfinishedWriteError:
            break
        except StaleRevisionError:
            fetched = pipeline.fetch(A, release_items=True)
    pipeline.seconds_left = None
    assert set(held(pipeline, A)) & {"a", "keep"} == {"a", "keep"}
    if then == "ordinary":
        assert run(pipeline, A) == "KeyOwnershipError"
    else:
        assert release(pipeline, A)["outcome"] == "RELEASED"
        assert held(pipeline, A) == {"a": "1", "keep": "1"}
    assert "claim" not in pipeline.row(A)
    assert held(pipeline, A).items() >= {"a": "1", "keep": "1"}.items()


@pytest.mark.usefixtures("large")
def test_a_large_release_whose_claim_another_execution_takes_reads_again(
    pipeline: Pipeline, use: Callable[[Any], None]
) -> None:
    knot(pipeline)
    ends: list[str] = []

    def newer(arguments: Any) -> None:
        if not ends and any("Delete" in each for each in arguments["TransactItems"]):
            row = pipeline.row(A)
            if row["status"] == {"S": "RELEASED"} and "claim" in row:
                use(pipeline.dynamodb)
                put(pipeline, A, {"a": 3, "q": 3})
                ends.append(run(pipeline, A)["outcome"])

    use(Client(pipeline.dynamodb, newer))
    assert release(pipeline, A)["outcome"] == "UNCHANGED"
    assert ends == ["SYNCED"]
    assert held(pipeline, A) == {"a": "3", "q": "3"}


@pytest.mark.usefixtures("in_turn")
def test_the_lists_are_read_as_often_for_many_items_as_for_few(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once an item is hours, for a hundred thousand: the function's time is up before."""
    stock, reads = partitioned_lines.read_object, [0]

    def read_object(*place: str, **more: Any) -> bytes:
        reads[-1] += 1
        return stock(*place, **more)

    monkeypatch.setattr(partitioned_lines, "read_object", read_object)
    put(pipeline, B, {"m": 1})
    run(pipeline, B)
    for count in (400, 800):
        names = [f"{count} {number}" for number in range(count)]
        put(pipeline, A, dict.fromkeys(names, 1))
        run(pipeline, A)
        reads.append(0)
        put(pipeline, A, dict.fromkeys([*names[1:], "m"], 1))
        assert release(pipeline, A)["outcome"] == "RELEASED"
    assert reads[2] < reads[1] + 100


@pytest.mark.usefixtures("large")
def test_a_release_over_a_write_that_had_begun_to_replace_finishes_it_first(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    _begin_to_replace(pipeline, monkeypatch)
    assert pipeline.row(A)["claim_state"] == {"S": "REPLACING"}
    put(pipeline, A, {"a": 3, "b": 3, "m": 3})
    assert release(pipeline, A)["outcome"] == "RELEASED"
    assert held(pipeline, A) == {"a": "2", "b": "2"}
    assert "incomplete_since" not in pipeline.row(A)


@pytest.mark.usefixtures("large")
@pytest.mark.parametrize("fits", [1, 98])
def test_a_release_over_a_write_that_nobody_can_finish_stays_incomplete(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, fits: int
) -> None:
    _begin_to_replace(pipeline, monkeypatch)
    for each in pipeline.s3.list_objects_v2(Bucket="staging", Prefix="items/")["Contents"]:
        pipeline.s3.delete_object(Bucket="staging", Key=each["Key"])
    put(pipeline, A, {"a": 3, "b": 1, "m": 3})
    assert release(pipeline, A)["outcome"] == "RELEASED"
    assert set(held(pipeline, A)) == {"a", "b"}
    row = pipeline.row(A)
    assert "incomplete_since" in row
    assert "claim" not in row
    pipeline.s3.delete_object(Bucket="source", Key=B)
    run(pipeline, B)
    monkeypatch.setattr(sizes, "TRANSACTION_ITEMS", fits)
    assert run(pipeline, A)["items_kept"] == 0, (
        "nothing is believed of what it may have overwritten"
    )
    assert held(pipeline, A) == {"a": "3", "b": "1", "m": "3"}
    assert "incomplete_since" not in pipeline.row(A)


def _begin_to_replace(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write of A that was cut off after it had replaced items; B has an item of its own."""
    put(pipeline, B, {"m": 1})
    put(pipeline, A, dict.fromkeys("abcdefgh", 1))
    for key in (A, B):
        run(pipeline, key)
    put(pipeline, A, dict.fromkeys("abcdefgh", 2))
    _cut_off(pipeline, monkeypatch, 5)


def _cut_off(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, transactions: int) -> None:
    client = Client(pipeline.dynamodb)
    monkeypatch.setattr(tables, "dynamodb", lambda: client)
    pipeline.seconds_left = lambda: 1000.0 if client.calls < transactions else 0.0
    with pytest.raises(UnfinishedWriteError):
        pipeline.sync(A)
    pipeline.seconds_left = None
