"""Sync Orphans: files of the ledger whose objects are gone."""

import json
from collections import Counter
from typing import Any
from unittest.mock import patch

import pytest
from handlers import sync_orphans
from tablekeeper import aws
from tablekeeper.bucket import orphans
from tablekeeper.errors import StaleRevisionError
from tablekeeper.ledger.failures import Failure, record_failure
from tablekeeper.ledger.rows import SHARDS
from tablekeeper.model.execution import execution_of

from tests.unit.conftest import Pipeline, crash_after


def run(pipeline: Pipeline, how: str = "bulk", prefix: str = "") -> tuple[int, Counter[str]]:
    """All shards, each until it is done: the files looked at, and the orphans' outcomes."""
    files, outcomes = 0, Counter[str]()
    for shard in SHARDS:
        before: Any = {}
        while before.get("after") or not before:
            event: Any = {"shard": shard, "prefix": prefix, "how": how, "place": "sync/run/"}
            event |= {"before": before, "execution": pipeline.execution("-")}
            before = json.loads(json.dumps(sync_orphans.handler(event, None)))
        files += before["files"]
        outcomes.update(before["outcomes"])
    return files, outcomes


def lines(pipeline: Pipeline) -> dict[str, Any]:
    """The orphans that the results name."""
    found: dict[str, Any] = {}
    for each in pipeline.s3.list_objects_v2(Bucket="staging", Prefix="sync/").get("Contents", ()):
        body = pipeline.s3.get_object(Bucket="staging", Key=each["Key"])["Body"].read()
        found |= {end["key"]: end.get("outcome") for end in map(json.loads, body.splitlines())}
    return found


@pytest.fixture
def gone(pipeline: Pipeline) -> list[str]:
    """Eight files, every second of which is gone without an event; five are of one shard."""
    keys = [f"notes/{name}.json" for name in ("0a", "0g", "0p", "0x", "1l", "1b", "1z", "1d")]
    for number, key in enumerate(keys):
        pipeline.put(key, [{"pk": str(number), "sk": "1"}])
        pipeline.sync(key)
    for key in keys[::2]:
        pipeline.s3.delete_object(Bucket="source", Key=key)
    return keys[::2]


def test_the_items_of_files_that_are_gone_are_removed(pipeline: Pipeline, gone: list[str]) -> None:
    assert run(pipeline) == (8, Counter(DELETED=4))
    assert len(pipeline.items()) == 4
    assert lines(pipeline) == dict.fromkeys(gone, "DELETED")
    assert run(pipeline) == (4, Counter())


def test_items_of_keys_outside_of_the_prefix_go(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """KeyPrefix was narrowed: the objects are there, no listing names them, and none is read."""
    for key in ("notes/in/a.json", "notes/out/b.json"):
        pipeline.put(key, [{"pk": key, "sk": "1"}])
        pipeline.sync(key)
    monkeypatch.setenv("KEY_PREFIX", "notes/in/")
    assert run(pipeline, "look") == (2, Counter(look=1))
    assert run(pipeline) == (2, Counter(IGNORED=1))
    assert [each["pk"] for each in pipeline.items()] == [{"S": "notes/in/a.json"}]
    assert run(pipeline) == (1, Counter())


def test_a_look_removes_nothing(pipeline: Pipeline, gone: list[str]) -> None:
    assert run(pipeline, "look") == (8, Counter(look=4))
    assert len(pipeline.items()) == 8
    assert lines(pipeline) == dict.fromkeys(gone)


def test_only_keys_under_the_prefix_are_looked_at(pipeline: Pipeline, gone: list[str]) -> None:
    assert run(pipeline, prefix="notes/0")[0] == 4
    assert run(pipeline, prefix="other/") == (0, Counter())
    assert len(gone) == 4


def test_a_file_that_was_never_good_and_is_gone_has_no_problem_any_more(
    pipeline: Pipeline,
) -> None:
    pipeline.put("notes/bad.json", b"{")
    assert pipeline.sync_batch() == {"notes/bad.json": ("UNKNOWN", "INVALID")}
    pipeline.s3.delete_object(Bucket="source", Key="notes/bad.json")
    assert run(pipeline) == (1, Counter(DELETED=1))
    assert "problem" not in pipeline.row("notes/bad.json")


def test_an_input_without_a_key_keeps_no_run_from_its_work(
    pipeline: Pipeline, gone: list[str]
) -> None:
    """Its failure stands in the ledger as that of an object without a name."""
    execution = execution_of({"execution": pipeline.execution("")})
    failure = Failure("Fetch Object", "InvalidEventError", "the input has no detail.object.key")
    record_failure(pipeline.dynamodb, "ledger", execution, failure, 1000)
    assert pipeline.row("")["problem_status"] == {"S": "FAILED"}
    assert run(pipeline) == (8, Counter(DELETED=4))
    assert lines(pipeline) == dict.fromkeys(gone, "DELETED")


def test_it_goes_on_where_the_time_ran_out(pipeline: Pipeline, gone: list[str]) -> None:
    """Two files a page, and a page an invocation."""
    stock = pipeline.dynamodb.query

    def query(**request: Any) -> Any:
        return stock(**{**request, "Limit": 2})

    with (
        patch.object(aws.dynamodb(), "query", query),
        patch.object(orphans, "MAX_ORPHANS", 1),
    ):
        assert run(pipeline) == (8, Counter(DELETED=4))
    assert len(pipeline.items()) == 4
    assert lines(pipeline) == dict.fromkeys(gone, "DELETED")


def test_an_object_that_is_there_again_is_left_to_an_execution(
    pipeline: Pipeline, gone: list[str]
) -> None:
    """It comes back between the first look and the second: here, the first one is mistaken."""
    pipeline.put("notes/0g.json", [{"pk": "new", "sk": "1"}])
    started: list[Any] = []
    with (
        patch.object(aws.states(), "start_execution", lambda **request: started.append(request)),
        patch.object(orphans, "_is_orphan", lambda _, row: row.key in {*gone, "notes/0g.json"}),
    ):
        assert run(pipeline) == (8, Counter(DELETED=4, TRACED=1))
    assert [json.loads(each["input"]) for each in started] == [pipeline.event("notes/0g.json")]
    assert len(pipeline.items()) == 4


def test_what_cannot_be_removed_in_time_gets_an_execution_once(pipeline: Pipeline) -> None:
    pipeline.put("notes/a.json", [{"pk": "a", "sk": "1"}])
    pipeline.sync("notes/a.json")
    pipeline.s3.delete_object(Bucket="source", Key="notes/a.json")
    execution, started = pipeline.execution("-"), []
    shard = pipeline.row("notes/a.json")["file_shard"]["S"]
    event = {"shard": shard, "prefix": "", "how": "bulk", "place": "sync/run/", "before": {}}
    with (
        patch.object(aws.states(), "start_execution", lambda **request: started.append(request)),
        patch("tablekeeper.bucket.batch.LAST_SECONDS", 1e9),
        patch("handlers.sync_orphans.seconds_left", lambda _: lambda: 1000.0),
    ):
        for _ in range(2):
            answer = sync_orphans.handler({**event, "execution": execution}, None)
            assert answer["outcomes"] == {"TRACED": 1}
    assert json.loads(started[0]["input"]) == pipeline.event("notes/a.json")
    assert started[0]["name"] == started[1]["name"]


def test_a_removal_that_a_crash_of_the_function_cut_off_is_finished(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, large: None
) -> None:
    """The shard is tried again, by the execution that made the claim, which runs."""
    key = "notes/a.json"
    pipeline.put(key, [{"pk": "a", "sk": str(number)} for number in range(6)])
    pipeline.sync(key)
    pipeline.s3.delete_object(Bucket="source", Key=key)
    event = {"shard": pipeline.row(key)["file_shard"]["S"], "prefix": "", "how": "bulk"}
    event |= {"place": "sync/run/", "before": {}, "execution": pipeline.execution("-")}
    with crash_after(3), pytest.raises(SystemExit):
        sync_orphans.handler(event, None)
    assert 0 < len(pipeline.items()) < 6
    monkeypatch.setattr(aws.states(), "describe_execution", lambda **_: {"status": "RUNNING"})
    other = {**event, "execution": pipeline.execution("-")}
    assert sync_orphans.handler(other, None)["outcomes"] == {}
    assert sync_orphans.handler(event, None)["outcomes"] == {"DELETED": 1}
    assert pipeline.items() == []


def test_a_write_under_way_of_an_object_that_is_gone_is_taken_over(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, large: None
) -> None:
    """The event of its deletion is lost."""
    key = "notes/a.json"
    pipeline.put(key, [{"pk": "a", "sk": str(number)} for number in range(6)])
    fetched, writer = pipeline.fetch(key), pipeline.execution(key)
    with crash_after(2), pytest.raises(SystemExit):
        pipeline.commit(fetched, writer)
    assert 0 < len(pipeline.items()) < 6
    pipeline.s3.delete_object(Bucket="source", Key=key)
    monkeypatch.setattr(aws.states(), "describe_execution", lambda **_: {"status": "RUNNING"})
    assert run(pipeline) == (1, Counter(DELETED=1))
    with pytest.raises(StaleRevisionError):
        pipeline.commit(fetched, writer)
    assert pipeline.items() == []
