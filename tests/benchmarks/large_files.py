"""Large files: a first load against a plain loop, and memory against the size of the file.

    python -m tests.benchmarks.large_files [SCENARIO[=RECORDS] ...]

does what tests/e2e/test_large_files.py does, with up to a million records, and prints how long it
took and the memory that it took. All of it takes an hour or more.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from typing import Any

import boto3

from local.stack import Stack
from tests.benchmarks.results import Section
from tests.benchmarks.stacks import E2E_SCHEMAS, measured_stack
from tests.e2e.large_files import SCENARIOS, LargeFiles, peak_memory

SIZES = {
    "first_load": 1_000_000,
    "gzipped": 1_000_000,
    "half_dropped": 1_000_000,
    "array": 100_000,
    "nested": 40_000,
    "writer_killed": 100_000,
    "newer_version": 100_000,
    "two_at_once": 100_000,
    "turned_bad": 100_000,
    "emptied": 100_000,
}
AIM_OF_BATCH_WRITER, AIM_OF_MEMORY = 0.5, 1.3
LONG_RECORD = 3000
STATES = ("FetchObject", "ValidateRecords", "TransformRecords", "WriteItems")


def main(wanted: list[str]) -> None:
    """Runs scenarios, each on a stack of its own, and prints what came of them."""
    sizes = dict(SIZES)
    for each in wanted:
        name, _, count = each.partition("=")
        sizes[name] = int(count) if count else sizes[name]
    names = [each.partition("=")[0] for each in wanted] or list(SIZES)
    for scenario in SCENARIOS:
        if scenario.__name__ in names:
            with measured_stack(schemas=E2E_SCHEMAS) as stack, peak_memory() as peaks:
                begun = time.perf_counter()
                files = LargeFiles(stack, scenario.__name__, sizes[scenario.__name__])
                wrong = scenario(files)
                took = time.perf_counter() - begun
            memory = ", ".join(f"{name} {peak} MB" for name, peak in sorted(peaks.items()))
            print(
                f"{scenario.__name__:14} {files.count:9,} records, {wrong} differences, "
                f"{took:5.0f} s with all comparisons; peak memory: {memory}",
                flush=True,
            )


def against_batch_writer(section: Section, count: int = 100_000) -> None:
    """The first load of a file against a plain loop of boto3's batch_writer, on one engine."""
    with measured_stack(schemas=E2E_SCHEMAS) as stack:
        files = LargeFiles(stack, "ours", count)
        body = files.lines(range(count), 1)
        begun = time.perf_counter()
        files.put(body)
        files.outcomes()
        ours = count / (time.perf_counter() - begun)
        plain = count / _batch_writer(stack, body)
    ratio = ours / plain
    section.say(f"first load of {count:,} records, items a second", f"{ours:,.0f}")
    section.say("a plain loop of batch_writer, items a second", f"{plain:,.0f}")
    section.say(
        "ratio", f"{ratio:.2f}", f"at least {AIM_OF_BATCH_WRITER}", ratio >= AIM_OF_BATCH_WRITER
    )


def _batch_writer(stack: Stack, body: bytes) -> float:
    client = stack.client("dynamodb")
    client.create_table(
        TableName="plain",
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[
            {"AttributeName": "pk", "KeyType": "HASH"},
            {"AttributeName": "sk", "KeyType": "RANGE"},
        ],
        AttributeDefinitions=[
            {"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")
        ],
    )
    table = boto3.resource(
        "dynamodb",
        endpoint_url=client.meta.endpoint_url,
        region_name=client.meta.region_name,
        aws_access_key_id="test",
        aws_secret_access_key="test",
    ).Table("plain")
    begun = time.perf_counter()
    with table.batch_writer() as batch:
        for record in _records(body):
            batch.put_item(Item=record)
    return time.perf_counter() - begun


def _records(body: bytes) -> Iterator[Any]:
    from decimal import Decimal

    for line in body.splitlines():
        yield json.loads(line, parse_float=Decimal)


def memory(section: Section, megabytes: tuple[int, ...] = (1, 10, 100, 1000)) -> None:
    """The peak memory of every function, with small and with large files of JSON Lines."""
    peaks: dict[int, dict[str, int]] = {}
    for size in megabytes:
        with measured_stack(schemas=E2E_SCHEMAS) as stack, peak_memory() as peak:
            count = size * 1_000_000 // LONG_RECORD
            files = LargeFiles(stack, f"m{size}", count, LONG_RECORD)
            files.put(files.lines(range(count), 1))
            outcomes = files.outcomes()
        assert outcomes == ["SYNCED"], outcomes
        peaks[size] = peak
        told = ", ".join(f"{name} {peak[name]} MB" for name in STATES)
        section.say(f"peaks, a file of {size:,} MB and {count:,} records", told)
    section.series = {"peaks": {str(size): peak for size, peak in peaks.items()}}
    for name in STATES:
        ratio = peaks[1000][name] / peaks[10][name]
        section.say(
            f"{name}, 1 GB to 10 MB",
            f"{ratio:.2f}",
            f"at most {AIM_OF_MEMORY}",
            ratio <= AIM_OF_MEMORY,
        )


if __name__ == "__main__":
    main(sys.argv[1:])
