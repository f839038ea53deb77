"""Large documents: read where they are, just in the version that was found."""

from __future__ import annotations

import gzip
import io
import json
from typing import Any

import pytest
from botocore.exceptions import FlexibleChecksumError, ReadTimeoutError
from handlers import fetch_object, transform_records, validate_records
from tablekeeper import aws
from tablekeeper.errors import (
    ArchivedObjectError,
    DatasetChangedError,
    DocumentTooLargeError,
    EncryptedObjectError,
    ObjectChangedError,
    TablekeeperError,
    TransientServiceError,
)
from tablekeeper.model.snapshot import INLINE_BYTES
from tablekeeper.staging import violation_report
from tablekeeper.steps import content
from urllib3.exceptions import ProtocolError

from tests.support.fakes import client_error
from tests.unit.conftest import Pipeline

KEY = "notes/a.jsonl"
RECORDS = [{"pk": "a", "sk": str(n), "text": "x" * 100} for n in range(3000)]
LARGE = "\n".join(map(json.dumps, RECORDS)).encode()


def validate(pipeline: Pipeline, fetched: Any) -> Any:
    return validate_records.handler({**fetched, "execution": pipeline.execution(KEY)}, None)


@pytest.mark.parametrize("body", [LARGE, gzip.compress(LARGE, mtime=0)], ids=["plain", "gzip"])
def test_a_large_document_is_read_where_it_is(pipeline: Pipeline, body: bytes) -> None:
    pipeline.put(KEY, body)
    fetched = pipeline.fetch(KEY)
    assert fetched["document"] == {"object": f"s3://source/{KEY}"}
    assert validate(pipeline, fetched) == {"records": 3000}
    assert not pipeline.s3.list_objects_v2(Bucket="staging").get("Contents")


@pytest.mark.parametrize(
    ("fetches", "others"), [("10", "1000000"), ("1000000", "10")], ids=["raised", "lowered"]
)
def test_where_a_deployment_changes_the_limit_both_functions_have_to_have_it(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, fetches: str, others: str
) -> None:
    """Or a file that the new limit takes would be INVALID, and no event would come for it."""
    pipeline.put(KEY, json.dumps(RECORDS[0]).encode())
    monkeypatch.setenv("MAX_DOCUMENT_BYTES", fetches)
    fetched = pipeline.fetch(KEY)
    monkeypatch.setenv("MAX_DOCUMENT_BYTES", others)
    with pytest.raises(DatasetChangedError):
        validate(pipeline, fetched)
    with pytest.raises(DatasetChangedError):
        transform_records.handler(fetched, None)


def test_an_older_version_is_read_as_long_as_it_is_there(pipeline: Pipeline) -> None:
    pipeline.put(KEY, LARGE)
    fetched = pipeline.fetch(KEY)
    pipeline.put(KEY, b"bad")
    assert validate(pipeline, fetched) == {"records": 3000}
    version = fetched["found"]["version_id"]
    pipeline.s3.delete_object(Bucket="source", Key=KEY, VersionId=version)
    with pytest.raises(ObjectChangedError):
        validate(pipeline, fetched)


def test_without_versions_the_etag_has_to_be_the_same(pipeline: Pipeline) -> None:
    pipeline.put(KEY, LARGE)
    fetched = pipeline.fetch(KEY)
    fetched["found"]["version_id"] = None
    assert validate(pipeline, fetched) == {"records": 3000}
    pipeline.put(KEY, LARGE + b"\n")
    with pytest.raises(ObjectChangedError):
        validate(pipeline, fetched)


def test_a_connection_that_breaks_and_brings_nothing_more_is_tried_again(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline.put(KEY, LARGE)
    fetched = pipeline.fetch(KEY)

    class Body(io.BytesIO):
        def iter_chunks(self, _size: int) -> Any:
            yield from self.chunks
            raise ReadTimeoutError(endpoint_url="s3")

        chunks: tuple[bytes, ...] = (LARGE[:1000],)

    class Client:
        def get_object(self, **which: Any) -> Any:
            body = Body()
            body.chunks = () if "Range" in which else Body.chunks
            return {"Body": body}

    monkeypatch.setattr(aws, "s3", Client)
    with pytest.raises(TransientServiceError):
        validate(pipeline, fetched)


@pytest.mark.parametrize("versioned", [True, False], ids=["by version", "by etag"])
def test_a_body_that_breaks_off_goes_on_where_it_was(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, versioned: bool
) -> None:
    pipeline.put(KEY, LARGE)
    fetched = pipeline.fetch(KEY)
    if not versioned:
        fetched["found"]["version_id"] = None
    asked: list[dict[str, Any]] = []

    class Body(io.BytesIO):
        def iter_chunks(self, size: int) -> Any:
            yield self.read(100_000)
            if len(asked) < 4:
                raise ProtocolError("the peer is gone")
            while chunk := self.read(size):
                yield chunk

    class Client:
        def get_object(self, **which: Any) -> Any:
            asked.append(which)
            begin = int(which.get("Range", "bytes=0-")[len("bytes=") : -1])
            return {"Body": Body(LARGE[begin:])}

    with monkeypatch.context() as patched:
        patched.setattr(aws, "s3", Client)
        assert validate(pipeline, fetched) == {"records": 3000}
    ranges = [None, "bytes=100000-", "bytes=200000-", "bytes=300000-"]
    assert [each.get("Range") for each in asked] == ranges
    same = "VersionId" if versioned else "IfMatch"
    assert len({each[same] for each in asked}) == 1


def test_a_body_whose_checksum_is_wrong_is_not_taken_for_a_whole_one(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline.put(KEY, LARGE)
    fetched = pipeline.fetch(KEY)

    class Body(io.BytesIO):
        def iter_chunks(self, _size: int) -> Any:
            yield LARGE
            raise FlexibleChecksumError(error_msg="crc32 is another one")

    class Client:
        def get_object(self, **_: Any) -> Any:
            return {"Body": Body()}

    monkeypatch.setattr(aws, "s3", Client)
    with pytest.raises(TransientServiceError, match="FlexibleChecksumError"):
        validate(pipeline, fetched)


def test_a_bomb_is_refused(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAX_DOCUMENT_BYTES", "1000000")
    pipeline.put(KEY, gzip.compress(b" " * 50_000_000))
    with pytest.raises(DocumentTooLargeError, match="1,000,000"):
        validate(pipeline, pipeline.fetch(KEY))


@pytest.mark.parametrize(
    ("code", "message", "error"),
    [
        ("InvalidObjectState", "not valid for the object's storage class", ArchivedObjectError),
        (
            "InvalidRequest",
            "The object was stored using a form of Server Side Encryption. The correct parameters "
            "must be provided to retrieve the object.",
            EncryptedObjectError,
        ),
    ],
)
def test_what_s3_does_not_give_out_has_an_error_of_its_own_name(
    pipeline: Pipeline,
    monkeypatch: pytest.MonkeyPatch,
    code: str,
    message: str,
    error: type[TablekeeperError],
) -> None:
    class Client:
        def get_object(self, **_: Any) -> Any:
            raise client_error(code, message)

        def head_object(self, **asked: Any) -> Any:
            return pipeline.s3.head_object(**asked)

    pipeline.put(KEY, LARGE)
    with monkeypatch.context() as patched:
        patched.setattr(aws, "s3", Client)
        payload = {"event": pipeline.event(KEY), "entered": "2026-01-01T00:00:10Z", "round": 0}
        fetched = fetch_object.handler(payload, None)
    with pytest.raises(error) as caught:
        validate(pipeline, fetched)
    assert error.advice in str(caught.value)


def test_what_travels_inline_leaves_room_for_what_goes_with_it() -> None:
    assert content.inline_document(b'"' + b"a" * 199_000 + b'"')
    assert content.inline_document(b'"' + b"\\" * 150_000 + b'"') is None
    assert content.inline_document(gzip.compress(b"[]")) is None


def test_more_violations_than_a_report_lists_are_in_a_file_beside_it(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(violation_report, "LISTED", 3)
    report = violation_report.Report("staging", "e1")
    for number in range(10):
        report.add({"record": number})
    assert report.close({"object": "s3://b/k"}) == "s3://staging/reports/e1.json"

    def stored(key: str) -> bytes:
        body: bytes = pipeline.s3.get_object(Bucket="staging", Key=key)["Body"].read()
        return body

    told = json.loads(stored("reports/e1.json"))
    assert told == {
        "object": "s3://b/k",
        "violations": 10,
        "listed": [{"record": number} for number in range(3)],
        "all": "s3://staging/reports/e1.jsonl.gz",
        "in_all": 10,
    }
    lines = gzip.decompress(stored("reports/e1.jsonl.gz")).decode().splitlines()
    assert [json.loads(line)["record"] for line in lines] == list(range(10))


def test_a_report_stays_bounded_and_says_what_it_left_out(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(violation_report, "MAX_COMPRESSED_BYTES", 0)
    report = violation_report.Report("staging", "e2")
    for number in range(violation_report.LISTED + 5):
        report.add({"record": number})
    report.close({})
    body = pipeline.s3.get_object(Bucket="staging", Key="reports/e2.json")["Body"].read()
    told = json.loads(body)
    assert (told["violations"], told["in_all"]) == (violation_report.LISTED + 5, 0)


class Archive:
    """S3, when the current version is in an archive storage class."""

    def __init__(self, s3: Any) -> None:
        self.head_object = s3.head_object

    def get_object(self, **_: Any) -> Any:
        raise client_error("InvalidObjectState")


def test_an_archived_object_that_is_in_the_table_is_unchanged(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when a lifecycle rule removes a noncurrent version of it."""
    large = json.dumps({**RECORDS[0], "text": "x" * INLINE_BYTES}).encode()
    pipeline.put(KEY, large)
    pipeline.sync(KEY)
    monkeypatch.setattr(aws, "s3", lambda: Archive(pipeline.s3))
    assert pipeline.fetch(KEY)["found"]["action"] == "unchanged"
    pipeline.put(KEY, large[1:])
    fetched = pipeline.fetch(KEY)
    assert fetched["found"]["action"] == "validate"
    with pytest.raises(ArchivedObjectError):
        validate(pipeline, fetched)
    pipeline.s3.delete_object(Bucket="source", Key=KEY)
    with pytest.raises(TransientServiceError):
        pipeline.fetch(KEY)
