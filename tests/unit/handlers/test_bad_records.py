"""Bad records that are set aside: the good ones are in the table, and the file is PARTIAL."""

from __future__ import annotations

import json
from typing import Any

import pytest
from handlers import transform_records, validate_records
from tablekeeper import errors
from tablekeeper.causes import message_of, values_of
from tablekeeper.model.snapshot import INLINE_BYTES

from tests.support.quick import quick_pipeline
from tests.unit.conftest import Pipeline

KEY = "lax/a.json"
PAYLOAD_BYTES = 262_144
"""https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html"""


@pytest.fixture
def pipeline(monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    return quick_pipeline(monkeypatch)


def good(name: str, **more: Any) -> dict[str, Any]:
    """A good record."""
    return {"pk": name, "sk": "1", **more}


BAD: dict[str, Any] = {"pk": "bad", "sk": "1", "count": -1}
NO_KEY: dict[str, Any] = {"pk": "none"}


def names(pipeline: Pipeline) -> set[str]:
    """The partition keys of the items."""
    return {item["pk"]["S"] for item in pipeline.items()}


def put(pipeline: Pipeline, *records: Any) -> Any:
    """Uploads the records and syncs the file."""
    pipeline.put(KEY, list(records))
    return pipeline.sync(KEY)


def problem(pipeline: Pipeline) -> dict[str, str]:
    """The file's problem."""
    held = pipeline.row(KEY)["problem"]["M"]
    return {name: value["S"] for name, value in held.items()}


def audit(pipeline: Pipeline) -> list[tuple[str, str | None]]:
    """Outcomes, and how many records were set aside."""
    rows = pipeline.dynamodb.query(
        TableName="ledger",
        KeyConditionExpression="pk = :pk AND begins_with(sk, :event)",
        ExpressionAttributeValues={
            ":pk": {"S": f"s3://source/{KEY}"},
            ":event": {"S": "EVENT#"},
        },
    )
    return [(row["outcome"]["S"], row.get("set_aside", {}).get("N")) for row in rows["Items"]]


def test_good_records_are_in_the_table_and_the_file_has_a_problem(pipeline: Pipeline) -> None:
    assert put(pipeline, good("a"), BAD, good("b"), NO_KEY)["outcome"] == "PARTIAL"
    assert names(pipeline) == {"a", "b"}
    row = pipeline.row(KEY)
    assert (row["status"]["S"], row["problem_status"]["S"]) == ("PARTIAL", "PARTIAL")
    assert row["problem_dataset"]["S"] == "lax"
    assert row["problem_error"]["S"] == "BadRecordsError"
    assert audit(pipeline) == [("PARTIAL", "2")]
    message = message_of(problem(pipeline)["cause"])
    assert message.startswith(f"s3://source/{KEY}: 2 of 4 records set aside:\nrecord 1")
    assert "record 3 (line 1): KeyMissingError: record 3 gives no value for the key" in message


def test_the_report_has_every_bad_record_with_its_place(pipeline: Pipeline) -> None:
    put(pipeline, good("a"), BAD, NO_KEY)
    body = pipeline.s3.get_object(Bucket="staging", Key="reports/e1.json")["Body"].read()
    report = json.loads(body)
    assert (report["records"], report["bad_records"], report["violations"]) == (3, 2, 2)
    violation, refusal = report["listed"]
    assert (violation["record"], violation["pointer"]) == (1, "/count")
    assert (refusal["record"], refusal["error"]) == (2, "KeyMissingError")
    assert "Report: s3://staging/reports/e1.json. " in message_of(problem(pipeline)["cause"])


@pytest.mark.parametrize(
    ("value", "error", "pointer"),
    [
        ("NaN", "NonFiniteNumberError", "/1/x/1"),
        ('"\\ud800"', "LoneSurrogateError", "/1/x/1"),
        ('{"a": 1, "a": 2}', "DuplicateJsonKeyError", "/1/x/1/a"),
        ("1e200", "NumberRangeError", "/1/x/1"),
        ("[" * 40 + "]" * 40, "NestingError", "/x/1/0/0…"),
        ('{"": 1}', "FieldNameError", "/x/1"),
    ],
)
def test_the_place_in_a_record_that_makes_no_item_is_a_value(
    pipeline: Pipeline, value: str, error: str, pointer: str
) -> None:
    """In the report, and among the first in the cause; it is the place that the message names."""
    text = f'[{{"pk": "a", "sk": "1"}}, {{"pk": "b", "sk": "1", "x": [0, {value}]}}]'
    pipeline.put(KEY, text.encode())
    assert pipeline.sync(KEY)["outcome"] == "PARTIAL"
    body = pipeline.s3.get_object(Bucket="staging", Key="reports/e1.json")["Body"].read()
    (listed,) = json.loads(body)["listed"]
    (first,) = values_of(problem(pipeline)["cause"])["first"]
    for each in (listed, first):
        assert (each["record"], each["error"], each["pointer"]) == (1, error, pointer)
        assert pointer in each["message"]


def test_unchanged_does_not_remove_the_problem(pipeline: Pipeline) -> None:
    put(pipeline, good("a"), BAD)
    since = pipeline.row(KEY)["problem_since"]
    assert pipeline.sync(KEY)["outcome"] == "UNCHANGED"
    assert audit(pipeline) == [("PARTIAL", "1"), ("UNCHANGED", "1")]
    assert pipeline.row(KEY)["problem_status"] == {"S": "PARTIAL"}
    assert pipeline.row(KEY)["problem_since"] == since


def test_the_next_clean_version_removes_the_problem(pipeline: Pipeline) -> None:
    put(pipeline, good("a"), BAD)
    assert put(pipeline, good("a"), good("b"))["outcome"] == "SYNCED"
    row = pipeline.row(KEY)
    assert not {"problem", "problem_status", "set_aside"} & row.keys()
    assert names(pipeline) == {"a", "b"}


def test_a_record_that_turns_bad_loses_its_item(pipeline: Pipeline) -> None:
    put(pipeline, good("a"), good("b"))
    put(pipeline, good("a"), good("b", count=-1))
    assert names(pipeline) == {"a"}


@pytest.mark.parametrize(
    ("records", "why"),
    [
        ([good("a"), BAD, BAD, BAD], "3 of 4 records are bad, and its dataset sets aside 2"),
        ([BAD], "1 of 1 record is bad, and none is good"),
    ],
    ids=["too-many", "none-good"],
)
def test_beyond_the_bound_the_file_is_invalid_as_a_whole(
    pipeline: Pipeline, records: list[Any], why: str
) -> None:
    put(pipeline, good("z"))
    with pytest.raises(errors.BadRecordsError, match=why) as caught:
        put(pipeline, *records)
    assert errors.BadRecordsError.advice in str(caught.value)
    assert names(pipeline) == {"z"}


def test_a_problem_that_covered_it_is_followed_by_it(pipeline: Pipeline) -> None:
    """The bad version that came between is deleted, and the partial one is current again."""
    put(pipeline, good("a"), BAD)
    pipeline.put(KEY, [BAD, BAD, BAD])
    assert pipeline.sync_batch() == {KEY: ("STALE", "INVALID")}
    assert pipeline.row(KEY)["problem_status"] == {"S": "INVALID"}
    newest = pipeline.s3.head_object(Bucket="source", Key=KEY)["VersionId"]
    pipeline.s3.delete_object(Bucket="source", Key=KEY, VersionId=newest)
    assert pipeline.sync(KEY)["outcome"] == "UNCHANGED"
    assert problem(pipeline)["status"] == "PARTIAL"
    assert message_of(problem(pipeline)["cause"]).startswith(f"s3://source/{KEY}: 1 of 2 records")


def test_a_file_that_is_deleted_has_no_problem(pipeline: Pipeline) -> None:
    put(pipeline, good("a"), BAD)
    pipeline.s3.delete_object(Bucket="source", Key=KEY)
    assert pipeline.sync(KEY)["outcome"] == "DELETED"
    assert not {"problem", "set_aside"} & pipeline.row(KEY).keys()
    assert names(pipeline) == set()


def test_a_large_file_is_partial_too(pipeline: Pipeline) -> None:
    many = [good(f"n{number}") for number in range(120)]
    assert put(pipeline, *many, BAD)["outcome"] == "PARTIAL"
    assert len(names(pipeline)) == 120
    assert problem(pipeline)["status"] == "PARTIAL"
    assert put(pipeline, *many[1:], NO_KEY, BAD)["outcome"] == "PARTIAL"
    assert len(names(pipeline)) == 119
    assert put(pipeline, *many)["outcome"] == "SYNCED"
    assert not {"problem", "set_aside"} & pipeline.row(KEY).keys()


def test_in_bulk_it_is_the_same_and_a_partial_file_does_not_differ(pipeline: Pipeline) -> None:
    pipeline.put(KEY, [good("a"), BAD, NO_KEY])
    assert pipeline.sync_batch() == {KEY: ("UNKNOWN", "PARTIAL")}
    assert names(pipeline) == {"a"}
    assert audit(pipeline) == [("PARTIAL", "2")]
    assert pipeline.sync_batch() == {}


def test_two_good_records_with_one_key_refuse_the_file(pipeline: Pipeline) -> None:
    """Neither is bad by itself, and to choose one would be a guess."""
    with pytest.raises(errors.DuplicateItemKeyError):
        put(pipeline, good("a"), good("a", count=1))
    assert put(pipeline, good("a"), good("a", count=-1))["outcome"] == "PARTIAL"


def test_what_ends_the_reading_refuses_the_file(pipeline: Pipeline) -> None:
    pipeline.put(KEY, b'[{"pk": "a", "sk": "1"}, {"pk": ]')
    with pytest.raises(errors.MalformedJsonError):
        pipeline.sync(KEY)


def test_transform_records_sets_aside_what_validate_records_did_or_reads_again(
    pipeline: Pipeline,
) -> None:
    pipeline.put(KEY, [good("a"), BAD])
    fetched = pipeline.fetch(KEY)
    checked = validate_records.handler({**fetched, "execution": pipeline.execution(KEY)}, None)
    aside = checked["set_aside"]
    assert (aside["records"], aside["of"]) == (1, 2)
    found = {**fetched["found"], "set_aside": {**aside, "records": 2}}
    with pytest.raises(errors.DatasetChangedError):
        transform_records.handler({"found": found, "document": fetched["document"]}, None)


def test_what_is_said_of_bad_records_fits_a_payload_beside_an_inline_document(
    pipeline: Pipeline,
) -> None:
    long = "\U0001f600" * 20_000
    pipeline.put(KEY, [good("a"), {**BAD, "_index": 1}, {long: 1, "pk": "b", "sk": {long: 1}}])
    fetched = pipeline.fetch(KEY)
    checked = validate_records.handler({**fetched, "execution": pipeline.execution(KEY)}, None)
    size = len(json.dumps(checked["set_aside"]))
    assert INLINE_BYTES + 2 * size < PAYLOAD_BYTES


def test_bad_records_are_counted(pipeline: Pipeline, capsys: pytest.CaptureFixture[str]) -> None:
    put(pipeline, good("a"), BAD)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    (counted,) = [line for line in lines if "RecordsSetAside" in line]
    assert counted["RecordsSetAside"] == [1.0]
    assert (counted["dataset"], counted["outcome"]) == ("lax", "PARTIAL")
