"""Whether the table equals the bucket, item by item and attribute by attribute: a second opinion
on `tablekeeper verify`, in memory and without its ledger, joins and second looks.

Every item is derived again from the bucket and compared with what a raw read of the table gives. A
file that is INVALID is compared with the version that its items name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from tablekeeper.datasets.catalogue import Catalogue, is_ignored
from tablekeeper.datasets.items_of_records import make_items
from tablekeeper.datasets.records import read_records
from tablekeeper.documents.text import Text
from tablekeeper.errors import InvalidFileError
from tablekeeper.ledger.rows import CURRENT, RELEASED
from tablekeeper.model.items import Item, item_key, owner
from tablekeeper.model.keys import ItemKey
from tablekeeper.model.snapshot import Snapshot
from tablekeeper.model.times import iso_milliseconds
from tablekeeper.settings import FetchSettings
from tablekeeper.validation.validator import violations

from local.stack import Stack


def differences(stack: Stack, catalogue: Catalogue | None = None) -> list[str]:
    """What the table holds and the bucket does not, or the reverse, in words; none when they are
    equal.
    """
    return list(Check(stack, catalogue or Catalogue.load()).differences())


class Check:
    def __init__(self, stack: Stack, catalogue: Catalogue) -> None:
        self.stack, self.catalogue = stack, catalogue
        self.s3, self.dynamodb = stack.client("s3"), stack.client("dynamodb")
        self.bucket = stack.outputs["SourceBucketName"]
        self.settings = FetchSettings.from_environment(_environment(stack, "FetchObjectFunction"))

    def differences(self) -> Iterator[str]:
        key_of = self.settings.item_keys
        have = {item_key(each, key_of): each for each in self._scan("ItemsTableName")}
        rows = self._bad_rows()
        expected: dict[ItemKey, tuple[str, Item]] = {}
        for key in self._keys():
            uri = f"s3://{self.bucket}/{key}"
            mine = [item for item in have.values() if owner(item) == uri]
            version = None
            if uri in rows:
                # The row names the version that stands; an item's lineage the one that changed it.
                version = rows[uri].get("version_id", {}).get("S")
                if rows[uri].get("status", {}).get("S") == RELEASED:
                    expected |= {item_key(item, key_of): (uri, item) for item in mine}
                    continue
                if not mine:
                    continue
            try:
                items = self._derive(key, version)
            except InvalidFileError as error:
                yield f"{uri}: bad, and not recorded as INVALID: {type(error).__name__}"
                continue
            expected |= {item_key(item, key_of): (uri, item) for item in items}
        for item, (uri, values) in expected.items():
            if item not in have:
                yield f"{uri}: item {item.text} is missing"
            elif owner(have[item]) != uri:
                yield f"{uri}: item {item.text} belongs to {owner(have[item])}"
            elif _plain(values) != _plain(have[item]):
                yield f"{uri}: item {item.text} differs"
        for item, values in have.items():
            if item not in expected and owner(values):
                yield f"{owner(values)}: item {item.text} is left over"

    def _bad_rows(self) -> dict[str, Item]:
        """The rows of files that are INVALID, by the file."""
        return {
            row["pk"]["S"]: row
            for row in self._scan("LedgerTableName")
            if row["sk"]["S"] == CURRENT and row.get("problem_status", {}).get("S") == "INVALID"
        }

    def _keys(self) -> Iterator[str]:
        for page in self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket):
            for entry in page.get("Contents", ()):
                if not is_ignored(entry["Key"], self.settings.ignore_patterns):
                    yield entry["Key"]

    def _derive(self, key: str, version: str | None) -> list[Item]:
        arguments = {"VersionId": version} if version else {}
        answer = self.s3.get_object(Bucket=self.bucket, Key=key, **arguments)
        found = Snapshot(
            action="validate",
            bucket=self.bucket,
            key=key,
            revision=0,
            as_of="",
            etag=answer["ETag"].strip('"'),
            version_id=answer.get("VersionId"),
            size=answer["ContentLength"],
            last_modified=iso_milliseconds(answer["LastModified"]),
        )
        dataset = self.catalogue.get(key)
        text = Text([answer["Body"].read()], self.settings.max_document_bytes)
        records = list(read_records(text, key, dataset))
        for violation in violations(records, dataset, self.catalogue):
            raise InvalidFileError(str(violation))
        derived = make_items(
            records, found, dataset, self.settings.item_keys, self.settings.ttl_attribute
        )
        return [made.item for made in derived]

    def _scan(self, output: str) -> Iterator[Item]:
        pages = self.dynamodb.get_paginator("scan").paginate(
            TableName=self.stack.outputs[output], ConsistentRead=True
        )
        for page in pages:
            yield from page["Items"]


def _environment(stack: Stack, function: str) -> Mapping[str, str]:
    """The environment variables that a deployed function has."""
    resource = stack.client("cloudformation").describe_stack_resource(
        StackName=stack.stack_name, LogicalResourceId=function
    )["StackResourceDetail"]
    configuration = stack.client("lambda").get_function_configuration(
        FunctionName=resource["PhysicalResourceId"]
    )
    variables: Mapping[str, str] = configuration["Environment"]["Variables"]
    return variables


def _plain(value: Any) -> Any:
    """A value in DynamoDB JSON without lineage, with numbers that compare by their value."""
    if isinstance(value, dict):
        if value.keys() == {"N"}:
            return Decimal(value["N"])
        return {name: _plain(each) for name, each in value.items() if name != "_source"}
    return [_plain(each) for each in value] if isinstance(value, list) else value
