"""The points of `tablekeeper smoke` about files, with the handlers in the place of executions."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from tablekeeper.datasets.catalogue import Catalogue
from tablekeeper.errors import InvalidFileError
from tablekeeper.ledger.ends import EndKey, RecordedEnd, write_end
from tablekeeper.ledger.failures import Failure, record_invalid
from tablekeeper.model.execution import execution_of
from tablekeeper.model.keys import TableKey
from tablekeeper.model.snapshot import Snapshot
from tablekeeper.settings import WriteSettings
from tablekeeper.tables import Tables

from tablekeeper_cli.smoke import files, place
from tablekeeper_cli.smoke.points import BrokenError
from tablekeeper_cli.stack import NO_OBJECT
from tests.unit.conftest import CATALOGUED, Pipeline

PARAMETERS = {
    "PartitionKeyName": "pk",
    "PartitionKeyType": "S",
    "SortKeyName": "sk",
    "SortKeyType": "S",
}


class _Stack(SimpleNamespace):
    def uri(self, key: str) -> str:
        return f"s3://source/{key}"

    def client(self, service: str) -> Any:
        return boto3.client(service)  # type: ignore[call-overload]


@pytest.fixture
def here(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> place.Place:
    """A place whose files are synced while it waits."""
    catalogue = Catalogue({place.DATASET: place.dataset(TableKey.parse("pk:S,sk:S"))})
    for each in CATALOGUED:
        monkeypatch.setattr(each, "catalogue", lambda: catalogue)
    stack: Any = _Stack(
        parameters=PARAMETERS, bucket="source", items="items", ledger="ledger", endpoint_url=None
    )
    made = place.Place(stack, patience=20)

    def sync(_seconds: float) -> None:
        for key in made.keys:
            fetched = pipeline.fetch(key)
            execution = pipeline.execution(key)
            try:
                pipeline.commit(fetched, execution)
            except InvalidFileError as error:
                failure = Failure("Validate Records", type(error).__name__, str(error))
                tables: Any = Tables.of(WriteSettings.from_environment())
                seen = Snapshot.read(fetched["found"])
                record_invalid(tables, seen, execution_of({"execution": execution}), failure)

    clock = SimpleNamespace(sleep=sync, monotonic=time.monotonic)
    monkeypatch.setattr("tablekeeper_cli.smoke.place.time", clock)
    return made


def test_what_becomes_of_a_file_is_held_point_by_point(here: place.Place) -> None:
    assert "3 items" in files.new_file(here)
    assert "2 removed" in files.vanished_record(here)
    assert "without items" in files.vanished_object(here)
    assert "SYNCED again" in files.restored_object(here)
    assert "INVALID" in files.bad_file(here)
    assert "problem is gone" in files.mended_file(here)


def test_what_was_made_is_removed(here: place.Place, pipeline: Pipeline) -> None:
    files.new_file(here)
    here.remove()
    assert pipeline.items() == []
    assert pipeline.dynamodb.scan(TableName="ledger")["Items"] == []
    assert "Versions" not in pipeline.s3.list_object_versions(Bucket="source")


def test_what_tells_the_sweep_that_an_end_is_recorded_stays(
    here: place.Place, pipeline: Pipeline
) -> None:
    files.bad_file(here)
    arn = f"arn:aws:states:us-east-1:000000000000:execution:keep:{here.mark}"
    here.executions.append(arn)
    key, end = EndKey(here.mark, 0), RecordedEnd("s3:///", "FAILED", "InvalidEventError")
    write_end(pipeline.dynamodb, "ledger", key, end, 60)
    here.remove()
    (row,) = pipeline.dynamodb.scan(TableName="ledger")["Items"]
    assert row["pk"] == key.attributes["pk"]


@pytest.mark.parametrize("whose", ["ours", "another"])
def test_a_problem_without_an_object_goes_if_the_run_made_it(
    here: place.Place, pipeline: Pipeline, whose: str
) -> None:
    arn = f"arn:aws:states:us-east-1:000000000000:execution:keep:{whose}"
    here.executions = ["arn:aws:states:us-east-1:000000000000:execution:keep:ours"]
    row = {"pk": {"S": NO_OBJECT}, "sk": {"S": "CURRENT"}}
    problem = {"M": {"execution": {"S": arn}}}
    pipeline.dynamodb.put_item(TableName="ledger", Item={**row, "problem": problem})
    here.remove()
    assert ("Item" in pipeline.dynamodb.get_item(TableName="ledger", Key=row)) == (
        whose == "another"
    )


def test_an_item_that_is_not_there_breaks_the_point(
    here: place.Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(place.Place, "item", lambda _self, _record: {})
    with pytest.raises(BrokenError, match="is not there"):
        files.new_file(here)
