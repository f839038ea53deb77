"""What would become of all files of a dataset, which may have to do with each other."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from itertools import groupby, islice
from typing import Any

from tablekeeper import aws
from tablekeeper.datasets.catalogue import is_ignored
from tablekeeper.errors import KeyOwnershipError
from tablekeeper.ledger.rows import SHARDS
from tablekeeper.model.items import Item
from tablekeeper.model.objects import key_of, object_uri

from tablekeeper_cli.compare.side_by_side import side_by_side
from tablekeeper_cli.errors import UnknownError
from tablekeeper_cli.plan.claims import Claims
from tablekeeper_cli.plan.plan import Plan
from tablekeeper_cli.plan.planner import Planner


def plans_of_dataset(
    planner: Planner, name: str, *, limit: int | None = None, concurrency: int = 8
) -> Iterator[Plan]:
    """The plans of the objects in the bucket that belong to a dataset, and of the files that the
    ledger has under it, at most `limit`, without their items.

    Of two files that make one item the second is refused. One that needs an item of another file
    is planned once more after all others, which may let go of it.

    Raises as `Planner.of_object`, and KeyError when there is no such dataset. An object that is
    gone by the time it is read is left out, and one that S3 does not give is FAILED.
    """
    together = _Together(**vars(planner))
    with closing(together.claims), ThreadPoolExecutor(concurrency) as pool:
        try:
            refused: list[str] = []
            keys = islice(together.keys(name), limit)
            for plan in together.plans(pool, keys, 2 * concurrency):
                if plan.error == KeyOwnershipError.__name__:
                    refused.append(plan.key)
                else:
                    yield plan
            yield from together.plans(pool, refused, 2 * concurrency)
        finally:
            pool.shutdown(cancel_futures=True)


@dataclass(frozen=True, kw_only=True)
class _Together(Planner):
    """Makes plans of files as if those before were written."""

    claims: Claims = field(default_factory=Claims)

    def plans(self, pool: ThreadPoolExecutor, keys: Iterable[str], at_once: int) -> Iterator[Plan]:
        """The plans of these files, in order and closed."""
        for plan in side_by_side(pool, self._plan_of, keys, at_once):
            now = plan
            if plan and self.claims.refuse(plan):  # A file before was planned at the same time.
                plan.close()
                now = self._plan_of(plan.key)
            if now:
                self.claims.add(now)
                now.close()
                yield now

    def read_items(self, keys: Sequence[Mapping[str, Any]]) -> Iterator[Item]:
        return self.claims.items(keys, super().read_items(keys), self.settings)

    def _plan_of(self, key: str) -> Plan | None:
        from botocore.exceptions import ClientError

        try:
            return self.of_object(key)
        except UnknownError:
            return None
        except ClientError as error:
            if error.operation_name not in ("GetObject", "HeadObject"):
                raise
            return self._failed(key, self._row(key), error, str(error))

    def keys(self, name: str) -> Iterator[str]:
        """The keys of a dataset's files by these schemas or by the ledger, each once."""
        by_ledger = (self._keys_in(shard, name) for shard in SHARDS)
        for key, _ in groupby(heapq.merge(self._objects(name), *by_ledger, key=str.encode)):
            if not is_ignored(key, self.settings.ignore_patterns):
                yield key

    def _objects(self, name: str) -> Iterator[str]:
        prefix = self.catalogue.datasets[name].prefix
        if not prefix.startswith(self.key_prefix):
            prefix = self.key_prefix
        pages = (
            aws.s3()
            .get_paginator("list_objects_v2")
            .paginate(Bucket=self.settings.source_bucket, Prefix=prefix)
        )
        for page in pages:
            for each in page.get("Contents", ()):
                dataset = self.catalogue.find(each["Key"])
                if dataset is not None and dataset.name == name:
                    yield each["Key"]

    def _keys_in(self, shard: str, name: str) -> Iterator[str]:
        """Files of one shard of the index `files`; one that is gone has no dataset there."""
        pages = (
            aws.dynamodb()
            .get_paginator("query")
            .paginate(
                TableName=self.settings.ledger_table,
                IndexName="files",
                KeyConditionExpression="file_shard = :shard AND begins_with(pk, :uri)",
                FilterExpression="#dataset = :dataset OR problem_dataset = :dataset",
                ExpressionAttributeNames={"#dataset": "dataset"},
                ExpressionAttributeValues={
                    ":shard": {"S": shard},
                    ":uri": {"S": object_uri(self.settings.source_bucket, self.key_prefix)},
                    ":dataset": {"S": name},
                },
            )
        )
        for page in pages:
            for row in page["Items"]:
                yield key_of(row["pk"]["S"])
