"""What a test sees that touches nothing but the bucket: outcomes, ledger rows, items, and whether
the table equals the bucket. Nothing here uses the code that is tested.
"""

from __future__ import annotations

import json
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from tests.e2e.failures import Workshop, until

NOTES, PAGES = "notes/", "pages/"
SECONDS = 60
"""How long a file may take while many others are under way."""


def unique(word: str) -> str:
    """A name that no other test has."""
    return f"{word}-{uuid.uuid4().hex[:8]}"


def note(pk: str, sk: str, **fields: Any) -> dict[str, Any]:
    """A record of the dataset `notes`, whose items have the same fields."""
    return {"pk": pk, "sk": sk, **fields}


def document(*records: Mapping[str, Any]) -> bytes:
    """A file that holds these records."""
    return json.dumps(records, ensure_ascii=False).encode()


def attribute(value: Any) -> Any:
    """A value as DynamoDB JSON holds it, where numbers are Decimal and so compare by value."""
    if isinstance(value, bool):
        return {"BOOL": value}
    if isinstance(value, int | Decimal):
        return {"N": Decimal(value)}
    if isinstance(value, str):
        return {"S": value}
    if isinstance(value, Mapping):
        return {"M": {name: attribute(each) for name, each in value.items()}}
    if isinstance(value, list):
        return {"L": [attribute(each) for each in value]}
    assert value is None, f"no JSON value: {value!r}"
    return {"NULL": True}


def item(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record as the item that it has to become, lineage left aside."""
    return {name: attribute(value) for name, value in record.items()}


def in_order(items: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Items in the order of their keys."""
    return sorted(map(dict, items), key=lambda each: (each["pk"]["S"], each["sk"]["S"]))


def message(row: Mapping[str, Any]) -> str:
    """What a person reads in the cause of an audit row or a problem."""
    cause = str(row["cause"])
    return str(json.loads(cause)["errorMessage"]) if cause.startswith("{") else cause


@dataclass(frozen=True)
class Observer(Workshop):
    """A stack whose rules are on: a change of the bucket starts an execution by itself."""

    # ---- the bucket ----

    def upload(self, key: str, *records: Mapping[str, Any]) -> str:
        """Writes a file of these records; its version id."""
        answer = self.client("s3").put_object(Bucket=self.bucket, Key=key, Body=document(*records))
        return str(answer["VersionId"])

    def remove(self, key: str, version: str | None = None) -> str:
        """Deletes an object, or one version of it; the version id of the marker or the version."""
        chosen = {"VersionId": version} if version else {}
        answer = self.client("s3").delete_object(Bucket=self.bucket, Key=key, **chosen)
        return str(answer["VersionId"])

    def objects(self, prefix: str) -> Iterator[str]:
        """The keys of the objects below a prefix."""
        pages = self.client("s3").get_paginator("list_objects_v2")
        for page in pages.paginate(Bucket=self.bucket, Prefix=prefix):
            yield from (each["Key"] for each in page.get("Contents", ()))

    # ---- outcomes ----

    def newest(self, key: str, changes: int, seconds: float = SECONDS) -> dict[str, Any]:
        """The audit row of the newest execution of a key, once its execution and as many as there
        were changes of the key are recorded and have ended.
        """
        return self.settled({key: changes}, seconds)[key]

    def settled(
        self, changes: Mapping[str, int], seconds: float = SECONDS
    ) -> dict[str, dict[str, Any]]:
        """The newest audit row of each key; `changes` says how many changes it has seen.

        Fails when a change has no outcome in time, or one has two.
        """
        newest: dict[str, dict[str, Any]] = {}
        for key, count in changes.items():

            def recorded(key: str = key, count: int = count) -> list[dict[str, Any]]:
                rows = self.audit_rows(key)
                return rows if len(rows) >= count else []

            rows = until(recorded, f"{key} has fewer than {count} outcomes", seconds)
            executions = Counter(row["execution"] for row in rows)
            assert (len(executions), len(rows)) == (count, count), (key, rows)
            newest[key] = max(rows, key=lambda row: str(row["sk"]))
            self.ended(newest[key]["execution"])
        return newest

    def refused(
        self, key: str, changes: int, error: str, seconds: float = SECONDS
    ) -> dict[str, Any]:
        """The problem of a file whose newest execution must have ended INVALID with this error."""
        row = self.newest(key, changes, seconds)
        assert (row["outcome"], row["error"]) == ("INVALID", error), row
        ended = self.describe(row["execution"])
        assert (ended["status"], ended["error"]) == ("FAILED", error)
        current = self.current(key)
        problem: dict[str, Any] = current["problem"]
        assert current["problem_status"] == "INVALID"
        assert current["problem_error"] == error
        for name in ("state", "error", "cause", "execution"):
            assert problem[name] == row[name]
        assert json.loads(problem["input"]) == json.loads(ended["input"])
        return problem

    def transitions(self, execution: str) -> list[str]:
        """The states that an execution entered: each of them is paid for."""
        return [visit.state for visit in self.visits(execution)]

    # ---- the table ----

    def raw(self, pk: str) -> list[dict[str, Any]]:
        """The items of a partition key in DynamoDB JSON, in the order of their sort keys."""
        pages = self.client("dynamodb").get_paginator("query")
        answers = pages.paginate(
            TableName=self.stack.outputs["ItemsTableName"],
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": {"S": pk}},
            ConsistentRead=True,
        )
        return [each for page in answers for each in page["Items"]]

    def sort_keys(self, pk: str) -> list[str]:
        """The sort keys of a partition key's items."""
        return [each["sk"]["S"] for each in self.raw(pk)]

    def by_file(self, prefix: str = "") -> dict[str, list[dict[str, Any]]]:
        """Every item that has lineage, lineage and spelling of numbers left aside, in the order of
        their keys, under the key of the object that it names.
        """
        pages = self.client("dynamodb").get_paginator("scan")
        found: dict[str, list[dict[str, Any]]] = {}
        answers = pages.paginate(
            TableName=self.stack.outputs["ItemsTableName"], ConsistentRead=True
        )
        for each in (each for page in answers for each in page["Items"]):
            source = each.pop("_source", {"M": {}})["M"]
            if source and source["key"]["S"].startswith(prefix):
                assert source["bucket"]["S"] == self.bucket
                found.setdefault(source["key"]["S"], []).append(by_value(each))
        return {key: in_order(items) for key, items in found.items()}

    def differences(self, prefix: str) -> list[str]:
        """Where the table does not equal the bucket, among files below a prefix of `notes` or
        `pages` that are all good; none when it does.
        """
        want = {key: self._derived(key) for key in self.objects(prefix)}
        have = self.by_file(prefix)
        return [
            f"{key}: the table has {have.get(key, [])}, the bucket {want.get(key, [])}"
            for key in sorted(want.keys() | have.keys())
            if have.get(key, []) != want.get(key, [])
        ]

    def _derived(self, key: str) -> list[dict[str, Any]]:
        """The items that an object stands for, read from the bucket."""
        body = self.client("s3").get_object(Bucket=self.bucket, Key=key)["Body"].read()
        read = json.loads(body, parse_float=Decimal)
        records: Sequence[dict[str, Any]] = read if isinstance(read, list) else [read]
        if key.startswith(PAGES):
            records = [
                {**record, "pk": key, "sk": str(place)} for place, record in enumerate(records)
            ]
        return in_order(item(record) for record in records)


def by_value(value: Any) -> Any:
    """DynamoDB JSON with its numbers as Decimal, so that it compares by value."""
    if isinstance(value, dict):
        if value.keys() == {"N"}:
            return {"N": Decimal(value["N"])}
        return {name: by_value(each) for name, each in value.items()}
    return [by_value(each) for each in value] if isinstance(value, list) else value
