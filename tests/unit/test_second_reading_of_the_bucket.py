"""A second interpreter runs statemachine/sync_bucket.asl.json: with the real functions on moto's S3
and DynamoDB, and executions of files nested in it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from handlers import report_differences, sync_objects, sync_orphans
from tablekeeper.ledger.rows import shard_of

from tests.support.interpreter import StateError, load_definition
from tests.support.project import bucket_definition
from tests.unit.conftest import Pipeline
from tests.unit.test_second_reading import HANDLERS

pytestmark = [pytest.mark.xdist_group("second reading"), pytest.mark.busy]
EXCEEDED = "States.ExceedToleratedFailureThreshold"
GOOD, BAD = [{"pk": "a", "sk": "1"}], [{"pk": "b", "sk": "1", "count": -1}]
FUNCTIONS: dict[str, Callable[..., Any]] = {
    **HANDLERS,
    "SyncObjects": sync_objects.handler,
    "SyncOrphans": sync_orphans.handler,
    "ReportDifferences": report_differences.handler,
}


class Bucket:
    """The state machine for the whole bucket, in moto; functions that `broken` names fail."""

    def __init__(self) -> None:
        from tests.support.moto_maps import readable
        from tests.support.moto_states import MotoStates

        names = {f"{name}FunctionArn": name for name in FUNCTIONS}
        self.one = MotoStates(
            load_definition(names | {"LedgerTableName": "ledger", "AuditRetentionSeconds": "1000"})
        )
        text = json.dumps(bucket_definition())
        places = {"SourceBucketName": "source", "StagingBucketName": "staging", "KeyPrefix": ""}
        for name, value in {
            **names,
            **places,
            "SyncObjectStateMachineArn": self.one.machine,
        }.items():
            text = text.replace(f"${{{name}}}", value)
        definition, self.map = readable(json.loads(text))
        self.machine = MotoStates(definition, "sync-bucket")
        self.broken: dict[str, str] = {}

    def run(self, **given: Any) -> tuple[str, dict[str, Any]]:
        """The run's status, and the summary that the ledger keeps."""
        from tests.support.moto_maps import moto_runs_maps

        with moto_runs_maps(self.map):
            ended = self.machine.run(given, self._invoke)
        said: Any = self.machine.client.describe_execution(executionArn=ended.execution)
        return ended.status, said

    def _invoke(self, _state: str, given: Mapping[str, Any], carry_out: Callable[[], Any]) -> Any:
        if "FunctionName" not in given:
            return carry_out()
        name = given["FunctionName"]
        if name in self.broken:
            raise StateError(self.broken[name], "")
        try:
            answer = FUNCTIONS[name](json.loads(given["Payload"]), None)
            return {"Payload": json.loads(json.dumps(answer))}
        except Exception as error:
            raise StateError(type(error).__name__, str(error)) from error


@pytest.fixture
def bucket(pipeline: Pipeline) -> Iterator[Bucket]:
    from tests.support.moto_states import moto_reads_jsonata

    with moto_reads_jsonata():
        yield Bucket()


def summary(pipeline: Pipeline) -> Any:
    """What Report Differences kept of the last run."""
    key = {"pk": {"S": "BUCKET"}, "sk": {"S": "CURRENT"}}
    row = pipeline.dynamodb.get_item(TableName="ledger", Key=key)["Item"]
    return json.loads(row["summary"]["S"])


def test_a_bucket_is_synced_in_batches_and_orphans_go(pipeline: Pipeline, bucket: Bucket) -> None:
    pipeline.put("notes/gone.json", [{"pk": "gone", "sk": "1"}])
    pipeline.sync("notes/gone.json")
    pipeline.s3.delete_object(Bucket="source", Key="notes/gone.json")
    bucket.map.size = 2
    for number in range(5):
        pipeline.put(f"notes/{number}.json", [{"pk": "a", "sk": str(number)}])
    pipeline.put("notes/bad.json", BAD)
    status, _ = bucket.run()
    found = summary(pipeline)
    assert (status, found["files"], found["failed_batches"]) == ("SUCCEEDED", 6, 0)
    assert found["outcomes"] == {"SYNCED": 5, "INVALID": 1, "DELETED": 1}
    assert sorted(item["sk"]["S"] for item in pipeline.items()) == list("01234")


def test_each_file_gets_an_execution_of_its_own(pipeline: Pipeline, bucket: Bucket) -> None:
    pipeline.put("notes/good.json", GOOD)
    pipeline.put("notes/bad.json", BAD)
    status, _ = bucket.run(how="traced", orphans=False)
    found = summary(pipeline)
    assert (status, found["files"], found["failed_batches"]) == ("SUCCEEDED", 2, 0)
    assert found["outcomes"] == {"SYNCED": 1, "INVALID": 1}
    assert [item["pk"]["S"] for item in pipeline.items()] == ["a"]
    assert nested(bucket) == ["FAILED", "SUCCEEDED"]


def test_files_of_a_batch_that_failed_get_executions_of_their_own(
    pipeline: Pipeline, bucket: Bucket
) -> None:
    pipeline.put("notes/good.json", GOOD)
    bucket.broken = {"SyncObjects": "Runtime.ExitError"}
    status, _ = bucket.run(orphans=False)
    found = summary(pipeline)
    assert (status, found["failed_batches"], found["outcomes"]) == ("SUCCEEDED", 0, {"SYNCED": 1})
    assert nested(bucket) == ["SUCCEEDED"]


def nested(bucket: Bucket) -> list[str]:
    """How the executions of files ended."""
    ended = bucket.one.client.list_executions(stateMachineArn=bucket.one.machine)["executions"]
    return sorted(each["status"] for each in ended)


def test_an_empty_bucket(pipeline: Pipeline, bucket: Bucket) -> None:
    status, _ = bucket.run()
    found = summary(pipeline)
    assert (status, found["files"], found["differences"]) == ("SUCCEEDED", 0, 0)


def test_a_look_whose_batches_fail_is_reported_and_fails(
    pipeline: Pipeline, bucket: Bucket
) -> None:
    pipeline.put("notes/good.json", GOOD)
    bucket.broken = {"SyncObjects": "Runtime.ExitError"}
    status, said = bucket.run(how="look", orphans=False)
    assert (status, said["error"]) == ("FAILED", EXCEEDED)
    found = summary(pipeline)
    assert (found["failed_batches"], found["error"]) == (1, EXCEEDED)
    assert pipeline.items() == []


def test_a_shard_that_cannot_be_looked_at_is_reported_and_fails(
    pipeline: Pipeline, bucket: Bucket
) -> None:
    pipeline.put("notes/good.json", GOOD)
    bucket.broken = {"SyncOrphans": "KeyError"}
    status, said = bucket.run(concurrency=1)
    assert (status, said["error"]) == ("FAILED", "KeyError")
    assert summary(pipeline)["outcomes"] == {"SYNCED": 1}


def test_orphans_of_the_other_shards_go_where_one_cannot_be_looked_at(
    pipeline: Pipeline, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(8):
        pipeline.put(f"notes/{number}.json", [{"pk": "a", "sk": str(number)}])
        pipeline.sync(f"notes/{number}.json")
        pipeline.s3.delete_object(Bucket="source", Key=f"notes/{number}.json")
    shards = [shard_of(f"s3://source/notes/{number}.json") for number in range(8)]
    first = min(shards)

    def one_fails(event: Any, context: Any) -> Any:
        if event["shard"] == first:
            raise KeyError(first)
        return sync_orphans.handler(event, context)

    monkeypatch.setitem(FUNCTIONS, "SyncOrphans", one_fails)
    status, said = bucket.run(concurrency=1)
    assert (status, said["error"]) == ("FAILED", "KeyError")
    assert summary(pipeline)["outcomes"] == {"DELETED": 8 - shards.count(first)}
    left = {str(number) for number, shard in enumerate(shards) if shard == first}
    assert {item["sk"]["S"] for item in pipeline.items()} == left
