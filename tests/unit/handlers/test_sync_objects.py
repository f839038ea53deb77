"""Sync Objects: a batch is held against the ledger, and what differs ends as in an execution."""

import json
from typing import Any
from unittest.mock import patch

import pytest
from tablekeeper import aws
from tablekeeper.bucket import attempt, batch
from tablekeeper.commit.file_commit import FileCommit
from tablekeeper.errors import ObjectChangedError, TransientServiceError
from tablekeeper.ledger.rows import ADDING, Claim
from tablekeeper.steps import fetch, transform

from tests.support.fakes import client_error
from tests.support.quick import quick_pipeline
from tests.unit.conftest import Pipeline, crash_after

GOOD = [{"pk": "a", "sk": "1"}]
BAD = [{"pk": "a", "sk": "1", "count": -1}]


@pytest.fixture
def pipeline(monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    return quick_pipeline(monkeypatch)


def test_what_the_ledger_does_not_know_is_written(pipeline: Pipeline) -> None:
    pipeline.put("notes/a.json", GOOD)
    pipeline.put("notes/b.json", [{"pk": "b", "sk": "1"}])
    assert pipeline.sync_batch() == {
        "notes/a.json": ("UNKNOWN", "SYNCED"),
        "notes/b.json": ("UNKNOWN", "SYNCED"),
    }
    assert {item["pk"]["S"] for item in pipeline.items()} == {"a", "b"}
    assert pipeline.outcomes("notes/a.json") == ["SYNCED"]


def test_what_is_in_the_table_already_is_left_alone(pipeline: Pipeline) -> None:
    pipeline.put("notes/a.json", GOOD)
    pipeline.sync("notes/a.json")
    row = pipeline.row("notes/a.json")
    assert pipeline.sync_batch() == {}
    assert pipeline.row("notes/a.json") == row


def test_every_difference_is_told_by_its_name(pipeline: Pipeline) -> None:
    for name in ("stale", "outdated", "gone", "claim"):
        pipeline.put(f"notes/{name}.json", [{"pk": name, "sk": "1"}])
        pipeline.sync(f"notes/{name}.json")
    pipeline.put("notes/stale.json", [{"pk": "stale", "sk": "2"}])
    pipeline.put("notes/problem.json", BAD)
    pipeline.put("notes/missing.json", [{"pk": "missing", "sk": "1"}])
    pipeline.s3.delete_object(Bucket="source", Key="notes/gone.json")
    pipeline.sync("notes/gone.json")
    pipeline.put("notes/gone.json", [{"pk": "gone", "sk": "2"}])
    pipeline.put("notes/_SUCCESS", b"")
    pipeline.sync_batch(objects=[o for o in pipeline.listed() if "problem" in o["Key"]])
    _change(pipeline, "notes/outdated.json", digest={"S": "earlier"})
    claim = Claim(9, ADDING, "EVENT#x#y#0", 0, "SYNCED", "arn:gone", {}, None, ())
    _change(pipeline, "notes/claim.json", claim=claim.attributes(), claim_state={"S": ADDING})
    assert pipeline.sync_batch("look") == {
        "notes/_SUCCESS": ("UNKNOWN", None),
        "notes/claim.json": ("CLAIM", None),
        "notes/gone.json": ("UNKNOWN", None),
        "notes/missing.json": ("UNKNOWN", None),
        "notes/outdated.json": ("OUTDATED", None),
        "notes/problem.json": ("PROBLEM", None),
        "notes/stale.json": ("STALE", None),
    }
    ended = pipeline.sync_batch()
    assert ended.pop("notes/claim.json") == ("CLAIM", "TRACED")
    assert ended.pop("notes/problem.json") == ("PROBLEM", "INVALID")
    assert ended.pop("notes/_SUCCESS") == ("UNKNOWN", "IGNORED")
    assert {outcome for _, outcome in ended.values()} == {"SYNCED"}
    assert set(pipeline.sync_batch("look")) == {"notes/claim.json", "notes/problem.json"}


def test_a_file_over_a_lowered_limit_keeps_its_items_and_is_written_when_the_limit_is_raised(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = "notes/a.json"
    pipeline.put(key, [{"pk": "a", "sk": "1"}])
    pipeline.sync(key)
    monkeypatch.setenv("MAX_DOCUMENT_BYTES", "10")
    assert pipeline.sync_batch() == {key: ("OUTDATED", "INVALID")}
    assert len(pipeline.items()) == 1
    pipeline.put(key, [{"pk": "a", "sk": "1"}, {"pk": "a", "sk": "2"}])
    assert pipeline.sync_batch() == {key: ("PROBLEM", "INVALID")}
    monkeypatch.setenv("MAX_DOCUMENT_BYTES", "1000000")
    assert pipeline.sync_batch() == {key: ("PROBLEM", "SYNCED")}
    assert len(pipeline.items()) == 2


def test_a_look_and_a_traced_run_write_nothing(pipeline: Pipeline) -> None:
    pipeline.put("notes/a.json", GOOD)
    assert pipeline.sync_batch("look") == {"notes/a.json": ("UNKNOWN", None)}
    assert pipeline.sync_batch("traced") == {"notes/a.json": ("UNKNOWN", "TRACED")}
    assert pipeline.dynamodb.scan(TableName="ledger")["Items"] == []


def test_a_write_that_is_under_way_is_not_cut_off(pipeline: Pipeline) -> None:
    pipeline.put("notes/a.json", GOOD)
    pipeline.sync("notes/a.json")
    found = pipeline.fetch("notes/a.json")["found"]
    claim = Claim(9, ADDING, "EVENT#x#y#0", 0, "SYNCED", "arn:runs", found, None, ())
    _change(pipeline, "notes/a.json", claim=claim.attributes(), claim_state={"S": ADDING})
    running = {"status": "RUNNING"}
    with patch.object(aws.states(), "describe_execution", lambda executionArn: running):  # noqa: N803
        assert pipeline.sync_batch() == {}
        # Whose event was lost: the write under way is of another content, and is taken over.
        pipeline.put("notes/a.json", [*GOOD, *GOOD])
        assert pipeline.sync_batch() == {"notes/a.json": ("CLAIM", "TRACED")}


def test_a_write_that_a_crash_of_the_function_cut_off_is_finished(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, in_turn: None
) -> None:
    """The batch is tried again, by the execution that made the claim, which runs."""
    key, execution = "notes/a.json", pipeline.execution("-")
    for name in "ab":
        pipeline.put(key, [{"pk": name, "sk": str(number)} for number in range(60)])
        if name == "a":
            pipeline.sync(key)
    with crash_after(3), pytest.raises(SystemExit):
        pipeline.sync_batch(execution=execution)
    assert 60 < len(pipeline.items()) < 120
    monkeypatch.setattr(aws.states(), "describe_execution", lambda **_: {"status": "RUNNING"})
    assert pipeline.sync_batch() == {}
    assert pipeline.sync_batch(execution=execution) == {key: ("CLAIM", "TRACED")}


def test_two_keys_that_the_ledger_cannot_hold_have_two_outcomes(pipeline: Pipeline) -> None:
    for name in "ab":
        pipeline.put(f"notes/{name * 1013}.json", GOOD)
    ended = pipeline.sync_batch()
    assert [outcome for _, outcome in ended.values()] == ["FAILED", "FAILED"]
    rows = pipeline.dynamodb.scan(TableName="ledger")["Items"]
    ends = [each for each in rows if each["sk"]["S"].startswith("EVENT#")]
    assert {each["pk"]["S"] for each in ends} == {"s3:///"}
    assert len(ends) == 2


def test_a_bad_file_is_recorded_and_its_batch_goes_on(pipeline: Pipeline) -> None:
    pipeline.put("notes/a.json", GOOD)
    pipeline.put("notes/bad.json", BAD)
    pipeline.put("notes/worse.json", b"{")
    pipeline.put("nowhere/x.json", GOOD)
    assert {o for _, o in pipeline.sync_batch().values()} == {"SYNCED", "INVALID"}
    for key, error, state in (
        ("notes/bad.json", "SchemaViolationError", "Validate Records"),
        ("notes/worse.json", "MalformedJsonError", "Validate Records"),
        ("nowhere/x.json", "NoDatasetError", "Validate Records"),
    ):
        problem = pipeline.row(key)["problem"]["M"]
        assert (problem["error"]["S"], problem["state"]["S"]) == (error, state)
        assert json.loads(problem["input"]["S"]) == pipeline.event(key)
        assert pipeline.outcomes(key) == ["INVALID"]
    said = json.loads(pipeline.row("notes/bad.json")["problem"]["M"]["cause"]["S"])
    assert '"/count"' in said["errorMessage"]


def test_two_bad_files_of_a_batch_have_two_reports(pipeline: Pipeline) -> None:
    pipeline.put("notes/a.json", BAD)
    pipeline.put("notes/b.json", BAD)
    pipeline.sync_batch()
    reports = pipeline.s3.list_objects_v2(Bucket="staging", Prefix="reports/")["Contents"]
    assert len(reports) == 2


def test_a_system_s_failure_is_the_file_s_alone(pipeline: Pipeline) -> None:
    pipeline.put("notes/a.json", GOOD)
    pipeline.put("notes/b.json", [{"pk": "b", "sk": "1"}])

    def transformed(found: Any, *more: Any) -> Any:
        if found.key == "notes/a.json":
            raise RuntimeError("a bug")
        return stock(found, *more)

    stock = transform.transform_document
    with patch.object(attempt, "transform_document", transformed):
        ended = pipeline.sync_batch()
    assert {key: outcome for key, (_, outcome) in ended.items()} == {
        "notes/a.json": "FAILED",
        "notes/b.json": "SYNCED",
    }
    problem = pipeline.row("notes/a.json")["problem"]["M"]
    assert (problem["error"]["S"], problem["state"]["S"]) == ("RuntimeError", "Transform Records")


def test_a_service_s_bad_moment_is_waited_for(pipeline: Pipeline) -> None:
    pipeline.put("notes/a.json", GOOD)
    stock = FileCommit.items
    calls: list[Any] = []

    def committed(*args: Any) -> Any:
        calls.append(args)
        if len(calls) < 3:
            raise TransientServiceError("busy")
        return stock(*args)

    with (
        patch.object(FileCommit, "items", committed),
        patch.object(attempt, "_pause", lambda _: None),
    ):
        assert pipeline.sync_batch() == {"notes/a.json": ("UNKNOWN", "SYNCED")}


def test_a_change_while_the_batch_is_under_way_wins(pipeline: Pipeline) -> None:
    """The live execution commits between the batch's look at the bucket and its commit. It may have
    newer schemas than the function, which may have begun before a deployment: the file is left to
    an execution.
    """
    pipeline.put("notes/a.json", GOOD)
    stock = fetch.look
    looks: list[Any] = []

    def look(*args: Any) -> Any:
        seen = stock(*args)
        if not looks:
            pipeline.put("notes/a.json", [{"pk": "a", "sk": "2"}])
            pipeline.sync("notes/a.json")
        looks.append(args)
        return seen

    with patch.object(attempt, "look", look), patch.object(attempt, "_pause", lambda _: None):
        assert pipeline.sync_batch() == {"notes/a.json": ("UNKNOWN", "TRACED")}
    assert len(looks) == 1
    assert [item["sk"]["S"] for item in pipeline.items()] == ["2"]


def test_a_record_that_moves_between_two_files_of_a_batch_arrives(pipeline: Pipeline) -> None:
    pipeline.put("notes/b.json", GOOD)
    pipeline.sync("notes/b.json")
    pipeline.put("notes/a.json", GOOD)
    pipeline.put("notes/b.json", [])
    with patch.object(batch, "FILES_AT_ONCE", 1):
        ended = pipeline.sync_batch()
    assert {outcome for _, outcome in ended.values()} == {"SYNCED"}
    assert pipeline.row("notes/a.json")["item_keys"]


def test_a_record_that_another_file_holds_is_refused(pipeline: Pipeline) -> None:
    pipeline.put("notes/b.json", GOOD)
    pipeline.sync("notes/b.json")
    pipeline.put("notes/a.json", GOOD)
    assert pipeline.sync_batch() == {"notes/a.json": ("UNKNOWN", "INVALID")}
    assert pipeline.row("notes/a.json")["problem_error"]["S"] == "KeyOwnershipError"


def test_a_large_file_gets_an_execution_of_its_own(pipeline: Pipeline) -> None:
    records = [{"pk": "big", "sk": f"{number:06}", "text": "x" * 90} for number in range(2000)]
    pipeline.put("notes/big.json", records)
    pipeline.put("notes/many.json", [{"pk": "many", "sk": str(number)} for number in range(99)])
    ended = pipeline.sync_batch()
    assert ended["notes/big.json"] == ("UNKNOWN", "TRACED")
    assert ended["notes/many.json"][1] in ("SYNCED", "TRACED")
    assert pipeline.row("notes/big.json") is None


def test_what_there_is_no_time_for_gets_executions_of_its_own(pipeline: Pipeline) -> None:
    pipeline.put("notes/a.json", GOOD)
    pipeline.seconds_left = lambda: 10.0
    assert pipeline.sync_batch() == {"notes/a.json": ("UNKNOWN", "TRACED")}


def test_a_batch_that_is_tried_again_does_nothing_twice(pipeline: Pipeline) -> None:
    pipeline.put("notes/a.json", GOOD)
    pipeline.put("notes/bad.json", BAD)
    execution, objects = pipeline.execution("-"), pipeline.listed()
    pipeline.sync_batch(objects=objects, execution=execution)
    assert pipeline.sync_batch(objects=objects, execution=execution) == {
        "notes/bad.json": ("PROBLEM", "INVALID")
    }
    assert pipeline.outcomes("notes/a.json") == ["SYNCED"]
    assert pipeline.outcomes("notes/bad.json") == ["INVALID"]


def test_a_file_that_is_gone_since_it_was_listed_is_deleted(pipeline: Pipeline) -> None:
    pipeline.put("notes/a.json", GOOD)
    pipeline.sync("notes/a.json")
    pipeline.put("notes/a.json", [{"pk": "a", "sk": "2"}])
    objects = pipeline.listed()
    pipeline.s3.delete_object(Bucket="source", Key="notes/a.json")
    assert pipeline.sync_batch(objects=objects) == {"notes/a.json": ("STALE", "DELETED")}
    assert pipeline.items() == []


@pytest.mark.parametrize("code", ["400", "403"], ids=["refused", "denied"])
def test_an_object_that_may_not_be_looked_at_keeps_no_batch_from_its_work(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    """Its key in KMS is disabled, or a policy of the bucket denies it."""
    pipeline.put("versions/a.json", [{"x": 1}])
    pipeline.sync("versions/a.json")
    pipeline.put("notes/a.json", GOOD)
    listed = pipeline.listed()

    def refused(**_: Any) -> Any:
        raise client_error(code)

    monkeypatch.setattr(pipeline.s3, "head_object", refused)
    assert pipeline.sync_batch("look", listed) == {
        "notes/a.json": ("UNKNOWN", None),
        "versions/a.json": ("STALE", None),
    }


def test_a_dataset_that_uses_the_version_sees_a_new_version(pipeline: Pipeline) -> None:
    pipeline.put("versions/a.json", [{"x": 1}])
    assert pipeline.sync_batch() == {"versions/a.json": ("UNKNOWN", "SYNCED")}
    assert pipeline.sync_batch() == {}
    pipeline.put("versions/a.json", [{"x": 1}])
    assert pipeline.sync_batch() == {"versions/a.json": ("STALE", "SYNCED")}


def test_a_row_that_moves_while_a_file_waits_for_another_s_item_is_left_to_an_execution(
    pipeline: Pipeline,
) -> None:
    """What the batch read of a file at its beginning holds for the second try as well."""
    pipeline.put("notes/b.json", GOOD)
    pipeline.sync("notes/b.json")
    pipeline.put("notes/a.json", GOOD)
    stock = fetch.look
    looks: list[Any] = []

    def look(*args: Any) -> Any:
        looks.append(args)
        if len(looks) == 2:
            pipeline.s3.delete_object(Bucket="source", Key="notes/b.json")
            pipeline.sync("notes/b.json")
            pipeline.sync("notes/a.json")
        return stock(*args)

    with patch.object(attempt, "look", look):
        ended = pipeline.sync_batch()
    assert ended == {"notes/a.json": ("UNKNOWN", "TRACED")}
    assert pipeline.outcomes("notes/a.json") == ["SYNCED"]


def test_an_object_that_never_stands_still_is_a_failure(pipeline: Pipeline) -> None:
    pipeline.put("notes/a.json", GOOD)

    def changed(*_: Any) -> Any:
        raise ObjectChangedError("s3://source/notes/a.json is no longer what was found")

    with patch.object(attempt, "look", changed), patch.object(attempt, "_pause", lambda _: None):
        assert pipeline.sync_batch() == {"notes/a.json": ("UNKNOWN", "FAILED")}
    assert pipeline.row("notes/a.json")["problem_error"]["S"] == "ContentionError"


def _change(pipeline: Pipeline, key: str, **attributes: Any) -> None:
    row = pipeline.row(key) or {"pk": {"S": f"s3://source/{key}"}, "sk": {"S": "CURRENT"}}
    pipeline.dynamodb.put_item(TableName="ledger", Item={**row, **attributes})
