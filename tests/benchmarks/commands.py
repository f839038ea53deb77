"""How long `tablekeeper --help` takes to start, against its libraries alone; and what `failures`
reads of a large ledger.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from local.stack import Stack
from tablekeeper_cli.ledger import problems
from tests.benchmarks.results import Section
from tests.support.memory import peak_megabytes

COMMAND = str(Path(sys.executable).with_name("tablekeeper"))
STARTS, AIM_OF_START = 15, 1.5
ROWS, PROBLEMS = 100_000, 1_000
BATCH = 25


def start(section: Section) -> None:
    """`tablekeeper --help` against `import typer, rich`, in turn."""
    commands = {
        "tablekeeper --help": [COMMAND, "--help"],
        "import typer, rich": [sys.executable, "-c", "import typer, rich"],
    }
    times: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(STARTS):
        for name, command in commands.items():
            begun = time.perf_counter()
            subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
            times[name].append(time.perf_counter() - begun)
    ours, theirs = (statistics.median(each) for each in times.values())
    ratio = ours / theirs
    section.say(
        "`tablekeeper --help` of `import typer, rich`",
        f"{ratio:.2f} ({ours * 1000:.0f} ms, {theirs * 1000:.0f} ms)",
        f"at most {AIM_OF_START}",
        ratio <= AIM_OF_START,
    )


def failures(section: Section, stack: Stack) -> None:
    """How long `tablekeeper failures` takes over 100,000 rows, 1,000 of them bad, and how much its
    queries consume.
    """
    client, ledger = stack.client("dynamodb"), stack.outputs["LedgerTableName"]
    for first in range(0, ROWS, BATCH):
        rows = [_row(stack, number) for number in range(first, first + BATCH)]
        client.batch_write_item(RequestItems={ledger: [{"PutRequest": {"Item": r}} for r in rows]})
    begun = time.perf_counter()
    ran = subprocess.run(
        [COMMAND, "failures", "--local", "--json", "--limit", "1"],
        env={**os.environ, "TABLEKEEPER_LOCAL": f"{stack.state_dir}/stack.json"},
        stdout=subprocess.PIPE,
        check=False,
    )
    took, told = time.perf_counter() - begun, json.loads(ran.stdout)
    consumed = _consumed(client, ledger)
    section.say(
        f"`tablekeeper failures`: {told['count']:,} problems among {ROWS:,} rows",
        f"{took:.1f} s, capacity units {consumed}",
        "of the index `problems` alone",
        set(consumed) == {"problems"},
    )


def verified(stack: Stack, *arguments: str) -> tuple[dict[str, Any], int]:
    """What `tablekeeper verify` says of a stack, and its peak memory in MB."""
    process = subprocess.Popen(
        [COMMAND, "verify", "--local", "--json", *arguments],
        env={**os.environ, "TABLEKEEPER_LOCAL": f"{stack.state_dir}/stack.json"},
        stdout=subprocess.PIPE,
    )
    peak = 0
    while True:
        peak = max(peak, peak_megabytes(process.pid))
        with suppress(subprocess.TimeoutExpired):
            told, _ = process.communicate(timeout=0.2)
            return json.loads(told), peak


def _consumed(client: Any, ledger: str) -> dict[str, float]:
    """The capacity units of the command's queries, by table or index."""
    units: Counter[str] = Counter()

    def with_capacity(params: Any, **_: Any) -> None:
        params["ReturnConsumedCapacity"] = "INDEXES"

    def add(parsed: Any, **_: Any) -> None:
        consumed = parsed["ConsumedCapacity"]
        for name, each in consumed.get("GlobalSecondaryIndexes", {}).items():
            units[name] += each["CapacityUnits"]
        if table := consumed.get("Table", {}).get("CapacityUnits"):
            units["table"] += table

    client.meta.events.register("provide-client-params.dynamodb.Query", with_capacity)
    client.meta.events.register("after-call.dynamodb.Query", add)
    asked: Any = SimpleNamespace(ledger=ledger, client=lambda _: client, key=str)
    for _ in problems.failures(asked):
        pass
    return dict(units)


def _row(stack: Stack, number: int) -> dict[str, Any]:
    uri = f"s3://{stack.outputs['SourceBucketName']}/bench/{number}.json"
    row = {"pk": uri, "sk": "CURRENT", "status": "SYNCED", "file_shard": f"{number % 16:x}"}
    if number % (ROWS // PROBLEMS) == 0:
        at = f"2026-01-01T00:00:00.{number % 1000:03}Z"
        row |= {"problem_status": "INVALID", "problem_at": at}
        row |= {"problem_error": "SchemaViolationError", "problem_dataset": "bench"}
    return {name: {"S": value} for name, value in row.items()}
