"""A second reading of bucket and table after a storm, which shares no code with the product: from
what was written to the bucket, what must be in the table, item by item.
"""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from boto3.dynamodb.types import TypeDeserializer

from tests.chaos.datasets import PREFIX, Content
from tests.chaos.operations import DEALT

Items = dict[tuple[str, str], dict[str, Any]]
"""Items without their lineage, by key."""
LINEAGE = "_source"
REFUSED = "KeyOwnershipError"


class After(NamedTuple):
    """What there is after a storm: the bucket's ETags by key, the table's items and the ledger's
    rows in DynamoDB JSON, what was written to each key by ETag, and the last deployment.
    """

    etags: Mapping[str, str]
    items: list[Any]
    rows: list[Any]
    written: Mapping[str, Mapping[str, Content]]
    deployment: int


class Reading:
    """Holds the table against the bucket."""

    def __init__(self, after: After) -> None:
        self.after = after
        self.held: dict[str, Items] = defaultdict(dict)
        self.owners: dict[tuple[str, str], str] = {}
        self.astray: list[str] = []
        for item in after.items:
            self._hold(item)
        self.rows = {
            PREFIX + row["pk"]["S"].partition(PREFIX)[2]: row
            for row in after.rows
            if row["sk"]["S"] == "CURRENT" and PREFIX in row["pk"]["S"]
        }

    def _hold(self, item: Any) -> None:
        if LINEAGE not in item:
            self.astray.append(f"an item that nobody wrote: {json.dumps(item)}")
            return
        plain = {name: TypeDeserializer().deserialize(each) for name, each in item.items()}
        owner = plain.pop(LINEAGE)["key"]
        self.held[owner][plain["pk"], plain["sk"]] = plain
        self.owners[plain["pk"], plain["sk"]] = owner

    def differences(self) -> Iterator[str]:
        """What is not as it must be, a sentence each."""
        yield from self.astray
        for key in sorted(self.after.etags.keys() | self.held.keys() | self.rows.keys()):
            yield from (f"{key}: {each}" for each in self._of(key))
        for group, count in DEALT.items():
            cards = sum(pk.removeprefix("moved#") == group for pk, _ in self.owners)
            if cards != count:
                yield f"{cards} cards of {count} are in the table: {group}"

    def _of(self, key: str) -> Iterator[str]:
        held, etag = self.held.get(key, {}), self.after.etags.get(key)
        problem = self._problem(key)
        status = problem.get("status", {}).get("S", "SYNCED")
        if etag is None:
            if held or problem:
                yield f"there is no such object; {len(held)} items, {status}"
            return
        content = self.after.written[key][etag]
        wanted = content.items(key, self.after.deployment)
        if status == "INVALID":
            if wanted is not None:
                yield from self._refused(wanted, problem)
            if not self._stands(key, held):
                yield f"INVALID, and its {len(held)} items are of no version"
        elif wanted is None:
            yield f"the content is bad, the status {status}"
        elif key not in self.rows or status != ("PARTIAL" if content.bad else "SYNCED"):
            yield f"{content.bad} bad records, the status {status}"
        else:
            yield from _unequal(held, wanted)

    def _problem(self, key: str) -> Any:
        return self.rows.get(key, {}).get("problem", {}).get("M", {})

    def _refused(self, wanted: Items, problem: Any) -> Iterator[str]:
        """Unless an item is another file's that has the right to it."""
        error = problem["error"]["S"]
        if error != REFUSED:
            yield f"a good file is INVALID: {error}"
            return
        others = {self.owners[each] for each in wanted if each in self.owners}
        rightful = [each for each in others if self._has_right(each, wanted)]
        if not rightful:
            yield f"a good file is INVALID, and its items are free: {problem['cause']['S']}"

    def _has_right(self, key: str, wanted: Items) -> bool:
        """Whether a file keeps an item for which another one is refused: its content has it, or is
        bad, so that an earlier version stands.
        """
        etag = self.after.etags.get(key)
        if etag is None:
            return False
        mine = self.after.written[key][etag].items(key, self.after.deployment)
        return mine is None or bool(mine.keys() & wanted.keys() & self.held[key].keys())

    def _stands(self, key: str, held: Items) -> bool:
        """Whether a refused file has the items of one version and deployment, all of them; one that
        gave up what its content no longer has may have fewer.
        """
        gave_up = self.rows[key].get("status", {}).get("S") == "RELEASED"
        for content in self.after.written[key].values():
            for deployment in range(self.after.deployment + 1):
                version = content.items(key, deployment)
                if version is not None and not list(_unequal(held, version, some=gave_up)):
                    return True
        return not held


def _unequal(held: Items, wanted: Items, *, some: bool = False) -> Iterator[str]:
    """Items that differ; one whose time has come may be missing, and with `some` any may be."""
    for key in sorted(held.keys() | wanted.keys()):
        item, other = held.get(key), wanted.get(key)
        due = (other or {}).get("expires_at", float("inf"))
        if item is None and not some and due > time.time():
            yield f"the item {key} is missing"
        elif item is not None and item != other:
            yield f"the item {key} is {item}, not {other}"
