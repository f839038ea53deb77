"""Delete Items: the file's items go, its row stays as a tombstone."""

import pytest
from handlers import delete_items
from tablekeeper.errors import StaleRevisionError

from tests.unit.conftest import Pipeline

GOOD = [{"pk": "a", "sk": "1"}, {"pk": "b", "sk": "1"}]


def test_the_items_of_an_object_that_is_gone_go(pipeline: Pipeline) -> None:
    pipeline.put("notes/a.json", GOOD)
    pipeline.sync("notes/a.json")
    pipeline.s3.delete_object(Bucket="source", Key="notes/a.json")
    assert pipeline.sync("notes/a.json") == {
        "outcome": "DELETED",
        "items_put": 0,
        "items_removed": 2,
        "items_kept": 0,
    }
    assert pipeline.items() == []


def test_the_row_stays_as_a_tombstone(pipeline: Pipeline) -> None:
    pipeline.put("notes/a.json", GOOD)
    pipeline.sync("notes/a.json")
    pipeline.s3.delete_object(Bucket="source", Key="notes/a.json")
    pipeline.sync("notes/a.json")
    row = pipeline.row("notes/a.json")
    assert (row["status"], row["revision"]) == ({"S": "DELETED"}, {"N": "2"})
    assert not {"item_keys", "etag", "digest", "expires_at"} & row.keys()
    assert pipeline.sync("notes/a.json")["outcome"] == "UNCHANGED"


def test_what_a_function_of_0_2_0_found_for_a_release_is_no_absence(pipeline: Pipeline) -> None:
    pipeline.put("notes/a.json", GOOD)
    pipeline.sync("notes/a.json")
    found = pipeline.fetch("notes/a.json")["found"] | {"action": "release"}
    payload = {"found": found, "execution": pipeline.execution("notes/a.json")}
    with pytest.raises(StaleRevisionError, match="it is read again"):
        delete_items.handler(payload, None)
    assert len(pipeline.items()) == 2


def test_an_object_that_returns_brings_its_items_back(pipeline: Pipeline) -> None:
    pipeline.put("notes/a.json", GOOD)
    pipeline.sync("notes/a.json")
    marker = pipeline.s3.delete_object(Bucket="source", Key="notes/a.json")
    pipeline.sync("notes/a.json")
    pipeline.s3.delete_object(Bucket="source", Key="notes/a.json", VersionId=marker["VersionId"])
    assert pipeline.sync("notes/a.json")["items_put"] == 2


def test_an_ignored_key_has_an_outcome_and_no_items(pipeline: Pipeline) -> None:
    pipeline.put("notes/_SUCCESS", b"")
    assert pipeline.sync("notes/_SUCCESS")["outcome"] == "IGNORED"
    assert pipeline.outcomes("notes/_SUCCESS") == ["IGNORED"]


def test_a_key_that_becomes_ignored_loses_its_items(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline.put("notes/a.json", GOOD)
    pipeline.sync("notes/a.json")
    monkeypatch.setenv("IGNORE_PATTERNS", "a.*")
    assert pipeline.sync("notes/a.json") == {
        "outcome": "IGNORED",
        "items_put": 0,
        "items_removed": 2,
        "items_kept": 0,
    }


def test_an_older_look_at_the_bucket_cannot_delete(pipeline: Pipeline) -> None:
    old = pipeline.fetch("notes/a.json")
    pipeline.put("notes/a.json", GOOD)
    pipeline.sync("notes/a.json")
    with pytest.raises(StaleRevisionError):
        pipeline.commit(old, pipeline.execution("notes/a.json"))
    assert len(pipeline.items()) == 2
