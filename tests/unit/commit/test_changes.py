"""A commit writes what differs from what the table holds, and nothing else: what is believed of the
table, and where nothing is.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import pytest
from handlers import fetch_object, transform_records, validate_records
from tablekeeper import tables
from tablekeeper.commit import digests
from tablekeeper.datasets.catalogue import Catalogue
from tablekeeper.errors import KeyOwnershipError, StaleRevisionError, UnfinishedWriteError
from tablekeeper.ledger.failures import Failure, record_failure
from tablekeeper.model import sizes
from tablekeeper.model.execution import Execution
from tablekeeper.model.items import Item, item_digest

from tests.support.quick import quick_pipeline
from tests.unit.commit.conftest import Client
from tests.unit.conftest import Pipeline

KEY = "notes/a.json"
ROW = {"pk": {"S": f"s3://source/{KEY}"}, "sk": {"S": "CURRENT"}}


@pytest.fixture
def pipeline(monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    """In memory: these writes take many transactions."""
    return quick_pipeline(monkeypatch)


def records(values: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"pk": name, "sk": "1", "v": value} for name, value in values.items()]


def write(pipeline: Pipeline, values: dict[str, Any], **event: Any) -> tuple[int, int, int]:
    """Items put, removed and kept."""
    pipeline.put(KEY, records(values))
    return counts(pipeline, **event)


def counts(pipeline: Pipeline, **event: Any) -> tuple[int, int, int]:
    execution = pipeline.execution(KEY) | {"event": pipeline.event(KEY, **event)}
    ended = pipeline.commit(pipeline.fetch(KEY, **event), execution)
    assert ended["outcome"] == "SYNCED"
    return ended["items_put"], ended["items_removed"], ended["items_kept"]


def held(pipeline: Pipeline) -> dict[str, Any]:
    return {item["pk"]["S"]: item["v"]["N"] for item in pipeline.items()}


def version_of(pipeline: Pipeline) -> dict[str, str]:
    return {i["pk"]["S"]: i["_source"]["M"]["version_id"]["S"] for i in pipeline.items()}


TWELVE = dict.fromkeys("abcdefghijkl", 1)


@pytest.mark.usefixtures("either")
def test_an_overwrite_writes_what_changed(pipeline: Pipeline) -> None:
    assert write(pipeline, TWELVE) == (12, 0, 0)
    first = version_of(pipeline)["a"]
    changed = {**TWELVE, "a": 2, "b": 2, "z": 3}
    del changed["c"]
    assert write(pipeline, changed) == (3, 1, 9)
    assert held(pipeline) == {name: str(value) for name, value in changed.items()}
    versions = version_of(pipeline)
    assert versions["d"] == first, "the lineage names the version that changed the item last"
    assert versions["a"] != first
    row = next(
        each
        for each in pipeline.dynamodb.scan(TableName="ledger")["Items"]
        if each.get("items_kept", {}).get("N") == "9"
    )
    assert (row["items_put"]["N"], row["items_removed"]["N"]) == ("3", "1")


@pytest.mark.usefixtures("either")
def test_a_file_in_another_form_writes_nothing(pipeline: Pipeline) -> None:
    write(pipeline, TWELVE)
    pipeline.put(KEY, json.dumps(records(TWELVE)[::-1], indent=2).encode())
    assert counts(pipeline) == (0, 0, 12)


def test_a_schema_that_changes_no_item_writes_nothing(pipeline: Pipeline) -> None:
    write(pipeline, TWELVE)
    changed = Catalogue(
        {"notes": {"type": "object", "title": "Notes", "x-tablekeeper": {"prefix": "notes/"}}}
    )
    with (
        patch.object(fetch_object, "catalogue", lambda: changed),
        patch.object(validate_records, "catalogue", lambda: changed),
        patch.object(transform_records, "catalogue", lambda: changed),
    ):
        assert counts(pipeline) == (0, 0, 12)


@pytest.mark.usefixtures("either")
def test_force_writes_everything(pipeline: Pipeline) -> None:
    write(pipeline, TWELVE)
    pipeline.dynamodb.delete_item(TableName="items", Key={"pk": {"S": "a"}, "sk": {"S": "1"}})
    assert counts(pipeline, force=True) == (12, 0, 0)
    assert write(pipeline, {**TWELVE, "a": 2}) == (1, 0, 11)


# ---- digests that are not believed ----


def _row(pipeline: Pipeline) -> dict[str, Any]:
    row: dict[str, Any] = pipeline.row(KEY)
    return row


def test_keys_that_a_release_before_wrote_have_no_digests(pipeline: Pipeline) -> None:
    """It leaves the digests of an earlier commit in the row, and replaces `discarded`."""
    write(pipeline, TWELVE)
    stale = _row(pipeline)["item_digests"]
    write(pipeline, {**TWELVE, "a": 2})
    rolled_back = _row(pipeline) | {"item_digests": stale}
    del rolled_back["discarded"]
    pipeline.dynamodb.put_item(TableName="ledger", Item=rolled_back)
    assert write(pipeline, TWELVE) == (12, 0, 0), "written whole once"
    assert held(pipeline) == dict.fromkeys(TWELVE, "1")
    assert write(pipeline, {**TWELVE, "b": 2}) == (1, 0, 11)


def test_a_row_of_a_release_before_is_written_whole_once(pipeline: Pipeline) -> None:
    write(pipeline, TWELVE)
    before = {
        name: value
        for name, value in _row(pipeline).items()
        if name not in ("item_digests", "discarded", "items_table")
    }
    pipeline.dynamodb.put_item(TableName="ledger", Item=before)
    assert pipeline.sync(KEY)["outcome"] == "UNCHANGED"
    assert write(pipeline, {**TWELVE, "a": 2}) == (12, 0, 0)
    assert write(pipeline, {**TWELVE, "a": 3}) == (1, 0, 11)


@pytest.mark.usefixtures("large")
def test_a_key_list_of_a_release_before_has_no_digests(pipeline: Pipeline) -> None:
    write(pipeline, TWELVE)
    at = _row(pipeline)["keys_at"]["S"]
    for each in pipeline.s3.list_objects_v2(Bucket="staging", Prefix=f"{at}/digests")["Contents"]:
        pipeline.s3.delete_object(Bucket="staging", Key=each["Key"])
    assert write(pipeline, {**TWELVE, "a": 2}) == (12, 0, 0)
    assert write(pipeline, {**TWELVE, "a": 3}) == (1, 0, 11)


@pytest.mark.usefixtures("either")
@pytest.mark.parametrize("what", ["table", "ttl", "release"])
def test_digests_are_bound_to_what_they_were_made_by(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    write(pipeline, TWELVE)
    if what == "table":
        other = {"TableId": "another"}
        monkeypatch.setattr(digests, "description", lambda *_: other)
    elif what == "ttl":
        monkeypatch.setenv("TTL_ATTRIBUTE", "gone_at")
    else:
        monkeypatch.setattr(digests, "RELEASE", "next")
    assert write(pipeline, {**TWELVE, "a": 2}) == (12, 0, 0)
    assert write(pipeline, {**TWELVE, "a": 3}) == (1, 0, 11)


def test_a_table_that_cannot_be_described_is_written_whole(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(pipeline, TWELVE)
    monkeypatch.setattr(digests, "description", lambda *_: {})
    assert write(pipeline, {**TWELVE, "a": 2}) == (12, 0, 0)
    assert "item_digests" not in _row(pipeline)


# ---- what a claim remembers of it ----


@pytest.fixture
def cut_off(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> Callable[[Any, int], Any]:
    """Makes a write stop after so many transactions; what was fetched, and the execution."""

    def stop(event: dict[str, Any], transactions: int) -> Any:
        client = Client(pipeline.dynamodb)
        monkeypatch.setattr(tables, "dynamodb", lambda: client)
        pipeline.seconds_left = lambda: 1000.0 if client.calls < transactions else 0.0
        fetched = pipeline.fetch(KEY, **event)
        execution = pipeline.execution(KEY) | {"event": pipeline.event(KEY, **event)}
        with pytest.raises(UnfinishedWriteError):
            pipeline.commit(fetched, execution)
        pipeline.seconds_left = None
        return fetched, execution

    return stop


ALL_CHANGED = dict.fromkeys("abcdefghijkl", 2)


@pytest.mark.usefixtures("large")
def test_whoever_takes_over_a_write_that_has_replaced_items_writes_all(
    pipeline: Pipeline, cut_off: Callable[[Any, int], Any]
) -> None:
    write(pipeline, TWELVE)
    pipeline.put(KEY, records(ALL_CHANGED))
    cut_off({}, 5)
    assert _row(pipeline)["claim_state"] == {"S": "REPLACING"}
    assert set(held(pipeline).values()) == {"1", "2"}
    assert write(pipeline, {**TWELVE, "a": 3}) == (12, 0, 0)
    assert held(pipeline) == {name: "3" if name == "a" else "1" for name in TWELVE}


@pytest.mark.usefixtures("large")
def test_whoever_takes_over_a_write_that_has_added_items_keeps_the_rest(
    pipeline: Pipeline, cut_off: Callable[[Any, int], Any]
) -> None:
    write(pipeline, TWELVE)
    pipeline.put(KEY, records({**TWELVE, **dict.fromkeys("pqrstuvw", 1)}))
    cut_off({}, 4)
    assert _row(pipeline)["claim_state"] == {"S": "ADDING"}
    put, removed, kept = write(pipeline, {**TWELVE, "a": 3, "p": 1})
    assert (put, kept) == (2, 11), "a new key that a claim may have written is written again"
    assert removed == 7
    assert held(pipeline) == {name: "3" if name == "a" else "1" for name in [*TWELVE, "p"]}


@pytest.mark.usefixtures("large")
@pytest.mark.parametrize("transactions", range(2, 7))
def test_a_write_that_goes_on_has_the_plan_that_it_had(
    pipeline: Pipeline, cut_off: Callable[[Any, int], Any], transactions: int
) -> None:
    write(pipeline, TWELVE)
    changed = {**TWELVE, **dict.fromkeys("acegik", 2), "x": 2, "y": 2}
    pipeline.put(KEY, records(changed))
    fetched, execution = cut_off({}, transactions)
    ended = pipeline.commit(fetched, execution)
    assert (ended["items_put"], ended["items_kept"]) == (8, 6)
    assert held(pipeline) == {name: str(value) for name, value in changed.items()}


@pytest.mark.usefixtures("large")
def test_a_forced_write_does_not_go_on_with_what_was_not_forced(
    pipeline: Pipeline, cut_off: Callable[[Any, int], Any]
) -> None:
    write(pipeline, TWELVE)
    pipeline.put(KEY, records({**TWELVE, **dict.fromkeys("uvwxyz", 1)}))
    cut_off({}, 4)
    pipeline.dynamodb.delete_item(TableName="items", Key={"pk": {"S": "a"}, "sk": {"S": "1"}})
    assert counts(pipeline, force=True) == (18, 0, 0)
    assert len(held(pipeline)) == 18


@pytest.mark.usefixtures("large")
def test_who_takes_a_forced_write_over_believes_as_little(
    pipeline: Pipeline, cut_off: Callable[[Any, int], Any]
) -> None:
    write(pipeline, TWELVE)
    pipeline.dynamodb.delete_item(TableName="items", Key={"pk": {"S": "a"}, "sk": {"S": "1"}})
    pipeline.put(KEY, records({**TWELVE, "x": 1, "y": 1}))
    cut_off({"force": True}, 2)
    assert write(pipeline, {**TWELVE, "x": 1})[2] == 0
    assert set(held(pipeline)) == {*TWELVE, "x"}


@pytest.mark.usefixtures("large")
@pytest.mark.parametrize("fits", [1, 98])
def test_a_forced_write_that_was_undone_is_not_forgotten(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, fits: int
) -> None:
    """What the row knows is doubted until everything is written again."""
    pipeline.put("notes/b.json", records({"z": 9}))
    pipeline.sync("notes/b.json")
    write(pipeline, TWELVE)
    pipeline.dynamodb.delete_item(TableName="items", Key={"pk": {"S": "a"}, "sk": {"S": "1"}})
    pipeline.put(KEY, records({**TWELVE, "y": 1, "z": 1}))
    forced = pipeline.execution(KEY) | {"event": pipeline.event(KEY, force=True)}
    for _ in range(3):
        try:
            pipeline.commit(pipeline.fetch(KEY, force=True), forced)
        except KeyOwnershipError:
            break
        except StaleRevisionError:
            continue
    else:
        raise AssertionError("its own note does not stop it")
    assert "doubted" in _row(pipeline)
    monkeypatch.setattr(sizes, "TRANSACTION_ITEMS", fits)
    assert write(pipeline, TWELVE) == (12, 0, 0)
    assert "doubted" not in _row(pipeline)
    assert "a" in held(pipeline)


def _fails_by_force(pipeline: Pipeline) -> None:
    event = json.dumps(pipeline.event(KEY, force=True))
    execution = Execution("forced", "forced", "2099-01-01T00:00:00.000Z", 0, event)
    failure = Failure("Write Items", "Lambda.TooManyRequestsException", "")
    assert record_failure(pipeline.dynamodb, "ledger", execution, failure, 1000)


@pytest.mark.usefixtures("either")
def test_a_forced_execution_that_failed_is_not_forgotten(pipeline: Pipeline) -> None:
    """What starts the file again has no flag."""
    write(pipeline, TWELVE)
    pipeline.dynamodb.delete_item(TableName="items", Key={"pk": {"S": "a"}, "sk": {"S": "1"}})
    _fails_by_force(pipeline)
    assert counts(pipeline) == (12, 0, 0)
    assert set(held(pipeline)) == {*TWELVE}
    assert not {"doubted", "problem"} & _row(pipeline).keys()


@pytest.mark.usefixtures("large")
def test_a_forced_execution_that_failed_beside_a_large_write_is_not_forgotten(
    pipeline: Pipeline, use: Callable[[Any], None]
) -> None:
    write(pipeline, TWELVE)
    pipeline.put(KEY, records(dict.fromkeys(TWELVE, 2)))
    fetched, execution = pipeline.fetch(KEY), pipeline.execution(KEY)
    calls: list[int] = []

    def fails_meanwhile(_: Any) -> None:
        calls.append(1)
        if len(calls) == 4:
            _fails_by_force(pipeline)

    use(Client(pipeline.dynamodb, fails_meanwhile))
    assert pipeline.commit(fetched, execution)["outcome"] == "SYNCED"
    assert {"doubted", "problem"} <= _row(pipeline).keys()
    assert counts(pipeline) == (12, 0, 0)
    assert not {"doubted", "problem"} & _row(pipeline).keys()


def test_equal_items_have_one_digest() -> None:
    one: Item = {"pk": {"S": "a"}, "m": {"M": {"x": {"N": "1"}, "y": {"SS": ["p", "q"]}}}}
    other: Item = {"m": {"M": {"y": {"SS": ["q", "p"]}, "x": {"N": "1"}}}, "pk": {"S": "a"}}
    assert item_digest(one) == item_digest(other)
    assert len(item_digest(one)) == 16
    listed: Item = {"pk": {"S": "a"}, "m": {"L": [{"S": "q"}, {"S": "p"}]}}
    assert item_digest(listed) != item_digest({**listed, "m": {"L": [{"S": "p"}, {"S": "q"}]}})
    assert item_digest({"SS": {"M": {"b": {"S": "1"}}}}) != item_digest({"SS": {"S": "1"}})
