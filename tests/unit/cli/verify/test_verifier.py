"""Verify: each kind of difference, and nothing else."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import pytest
from tablekeeper import aws
from tablekeeper.datasets.catalogue import Catalogue
from tablekeeper.errors import KeyOwnershipError, TransientServiceError, UnfinishedWriteError
from tablekeeper.ledger.rows import SHARDS
from tablekeeper.model.keys import ItemKey
from tablekeeper.settings import FetchSettings

from tablekeeper_cli.errors import UsageError
from tablekeeper_cli.verify import first_look, second_look, verification
from tablekeeper_cli.verify.findings import Finding, Kind
from tablekeeper_cli.verify.verification import verify
from tablekeeper_cli.verify.verifier import Summary, Verifier
from tests.support.fakes import client_error
from tests.support.quick import quick_pipeline
from tests.unit.conftest import CATALOGUE, Pipeline

pytestmark = pytest.mark.usefixtures("in_turn")

MACHINE = "arn:aws:states:us-east-1:123456789012:stateMachine:sync"


class Executions:
    """Step Functions, as far as verify asks: executions that run, by the keys that they are at."""

    def __init__(self) -> None:
        self.keys: list[str] = []

    def get_paginator(self, _name: str) -> Executions:
        return self

    def paginate(self, **_: Any) -> Iterator[Any]:
        yield {"executions": [{"executionArn": key} for key in self.keys]}

    def describe_execution(self, executionArn: str) -> Any:  # noqa: N803
        detail = {"bucket": {"name": "source"}, "object": {"key": executionArn}}
        return {"input": json.dumps({"detail": detail})}


@pytest.fixture
def pipeline(monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    return quick_pipeline(monkeypatch)


@pytest.fixture
def executions(pipeline: Pipeline) -> Iterator[Executions]:
    """Executions that run; none."""
    running = Executions()
    clients: dict[str, Any] = {
        "stepfunctions": running,
        "s3": pipeline.s3,
        "dynamodb": pipeline.dynamodb,
    }
    with aws.clients_by(clients.__getitem__):
        yield running


@pytest.fixture
def verifier(executions: Executions) -> Verifier:
    """Of the pipeline's stack, with no patience."""
    return Verifier(
        catalogue=CATALOGUE,
        settings=FetchSettings.from_environment(),
        items_table="items",
        staging_bucket="staging",
        state_machine=MACHINE,
        owns_table=True,
        settle_seconds=0,
        concurrency=2,
    )


def found(verifier: Verifier) -> list[Finding]:
    """What verify finds."""
    verification = verify(verifier)
    findings = list(verification.findings())
    summary = verification.summary
    verification.close()
    assert summary.differences == sum(each.is_difference for each in findings)
    assert summary.kinds == Counter(each.kind for each in findings)
    return findings


def told(verifier: Verifier) -> list[tuple[str, str | None, str | None]]:
    """Kind, file and the item's sort key of each finding."""
    return [
        (each.kind, each.file, each.item["sk"]["S"] if each.item else None)
        for each in found(verifier)
    ]


def summary(verifier: Verifier) -> Summary:
    """What verify sums up."""
    verification = verify(verifier)
    made = verification.summary
    verification.close()
    return made


def note(sk: str, pk: str = "p", **more: Any) -> dict[str, Any]:
    """A record."""
    return {"pk": pk, "sk": sk, **more}


def key_of(sk: str, pk: str = "p") -> Any:
    """An item's key."""
    return {"pk": {"S": pk}, "sk": {"S": sk}}


def row_key(key: str) -> Any:
    """The key of a file's row."""
    return {"pk": {"S": f"s3://source/{key}"}, "sk": {"S": "CURRENT"}}


def change_row(pipeline: Pipeline, key: str, **values: Any) -> None:
    """Changes attributes of a file's row by hand; None removes one."""
    row = pipeline.row(key) or {**row_key(key), "file_shard": {"S": "0"}}
    row |= values
    item = {name: value for name, value in row.items() if value is not None}
    pipeline.dynamodb.put_item(TableName="ledger", Item=item)


def change_item(pipeline: Pipeline, sk: str, **values: Any) -> None:
    """Changes attributes of an item by hand; None removes one."""
    item = pipeline.dynamodb.get_item(TableName="items", Key=key_of(sk)).get("Item", key_of(sk))
    item |= values
    kept = {name: value for name, value in item.items() if value is not None}
    pipeline.dynamodb.put_item(TableName="items", Item=kept)


def refuse_for(pipeline: Pipeline, key: str, item: str | dict[str, Any], owner: str) -> None:
    """Records that an item, by its sort key or its whole key, belongs to another file."""
    whole = key_of(item) if isinstance(item, str) else item
    error = KeyOwnershipError(ItemKey.of(whole), f"s3://source/{owner}")
    cause = json.dumps({"errorMessage": str(error), "errorType": "KeyOwnershipError"})
    refuse(pipeline, key, "KeyOwnershipError", cause)


def refuse(
    pipeline: Pipeline, key: str, error: str = "MalformedJsonError", cause: str = "{}"
) -> None:
    """Records a problem, as Record Failure does."""
    problem = {
        name: {"S": value}
        for name, value in {
            "status": "INVALID",
            "error": error,
            "cause": cause,
            "started": time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime()),
        }.items()
    }
    row = pipeline.row(key) or {}
    change_row(
        pipeline,
        key,
        revision={"N": str(int(row.get("revision", {"N": "0"})["N"]) + 1)},
        problem={"M": problem},
        problem_status={"S": "INVALID"},
        as_of={"S": problem["started"]["S"]},
    )


@pytest.fixture
def notes(pipeline: Pipeline) -> Pipeline:
    """Three files whose items are in the table."""
    for name in "abc":
        records = [note(f"{name}1", count=1.10, deep={"list": [1, "x"]}), note(f"{name}2")]
        pipeline.put(f"notes/{name}.json", records)
        pipeline.sync(f"notes/{name}.json")
    return pipeline


def test_nothing_is_found_where_table_and_bucket_are_equal(
    notes: Pipeline, verifier: Verifier
) -> None:
    notes.put("notes/gone.json", [note("gone")])
    notes.sync("notes/gone.json")
    notes.s3.delete_object(Bucket="source", Key="notes/gone.json")
    notes.sync("notes/gone.json")
    notes.put("notes/_SUCCESS", b"")
    notes.put(
        "notes/a.json", notes.s3.get_object(Bucket="source", Key="notes/a.json")["Body"].read()
    )
    notes.sync("notes/a.json")
    assert found(verifier) == []
    made = summary(verifier)
    assert (made.files, made.items, made.held, made.differences) == (4, 6, 6, 0)


def test_items_tampered_with(notes: Pipeline, verifier: Verifier) -> None:
    change_item(notes, "a1", count={"N": "1.2"}, deep={"M": {"list": {"L": [{"N": "1"}]}}})
    notes.dynamodb.delete_item(TableName="items", Key=key_of("a2"))
    lineage = notes.dynamodb.get_item(TableName="items", Key=key_of("b1"))["Item"]["_source"]
    change_item(notes, "b3", _source=lineage)
    change_item(notes, "b2", _source=None)
    change_item(notes, "c1", _source={"S": "broken"})
    change_item(notes, "c2", _source=lineage)
    change_item(notes, "nobody's")
    change_item(notes, "elsewhere", _source={"M": {"bucket": {"S": "other"}, "key": {"S": "k"}}})
    assert told(verifier) == [
        ("foreign", None, "elsewhere"),
        ("foreign", None, "nobody's"),
        ("different", "notes/a.json", "a1"),
        ("missing", "notes/a.json", "a2"),
        ("foreign", "notes/b.json", "b2"),
        ("extra", "notes/b.json", "b3"),
        ("extra", "notes/b.json", "c2"),
        ("foreign", "notes/c.json", "c1"),
        ("missing", "notes/c.json", "c2"),
    ]
    different = next(each for each in found(verifier) if each.kind == "different")
    assert [(each.path, each.before, each.after) for each in different.changes] == [
        ("/count", {"N": "1.2"}, {"N": "1.1"}),
        ("/deep/list/1", None, {"S": "x"}),
    ]


def test_in_a_table_that_others_use_their_items_are_no_difference(
    notes: Pipeline, verifier: Verifier
) -> None:
    change_item(notes, "theirs")
    shared = replace(verifier, owns_table=False)
    (foreign,) = found(shared)
    assert (foreign.kind, foreign.is_difference) == ("foreign", False)
    change_item(notes, "a1", _source=None)
    assert [each.is_difference for each in found(shared)] == [False, True]


def test_items_of_files_that_a_narrower_key_prefix_leaves_behind(
    pipeline: Pipeline, verifier: Verifier
) -> None:
    """They are those of the ledger's files; another stack may write others of this bucket."""
    for key in ("notes/new/a.json", "notes/old/b.json"):
        pipeline.put(key, [note(key[10])])
        pipeline.sync(key)
    source = {"bucket": {"S": "source"}, "key": {"S": "notes/theirs/c.json"}}
    change_item(pipeline, "c", _source={"M": source})
    narrow = replace(verifier, owns_table=False, key_prefix="notes/new/")
    assert {each.detail: each.is_difference for each in found(narrow)} == {
        "it belongs to s3://source/notes/old/b.json, which is outside of KeyPrefix": True,
        "it belongs to s3://source/notes/theirs/c.json": False,
    }
    assert [each.is_difference for each in found(replace(narrow, owns_table=True))] == [True, True]


def test_ledger_rows_tampered_with(notes: Pipeline, verifier: Verifier) -> None:
    notes.dynamodb.delete_item(TableName="ledger", Key=row_key("notes/a.json"))
    change_row(notes, "notes/b.json", etag={"S": "another"})
    change_row(notes, "notes/c.json", item_keys={"L": [{"M": key_of("c1")}, {"M": key_of("c9")}]})
    assert told(verifier) == [
        ("unknown", "notes/a.json", None),
        ("stale", "notes/b.json", None),
        ("unlisted", "notes/c.json", "c2"),
        ("listed", "notes/c.json", "c9"),
    ]
    change_row(notes, "notes/c.json", status={"S": "DELETED"}, item_keys=None)
    assert told(verifier)[-1] == ("stale", "notes/c.json", None)
    change_row(notes, "notes/gone.json", status={"S": "SYNCED"}, revision={"N": "1"})
    assert ("stale", "notes/gone.json", None) in told(verifier)


def test_objects_changed_without_an_event(notes: Pipeline, verifier: Verifier) -> None:
    notes.put("notes/a.json", [note("a1", count=2), note("a3")])
    notes.s3.delete_object(Bucket="source", Key="notes/b.json")
    notes.put("notes/c.json", b"{")
    notes.put("notes/new.json", [note("new")])
    assert told(verifier) == [
        ("stale", "notes/a.json", None),
        ("different", "notes/a.json", "a1"),
        ("extra", "notes/a.json", "a2"),
        ("missing", "notes/a.json", "a3"),
        ("stale", "notes/b.json", None),
        ("extra", "notes/b.json", "b1"),
        ("extra", "notes/b.json", "b2"),
        ("stale", "notes/c.json", None),
        ("unknown", "notes/new.json", None),
        ("missing", "notes/new.json", "new"),
    ]
    details = {each.file: each.detail for each in found(verifier) if each.kind == "stale"}
    assert "is gone" in details["notes/b.json"]
    assert "MalformedJsonError" in details["notes/c.json"]


def test_a_bad_file_is_compared_with_its_last_good_version(
    notes: Pipeline, verifier: Verifier
) -> None:
    version = notes.row("notes/a.json")["version_id"]["S"]
    notes.put("notes/a.json", b"{")
    refuse(notes, "notes/a.json")
    notes.put("notes/bad.json", b"[")
    refuse(notes, "notes/bad.json")
    assert found(verifier) == []
    assert summary(verifier).problems == {"INVALID": 2}
    change_item(notes, "a2", more={"S": "x"})
    assert told(verifier) == [("different", "notes/a.json", "a2")]
    notes.s3.delete_object(Bucket="source", Key="notes/a.json", VersionId=version)
    (gone,) = found(verifier)
    assert (gone.kind, gone.file, gone.is_difference) == ("unverifiable", "notes/a.json", False)
    assert version in gone.detail


@pytest.mark.parametrize("code", ["AccessDenied", "KMS.DisabledException"])
def test_an_object_that_may_not_be_read_is_named_and_the_others_are_compared(
    notes: Pipeline, verifier: Verifier, code: str
) -> None:
    def denied(**arguments: Any) -> Any:
        if arguments["Key"] == "notes/a.json":
            raise client_error(code)
        return notes.s3.get_object(**arguments)

    s3 = SimpleNamespace(get_object=denied, get_paginator=notes.s3.get_paginator)
    notes.put("notes/d.json", [])
    with patch.object(aws, "s3", lambda: s3):
        unreadable, unknown = sorted(found(verifier), key=lambda each: str(each.file))
    assert (unreadable.kind, unreadable.file) == ("unreadable", "notes/a.json")
    assert unreadable.is_difference
    assert code in unreadable.detail
    assert (unknown.kind, unknown.file) == ("unknown", "notes/d.json")


def test_a_problem_that_is_older_than_the_object_excuses_nothing(
    notes: Pipeline, verifier: Verifier
) -> None:
    notes.put("notes/a.json", b"{")
    refuse(notes, "notes/a.json")
    row = notes.row("notes/a.json")
    problem = {"M": {**row["problem"]["M"], "started": {"S": "2026-01-01T00:00:00.000Z"}}}
    change_row(notes, "notes/a.json", problem=problem, as_of={"S": "2026-01-01T00:00:00.000Z"})
    assert told(verifier) == [("stale", "notes/a.json", None)]


def test_a_problem_of_an_object_that_is_gone_is_a_difference(
    notes: Pipeline, verifier: Verifier
) -> None:
    notes.put("notes/bad.json", b"[")
    refuse(notes, "notes/bad.json")
    notes.s3.delete_object(Bucket="source", Key="notes/bad.json")
    (gone,) = found(verifier)
    assert (gone.kind, gone.file, gone.is_difference) == ("stale", "notes/bad.json", True)
    assert "is gone" in gone.detail


def test_a_problem_beside_a_tombstone_is_a_difference(notes: Pipeline, verifier: Verifier) -> None:
    """The object was there again, failed, and went without an event."""
    notes.s3.delete_object(Bucket="source", Key="notes/a.json")
    notes.sync("notes/a.json")
    assert found(verifier) == []
    refuse(notes, "notes/a.json")
    assert told(verifier) == [("stale", "notes/a.json", None)]


def test_a_problem_of_another_version_than_the_current_one_is_a_difference(
    notes: Pipeline, verifier: Verifier
) -> None:
    """Whatever the clocks say."""
    notes.put("notes/bad.json", b"[")
    refuse(notes, "notes/bad.json")
    problem = {"M": {**notes.row("notes/bad.json")["problem"]["M"], "etag": {"S": "another"}}}
    change_row(notes, "notes/bad.json", problem=problem)
    assert told(verifier) == [("stale", "notes/bad.json", None)]


def test_a_file_that_is_released_is_a_difference(notes: Pipeline, verifier: Verifier) -> None:
    notes.put("notes/a.json", b"[")
    refuse(notes, "notes/a.json")
    assert "RELEASED" not in [each.detail for each in found(verifier)]
    change_row(notes, "notes/a.json", status={"S": "RELEASED"})
    assert "stale" in [each.kind for each in found(verifier) if "RELEASED" in each.detail]


def test_a_file_refused_for_an_item_that_another_has_is_named_and_no_difference(
    notes: Pipeline, verifier: Verifier
) -> None:
    notes.put("notes/late.json", [note("a1")])
    refuse_for(notes, "notes/late.json", "a1", "notes/a.json")
    assert found(verifier) == []
    assert summary(verifier).conflicts == 1
    notes.put("notes/a.json", b"[")
    refuse(notes, "notes/a.json")
    assert found(verifier) == [], "the owner is bad and keeps what it had"


def test_a_file_refused_for_an_item_that_its_owner_no_longer_makes_is_a_difference(
    notes: Pipeline, verifier: Verifier
) -> None:
    """Two files have changed places: each is refused for an item that the other gives up."""
    notes.put("notes/a.json", [note("b1")])
    refuse_for(notes, "notes/a.json", "b1", "notes/b.json")
    assert (found(verifier), summary(verifier).conflicts) == ([], 1)
    notes.put("notes/b.json", [note("a1")])
    refuse_for(notes, "notes/b.json", "a1", "notes/a.json")
    assert [(each.kind, each.file) for each in found(verifier)] == [
        ("stale", "notes/a.json"),
        ("stale", "notes/b.json"),
    ]
    assert summary(verifier).conflicts == 0


def test_a_file_refused_for_an_item_that_is_gone_is_a_difference(
    notes: Pipeline, verifier: Verifier
) -> None:
    notes.put("notes/late.json", [note("a1")])
    refuse_for(notes, "notes/late.json", "a9", "notes/a.json")
    (only,) = found(verifier)
    assert (only.kind, only.file) == ("stale", "notes/late.json")
    assert "no longer that of s3://source/notes/a.json" in only.detail


@pytest.mark.parametrize(
    "key", [{"id": {"S": "a1"}}, {"pk": {"N": "1"}, "sk": {"S": "a1"}}], ids=["names", "types"]
)
def test_a_file_refused_for_an_item_of_before_a_change_of_the_table_s_key(
    notes: Pipeline, verifier: Verifier, key: Any
) -> None:
    """No such item stands in the file's way, and the sweep tries it again."""
    notes.put("notes/late.json", [note("a1")])
    refuse_for(notes, "notes/late.json", key, "notes/a.json")
    (only,) = found(verifier)
    assert (only.kind, only.file) == ("stale", "notes/late.json")
    assert "of another key than pk:S,sk:S" in only.detail


def test_the_same_content_in_another_version_is_no_difference(
    notes: Pipeline, verifier: Verifier
) -> None:
    """Its event was lost, and a reconcile, which compares ETags, finds nothing either."""
    body = notes.s3.get_object(Bucket="source", Key="notes/a.json")["Body"].read()
    notes.put("notes/a.json", body)
    assert notes.sync_batch() == {}
    assert told(verifier) == []


def test_what_was_written_before_the_limit_of_sizes_was_lowered_is_no_difference(
    notes: Pipeline, verifier: Verifier
) -> None:
    settings = FetchSettings(**{**vars(verifier.settings), "max_document_bytes": 5})
    assert told(replace(verifier, settings=settings)) == []


def test_an_object_that_its_customers_key_encrypts_is_a_bad_file(
    notes: Pipeline, verifier: Verifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S3 says nothing of it, not even when it was changed."""
    refuse(notes, "notes/a.json", "EncryptedObjectError")
    get_object = notes.s3.get_object

    def refused(*names: str, **named: str) -> Any:
        """A listing asks with names alone."""
        if named.get("Key") == "notes/a.json" and "VersionId" not in named:
            raise client_error("InvalidRequest", "a form of Server Side Encryption")
        return get_object(*names, **named)

    monkeypatch.setattr(notes.s3, "get_object", refused)
    assert found(verifier) == []
    assert summary(verifier).problems == {"INVALID": 1}
    change_row(notes, "notes/a.json", problem=None, problem_status=None)
    assert told(verifier) == [("stale", "notes/a.json", None)]


def test_a_file_of_before_a_change_of_the_table_s_key_is_outdated(
    notes: Pipeline, verifier: Verifier
) -> None:
    """No item of the table can have the keys that its row lists."""
    keys = [{"M": {"id": {"S": "a1"}}}, {"M": {"pk": {"N": "1"}, "sk": {"S": "a2"}}}]
    change_row(notes, "notes/a.json", item_keys={"L": keys}, digest={"S": "of another key"})
    for sk in ("a1", "a2"):
        notes.dynamodb.delete_item(TableName="items", Key=key_of(sk))
    assert sorted({each.kind for each in found(verifier)}) == ["missing", "outdated"]


def test_a_bad_file_without_a_problem_is_named(notes: Pipeline, verifier: Verifier) -> None:
    notes.put("notes/a.json", [note("a1"), note("a1")])
    etag = notes.s3.head_object(Bucket="source", Key="notes/a.json")
    change_row(
        notes,
        "notes/a.json",
        etag={"S": etag["ETag"].strip('"')},
        version_id={"S": etag["VersionId"]},
    )
    (bad,) = found(verifier)
    assert (bad.kind, bad.file) == ("unrecorded", "notes/a.json")
    assert "DuplicateItemKeyError" in bad.detail


def test_expired_items_may_be_absent(pipeline: Pipeline, verifier: Verifier) -> None:
    past, future = int(time.time()) - 10, int(time.time()) + 1000
    records = [note("1", expires_at=past), note("2", expires_at=past), note("3", expires_at=future)]
    pipeline.put("notes/ttl.json", records)
    pipeline.sync("notes/ttl.json")
    for sk in "13":
        pipeline.dynamodb.delete_item(TableName="items", Key=key_of(sk))
    assert told(verifier) == [("missing", "notes/ttl.json", "3")]
    assert summary(verifier).expired == 1


def test_the_key_of_an_expired_item_may_be_another_files(
    pipeline: Pipeline, verifier: Verifier
) -> None:
    """A reprocess would have the first file refused."""
    past, future = int(time.time()) - 10, int(time.time()) + 1000
    for name, expires in (("first", past), ("second", future)):
        pipeline.put(f"notes/{name}.json", [note("1", expires_at=expires)])
        pipeline.sync(f"notes/{name}.json")
        if name == "first":
            pipeline.dynamodb.delete_item(TableName="items", Key=key_of("1"))
    assert told(verifier) == []


def test_a_file_written_under_other_schemas(notes: Pipeline, verifier: Verifier) -> None:
    schema = CATALOGUE.schemas["notes"]
    same = Catalogue({"notes": {**schema, "title": "Notes"}})
    assert found(replace(verifier, catalogue=same)) == []
    keyword = {"prefix": "notes/", "attributes": {"pk": "pk", "sk": "sk", "deep": "deep"}}
    other = Catalogue({"notes": {**schema, "x-tablekeeper": keyword}})
    assert told(replace(verifier, catalogue=other, prefix="notes/a")) == [
        ("outdated", "notes/a.json", None),
        ("different", "notes/a.json", "a1"),
    ]
    strict = Catalogue({"notes": {**schema, "required": ["wrong"]}})
    (outdated,) = found(replace(verifier, catalogue=strict, prefix="notes/a"))
    assert (outdated.kind, "SchemaViolationError" in outdated.detail) == ("outdated", True)


def test_the_version_below_a_refused_one_stays_as_other_schemas_made_it(
    notes: Pipeline, verifier: Verifier
) -> None:
    """No reprocess writes it again before the file is mended, so it is no difference."""
    notes.put("notes/a.json", b"[")
    refuse(notes, "notes/a.json")
    some = replace(verifier, prefix="notes/a")
    assert found(some) == []
    schema = CATALOGUE.schemas["notes"]
    keyword = {"prefix": "notes/", "attributes": {"pk": "pk", "sk": "sk", "deep": "deep"}}
    for other in ({**schema, "x-tablekeeper": keyword}, {**schema, "required": ["wrong"]}):
        (below,) = found(replace(some, catalogue=Catalogue({"notes": other})))
        assert (below.kind, below.is_difference) == ("unverifiable", False)
        assert "the version before the refused one was written under" in below.detail
    same = Catalogue({"notes": {**schema, "title": "Notes"}})
    assert found(replace(some, catalogue=same)) == []


def test_files_of_every_shard_of_the_ledger_are_missed(
    pipeline: Pipeline, verifier: Verifier
) -> None:
    keys = [f"notes/{number:02}.json" for number in range(70)]
    for key in keys:  # without items, by which they would be found
        pipeline.put(key, [])
        pipeline.sync(key)
        pipeline.s3.delete_object(Bucket="source", Key=key)
    assert {pipeline.row(key)["file_shard"]["S"] for key in keys} == set(SHARDS)
    assert told(verifier) == [("stale", key, None) for key in keys]


def test_a_prefix_leaves_the_rest_aside(notes: Pipeline, verifier: Verifier) -> None:
    for sk in ("a1", "b1"):
        notes.dynamodb.delete_item(TableName="items", Key=key_of(sk))
    change_item(notes, "nobody's")
    some = replace(verifier, prefix="notes/b")
    assert told(some) == [("missing", "notes/b.json", "b1")]
    assert (summary(some).files, summary(some).items, summary(some).held) == (1, 2, 1)
    with pytest.raises(UsageError, match='keeps objects under "other/", and none under "notes/b"'):
        found(replace(some, key_prefix="other/"))


def test_many_items_in_partitions_and_their_list(pipeline: Pipeline, verifier: Verifier) -> None:
    pipeline.put("notes/many.json", [note(f"{number:04}") for number in range(120)])
    pipeline.sync("notes/many.json")
    assert found(verifier) == []
    pipeline.dynamodb.delete_item(TableName="items", Key=key_of("0100"))
    assert told(verifier) == [("missing", "notes/many.json", "0100")]
    prefix = pipeline.row("notes/many.json")["keys_at"]["S"]
    for gone in ("0.gz", "manifest.json"):
        pipeline.s3.delete_object(Bucket="staging", Key=f"{prefix}/{gone}")
        assert ("unlisted", "notes/many.json", None) in told(verifier)


def test_a_claim_that_is_not_ended(pipeline: Pipeline, verifier: Verifier) -> None:
    pipeline.put("notes/many.json", [note(f"{number:04}") for number in range(300)])
    fetched = pipeline.fetch("notes/many.json")
    calls = iter([1000.0] * 4 + [0.0] * 100)
    pipeline.seconds_left = lambda: next(calls)
    with pytest.raises(UnfinishedWriteError):
        pipeline.commit(fetched, pipeline.execution("notes/many.json"))
    assert told(verifier) == [("claim", "notes/many.json", None)]


def test_a_file_whose_execution_runs_is_in_flight(
    notes: Pipeline, verifier: Verifier, executions: Executions
) -> None:
    notes.put("notes/a.json", [note("a9")])
    notes.put("notes/b.json", [note("b9")])
    executions.keys = ["notes/a.json"]
    findings = found(verifier)
    assert [each for each in findings if each.file == "notes/a.json"] == [
        Finding(Kind.IN_FLIGHT, "notes/a.json", None, "its execution runs", (), is_difference=False)
    ]
    assert {each.kind for each in findings if each.file == "notes/b.json"} >= {"stale", "missing"}


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], None]], None]:
    """Lets something happen while verify waits; its clock runs as it waits."""

    def let(happen: Callable[[], None]) -> None:
        now = [0.0]

        def wait(seconds: float) -> None:
            now[0] += seconds
            happen()

        clock = SimpleNamespace(monotonic=lambda: now[0], sleep=wait)
        monkeypatch.setattr(verification, "time", clock)

    return let


def test_a_file_on_its_way_is_waited_for(
    notes: Pipeline, verifier: Verifier, waits: Callable[[Callable[[], None]], None]
) -> None:
    notes.put("notes/a.json", [note("a9")])
    waits(lambda: notes.sync("notes/a.json"))
    assert found(replace(verifier, settle_seconds=60)) == []


def test_a_file_that_changes_all_the_time_is_in_flight(
    notes: Pipeline, verifier: Verifier, waits: Callable[[Callable[[], None]], None]
) -> None:
    notes.put("notes/a.json", [note("a9")])
    notes.put("notes/b.json", [note("b9")])
    waits(lambda: notes.put("notes/a.json", [note("a9", time=str(time.time_ns()))]))
    findings = found(replace(verifier, settle_seconds=5))
    assert [each.kind for each in findings if each.file == "notes/a.json"] == ["in flight"]
    assert next(each.kind for each in findings if each.file == "notes/b.json") == "stale"


def test_what_moves_between_the_looks_is_no_difference(
    notes: Pipeline, verifier: Verifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bucket is read before the change and the table after it, and a commit comes between two
    reads of the row.
    """
    change = iter(range(100))

    def change_file() -> None:
        notes.put("notes/a.json", [note("a1", count=next(change)), note(f"a{next(change)}x")])
        notes.sync("notes/a.json")

    see_table, find = first_look.FirstLook._see_table, second_look.SecondLook._find

    def between(self: Any, pool: Any) -> None:
        change_file()
        see_table(self, pool)

    def within(self: Any, *arguments: Any) -> None:
        if next(change) < 6:
            change_file()
        find(self, *arguments)

    monkeypatch.setattr(first_look.FirstLook, "_see_table", between)
    monkeypatch.setattr(second_look.SecondLook, "_find", within)
    assert found(verifier) == []
    assert next(change) > 3


def test_a_service_that_keeps_failing_ends_it(
    notes: Pipeline, verifier: Verifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> Any:
        raise TransientServiceError("BatchGetItem: throttled")

    change_item(notes, "a1", count={"N": "9"})
    monkeypatch.setattr(second_look.SecondLook, "_held", fail)
    monkeypatch.setattr(time, "sleep", lambda _: None)
    with pytest.raises(TransientServiceError):
        verify(verifier)


def test_it_never_writes(
    notes: Pipeline, verifier: Verifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes.dynamodb.delete_item(TableName="items", Key=key_of("a1"))
    calls: set[str] = set()
    s3, dynamodb = Recorded(notes.s3, calls), Recorded(notes.dynamodb, calls)
    monkeypatch.setattr(aws, "s3", lambda: s3)
    monkeypatch.setattr(aws, "dynamodb", lambda: dynamodb)
    assert [each.kind for each in found(verifier)] == ["missing"]
    assert calls == {
        *("list_objects_v2", "get_object"),
        *("batch_get_item", "get_item", "scan", "query"),
    }


class Recorded:
    """A client whose calls are recorded, those of a paginator by its name."""

    def __init__(self, client: Any, calls: set[str]) -> None:
        self.client, self.calls = client, calls

    def __getattr__(self, name: str) -> Any:
        if name != "get_paginator":
            self.calls.add(name)
        return getattr(self.client, name)

    def get_paginator(self, name: str) -> Any:
        self.calls.add(name)
        return self.client.get_paginator(name)
