"""The handlers on S3 and DynamoDB in memory: many times as fast as on moto, for writes of many
transactions.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from tablekeeper import aws, tables

from tests.support.fakes import FakeDynamoDB, FakeS3, holds, key_of
from tests.unit.conftest import CATALOGUE, CATALOGUED, ENVIRONMENT, Pipeline


class QuickS3(FakeS3):
    """With what tests look at."""

    def put_object(self, Bucket: str, Key: str, Body: Any, **_: Any) -> None:  # noqa: N803
        super().put_object(Bucket, Key, bytes(Body))

    def list_objects_v2(self, Bucket: str, Prefix: str = "") -> Any:  # noqa: N803
        (page,) = self.paginate(Bucket, Prefix)
        return {**page, "KeyCount": len(page["Contents"])}

    def paginate(self, Bucket: str, Prefix: str) -> Iterator[Any]:  # noqa: N803
        """One page, of the objects that are there."""
        (page,) = super().paginate(Bucket, Prefix)
        names = sorted(each["Key"] for each in page["Contents"])
        there = [name for name in names if self.objects[Bucket, name][-1]["Body"] is not None]
        yield {"Contents": [self._entry(Bucket, name) for name in there]}

    def get_bucket_versioning(self, Bucket: str) -> Any:  # noqa: N803
        return {"Status": "Enabled"}

    def _entry(self, bucket: str, name: str) -> dict[str, Any]:
        head = self.head_object(bucket, name)
        listed = {each: head[each] for each in ("ETag", "LastModified")}
        return {"Key": name, "Size": head["ContentLength"], **listed}


class QuickDynamoDB(FakeDynamoDB):
    """With what tests do to tables, and an index of the items table."""

    strict = True

    def __init__(self) -> None:
        super().__init__()
        self.index: dict[str, Any] = {}
        self.page: int | None = None
        """How many items a page of a scan has at most; None: all."""

    def describe_table(self, TableName: str) -> Any:  # noqa: N803
        answer = super().describe_table(TableName)
        return {"Table": {**answer["Table"], **self.index}}

    def scan(self, TableName: str, Segment: int = 0, **more: Any) -> Any:  # noqa: N803
        names = sorted(self.tables.get(TableName, {})) if Segment == 0 else []
        if "ExclusiveStartKey" in more:
            names = [each for each in names if each > key_of(more["ExclusiveStartKey"])]
        page, rest = names[: self.page], names[self.page or len(names) :]
        items = [self.tables[TableName][each] for each in page]
        last = {}
        if rest:
            last = {"LastEvaluatedKey": {name: items[-1][name] for name in ("pk", "sk")}}
        if "FilterExpression" in more:
            action = {**more, "ConditionExpression": more["FilterExpression"]}
            items = [each for each in items if holds(action, each)]
        return {"Items": items, "Count": len(items), **last}

    def get_paginator(self, name: str) -> Any:
        """Pages of what the fake answers at once."""
        return SimpleNamespace(paginate=lambda **request: iter([getattr(self, name)(**request)]))

    def delete_item(self, TableName: str, Key: Any) -> None:  # noqa: N803
        self.tables.get(TableName, {}).pop(key_of(Key), None)


def quick_pipeline(monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    """As the fixture `pipeline`, until the patches are undone."""
    s3, dynamodb = QuickS3(), QuickDynamoDB()
    pipeline = Pipeline(s3, dynamodb)
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(aws, "s3", lambda: s3)
    monkeypatch.setattr(aws, "dynamodb", lambda: dynamodb)
    monkeypatch.setattr(tables, "dynamodb", lambda: dynamodb)
    for module in CATALOGUED:
        monkeypatch.setattr(module, "catalogue", lambda: CATALOGUE)
    return pipeline
