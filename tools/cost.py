"""The tables of docs/cost.md: what a million small files cost, each way, from what the local engine
measures and the public prices of us-east-1. `python -m tools.cost --write` takes a minute or two.

Counted on the engine: state transitions, functions' requests and milliseconds, bytes of logs, and
the sizes of what is in the tables, from which DynamoDB's units follow by its rules:
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html
Milliseconds are those of this machine's processor, not of Lambda's.
"""

from __future__ import annotations

import json
import math
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from tablekeeper.model.sizes import attribute_size

from local.running import running_stack
from local.stack import Stack

FIRST_DAY = date(1990, 1, 1)
PAGE = Path(__file__).parents[1] / "docs" / "cost.md"
BEGIN, END = "<!-- tables: begin -->", "<!-- tables: end -->"
LIVE_FILES, BULK_FILES = 40, 400
MILLION = 1_000_000
PRICES = {
    "transition": 25.0 / MILLION,
    "express request": 1.0 / MILLION,
    "express GB-second": 0.00001667,
    "Lambda request": 0.2 / MILLION,
    "Lambda GB-second": 0.0000133334,
    "write unit": 0.625 / MILLION,
    "read unit": 0.125 / MILLION,
    "GET": 0.4 / MILLION,
    "LIST or PUT": 5.0 / MILLION,
    "GB of logs": 0.5,
    "trace": 5.0 / MILLION,
}
"""In dollars, us-east-1, arm64, on demand, November 2026:
https://aws.amazon.com/step-functions/pricing/ https://aws.amazon.com/lambda/pricing/
https://aws.amazon.com/dynamodb/pricing/on-demand/ https://aws.amazon.com/s3/pricing/
https://aws.amazon.com/cloudwatch/pricing/ https://aws.amazon.com/xray/pricing/
"""
SAMPLED = 0.05
"""X-Ray's default rule traces one request a second and of the others this part."""
EXPRESS_GB = 64 / 1024
"""An Express execution is charged in chunks of 64 MB; a small one takes one."""
REPORT = re.compile(r"^REPORT .*?\bDuration: ([\d.]+) ms", re.MULTILINE)
ONE_FUNCTION = """import json, boto3, decimal
s3, items = boto3.client("s3"), boto3.resource("dynamodb").Table("one")
def handler(event, context):
    found = event["detail"]
    body = s3.get_object(Bucket=found["bucket"]["name"], Key=found["object"]["key"])["Body"].read()
    for record in json.loads(body, parse_float=decimal.Decimal):
        items.put_item(Item={**record, "pk": record["location"], "sk": record["date"]})
"""


@dataclass
class Bill:
    """What a million files cost, by what it is for; `counted` is what was measured, a file."""

    name: str
    counted: dict[str, float] = field(default_factory=dict)
    lines: dict[str, float] = field(default_factory=dict)

    def add(self, what: str, count: float, price: str) -> None:
        """Adds a cost: `count` a file."""
        self.counted[price] = self.counted.get(price, 0) + count
        self.lines[what] = self.lines.get(what, 0) + count * PRICES[price] * MILLION

    @property
    def total(self) -> float:
        """In dollars a million files."""
        return sum(self.lines.values())


class Measured:
    """A stack on the engine, and what is counted of it."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.bucket = stack.outputs["SourceBucketName"]
        self.logs, self.functions = stack.client("logs"), stack.client("lambda")
        self.states, self.s3 = stack.client("stepfunctions"), stack.client("s3")

    def put(self, key: str, number: int) -> None:
        """Uploads a small file: one record of a day's weather."""
        record: dict[str, Any] = {"location": "Seattle", "precipitation": 0.0}
        record |= {
            "date": f"{1900 + number // 365}-{1 + number // 28 % 12:02}-{1 + number % 28:02}"
        }
        record |= {"temp_max": 5.6, "temp_min": -2.1, "wind": 3.5}
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=json.dumps([record]).encode())

    def bill(self, name: str, files: int, run: Callable[[], None]) -> Bill:
        """What `run` costs in functions, logs and requests, a file."""
        before = self._logs()
        run()
        after, bill = self._logs(), Bill(name)
        for group, (requests, seconds, size) in after.items():
            were = before.get(group, (0, 0.0, 0))
            memory = self._memory(group)
            bill.add("Lambda", (requests - were[0]) / files, "Lambda request")
            bill.add("Lambda", memory * (seconds - were[1]) / files, "Lambda GB-second")
            bill.add("logs", (size - were[2]) / files / 1e9, "GB of logs")
            traces = (requests - were[0]) / files if name != "live" else 0
            bill.add("X-Ray", SAMPLED * traces, "trace")
        return bill

    def _logs(self) -> dict[str, tuple[int, float, int]]:
        """The invocations, seconds and bytes in each log group."""
        measured: dict[str, tuple[int, float, int]] = {}
        for group in self.logs.describe_log_groups()["logGroups"]:
            name, text = group["logGroupName"], ""
            pages = self.logs.get_paginator("filter_log_events").paginate(logGroupName=name)
            text = "\n".join(event["message"] for page in pages for event in page["events"])
            times = [float(each) for each in REPORT.findall(text)]
            if times:
                measured[name] = (len(times), sum(times) / 1000, len(text.encode()))
        return measured

    def _memory(self, group: str) -> float:
        """The gigabytes of the function that logs there."""
        for each in self.functions.list_functions()["Functions"]:
            if each.get("LoggingConfig", {}).get("LogGroup") == group:
                return float(each["MemorySize"]) / 1024
        return 128 / 1024

    def write_units(self, prefix: str) -> tuple[float, float]:
        """The write and the read units of the commits of new files under a prefix, a file."""
        dynamodb = self.stack.client("dynamodb")
        written, read, files = 0.0, 0.0, 0
        rows = self._scan(dynamodb, self.stack.outputs["LedgerTableName"])
        for row in rows:
            if not row["pk"]["S"].startswith(f"s3://{self.bucket}/{prefix}"):
                continue
            written += 2 * _kilobytes(row)
            if row["sk"]["S"] == "CURRENT":
                files += 1
                shown = ("pk", "sk", "file_shard", "status", "dataset")
                written += _kilobytes({name: row[name] for name in shown if name in row})
                read += 1
        for item in self._scan(dynamodb, self.stack.outputs["ItemsTableName"]):
            if item["_source"]["M"]["key"]["S"].startswith(prefix):
                written += 2 * _kilobytes(item)
        return written / files, read / files

    @staticmethod
    def _scan(dynamodb: Any, table: str) -> Iterator[Any]:
        for page in dynamodb.get_paginator("scan").paginate(TableName=table):
            yield from page["Items"]

    def executions(self, machine: str) -> list[Any]:
        """Every execution of a state machine."""
        pages = self.states.get_paginator("list_executions").paginate(stateMachineArn=machine)
        return [each for page in pages for each in page["executions"]]

    def transitions(self, execution: str) -> int:
        """The states that an execution entered."""
        pages = self.states.get_paginator("get_execution_history").paginate(executionArn=execution)
        types = (event["type"] for page in pages for event in page["events"])
        return sum(each.endswith("StateEntered") for each in types)


def live(measured: Measured) -> tuple[Bill, Bill]:
    """Standard and Express: one file after the other, so that nothing waits for a slot."""
    machine = measured.stack.outputs["StateMachineArn"]
    for number in range(5):  # The functions start.
        _sync_one(measured, machine, f"weather/warm/{number}.json", 9000 + number)

    def run() -> None:
        for number in range(LIVE_FILES):
            _sync_one(measured, machine, f"weather/live/{number}.json", number)

    standard = measured.bill("live", LIVE_FILES, run)
    ended = measured.executions(machine)[:LIVE_FILES]
    transitions = sum(measured.transitions(each["executionArn"]) for each in ended) / LIVE_FILES
    seconds = sum((each["stopDate"] - each["startDate"]).total_seconds() for each in ended)
    written, read = measured.write_units("weather/live/")
    for price, count in (("write unit", written), ("read unit", 2 * read)):
        standard.add("DynamoDB", count, price)
    standard.add("S3", 1, "GET")
    standard.add("X-Ray", SAMPLED, "trace")
    express = Bill("express", dict(standard.counted), dict(standard.lines))
    standard.add("Step Functions", transitions, "transition")
    tenths = math.ceil(seconds / LIVE_FILES * 10) / 10
    express.add("Step Functions", 1, "express request")
    express.add("Step Functions", tenths * EXPRESS_GB, "express GB-second")
    return standard, express


def bulk(measured: Measured) -> Bill:
    """A backfill in bulk."""
    machine = measured.stack.outputs["SyncBucketStateMachineArn"]
    events, rule = measured.stack.client("events"), f"{measured.stack.stack_name}-object-changed"
    events.disable_rule(Name=rule)
    for folder, count in (("warm-bulk", 10), ("bulk", BULK_FILES)):
        for number in range(count):
            measured.put(f"weather/{folder}/{number}.json", 4000 + number + 1000 * (count == 10))
    given = {"how": "bulk", "orphans": False, "concurrency": 1}

    def run(folder: str = "bulk") -> None:
        text = json.dumps({**given, "prefix": f"weather/{folder}/"})
        arn = measured.states.start_execution(stateMachineArn=machine, input=text)["executionArn"]
        while measured.states.describe_execution(executionArn=arn)["status"] == "RUNNING":
            time.sleep(0.2)

    run("warm-bulk")
    bill = measured.bill("bulk", BULK_FILES, run)
    runs = measured.executions(machine)
    (map_run,) = measured.states.list_map_runs(executionArn=runs[0]["executionArn"])["mapRuns"]
    children = measured.executions(map_run["stateMachineArn"])[: BULK_FILES // 100]
    arns = [each["executionArn"] for each in children]
    bill.add("Step Functions", sum(map(measured.transitions, arns)) / BULK_FILES, "transition")
    written, read = measured.write_units("weather/bulk/")
    bill.add("DynamoDB", written, "write unit")
    bill.add("DynamoDB", read, "read unit")
    bill.add("S3", 1, "GET")
    bill.add("S3", 1 / 1000, "LIST or PUT")
    events.enable_rule(Name=rule)
    return bill


def one_function(measured: Measured) -> Bill:
    """A single function on the rule, which gets, parses and puts."""
    import io
    import zipfile

    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("one.py", ONE_FUNCTION)
    dynamodb = measured.stack.client("dynamodb")
    keys = ("pk", "sk")
    dynamodb.create_table(
        TableName="one",
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[
            {"AttributeName": name, "KeyType": kind}
            for name, kind in zip(keys, ("HASH", "RANGE"), strict=True)
        ],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in keys],
    )
    measured.functions.create_function(
        FunctionName="one",
        Runtime=f"python{sys.version_info.major}.{sys.version_info.minor}",
        Role="arn:aws:iam::000000000000:role/one",
        Handler="one.handler",
        MemorySize=512,
        Code={"ZipFile": archive.getvalue()},
        LoggingConfig={"LogFormat": "Text", "LogGroup": "/aws/lambda/one"},
    )

    def call(number: int) -> None:
        key = f"weather/live/{number}.json"
        detail = {"bucket": {"name": measured.bucket}, "object": {"key": key}}
        answer = measured.functions.invoke(
            FunctionName="one", Payload=json.dumps({"detail": detail})
        )
        assert "FunctionError" not in answer, answer["Payload"].read()

    call(0)

    def run() -> None:
        for number in range(LIVE_FILES):
            call(number)

    bill = measured.bill("one function", LIVE_FILES, run)
    items = list(measured._scan(dynamodb, "one"))
    bill.add("DynamoDB", sum(map(_kilobytes, items)) / len(items), "write unit")
    bill.add("S3", 1, "GET")
    return bill


def tables(bills: Mapping[str, Bill]) -> str:
    """What it costs and what was counted, as Markdown."""
    names, all_bills = " | ".join(bills), list(bills.values())
    parts = {part for bill in all_bills for part in bill.lines}
    ordered = sorted(parts, key=lambda part: -max(bill.lines.get(part, 0) for bill in all_bills))
    lines = [f"Run on {datetime.now(UTC):%Y-%m-%d}. Dollars a million files:", ""]
    lines += [f"| | {names} |", f"|{' --- |' * (len(bills) + 1)}"]
    for part in ordered:
        costs = (_dollars(bill.lines.get(part, 0)) for bill in all_bills)
        lines.append(f"| {part} | {' | '.join(costs)} |")
    totals = (f"**{_dollars(bill.total)}**" for bill in all_bills)
    lines += [f"| **altogether** | {' | '.join(totals)} |", "", "Counted, a file:", ""]
    lines += [f"| | price | {names} |", f"|{' --- |' * (len(bills) + 2)}"]
    for price in PRICES:
        counts = (_count(bill.counted.get(price, 0)) for bill in all_bills)
        lines.append(f"| {price} | {_price(price)} | {' | '.join(counts)} |")
    return "\n".join(lines)


def _kilobytes(item: Mapping[str, Any]) -> int:
    """DynamoDB's write units of an item, outside of a transaction."""
    size = sum(len(name.encode()) + attribute_size(value) for name, value in item.items())
    return math.ceil(size / 1024)


def _dollars(value: float) -> str:
    return f"${value:,.2f}" if value < 10 else f"${value:,.1f}"


def _price(name: str) -> str:
    value = PRICES[name]
    return f"${value}" if value > 0.01 else f"${value * MILLION:g} a million"


def _count(value: float) -> str:
    return f"{value:.3g}" if value else ""


def _sync_one(measured: Measured, machine: str, key: str, number: int) -> None:
    before = len(measured.executions(machine))
    measured.put(key, number)
    while True:
        ended = [e for e in measured.executions(machine) if e["status"] != "RUNNING"]
        if len(ended) > before:
            assert ended[0]["status"] == "SUCCEEDED", ended[0]
            return
        time.sleep(0.05)


@contextmanager
def _stack() -> Iterator[Stack]:
    with (
        tempfile.TemporaryDirectory() as folder,
        running_stack(Path(folder), enforces_roles=False) as stack,
    ):
        yield stack


def main() -> None:
    """Prints the page, or writes it."""
    with _stack() as stack:
        measured = Measured(stack)
        standard, express = live(measured)
        bills = {
            "live, Standard": standard,
            "live, Express": express,
            "bulk backfill": bulk(measured),
            "one function": one_function(measured),
        }
    before, rest = PAGE.read_text().split(BEGIN)
    _, after = rest.split(END)
    text = f"{before}{BEGIN}\n{tables(bills)}\n{END}{after}"
    if sys.argv[1:] == ["--write"]:
        PAGE.write_text(text)
    else:
        print(text)


if __name__ == "__main__":
    main()
