"""Report Differences: the results of a run are added up, and the last run is in the ledger."""

import json
from typing import Any

import pytest
from handlers import report_differences
from tablekeeper.errors import ListingError

from tablekeeper_cli.executions.bucket_runs import is_bad, sentence
from tablekeeper_cli.executions.bucket_runs import last as last_runs
from tablekeeper_cli.stack import Stack
from tests.unit.conftest import Pipeline

RUN = {
    "execution": "arn:x",
    "started": "2026-01-02T00:00:00.000Z",
    "prefix": "",
    "how": "bulk",
    "orphans": True,
    "place": "sync/run/",
    "error": "",
}
RESULTS: list[dict[str, Any]] = [
    {"files": 100, "ends": []},
    {
        "files": 100,
        "ends": [
            {"key": "a", "finding": "UNKNOWN", "outcome": "SYNCED"},
            {"key": "b", "finding": "STALE", "outcome": "INVALID", "error": "NestingError"},
            {"key": "c", "finding": "PROBLEM", "outcome": "FAILED", "error": "NestingError"},
            {"key": "d", "finding": "CLAIM", "outcome": "FAILED", "error": "States.Timeout"},
        ],
    },
]
SHARDS = [{"outcomes": {"DELETED": 2}}, {"outcomes": {}}, {"outcomes": {"FAILED": 1}}]


def put(pipeline: Pipeline, name: str, values: list[Any]) -> None:
    body = "".join(json.dumps(each) + "\n" for each in values).encode()
    pipeline.s3.put_object(Bucket="staging", Key=f"sync/run/{name}", Body=body)


def report(pipeline: Pipeline, **run: Any) -> Any:
    files: dict[str, list[Any]] = {
        "SUCCEEDED": RESULTS,
        "FAILED": [{"Error": "x"}, {"Error": "y"}],
        "PENDING": [{"Items": [{"Key": "f"}]}] * 3,
    }
    named = {status: [{"Key": f"sync/run/map/{status}_0.jsonl", "Size": 1}] for status in files}
    put(pipeline, "map/manifest.json", [{"ResultFiles": named}])
    for status, lines in files.items():
        put(pipeline, f"map/{status}_0.jsonl", lines)
    put(pipeline, "orphans/3-0.jsonl", [{"key": "e", "finding": "ORPHAN"}])
    return report_differences.handler({"run": {**RUN, **run}, "shards": SHARDS}, None)


def last(pipeline: Pipeline) -> Any:
    key = {"pk": {"S": "BUCKET"}, "sk": {"S": "CURRENT"}}
    row = pipeline.dynamodb.get_item(TableName="ledger", Key=key)["Item"]
    return json.loads(row["summary"]["S"])


def test_everything_is_added_up(pipeline: Pipeline) -> None:
    told = report(pipeline)
    assert (told["files"], told["failed_batches"], told["differences"]) == (200, 2, 4)
    assert told["pending_batches"] == 3
    assert told["findings"] == {
        "UNKNOWN": 1,
        "STALE": 1,
        "OUTDATED": 0,
        "PROBLEM": 1,
        "CLAIM": 1,
        "ORPHAN": 3,
    }
    assert told["outcomes"] == {"SYNCED": 1, "INVALID": 2, "FAILED": 2, "DELETED": 2}
    assert told["results"] == "s3://staging/sync/run/"
    assert last(pipeline) == told


def test_a_finding_of_another_release_counts(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a batch that ran before the functions were updated: 0.2.0 says MISSING for UNKNOWN."""
    monkeypatch.setitem(RESULTS[0], "ends", [{"key": "z", "finding": "MISSING"}])
    told = report(pipeline, how="look")
    assert told["findings"]["MISSING"] == 1
    assert sum(told["findings"].values()) == told["differences"]


@pytest.mark.parametrize("how", ["look", "Bulk"], ids=["look", "unknown"])
def test_after_a_look_everything_that_was_found_differs(pipeline: Pipeline, how: str) -> None:
    told = report(pipeline, how=how)
    assert (told["differences"], told["outcomes"]) == (7, {})


def test_an_orphan_that_is_left_to_an_execution_of_its_own_still_differs(
    pipeline: Pipeline,
) -> None:
    """Nothing waits for that execution."""
    run = {**RUN, "place": "sync/none/"}
    told = report_differences.handler(
        {"run": run, "shards": [{"outcomes": {"TRACED": 2, "DELETED": 3}}]}, None
    )
    assert (told["findings"]["ORPHAN"], told["differences"]) == (5, 2)
    assert ": 5 differences found, 2 left, 2 of them to executions of their own" in sentence(told)


def test_of_two_runs_the_one_that_began_later_stays(pipeline: Pipeline) -> None:
    later = report(pipeline, started="2026-01-03T00:00:00.000Z")
    report(pipeline, started="2026-01-02T23:59:59.999Z")
    assert last(pipeline) == later


@pytest.mark.parametrize("kept", ["", "a/"])
def test_a_run_over_a_folder_hides_no_run_over_the_whole(pipeline: Pipeline, kept: str) -> None:
    stack = Stack("s", "r", {"LedgerTableName": "ledger"}, _clients={"dynamodb": pipeline.dynamodb})
    stack.__dict__["parameters"] = {"KeyPrefix": kept}
    assert last_runs(stack).shown == []
    folder = report(pipeline, prefix="a/b/", started="2026-01-01T00:00:00.000Z")
    assert last_runs(stack) == (folder, None)
    whole = report(pipeline, prefix=kept)
    assert last_runs(stack) == (whole, whole)
    assert last_runs(stack).shown == [whole]
    folder = report(pipeline, prefix="a/b/", started="2026-01-03T00:00:00.000Z", how="look")
    assert last_runs(stack).shown == [folder, whole]
    assert sentence(folder).startswith("reconcile --prefix a/b/ --dry-run ended ")
    assert sentence(folder).endswith(": 7 differences found, 7 left, 2 batches failed")
    later = report(pipeline, prefix=kept, started="2026-01-04T00:00:00.000Z")
    assert last_runs(stack) == (later, later)


def test_a_run_that_was_cut_short_is_told_too(pipeline: Pipeline) -> None:
    told = report(pipeline, error="States.ExceedToleratedFailureThreshold")
    assert told["error"] == "States.ExceedToleratedFailureThreshold"
    assert last(pipeline) == told


@pytest.mark.parametrize("prefix", ["", "or"], ids=["whole bucket", "prefix"])
def test_a_run_that_listed_nothing_of_a_bucket_with_objects_fails(
    pipeline: Pipeline, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "1")  # a page has one key
    run = {**RUN, "started": "2999-01-01T00:00:00.000Z", "prefix": prefix}

    def ends(**values: Any) -> Any:
        return report_differences.handler({"run": {**run, **values}, "shards": []}, None)

    pipeline.s3.put_object(Bucket="source", Key="orders/", Body=b"")
    assert ends()["files"] == 0, "a folder of the console"
    pipeline.s3.put_object(Bucket="source", Key="orders/1.json", Body=b"{}")
    with pytest.raises(ListingError, match="orders/1"):
        ends()
    kept = last(pipeline)
    assert (kept["files"], kept["error"], is_bad(kept)) == (0, "ListingError", True)
    assert ends(started=RUN["started"])["files"] == 0, "the object is younger than the run"
    assert ends(error="States.ItemReaderFailed")["files"] == 0
    assert ends(prefix="other/")["files"] == 0
