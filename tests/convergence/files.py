"""The bucket of a history: a few files whose named records overlap, and how they change."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from botocore.exceptions import ClientError

POOL = {"X": "abmn", "Y": "dmno", "Z": "gno"}
GARBAGE = b'{"pk": "not json'
BAD_RECORDS = (0, 1, 0, 1, 2)
"""How many records of the contents are bad, in turn, in a third of the histories."""
Values = dict[str, int | str]
"""The items of a file by name. A text is a value that the index refuses, where there is one."""
SPELLINGS = {
    name: (f"{digit}e40", f"{digit}.0E+40", f"{digit}{'0' * 40}")
    if digit % 2
    else (f"{digit}e-40", f"{digit}0E-41", f"0.{'0' * 39}{digit}")
    for digit, name in enumerate("abdgmno", start=1)
}
"""The names of the items in a history whose sort keys are numbers, as a file may write them."""
NUMBERS = {float(each): name for name, spellings in SPELLINGS.items() for each in spellings}
INDEX = {
    "AttributeDefinitions": [{"AttributeName": "value", "AttributeType": "N"}],
    "GlobalSecondaryIndexes": [
        {"IndexName": "values", "KeySchema": [{"AttributeName": "value", "KeyType": "HASH"}]}
    ],
}


def name_of(sort_key: dict[str, str]) -> str:
    """The name of an item, by its sort key in DynamoDB JSON."""
    return sort_key["S"] if "S" in sort_key else NUMBERS[float(sort_key["N"])]


class Files:
    """The files of one history in the source bucket."""

    rng: random.Random
    s3: Any
    number: int
    numeric: bool
    value: int
    deals: float
    index: bool
    pool: Mapping[str, str]
    odd: float
    garbage: float
    returns: float
    bad: Sequence[int]
    files: str
    good: dict[str, list[Values]]
    contents: dict[str, Values | None]
    """By their ETag."""

    def key(self, name: str) -> str:
        return f"h/{self.number}/{name}"

    def changes(self) -> list[dict[str, Any]]:
        """One change of one file, or of all of them; returns their events."""
        if self.rng.random() >= self.deals:
            return [self.change()]
        self.value += 1
        held = {n: v for name in self.files for n, v in (self.content(name) or {}).items()}
        dealt: dict[str, Values] = {name: {} for name in self.files}
        for item in sorted({item for name in self.files for item in self.pool[name]}):
            dealt[self.rng.choice(self.files)][item] = self._value(held.get(item))
        for name, content in dealt.items():
            self._put(name, self._body_of(content))
            self.good[name].append(content)
        return [self.event(name) for name in self.files]

    def event(self, name: str, **more: Any) -> dict[str, Any]:
        """An input that names a file."""
        detail = {"bucket": {"name": "source"}, "object": {"key": self.key(name)}}
        return {"detail-type": "Object Created", "detail": detail, **more}

    def _value(self, former: int | str | None) -> int | str:
        if former is not None and self.rng.random() < 0.5:
            return former
        return f"v{self.value}" if self.index and self.rng.random() < self.odd else self.value

    def _body_of(self, content: Values, bad: int = 0) -> bytes:
        """The first records are the bad ones."""
        records: list[dict[str, Any]] = [
            {"pk": str(self.number), "sk": item, "value": value} for item, value in content.items()
        ]
        for record in records[:bad]:
            record["bad"] = True
        text = json.dumps(records)
        if self.numeric:
            for name, spellings in SPELLINGS.items():
                text = text.replace(f'"sk": "{name}"', f'"sk": {self.rng.choice(spellings)}')
        return text.encode()

    def change(self) -> dict[str, Any]:
        """One change of one file; returns its event."""
        client, name = self.s3.client, self.rng.choice(self.files)
        key = self.key(name)
        versions = self._versions(key)
        roll = self.rng.random()
        if roll < self.garbage:
            self._put(name, GARBAGE)
        elif roll < 0.55 or not versions:
            bodies = [each for each in versions if each["body"]]
            if bodies and self.rng.random() < self.returns:
                body = self.rng.choice(bodies)["body"]
            else:
                self.value += 1
                former = self.content(name) or {}
                body = self._body_of(
                    {
                        item: self._value(former.get(item))
                        for item in self.pool[name]
                        if self.rng.random() < 0.6
                    },
                    self.bad[self.value % len(self.bad)],
                )
            self._put(name, body)
        elif roll < 0.7:
            client.delete_object(Bucket="source", Key=key)
        else:
            version = self.rng.choice(versions)["id"]
            client.delete_object(Bucket="source", Key=key, VersionId=version)
        content = self.content(name)
        if content is not None:
            self.good[name].append(content)
        deleted = roll >= 0.55
        kind = {"detail-type": "Object Deleted"} if deleted else {}
        return self.event(name) | kind

    def _put(self, name: str, body: bytes) -> None:
        self.s3.client.put_object(Bucket="source", Key=self.key(name), Body=body)
        self.contents[hashlib.md5(body, usedforsecurity=False).hexdigest()] = self._good(
            None if body == GARBAGE else json.loads(body)
        )

    def _versions(self, key: str) -> list[dict[str, Any]]:
        listed = self.s3.client.list_object_versions(Bucket="source", Prefix=key)
        versions = [
            {"id": each["VersionId"], "body": self._body(key, each["VersionId"])}
            for each in listed.get("Versions", ())
        ]
        return versions + [
            {"id": each["VersionId"], "body": None} for each in listed.get("DeleteMarkers", ())
        ]

    def _body(self, key: str, version: str) -> bytes:
        body: bytes = self.s3.client.get_object(Bucket="source", Key=key, VersionId=version)[
            "Body"
        ].read()
        return body

    def content(self, name: str) -> Values | None:
        """The items that a file stands for now; None for garbage, and for too many bad records."""
        return self._good(self._records(name))

    def _good(self, records: list[dict[str, Any]] | None) -> Values | None:
        if records is None:
            return None
        good = {
            NUMBERS[float(each["sk"])] if self.numeric else each["sk"]: each["value"]
            for each in records
            if "bad" not in each
        }
        bad = len(records) - len(good)
        return None if bad > 1 or (bad and not good) else good

    def bad_records(self, name: str) -> int:
        """How many bad records a file has now; none where it is garbage."""
        return sum("bad" in each for each in self._records(name) or ())

    def _records(self, name: str) -> list[dict[str, Any]] | None:
        try:
            body = self.s3.client.get_object(Bucket="source", Key=self.key(name))["Body"].read()
        except ClientError:
            return []
        records: list[dict[str, Any]] | None = None if body == GARBAGE else json.loads(body)
        return records

    def listed(self) -> list[dict[str, Any]]:
        """The objects of the bucket, as a Distributed Map gets them."""
        found = []
        for name in self.files:
            with suppress(ClientError):
                each = self.s3.client.get_object(Bucket="source", Key=self.key(name))
                found.append(
                    {
                        "Key": self.key(name),
                        "Etag": each["ETag"],
                        "Size": each["ContentLength"],
                        "LastModified": int(each["LastModified"].timestamp()),
                    }
                )
        return found
