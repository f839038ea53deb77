"""Files are started again: with which inputs, and how that ends."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tablekeeper_cli.executions.reprocess import StartedExecution, follow, input_of
from tablekeeper_cli.stack import Stack


@pytest.mark.parametrize(
    ("key", "kept", "named"),
    [
        ("a.json", None, "a.json"),
        ("s3://source/a.json", "[", "a.json"),
        ("s3://foo/a.json", None, "s3://foo/a.json"),
        ("s3://source/s3:///", None, "s3:///"),
        ("s3:///other/a.json", "[", None),
        ("s3:///", "[1, 2]", None),
        ("s3:///", '{"detail": 1}', None),
    ],
    ids=[
        *("a key", "an address", "a key like an address", "the address of a key like one"),
        *("another bucket", "no object, no JSON object", "no object"),
    ],
)
def test_an_input_names_an_object_of_the_bucket_or_none(
    key: str, kept: str | None, named: str | None
) -> None:
    """What failed without an object fails again: a key made of nothing would end DELETED."""
    stack = Stack("shop", "eu-west-1", {"SourceBucketName": "source"})
    stack.__dict__["caller"] = None
    detail = json.loads(input_of(stack, key, kept)).get("detail")
    assert (detail["object"]["key"] if isinstance(detail, dict) else None) == named


class Ended(Stack):
    """A ledger of one audit row."""

    row: Any

    def client(self, _service: str) -> Any:
        return self

    def batch_get_item(self, **_: Any) -> Any:
        return {"Responses": {"ledger": [self.row]}}


@pytest.mark.parametrize(
    ("outcome", "more", "is_bad", "message"),
    [
        ("UNCHANGED", {}, False, None),
        ("UNCHANGED", {"set_aside": {"N": "2"}}, True, "2 bad records set aside"),
        ("PARTIAL", {"set_aside": {"N": "1"}}, True, "1 bad record set aside"),
        ("INVALID", {"error": {"S": "X"}, "cause": {"S": "why"}}, True, "why"),
    ],
    ids=["good", "bad records, as before", "bad records", "a bad file"],
)
def test_a_file_that_still_has_a_problem_ended_badly(
    outcome: str, more: Any, is_bad: bool, message: str | None
) -> None:
    """The content that is in the table already may have bad records."""
    Ended.row = {"pk": {"S": "s3://source/a"}, "sk": {"S": "e"}, "outcome": {"S": outcome}, **more}
    stack = Ended("shop", "eu-west-1", {"SourceBucketName": "source", "LedgerTableName": "ledger"})
    (end,) = follow(stack, [StartedExecution("a", "arn", "e", 0.0)])
    assert (end.is_bad, end.message) == (is_bad, message)
