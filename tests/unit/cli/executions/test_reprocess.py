"""The inputs with which files are started again."""

from __future__ import annotations

import json

import pytest

from tablekeeper_cli.executions.reprocess import input_of
from tablekeeper_cli.stack import Stack


@pytest.mark.parametrize(
    ("key", "kept", "named"),
    [
        ("a.json", None, "a.json"),
        ("s3://source/a.json", "[", "a.json"),
        ("s3:///", "[1, 2]", None),
        ("s3:///", '{"detail": 1}', None),
    ],
    ids=["a key", "an address", "no object, no JSON object", "no object"],
)
def test_an_input_names_an_object_of_the_bucket_or_none(
    key: str, kept: str | None, named: str | None
) -> None:
    """What failed without an object fails again: a key made of nothing would end DELETED."""
    stack = Stack("shop", "eu-west-1", {"SourceBucketName": "source"})
    stack.__dict__["caller"] = None
    detail = json.loads(input_of(stack, key, kept)).get("detail")
    assert (detail["object"]["key"] if isinstance(detail, dict) else None) == named
