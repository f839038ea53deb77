"""Files by the ledger's index."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import typer.testing
from tablekeeper.model.objects import MAX_URI_BYTES

from tablekeeper_cli.app import app
from tablekeeper_cli.commands import verify
from tablekeeper_cli.errors import UsageError
from tablekeeper_cli.executions import bucket_runs
from tablekeeper_cli.ledger import files
from tablekeeper_cli.ledger.files import _last, check_prefix
from tablekeeper_cli.ledger.problems import Failure
from tablekeeper_cli.stack import Stack
from tablekeeper_cli.verify.verifier import Summary, Verifier


class Kept(Stack):
    """A stack with the object new/a.json and the row of old/a.json."""

    def client(self, _service: str) -> Any:
        return self

    def list_objects_v2(self, **asked: Any) -> Any:
        return {"KeyCount": int("new/a.json".startswith(asked["Prefix"]))}

    def get_paginator(self, _name: str) -> Any:
        return self

    def paginate(self, **asked: Any) -> Any:
        prefix = asked["ExpressionAttributeValues"][":prefix"]["S"]
        rows = [{"pk": {"S": "s3://b/old/a.json"}, "status": {"S": "DELETED"}}]
        return [{"Items": rows if rows[0]["pk"]["S"].startswith(prefix) else []}]

    def start_execution(self, **_: Any) -> Any:
        return {"executionArn": "arn"}


@pytest.fixture
def stack() -> Kept:
    names = ("LedgerTableName", "SyncBucketStateMachineArn")
    stack = Kept("s", "r", {"SourceBucketName": "b", **dict.fromkeys(names, "any")})
    stack.__dict__["parameters"] = {"KeyPrefix": ""}
    return stack


def test_a_prefix_is_one_of_a_file_in_the_bucket_or_in_the_ledger(stack: Kept) -> None:
    for prefix in ("", "new/", "old/"):
        check_prefix(stack, prefix)
    check_prefix(stack, "", in_bucket=False)
    for prefix, in_bucket in (("typo", True), ("new/", False)):
        with pytest.raises(UsageError, match=f"no file whose key begins with '{prefix}'"):
            check_prefix(stack, prefix, in_bucket=in_bucket)


def test_what_names_no_object_of_the_bucket_counts_too(
    stack: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`status` would say that nothing is FAILED while the alarm goes off."""
    keys = ("a.json", "s3:///", "s3:///other/a.json")
    problems = [
        Failure(key, "FAILED", "InvalidEventError", "-", "", "", None, None) for key in keys
    ]
    monkeypatch.setattr(files, "failures", lambda _: iter(problems))
    assert files.counts_of_no_object(stack) == {("FAILED", "-"): 2}


def test_a_run_has_a_prefix_that_a_file_has(stack: Kept) -> None:
    def start(prefix: str | None) -> str:
        return bucket_runs.start(stack, "look", orphans=True, prefix=prefix, concurrency=1)

    assert start("old/") == start("new/") == start(None) == "arn"
    with pytest.raises(UsageError):
        start("typo")


@pytest.mark.parametrize(
    ("prefix", "differences", "code"),
    [("old/", 0, 0), ("typo", 0, None), ("typo", 1, 1)],
    ids=["gone", "none", "items without a file"],
)
def test_nothing_is_equal_under_a_prefix_that_no_file_has(
    stack: Kept, monkeypatch: pytest.MonkeyPatch, prefix: str, differences: int, code: int | None
) -> None:
    done = SimpleNamespace(
        summary=Summary(0, 0, differences, 0, {}, 0, {}, differences), findings=lambda: iter(())
    )
    monkeypatch.setattr(Stack, "find", lambda *_, **__: stack)
    monkeypatch.setattr(Verifier, "of", lambda *_, **__: None)
    monkeypatch.setattr(verify, "_verified", lambda *_: done)
    ran = typer.testing.CliRunner().invoke(app, ["verify", "--prefix", prefix])
    if code is None:
        assert isinstance(ran.exception, UsageError)
    else:
        assert ran.exit_code == code


def test_a_page_ends_with_a_key_that_the_index_can_hold() -> None:
    """A sort key has 1,024 bytes at most, and a condition on one no longer value."""
    for prefix in ("s3://b/", "s3://b/é", f"s3://b/{'x' * 1017}"):
        last = _last(prefix).encode()
        assert len(last) <= MAX_URI_BYTES
        assert last >= f"{prefix}zzz".encode()[:MAX_URI_BYTES]
        assert last >= f"{prefix}\U0010fffe".encode()[:MAX_URI_BYTES]
