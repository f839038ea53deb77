"""Fetch Object: the ledger's revision first, then the bucket as it is now."""

from typing import Any
from unittest.mock import patch

import pytest
from tablekeeper import aws
from tablekeeper.datasets.dataset import Dataset
from tablekeeper.errors import ContentionError, InvalidEventError, StaleRevisionError
from tablekeeper.ledger.rows import ADDING, Claim

from tests.unit.conftest import Pipeline

GOOD = [{"pk": "a", "sk": "1"}]


def test_a_new_object_is_to_be_validated(pipeline: Pipeline) -> None:
    pipeline.put("notes/a.json", GOOD)
    answer = pipeline.fetch("notes/a.json")
    found = answer["found"]
    assert (found["action"], found["revision"], found["dataset"]) == ("validate", 0, "notes")
    assert found["etag"]
    assert found["version_id"]
    assert found["as_of"] == "2026-01-01T00:00:05.000Z"
    assert answer["document"] == {"text": '[{"pk": "a", "sk": "1"}]'}


def test_the_event_s_details_are_not_believed(pipeline: Pipeline) -> None:
    pipeline.put("notes/a.json", GOOD)
    event = {"detail-type": "Object Deleted", "source": "aws.s3"}
    assert pipeline.fetch("notes/a.json", **event)["found"]["action"] == "validate"


def test_an_object_that_is_gone_is_to_be_deleted_once(pipeline: Pipeline) -> None:
    assert pipeline.fetch("notes/a.json")["found"]["action"] == "delete"
    pipeline.sync("notes/a.json")
    assert pipeline.fetch("notes/a.json")["found"]["action"] == "unchanged"


def test_a_look_at_the_bucket_is_older_than_a_commit_that_followed_it(pipeline: Pipeline) -> None:
    """The ledger is read before the bucket: else the look would have the revision of that commit,
    and write the older content over it.
    """

    class Bucket:
        def get_object(self, **asked: Any) -> Any:
            answer = pipeline.s3.get_object(**asked)
            with patch.object(aws, "s3", lambda: pipeline.s3):
                pipeline.put("notes/a.json", [{"pk": "a", "sk": "2"}])
                pipeline.sync("notes/a.json")
            return answer

    pipeline.put("notes/a.json", GOOD)
    with patch.object(aws, "s3", Bucket):
        fetched = pipeline.fetch("notes/a.json")
    with pytest.raises(StaleRevisionError):
        pipeline.commit(fetched, pipeline.execution("notes/a.json"))
    assert [item["sk"]["S"] for item in pipeline.items()] == ["2"]


def test_a_delete_marker_is_an_absence(pipeline: Pipeline) -> None:
    pipeline.put("notes/a.json", GOOD)
    pipeline.s3.delete_object(Bucket="source", Key="notes/a.json")
    assert pipeline.fetch("notes/a.json")["found"]["action"] == "delete"


def test_the_same_content_is_unchanged(pipeline: Pipeline) -> None:
    pipeline.put("notes/a.json", GOOD)
    pipeline.sync("notes/a.json")
    pipeline.put("notes/a.json", GOOD)
    answer = pipeline.fetch("notes/a.json")
    assert (answer["found"]["action"], answer["document"]) == ("unchanged", None)


def test_force_writes_what_is_unchanged(pipeline: Pipeline) -> None:
    pipeline.put("notes/a.json", GOOD)
    pipeline.sync("notes/a.json")
    assert pipeline.fetch("notes/a.json", force=True)["found"]["action"] == "validate"


def test_a_new_version_of_the_same_content_counts_when_the_dataset_uses_the_version(
    pipeline: Pipeline,
) -> None:
    pipeline.put("versions/a.json", {"x": 1})
    pipeline.sync("versions/a.json")
    assert pipeline.fetch("versions/a.json")["found"]["action"] == "unchanged"
    pipeline.put("versions/a.json", {"x": 1})
    assert pipeline.fetch("versions/a.json")["found"]["action"] == "validate"


@pytest.mark.parametrize("key", ["notes/", "notes/_SUCCESS", "notes/x.tmp", "elsewhere/_SUCCESS"])
def test_folders_and_patterns_are_ignored(pipeline: Pipeline, key: str) -> None:
    assert pipeline.fetch(key)["found"]["action"] == "ignore"


def test_an_object_of_no_dataset_goes_on_to_be_judged(pipeline: Pipeline) -> None:
    pipeline.put("nowhere/a.json", GOOD)
    found = pipeline.fetch("nowhere/a.json")["found"]
    assert (found["action"], found["dataset"]) == ("validate", None)


@pytest.mark.parametrize(
    ("body", "where"),
    [
        (b'"' + b"a" * 150_000 + b'"', "text"),
        (b'"' + b"a" * 250_000 + b'"', "object"),
        ('"' + "\u00e9" * 50_000 + '"', "object"),
        (b'"\xff"', "object"),
    ],
)
def test_what_does_not_fit_a_payload_stays_in_the_bucket(
    pipeline: Pipeline, body: Any, where: str
) -> None:
    """A letter such as é may take six bytes in a payload."""
    pipeline.put("notes/a.json", body if isinstance(body, bytes) else body.encode())
    assert list(pipeline.fetch("notes/a.json")["document"]) == [where]


def test_an_object_over_the_limit_is_refused_unread(pipeline: Pipeline) -> None:
    pipeline.put("notes/a.json", b" " * 1_000_001)
    refused = pipeline.fetch("notes/a.json")["document"]["refused"]
    assert refused["error"] == "DocumentTooLargeError"
    assert "1,000,001" in refused["message"]


@pytest.mark.parametrize(
    "event",
    [{}, {"detail": {}}, {"detail": {"bucket": {"name": "other"}, "object": {"key": "k"}}}, None],
)
def test_an_input_that_names_no_object_of_this_bucket_is_an_error(
    pipeline: Pipeline, event: Any
) -> None:
    from handlers import fetch_object

    payload = {"event": event, "entered": "2026-01-01T00:00:00Z", "round": 0}
    with pytest.raises(InvalidEventError):
        fetch_object.handler(payload, None)


def test_reading_again_has_an_end(pipeline: Pipeline) -> None:
    from handlers import fetch_object

    payload = {"event": pipeline.event("notes/a.json"), "entered": "2026-01-01T00:00:00Z"}
    fetch_object.handler({**payload, "round": 12}, None)
    with pytest.raises(ContentionError):
        fetch_object.handler({**payload, "round": 13}, None)


def test_an_open_claim_makes_the_same_content_no_longer_unchanged(pipeline: Pipeline) -> None:
    pipeline.put("notes/a.json", GOOD)
    pipeline.sync("notes/a.json")
    claim = Claim(1, ADDING, "EVENT#x", 0, "SYNCED", "x", {}, None, ())
    pipeline.dynamodb.update_item(
        TableName="ledger",
        Key={"pk": {"S": "s3://source/notes/a.json"}, "sk": {"S": "CURRENT"}},
        UpdateExpression="SET claim = :claim, claim_state = :state",
        ExpressionAttributeValues={":claim": claim.attributes(), ":state": {"S": ADDING}},
    )
    found = pipeline.fetch("notes/a.json")["found"]
    assert (found["action"], found["claim"]) == ("validate", ADDING)
    pipeline.s3.delete_object(Bucket="source", Key="notes/a.json")
    assert pipeline.fetch("notes/a.json")["found"]["action"] == "delete"


def test_a_suffix_may_be_followed_by_gz() -> None:
    schema = {"x-tablekeeper": {"prefix": "d/", "suffixes": [".jsonl"]}}
    dataset = Dataset.read("d", schema)
    assert dataset.matches("d/a.jsonl")
    assert dataset.matches("d/a.jsonl.gz")
    assert not dataset.matches("d/a.gz")
