"""The live path on the engine, by touching nothing but S3."""

from __future__ import annotations

import json
from typing import Any

import pytest

from local.stack import Stack
from tests.e2e.cases import BAD_FILES, GOOD_FILES, BadFile
from tests.e2e.observer import Observer, until


@pytest.fixture
def seen(stack: Stack) -> Observer:
    """The shared stack as a test sees it."""
    return Observer(stack)


def note(pk: str, *names: str, **more: Any) -> list[dict[str, Any]]:
    """Records of one partition key."""
    return [{"pk": pk, "sk": name, **more} for name in names]


def test_created_overwritten_deleted_and_created_again(seen: Observer) -> None:
    key = "notes/life.json"
    seen.put(key, note("life", *"abcde"))
    assert seen.outcome(key) == "SYNCED"
    seen.put(key, note("life", *"ace", text="new"))
    seen.outcome(key)
    assert seen.items(key) == note("life", *"ace", text="new")
    seen.put(key, note("life", *"ace", text="new"))
    assert seen.outcome(key) == "UNCHANGED"
    seen.delete(key)
    assert seen.outcome(key) == "DELETED"
    assert seen.items(key) == []
    seen.put(key, note("life", "a"))
    assert seen.outcomes(key) == [["SYNCED", "SYNCED", "UNCHANGED", "DELETED", "SYNCED"]]
    assert seen.names(key) == ["a"]
    entered = [len(seen.states_entered(row["execution"]["S"])) for row in seen.audit_rows(key)]
    assert entered == [5, 5, 3, 3, 5]


def test_copied_and_uploaded_in_parts(seen: Observer) -> None:
    seen.put("notes/original.json", note("copied", "a"))
    seen.outcome("notes/original.json")
    seen.delete("notes/original.json")
    seen.outcome("notes/original.json")
    source = seen.s3.list_object_versions(Bucket=seen.bucket, Prefix="notes/original.json")
    version = source["Versions"][0]["VersionId"]
    seen.changed("notes/copy.json")
    seen.s3.copy_object(
        Bucket=seen.bucket,
        Key="notes/copy.json",
        CopySource={"Bucket": seen.bucket, "Key": "notes/original.json", "VersionId": version},
    )
    assert seen.outcome("notes/copy.json") == "SYNCED"
    assert seen.items("notes/copy.json") == note("copied", "a")

    parts = [b"[" + b" " * 5 * 1024 * 1024, json.dumps(note("parts", "a")[0]).encode() + b"]"]
    where = {"Bucket": seen.bucket, "Key": "notes/parts.json"}
    upload = seen.s3.create_multipart_upload(**where)["UploadId"]
    etags = [
        seen.s3.upload_part(**where, UploadId=upload, PartNumber=number, Body=body)["ETag"]
        for number, body in enumerate(parts, start=1)
    ]
    done = [{"ETag": etag, "PartNumber": number} for number, etag in enumerate(etags, start=1)]
    seen.changed("notes/parts.json")
    seen.s3.complete_multipart_upload(**where, UploadId=upload, MultipartUpload={"Parts": done})
    assert seen.outcome("notes/parts.json") == "SYNCED"
    assert seen.items("notes/parts.json") == note("parts", "a")


def test_versions_and_markers(seen: Observer) -> None:
    key = "notes/versions.json"
    first = seen.put(key, note("versions", "a"))["VersionId"]
    seen.outcome(key)
    second = seen.put(key, note("versions", "b"))["VersionId"]
    seen.outcome(key)
    marker = seen.delete(key)["VersionId"]
    assert seen.outcome(key) == "DELETED"
    seen.delete(key, VersionId=marker)
    assert seen.outcome(key) == "SYNCED"
    assert seen.names(key) == ["b"]
    third = seen.put(key, note("versions", "c"))["VersionId"]
    seen.outcome(key)
    seen.delete(key, VersionId=second)
    assert seen.outcome(key) == "UNCHANGED"
    assert seen.names(key) == ["c"]
    seen.delete(key, VersionId=third)
    assert seen.outcome(key) == "SYNCED"
    assert seen.names(key) == ["a"]
    seen.delete(key, VersionId=first)
    assert seen.outcome(key) == "DELETED"


KEYS = [
    "notes/with spaces.json",
    "notes/a+b%20c&d=e.json",
    "notes/\"quotes\" and 'quotes'.json",
    "notes/Übergröße-日本.json",
    "notes/\U0001f600.json",
    "notes/{% $states %}.json",
    "notes/<script>alert(1)</script>.json",
]


def test_every_kind_of_key(seen: Observer) -> None:
    longest = f"s3://{seen.bucket}/notes/k.json"
    keys = [*KEYS, "notes/" + "k" * (1025 - len(longest)) + ".json"]
    assert len(f"s3://{seen.bucket}/{keys[-1]}") == 1024
    for number, key in enumerate(keys):
        seen.put(key, note(f"key-{number}", "a"))
    for number, key in enumerate(keys):
        assert seen.outcome(key) == "SYNCED", key
        assert seen.items(key) == note(f"key-{number}", "a")
    for key in keys:
        seen.delete(key)
    assert [outcomes[-1] for outcomes in seen.outcomes(*keys)] == ["DELETED"] * len(keys)


def test_ignored_keys_are_recorded_and_left_alone(seen: Observer) -> None:
    for key in ("notes/folder/", "notes/_SUCCESS", "nowhere/.hidden"):
        seen.put(key, b"")
        assert seen.outcome(key) == "IGNORED"
        assert seen.problem(key) == {}


@pytest.mark.long(45)
def test_the_second_to_claim_an_item_is_refused_until_the_owner_lets_go(seen: Observer) -> None:
    """The sweep, which runs once a minute, starts the refused file again by itself."""
    first, second = "notes/first.json", "notes/second.json"
    seen.put(first, note("claimed", "a", "b"))
    seen.outcome(first)
    seen.put(second, note("claimed", "b", "c"))
    assert seen.outcome(second) == "INVALID"
    problem = seen.problem(second)
    assert problem["error"] == "KeyOwnershipError"
    assert seen.uri(first) in problem["cause"]
    assert seen.items(first) == note("claimed", "a", "b")
    assert seen.items(second) == []
    seen.put(first, note("claimed", "a"))
    seen.outcome(first)
    seen.changed(second)
    assert seen.outcomes(second) == [["INVALID", "SYNCED"]]
    assert seen.names(second) == ["b", "c"]
    assert seen.problem(second) == {}


def test_an_item_that_tablekeeper_did_not_write_is_never_touched(seen: Observer) -> None:
    table, key = seen.stack.outputs["ItemsTableName"], "notes/foreign.json"
    foreign = {"pk": {"S": "foreign"}, "sk": {"S": "a"}, "mine": {"N": "1"}}
    seen.dynamodb.put_item(TableName=table, Item=foreign)
    seen.put(key, note("foreign", "a", "b"))
    assert seen.outcome(key) == "INVALID"
    assert seen.problem(key)["error"] == "KeyOwnershipError"
    seen.delete(key)
    seen.outcome(key)
    kept = seen.dynamodb.get_item(TableName=table, Key={n: foreign[n] for n in ("pk", "sk")})
    assert kept["Item"] == foreign
    seen.dynamodb.delete_item(TableName=table, Key={n: foreign[n] for n in ("pk", "sk")})


def test_a_record_that_moves_to_another_file_ends_there(seen: Observer) -> None:
    """It arrives before it has left; the retries of Write Items wait for it."""
    source, target = "notes/moves-from.json", "notes/moves-to.json"
    seen.put(source, note("moves", "stays", "goes"))
    seen.outcome(source)
    seen.put(target, note("moves", "goes"))
    until(
        lambda: seen.audit_rows(target) or "Write Items" in _newest_states(seen, target),
        "Write Items was not entered",
    )
    seen.put(source, note("moves", "stays"))
    assert seen.outcome(source) == "SYNCED"
    seen.comes_to(target, "SYNCED")
    assert (seen.names(source), seen.names(target)) == (["stays"], ["goes"])


def _newest_states(seen: Observer, key: str) -> list[str]:
    """The states of the running execution of a key."""
    running = seen.states.list_executions(
        stateMachineArn=seen.stack.outputs["StateMachineArn"], statusFilter="RUNNING"
    )["executions"]
    for each in running:
        described = seen.states.describe_execution(executionArn=each["executionArn"])
        if json.loads(described["input"])["detail"]["object"]["key"] == key:
            return seen.states_entered(each["executionArn"])
    return []


@pytest.mark.long(20)
def test_bad_files_are_invalid_and_their_good_items_stay(seen: Observer) -> None:
    with_dataset = [bad for bad in BAD_FILES if bad.error != "NoDatasetError"]
    for bad in with_dataset:
        seen.put(bad.key, bad.good_body)
    for bad in with_dataset:
        assert seen.outcome(bad.key) == "SYNCED", bad.name
    for bad in BAD_FILES:
        seen.put(bad.key, bad.body)
    wrong = [what for bad in BAD_FILES for what in _what_is_wrong(seen, bad)]
    assert not wrong, "\n".join(wrong)


def _what_is_wrong(seen: Observer, bad: BadFile) -> list[str]:
    outcomes, problem = seen.outcomes(bad.key)[0], seen.problem(bad.key)
    expected = ["INVALID"] if bad.error == "NoDatasetError" else ["SYNCED", "INVALID"]
    items = [] if bad.error == "NoDatasetError" else [dict(each) for each in bad.good_items]
    held = {
        f"outcomes {outcomes}": outcomes == expected,
        f"error {problem.get('error')}": problem.get("error") == bad.error,
        "items": seen.items(bad.key) == items,
        "status": problem.get("status") == "INVALID",
        "input": bad.key == json.loads(problem["input"])["detail"]["object"]["key"],
    }
    cause = problem.get("cause", "")
    held |= {f"cause without {text}": text in cause for text in (bad.key, *bad.mentions)}
    wrong = [f"{bad.name}: {what}" for what, holds in held.items() if not holds]
    return [*wrong, *seen.errors(problem["execution"])] if wrong and problem else wrong


def test_unusual_good_files_arrive_exactly(seen: Observer) -> None:
    for good in GOOD_FILES:
        seen.put(good.key, good.body)
    for good in GOOD_FILES:
        assert seen.outcome(good.key) == "SYNCED", good.name
        items = sorted(
            (dict(each) for each in good.items), key=lambda each: (each["pk"], each["sk"])
        )
        assert seen.items(good.key) == items, good.name


def test_a_document_of_many_megabytes(seen: Observer) -> None:
    """Of records that hold little of it, and of one that is more than memory has room for."""
    key = "notes/large.json"
    body = b"[" + b" " * 15_000_000 + json.dumps(note("large", "a")[0]).encode() + b"]"
    seen.put(key, body)
    assert seen.outcome(key) == "SYNCED"
    seen.put("notes/over-20-mb.json", b'[{"pk": "' + b"x" * 20_000_001 + b'"}]')
    assert seen.outcome("notes/over-20-mb.json") == "INVALID"
    assert seen.problem("notes/over-20-mb.json")["error"] == "RecordTooLargeError"
