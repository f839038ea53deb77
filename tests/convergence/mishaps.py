"""What becomes of items, staged sets and key lists without Tablekeeper."""

from __future__ import annotations

import collections
import random
from typing import Any

from tablekeeper.commit.key_lists import key_lists
from tablekeeper.ledger.rows import Row
from tablekeeper.model.items import owner

from tests.convergence.files import Files, name_of
from tests.convergence.services import Table


class Mishaps(Files):
    """Hands, a TTL and lifecycles, in the tables and the staging bucket of one history."""

    apart: random.Random
    list_losses: int
    dynamodb: Any
    edited: set[tuple[str, str]]
    edits: collections.Counter[str]
    forced: dict[str, tuple[str, int]]
    outcomes: dict[str, list[str]]
    expired: set[str]
    staged_lost: bool

    def row(self, name: str) -> dict[str, Any]:
        """The CURRENT row of a file in DynamoDB JSON."""
        raise NotImplementedError

    def edit(self) -> dict[str, Any] | None:
        """An item is changed or removed by hand; its file is to be forced."""
        items = getattr(self.dynamodb.client, "tables", {}).get("items", {})
        if not items:
            return None
        key = self.rng.choice(sorted(items))
        name, item = (owner(items[key]) or "").rpartition("/")[2], name_of(items[key]["sk"])
        if self.rng.random() < 0.5:
            del items[key]
        else:
            items[key] = {**items[key], "value": {"N": "-1"}}
        self.edited.add((name, item))
        self.edits[name] += 1
        return self.event(name, force=True)

    def answered(self, name: str) -> bool:
        """Whether a forced execution has ended since the file's items were edited last."""
        return any(
            (file, count) == (name, self.edits[name]) and self.outcomes[one] not in ([], ["FAILED"])
            for one, (file, count) in self.forced.items()
        )

    def expire(self) -> None:
        """Time to live: an item goes, and nobody is told."""
        items = (
            self.dynamodb.client.tables.get("items", {})
            if isinstance(self.dynamodb.client, Table)
            else {}
        )
        if items:
            key = self.rng.choice(sorted(items))
            self.expired.add(name_of(items[key]["sk"]))
            del items[key]

    def lose_staged_items(self) -> None:
        """What is staged for writes expires, object by object."""
        self.staged_lost = True
        objects, share = getattr(self.s3.client, "objects", {}), self.rng.choice([0.5, 1])
        for bucket, key in list(objects):
            if bucket == "staging" and key.startswith("items/") and self.rng.random() < share:
                del objects[bucket, key]

    def lose_lists(self) -> None:
        """Somebody deletes any list of any file, or an object of it: keys, or what a claim adds."""
        objects = getattr(self.s3.client, "objects", {})
        for name in self.files:
            row = Row.of(self.row(name))
            for place in key_lists(row):
                if self.apart.random() < 0.4:
                    continue
                keys = [each for each in objects if each[0] == "staging" and place in each[1]]
                if keys and self.apart.random() < 0.5:
                    keys = [self.apart.choice(keys)]
                self.staged_lost |= bool(keys) and place != row.keys_at
                self.list_losses -= bool(keys and self.list_losses)
                for each in keys:
                    del objects[each]

    def lose_a_key_list(self) -> None:
        """Somebody deletes the key list of a file that is not being written, or an object of it."""
        for name in self.files:
            row = self.row(name)
            if "keys_at" in row and "claim" not in row:
                objects = getattr(self.s3.client, "objects", {})
                prefix = row["keys_at"]["S"]
                keys = [each for each in objects if each[0] == "staging" and prefix in each[1]]
                if keys and self.rng.random() < 0.5:
                    keys = [self.rng.choice(keys)]
                for each in keys:
                    del objects[each]
                return
