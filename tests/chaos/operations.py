"""The operations of a storm: on a bucket, and on what keeps the table equal to it."""

from __future__ import annotations

import hashlib
import json
import random
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial

from botocore.exceptions import ClientError

from local.stack import Stack
from tests.chaos.datasets import FORMATS, PREFIX, Content, Record, content, unreadable

FILES = 60
LARGE = 120
"""Records of a large file: more than one transaction holds."""
DEALT = {"cards0": 24, "cards1": 24, "cards2": 150}
"""Cards that are dealt out anew among three files, by their partition key."""
LAPSE_SECONDS = 8
"""How long an item lives at most that DynamoDB deletes by itself."""
WEIGHTS = {
    "write": 40,
    "write_bad": 12,
    "write_partial": 10,
    "write_large": 6,
    "write_same": 6,
    "write_lapsing": 8,
    "lapse": 2,
    "deal": 8,
    "delete": 12,
    "delete_version": 6,
    "restore": 6,
    "sweep": 2,
    "reconcile": 1,
    "use_up_quotas": 1,
}


class Operations:
    """What a storm draws from, and what it wrote: by key and ETag."""

    def __init__(self, stack: Stack, seed: int) -> None:
        self.stack, self.random = stack, random.Random(seed)
        self.s3, self.bucket = stack.client("s3"), stack.outputs["SourceBucketName"]
        self.states = stack.client("stepfunctions")
        self.written: dict[str, dict[str, Content]] = defaultdict(dict)

    def drawn(self, count: int) -> Iterator[Callable[[], None]]:
        """Operations on the files of a storm."""
        names, weights = list(WEIGHTS), list(WEIGHTS.values())
        for number in range(count):
            place = self.random.randrange(FILES)
            key = f"{PREFIX}{FORMATS[place % len(FORMATS)]}/{place:02}"
            kind = self.random.choices(names, weights)[0]
            yield partial(getattr(self, f"_{kind}"), key, number, self.random.random())

    def deal(self, group: str, roll: float) -> None:
        """Deals the cards of a group out among its files; some go from each to each."""
        hands: list[list[Record]] = [[], [], []]
        draw = random.Random(roll)
        for card in range(DEALT[group]):
            draw.choice(hands).append({"pk": group, "sk": f"{card}", "number": card})
        for place, hand in enumerate(hands):
            folder = FORMATS[(place + len(group) + int(group[-1])) % len(FORMATS)]
            self.put(f"{PREFIX}{folder}/deal-{group}-{place}", hand, roll)

    def put(self, key: str, records: Sequence[Record], roll: float) -> None:
        """Uploads records in the format of the key's folder."""
        self._upload(key, content(key, records, roll))

    def _upload(self, key: str, held: Content) -> None:
        etag = hashlib.md5(held.body, usedforsecurity=False).hexdigest()
        self.written[key][etag] = held
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=held.body)

    def _write(self, key: str, number: int, roll: float) -> None:
        records = [
            {"pk": key, "sk": str(each), "number": number % 4}
            for each in range(8)
            if (number >> each) & 1
        ]
        if roll < 0.05:
            records.append({"pk": "contested", "sk": str(number % 3), "number": number})
        self.put(key, records, roll)

    def _write_bad(self, key: str, number: int, roll: float) -> None:
        if number % 2:
            self._upload(key, unreadable(key, number // 2))
            return
        stars = [{"pk": key, "sk": f"refused{n}", "number": n, "stars": 9} for n in range(4)]
        self.put(key, stars, roll)

    def _write_partial(self, key: str, number: int, roll: float) -> None:
        """Good records and a bad one; every other file is a large one."""
        good = LARGE if number % 2 else 3
        records = [{"pk": key, "sk": f"{n}", "number": number} for n in range(good)]
        bad = {"pk": key, "sk": "set-aside", "number": number, "stars": 9}
        records.insert(int(roll * good), bad)
        self.put(key, records, roll)

    def _write_large(self, key: str, number: int, roll: float) -> None:
        first = int(roll * LARGE)
        numbers = range(first, first + LARGE)
        self.put(key, [{"pk": key, "sk": f"large{n}", "number": number % 2} for n in numbers], roll)

    def _write_same(self, key: str, _number: int, _roll: float) -> None:
        self.put(key, [{"pk": key, "sk": "same", "number": 1}], 0)

    def _write_lapsing(self, key: str, number: int, roll: float) -> None:
        """An item that DynamoDB may delete soon, and that other files write, too."""
        ends = int(time.time() + LAPSE_SECONDS * roll)
        lapsing = {"pk": "lapsing", "sk": str(number % 4), "number": number, "expires_at": ends}
        self.put(key, [{"pk": key, "sk": "1", "number": number}, lapsing], roll)

    def lapse(self) -> None:
        """What DynamoDB's time to live does: deletes items whose time has come."""
        dynamodb, table = self.stack.client("dynamodb"), self.stack.outputs["ItemsTableName"]
        due = {
            "ExpressionAttributeValues": {":now": {"N": str(int(time.time()))}},
            "ExpressionAttributeNames": {"#at": "expires_at"},
        }
        found = dynamodb.scan(TableName=table, FilterExpression="#at < :now", **due)
        for item in found["Items"]:
            with suppress(ClientError):  # It is another item by now, or DynamoDB has a bad moment.
                dynamodb.delete_item(
                    TableName=table,
                    Key={name: item[name] for name in ("pk", "sk")},
                    ConditionExpression="#at < :now",
                    **due,
                )

    def _lapse(self, _key: str, _number: int, _roll: float) -> None:
        self.lapse()

    def _deal(self, _key: str, number: int, roll: float) -> None:
        self.deal(list(DEALT)[number % len(DEALT)], roll)

    def _delete(self, key: str, _number: int, _roll: float) -> None:
        self.s3.delete_object(Bucket=self.bucket, Key=key)

    def _delete_version(self, key: str, _number: int, roll: float) -> None:
        self._remove(key, "Versions", roll)

    def _restore(self, key: str, _number: int, roll: float) -> None:
        self._remove(key, "DeleteMarkers", roll)

    def _remove(self, key: str, kind: str, roll: float) -> None:
        listed = self.s3.list_object_versions(Bucket=self.bucket, Prefix=key).get(kind, [])
        if listed:
            version = listed[int(roll * len(listed))]["VersionId"]
            self.s3.delete_object(Bucket=self.bucket, Key=key, VersionId=version)

    def _sweep(self, _key: str, _number: int, _roll: float) -> None:
        name = self.stack.client("cloudformation").describe_stack_resource(
            StackName=self.stack.stack_name, LogicalResourceId="SweepFunction"
        )["StackResourceDetail"]["PhysicalResourceId"]
        self.stack.client("lambda").invoke(FunctionName=name, InvocationType="Event", Payload=b"{}")

    def _reconcile(self, _key: str, number: int, roll: float) -> None:
        self.start_reconcile("traced" if number % 3 == 0 else "bulk", orphans=roll < 0.5)

    def start_reconcile(self, how: str, *, orphans: bool) -> str:
        """Starts one over the files of a storm; the execution's ARN."""
        given = {"how": how, "orphans": orphans, "prefix": PREFIX, "concurrency": 2}
        arn: str = self.states.start_execution(
            stateMachineArn=self.stack.outputs["SyncBucketStateMachineArn"],
            input=json.dumps(given),
        )["executionArn"]
        return arn

    def _use_up_quotas(self, _key: str, _number: int, _roll: float) -> None:
        """What another application of the account does: Step Functions throttles everybody."""
        machine = self.stack.outputs["StateMachineArn"]
        with suppress(ClientError):
            for _ in range(120):
                self.states.list_executions(stateMachineArn=machine, maxResults=1)
