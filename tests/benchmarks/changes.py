"""What an overwrite costs: a large file is loaded, and again with few records changed.

    PYTHONPATH=.:functions python -m tests.benchmarks.changes 100000

In this process, on S3 and DynamoDB in memory, by the functions' own code: the counts are those of
any DynamoDB, the times are the functions' share of them.
"""

from __future__ import annotations

import json
import math
import resource
import sys
import time
from typing import Any

import pytest
from tablekeeper.model.sizes import attribute_size

from tests.support.quick import QuickDynamoDB, quick_pipeline

KEY = "notes/many.jsonl"


class Meter:
    """A DynamoDB client that counts what transactions write, in items and in write units.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis.html
    """

    def __init__(self, client: Any) -> None:
        self.client, self.items, self.units = client, 0, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.client, name)

    def transact_write_items(self, TransactItems: list[Any]) -> Any:  # noqa: N803
        answer = self.client.transact_write_items(TransactItems)
        for action in TransactItems:
            ((kind, each),) = action.items()
            size = sum(
                len(name.encode()) + attribute_size(value)
                for name, value in (each.get("Item") or each["Key"]).items()
            )
            self.units += 0 if kind == "ConditionCheck" else 2 * math.ceil(size / 1024)
            self.items += each["TableName"] == "items"
        return answer


def body(count: int, *, changed: bool = False) -> bytes:
    """A file of so many records; of those, 1 % changed, 0.1 % added and 0.1 % removed."""
    lines = []
    for number in range(count + count // 1000 if changed else count):
        if changed and number % 1000 == 7 and number < count:
            continue
        value = "changed" if changed and number % 100 == 3 and number < count else "a note"
        record = {"pk": f"{number:07}", "sk": "1", "text": f"{value} of some length, as notes are"}
        lines.append(json.dumps(record))
    return ("\n".join(lines) + "\n").encode()


def main() -> None:
    """Prints what each load wrote, and how long it took."""
    count = int(sys.argv[1])
    with pytest.MonkeyPatch.context() as patches:
        patches.setenv("MAX_DOCUMENT_BYTES", str(10**9))
        pipeline = quick_pipeline(patches)
        patches.setenv("MAX_DOCUMENT_BYTES", str(10**9))
        meter = Meter(QuickDynamoDB())
        from tablekeeper import aws, tables

        patches.setattr(aws, "dynamodb", lambda: meter)
        patches.setattr(tables, "dynamodb", lambda: meter)
        for changed in (False, True):
            pipeline.put(KEY, body(count, changed=changed))
            meter.items = meter.units = 0
            begun = time.perf_counter()
            ended = pipeline.sync(KEY)
            took = time.perf_counter() - begun
            told = {name: ended[name] for name in ("items_put", "items_removed", "items_kept")}
            rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
            print(
                f"{'again' if changed else 'first'}: {took:.1f} s, {told}, items written "
                f"{meter.items:,}, write units {meter.units:,}, resident {rss:,} MB",
                file=sys.stderr,
            )


if __name__ == "__main__":
    main()
