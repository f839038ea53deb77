"""Large writes: claimed, written in lanes, cut off anywhere, gone on with, undone, taken over."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from tablekeeper import tables
from tablekeeper.commit import key_lists, lanes, patience, plan
from tablekeeper.errors import (
    ItemRejectedError,
    KeyOwnershipError,
    StaleRevisionError,
    TransientServiceError,
    UnfinishedWriteError,
)
from tablekeeper.model import sizes

from tests.support.fakes import client_error
from tests.support.quick import quick_pipeline
from tests.unit.commit.conftest import Client
from tests.unit.conftest import Pipeline

KEY = "notes/a.json"

pytestmark = pytest.mark.usefixtures("large")


@pytest.fixture
def pipeline(monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    """In memory: these writes take many transactions."""
    return quick_pipeline(monkeypatch)


class CutOffError(Exception):
    """The function's process is gone."""


def records(names: Any, **more: Any) -> list[dict[str, Any]]:
    return [{"pk": name, "sk": "1", **more} for name in names]


def ended(outcome: str, put: int, removed: int, kept: int = 0) -> dict[str, Any]:
    counts = {"items_put": put, "items_removed": removed, "items_kept": kept}
    return {"outcome": outcome, **counts}


def held(pipeline: Pipeline) -> dict[str, Any]:
    return {item["pk"]["S"]: item.get("v", {}).get("N") for item in pipeline.items()}


def staged_keys(pipeline: Pipeline) -> set[str]:
    listed = pipeline.s3.list_objects_v2(Bucket="staging", Prefix="keys/").get("Contents", ())
    return {each["Key"].rpartition("/")[0].removesuffix("/digests") for each in listed}


def happens(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, what: Any) -> Client:
    """`what` gets the number of each transaction."""
    client = Client(pipeline.dynamodb, lambda _: what(client.calls))
    monkeypatch.setattr(tables, "dynamodb", lambda: client)
    return client


def cut_off_at(call: int) -> Any:
    def happen(number: int) -> None:
        if number == call:
            raise CutOffError

    return happen


def test_many_items_are_written_and_their_keys_kept_outside_the_row(pipeline: Pipeline) -> None:
    pipeline.put(KEY, records("abcdefgh", v=1))
    assert pipeline.sync(KEY) == {
        "outcome": "SYNCED",
        "items_put": 8,
        "items_removed": 0,
        "items_kept": 0,
    }
    assert held(pipeline) == dict.fromkeys("abcdefgh", "1")
    row = pipeline.row(KEY)
    assert "claim" not in row
    assert "claim_state" not in row
    assert staged_keys(pipeline) == {row["keys_at"]["S"]}
    assert not pipeline.row(KEY, "CLAIM#0")
    assert pipeline.outcomes(KEY) == ["SYNCED"]


def test_few_items_of_many_bytes_are_a_large_write(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sizes, "TRANSACTION_ITEMS", 98)
    monkeypatch.setattr(sizes, "TRANSACTION_BYTES", 4_000)
    pipeline.put(KEY, records("abc"))
    assert pipeline.sync(KEY)["items_put"] == 3
    assert "keys_at" in pipeline.row(KEY)


@pytest.mark.parametrize("of_0_2_0", ["ADD 1", "ADD 0", "UNDO 0"])
def test_the_progress_of_a_lane_is_of_one_release(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, of_0_2_0: str
) -> None:
    """Of a rollback in the middle, and of the upgrade behind it: each does its phase again."""
    monkeypatch.setattr(lanes, "LANES", 1)
    pipeline.put(KEY, records("abcdefgh", v=1))
    happens(pipeline, monkeypatch, cut_off_at(4))
    fetched, execution = pipeline.fetch(KEY), pipeline.execution(KEY)
    with pytest.raises(CutOffError):
        pipeline.commit(fetched, execution)
    monkeypatch.setattr(tables, "dynamodb", lambda: pipeline.dynamodb)
    row = pipeline.row(KEY, "CLAIM#0")
    assert (row["phase"]["S"], row["done"]["N"], row["transactions"]["S"]) == ("ADD", "-1", "ADD 2")
    phase, done = of_0_2_0.split()
    pipeline.dynamodb.put_item(
        TableName="ledger", Item=row | {"phase": {"S": phase}, "done": {"N": done}}
    )
    for each in held(pipeline):
        key = {"pk": {"S": each}, "sk": {"S": "1"}}
        pipeline.dynamodb.delete_item(TableName="items", Key=key)
    assert pipeline.commit(fetched, execution)["outcome"] == "SYNCED"
    assert held(pipeline) == dict.fromkeys("abcdefgh", "1")


def test_what_vanished_goes_and_so_does_the_old_key_list(pipeline: Pipeline) -> None:
    pipeline.put(KEY, records("abcdefgh", v=1))
    pipeline.sync(KEY)
    pipeline.put(KEY, records("aceg", v=2) + records("xy", v=2))
    assert pipeline.sync(KEY) == {
        "outcome": "SYNCED",
        "items_put": 6,
        "items_removed": 4,
        "items_kept": 0,
    }
    assert held(pipeline) == dict.fromkeys("acegxy", "2")
    assert staged_keys(pipeline) == {pipeline.row(KEY)["keys_at"]["S"]}


def test_a_large_file_that_is_gone_leaves_nothing(pipeline: Pipeline) -> None:
    pipeline.put(KEY, records("abcdefgh"))
    pipeline.sync(KEY)
    pipeline.s3.delete_object(Bucket="source", Key=KEY)
    assert pipeline.sync(KEY) == {
        "outcome": "DELETED",
        "items_put": 0,
        "items_removed": 8,
        "items_kept": 0,
    }
    assert held(pipeline) == {}
    assert staged_keys(pipeline) == set()
    assert pipeline.sync(KEY)["outcome"] == "UNCHANGED"


def test_a_large_file_becomes_a_small_one(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline.put(KEY, records("abcdefgh"))
    pipeline.sync(KEY)
    monkeypatch.setattr(sizes, "TRANSACTION_ITEMS", 98)
    pipeline.put(KEY, records("a"))
    assert pipeline.sync(KEY)["items_removed"] == 7
    assert "keys_at" not in pipeline.row(KEY)
    assert staged_keys(pipeline) == set()


def test_lanes_write_side_by_side(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    """With real threads; moto takes one transaction at a time."""
    lock = threading.Lock()
    client = Client(pipeline.dynamodb)
    call = client.transact_write_items

    def one_at_a_time(**arguments: Any) -> Any:
        with lock:
            return call(**arguments)

    monkeypatch.setattr(client, "transact_write_items", one_at_a_time)
    monkeypatch.setattr(tables, "dynamodb", lambda: client)
    monkeypatch.setattr(lanes, "in_parallel", IN_PARALLEL)
    pipeline.put(KEY, records(map(str, range(50))))
    assert pipeline.sync(KEY)["items_put"] == 50
    assert len(held(pipeline)) == 50


IN_PARALLEL = lanes.in_parallel


@pytest.mark.parametrize("call", range(1, 10))
def test_cut_off_anywhere_the_next_attempt_finishes(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, call: int
) -> None:
    pipeline.put(KEY, records("abcdef", v=1))
    pipeline.sync(KEY)
    pipeline.put(KEY, records("defghi", v=2))
    fetched, execution = pipeline.fetch(KEY), pipeline.execution(KEY)
    client = happens(pipeline, monkeypatch, cut_off_at(call))
    try:
        pipeline.commit(fetched, execution)
    except CutOffError:
        before = client.calls
        assert pipeline.commit(fetched, execution)["outcome"] == "SYNCED"
        if call > 3:
            assert client.calls - before < 12, "what was done is not done again"
    else:
        assert call > client.calls
    assert held(pipeline) == dict.fromkeys("defghi", "2")
    assert pipeline.outcomes(KEY) == ["SYNCED", "SYNCED"]
    assert staged_keys(pipeline) == {pipeline.row(KEY)["keys_at"]["S"]}


@pytest.mark.parametrize(
    ("call", "fits"),
    [*((call, 1) for call in range(2, 8)), pytest.param(5, 98, id="in one transaction")],
)
def test_another_content_takes_over_wherever_it_was_cut_off(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, call: int, fits: int
) -> None:
    pipeline.put(KEY, records("abcd", v=1))
    pipeline.sync(KEY)
    pipeline.put(KEY, records("cdefgh", v=2))
    happens(pipeline, monkeypatch, cut_off_at(call))
    with pytest.raises(CutOffError):
        pipeline.sync(KEY)
    monkeypatch.setattr(sizes, "TRANSACTION_ITEMS", fits)
    pipeline.put(KEY, records("hijk", v=3))
    assert pipeline.sync(KEY)["outcome"] == "SYNCED"
    assert held(pipeline) == dict.fromkeys("hijk", "3")
    assert "claim" not in pipeline.row(KEY)
    assert staged_keys(pipeline) == {pipeline.row(KEY)["keys_at"]["S"]}


def test_the_loser_of_a_claim_ends_superseded_and_writes_nothing_more(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline.put(KEY, records("abcdef", v=1))
    client = happens(pipeline, monkeypatch, lambda _: None)

    def take_over(number: int) -> None:
        if number == 3:
            client.before = lambda _: None
            pipeline.put(KEY, records("xyz", v=2))
            assert pipeline.sync(KEY)["outcome"] == "SYNCED"

    client.before = lambda _: take_over(client.calls)
    assert pipeline.sync(KEY)["outcome"] == "SUPERSEDED"
    assert held(pipeline) == dict.fromkeys("xyz", "2")
    assert sorted(pipeline.outcomes(KEY)) == ["SUPERSEDED", "SYNCED"]


def test_a_claim_that_another_has_taken_is_not_closed(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However far the write of whoever lost it had come."""
    pipeline.put(KEY, records("abcdef", v=1))
    client = happens(pipeline, monkeypatch, lambda _: None)

    def take_over(arguments: Any) -> None:
        if "Delete" in arguments["TransactItems"][1]:
            client.before, begun = lambda _: cut_off_at(begun + 2)(client.calls), client.calls
            pipeline.put(KEY, records("xyz", v=2))
            with pytest.raises(CutOffError):
                pipeline.sync(KEY)
            client.before = lambda _: None

    client.before = take_over
    assert pipeline.sync(KEY)["outcome"] == "SUPERSEDED"
    assert pipeline.sync(KEY)["outcome"] == "SYNCED"
    assert held(pipeline) == dict.fromkeys("xyz", "2")


def test_the_same_content_goes_on_where_the_other_execution_was(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline.put(KEY, records(map(str, range(40)), v=1))
    client = happens(pipeline, monkeypatch, cut_off_at(18))
    with pytest.raises(CutOffError):
        pipeline.sync(KEY)
    done, client.calls = client.calls, 100
    assert pipeline.sync(KEY)["outcome"] == "SYNCED"
    assert client.calls - 100 < 27 - done + 4
    assert len(held(pipeline)) == 40


def test_a_conflict_undoes_what_was_added(pipeline: Pipeline) -> None:
    pipeline.put("notes/owner.json", records("m"))
    pipeline.sync("notes/owner.json")
    pipeline.put(KEY, records("ab", v=1))
    pipeline.sync(KEY)
    pipeline.put(KEY, records("bcdefghijklmnop", v=2))
    with pytest.raises(StaleRevisionError):
        pipeline.sync(KEY)
    assert held(pipeline) == {"m": None, "a": "1", "b": "1"}
    with pytest.raises(KeyOwnershipError) as caught:
        pipeline.sync(KEY)
    assert caught.value.owner == "s3://source/notes/owner.json"
    assert held(pipeline) == {"m": None, "a": "1", "b": "1"}
    pipeline.s3.delete_object(Bucket="source", Key="notes/owner.json")
    pipeline.sync("notes/owner.json")
    assert pipeline.sync(KEY)["outcome"] == "SYNCED"
    assert held(pipeline) == dict.fromkeys("bcdefghijklmnop", "2")


def test_a_noted_refusal_stands_until_the_last_file_is_out_of_the_way(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is added and undone in between."""
    monkeypatch.setattr(sizes, "TRANSACTION_ITEMS", 3)
    monkeypatch.setattr(lanes, "LANES", 1)
    for owner in "mn":
        pipeline.put(f"notes/{owner}.json", records(owner))
        pipeline.sync(f"notes/{owner}.json")
    pipeline.put(KEY, records("amnz"))
    with pytest.raises(StaleRevisionError):
        pipeline.sync(KEY)
    client = happens(pipeline, monkeypatch, lambda _: None)
    left = ["s3://source/notes/m.json", "s3://source/notes/n.json"]
    while left:
        client.calls = 0
        with pytest.raises(KeyOwnershipError) as caught:
            pipeline.sync(KEY)
        named = [caught.value.values, *caught.value.values.get("others", ())]
        assert sorted(each["owner"] for each in named) == left
        assert not client.calls
        gone = named[0]["owner"]
        left.remove(gone)
        pipeline.s3.delete_object(Bucket="source", Key=gone.removeprefix("s3://source/"))
        pipeline.sync(gone.removeprefix("s3://source/"))
    assert pipeline.sync(KEY) == ended("SYNCED", 4, 0)


def test_no_more_is_read_of_an_item_than_whose_it_is(
    pipeline: Pipeline, use: Callable[[Any], None]
) -> None:
    """A hundred items may be 40 MB, and eight lanes read at once."""
    pipeline.put(KEY, records("abcd", v=1))
    pipeline.sync(KEY)
    client, read = Client(pipeline.dynamodb), list[set[str]]()

    def batch_get_item(**arguments: Any) -> Any:
        answer = pipeline.dynamodb.batch_get_item(**arguments)
        read.extend(set(item) for item in answer["Responses"]["items"])
        return answer

    client.batch_get_item = batch_get_item  # type: ignore[attr-defined]
    use(client)
    pipeline.put(KEY, records("abcd", v=2))
    assert pipeline.sync(KEY) == ended("SYNCED", 4, 0)
    assert read == [{"pk", "sk", "_source"}] * 4


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("ValidationError", r'"b".* too odd'),
        # Of a table with a local secondary index. It does not pass by itself.
        ("ItemCollectionSizeLimitExceeded", r'"b".* 10 GB'),
    ],
)
def test_an_item_that_dynamodb_refuses_is_named_in_the_next_round(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, code: str, says: str
) -> None:
    pipeline.put(KEY, records("abcd"))
    reasons = [{"Code": "None"}, {"Code": "None"}, {"Code": code, "Message": "too odd"}]

    def refuse(number: int) -> None:
        if number == 2:
            raise client_error("TransactionCanceledException", CancellationReasons=reasons)

    happens(pipeline, monkeypatch, refuse)
    with pytest.raises(StaleRevisionError):
        pipeline.sync(KEY)
    assert held(pipeline) == {}
    with pytest.raises(ItemRejectedError, match=says):
        pipeline.sync(KEY)


def test_a_write_that_ends_while_it_replaces_items_leaves_the_file_incomplete(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline.put(KEY, records("abcdefgh", v=1))
    pipeline.sync(KEY)
    pipeline.put(KEY, records("abcdefgh", v=2))
    call = 0
    while len(set(held(pipeline).values())) == 1:
        call += 1
        happens(pipeline, monkeypatch, cut_off_at(call))
        with pytest.raises(CutOffError):
            pipeline.sync(KEY)
    assert "incomplete_since" in pipeline.row(KEY)
    happens(pipeline, monkeypatch, lambda _: None)
    assert pipeline.sync(KEY)["outcome"] == "SYNCED"
    assert "incomplete_since" not in pipeline.row(KEY)


def test_a_write_stops_before_its_time_is_up_and_goes_on(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline.put(KEY, records(map(str, range(40))))
    fetched, execution = pipeline.fetch(KEY), pipeline.execution(KEY)
    client = happens(pipeline, monkeypatch, lambda _: None)
    left = iter([60.0] * 9 + [patience.MARGIN - 1] * 100)
    monkeypatch.setattr(pipeline, "seconds_left", lambda: next(left))
    with pytest.raises(UnfinishedWriteError):
        pipeline.commit(fetched, execution)
    assert pipeline.outcomes(KEY) == []
    first, client.calls = client.calls, 0
    monkeypatch.setattr(pipeline, "seconds_left", None)
    assert pipeline.commit(fetched, execution)["outcome"] == "SYNCED"
    assert 0 < first < 27
    assert client.calls < 27
    assert len(held(pipeline)) == 40


def test_throttling_slows_a_write_down_and_fails_nothing(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(patience, "pause", pauses.append)

    def throttle(number: int) -> None:
        if number > 1 and number % 3:
            raise client_error("ThrottlingException")

    happens(pipeline, monkeypatch, throttle)
    pipeline.put(KEY, records("abcdefgh"))
    assert pipeline.sync(KEY)["outcome"] == "SYNCED"
    assert len(pauses) > 5
    assert max(pauses) <= patience.LONGEST_PAUSE


def test_throttling_without_end_stops_the_write_to_go_on_later(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "PATIENCE", -1)

    def throttle(number: int) -> None:
        if number > 1:
            raise client_error("ThrottlingException")

    happens(pipeline, monkeypatch, throttle)
    pipeline.put(KEY, records("abcdefgh"))
    with pytest.raises(UnfinishedWriteError, match="Throttling"):
        pipeline.sync(KEY)


def test_a_lost_answer_to_the_close_finds_its_outcome(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline.put(KEY, records("abcd"))
    client = happens(pipeline, monkeypatch, lambda _: None)
    transact = pipeline.dynamodb.transact_write_items

    def lose_the_answer(**arguments: Any) -> Any:
        closes = "Delete" in arguments["TransactItems"][1]
        transact(**arguments)
        if closes:
            raise client_error("InternalServerError")

    monkeypatch.setattr(client, "transact_write_items", lose_the_answer)
    assert pipeline.sync(KEY)["outcome"] == "SYNCED"
    assert pipeline.outcomes(KEY) == ["SYNCED"]


def test_a_key_list_that_cannot_be_deleted_is_deleted_by_the_next_commit(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline.put(KEY, records("abcd"))
    pipeline.sync(KEY)

    def fails(*_: Any) -> None:
        raise TransientServiceError("DeleteObjects: SlowDown")

    pipeline.put(KEY, records("cdef"))
    with monkeypatch.context() as patched:
        patched.setattr(key_lists, "delete_copy", fails)
        pipeline.sync(KEY)
    assert len(staged_keys(pipeline)) == 2
    pipeline.put(KEY, records("efgh"))
    pipeline.sync(KEY)
    assert staged_keys(pipeline) == {pipeline.row(KEY)["keys_at"]["S"]}


@pytest.mark.parametrize("call", range(4, 9))
def test_a_key_list_that_comes_late_makes_nothing_be_skipped(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, call: int
) -> None:
    """Its owner, given up for dead, wrote it after it had lost its claim, and no item with it."""
    late: list[Any] = []

    def lost(*arguments: Any) -> None:
        late.append(arguments)
        raise CutOffError

    pipeline.put(KEY, records("abcdefghijklmnop", v=1))
    pipeline.sync(KEY)
    pipeline.put(KEY, records([f"0{n}" for n in range(40)], v=2))
    with monkeypatch.context() as patched:
        patched.setattr(plan, "keep_list", lost)
        with pytest.raises(CutOffError):
            pipeline.sync(KEY)
    pipeline.put(KEY, records("p", v=3))
    client = happens(pipeline, monkeypatch, cut_off_at(call))
    with pytest.raises(CutOffError):
        pipeline.sync(KEY)
    key_lists.keep_list(*late[0])
    assert pipeline.sync(KEY)["outcome"] == "SYNCED"
    assert client.calls > call
    assert held(pipeline) == {"p": "3"}
