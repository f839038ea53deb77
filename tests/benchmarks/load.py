"""A stack under load: a burst of files at once, then a sustained rate near the limit of the engine,
a burst while DynamoDB throttles half of all calls, and a reconcile of many files of which few
differ. `make load` takes an hour.

`python -m tests.benchmarks.load reconcile` measures that alone, as `load` and `throttled` do.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any

from local.chaos import Odds
from local.stack import Stack
from local.switches import LAMBDA_THROTTLES
from tests.benchmarks import bulk, commands
from tests.benchmarks.results import Section
from tests.benchmarks.stacks import any_runs, engine_processes, measured_stack
from tests.e2e.large_files import peak_memory

FILES = int(os.environ.get("LOAD_FILES", "5000"))
MINUTES = float(os.environ.get("LOAD_MINUTES", "10"))
UPLOADS_AT_ONCE = 16
PART_OF_LIMIT = 0.9
"""The sustained rate, of the one at which the burst was worked off."""
THROTTLING = Odds(busy=0.5)
PATIENCE_SECONDS = 3600
RECONCILED, DIFFERENT = 100_000, 1_000


class Load:
    """Files that are put in the bucket, and when each was in the table."""

    def __init__(self, stack: Stack, prefix: str, first_year: int) -> None:
        self.stack, self.prefix, self.first_year = stack, f"weather/{prefix}/", first_year
        self.bucket, self.machine = (
            stack.outputs[name] for name in ("SourceBucketName", "StateMachineArn")
        )
        self.s3, self.states = stack.client("s3"), stack.client("stepfunctions")
        self.put_at: dict[str, float] = {}
        self.before = sum(self._executions().values())

    def put(self, number: int) -> None:
        """One small file."""
        day = f"{self.first_year + number // 336}-{number // 28 % 12 + 1:02}-{number % 28 + 1:02}"
        record: dict[str, Any] = {"location": "Seattle", "date": day}
        record |= {"precipitation": 0.0, "temp_max": 5.6, "temp_min": -2.1, "wind": 3.5}
        key = f"{self.prefix}{number:06}.json"
        self.put_at[key] = time.time()
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=json.dumps([record]).encode())

    def put_all(self, count: int) -> None:
        """As fast as they go."""
        with ThreadPoolExecutor(UPLOADS_AT_ONCE) as pool:
            list(pool.map(self.put, range(count)))

    def put_steadily(self, rate: float, seconds: float) -> None:
        """At a rate, in files a second."""
        begun = time.monotonic()
        with ThreadPoolExecutor(UPLOADS_AT_ONCE) as pool:
            for number in range(int(rate * seconds)):
                time.sleep(max(0.0, begun + number / rate - time.monotonic()))
                pool.submit(self.put, number)

    def finish(self) -> Counter[str]:
        """Waits until every file has its execution and all have ended; how they ended."""
        while True:
            if not any_runs(self.stack, self.machine):
                counts = self._executions()
                if sum(counts.values()) - self.before >= len(self.put_at) and not counts["RUNNING"]:
                    return counts
            time.sleep(2)

    def lags(self) -> dict[str, float]:
        """The seconds from the upload of each file to the end of the execution that wrote it."""
        pages = self.stack.client("dynamodb").get_paginator("scan")
        writers = {
            row["execution"]["S"]: row["pk"]["S"].removeprefix(f"s3://{self.bucket}/")
            for page in pages.paginate(TableName=self.stack.outputs["LedgerTableName"])
            for row in page["Items"]
            if row["sk"]["S"] == "CURRENT" and "execution" in row
        }
        found = {}
        for each in self._listed():
            key = writers.get(each["executionArn"], "")
            if key in self.put_at:
                found[key] = each["stopDate"].timestamp() - self.put_at[key]
        return found

    def _executions(self) -> Counter[str]:
        return Counter(each["status"] for each in self._listed())

    def _listed(self) -> Iterator[Any]:
        pages = self.states.get_paginator("list_executions").paginate(stateMachineArn=self.machine)
        for page in pages:
            yield from page["executions"]


def load() -> None:
    """Files whose events start executions, on one stack."""
    with measured_stack() as stack, stack.switches.on(LAMBDA_THROTTLES):
        rate = _burst(stack, "burst", FILES)
        _sustained(stack, rate * PART_OF_LIMIT, 60 * MINUTES)


def throttled() -> None:
    """The burst again, on a stack of its own, while DynamoDB throttles half of all calls."""
    with measured_stack() as stack, stack.switches.on(LAMBDA_THROTTLES):
        stack.chaos.begin(THROTTLING)
        _burst(stack, "throttled", FILES)


def reconcile() -> None:
    """A bucket of many files, 1 % of which change while no event is delivered."""
    section = Section("Load: a reconcile")
    with measured_stack() as stack, bulk.events_off(stack):
        load = Load(stack, "reconcile", 2000)
        load.put_all(RECONCILED)
        first, took = _in_bulk(load)
        assert first["outcomes"] == {"SYNCED": RECONCILED}, first
        section.say(f"{RECONCILED:,} files, first", f"{took:.0f} s")
        load.first_year += 1_000
        for number in range(0, RECONCILED, RECONCILED // DIFFERENT):
            load.put(number)
        with peak_memory() as peaks:
            again, took = _in_bulk(load)
        section.say(f"again, {DIFFERENT:,} of them different", f"{took:.0f} s")
        section.say("peak memory of its functions", f"{max(peaks.values())} MB")
        exact = again["outcomes"] == {"SYNCED": DIFFERENT}
        section.say("files synced", f"{again['outcomes']}", "those alone", exact)
        _verify(section, load)
    section.keep()


def _in_bulk(load: Load) -> tuple[Any, float]:
    begun = time.perf_counter()
    given = {"how": "bulk", "orphans": True, "prefix": load.prefix, "concurrency": bulk.FUNCTIONS}
    return bulk.run(load.stack, given), time.perf_counter() - begun


def _burst(stack: Stack, name: str, files: int) -> float:
    section = Section(
        "Load: a burst" if name == "burst" else "Load: a burst, half of all calls throttled"
    )
    with _memory() as sizes:
        load, begun = Load(stack, name, 2000 if name == "burst" else 4000), time.perf_counter()
        load.put_all(files)
        put = time.perf_counter() - begun
        ended = load.finish()
        while len(load.lags()) < files and time.perf_counter() - begun < PATIENCE_SECONDS:
            time.sleep(5)  # the sweep starts those again that throttling made fail
        took = time.perf_counter() - begun
    stack.chaos.end()
    section.say("files", f"{files:,}")
    section.say("uploaded in", f"{put:.0f} s, all in the table after {took:.0f} s")
    section.say("files a second", f"{files / took:.1f}")
    _tell(section, load, ended, sizes)
    section.say("calls throttled", f"{stack.chaos.happened()['DynamoDB throttled']:,}")
    section.keep()
    return files / took


def _sustained(stack: Stack, rate: float, seconds: float) -> None:
    section = Section("Load: a sustained rate")
    section.say("files a second", f"{rate:.1f} for {seconds / 60:.0f} minutes")
    with _memory() as sizes:
        load = Load(stack, "sustained", 3000)
        load.put_steadily(rate, seconds)
        ended = load.finish()
    lags = load.lags()
    keys = sorted(lags)
    minute = max(1, int(rate * 60))
    for name, part in (("first", keys[:minute]), ("last", keys[-minute:])):
        section.say(f"lag in the {name} minute", _told([lags[key] for key in part]))
    _tell(section, load, ended, sizes)
    section.keep()


def _tell(section: Section, load: Load, ended: Counter[str], sizes: list[tuple[int, int]]) -> None:
    lags = load.lags()
    section.say("lag from upload to table", _told(list(lags.values())))
    section.say("executions that did not succeed", f"{sum(ended.values()) - ended['SUCCEEDED']:,}")
    lost = len(load.put_at) - len(lags)
    section.say("files not in the table", f"{lost:,}", "none", lost == 0)
    _verify(section, load)
    tenth = max(1, len(sizes) // 10)
    early, late = (
        max(functions for functions, _ in part)
        for part in (sizes[tenth : 3 * tenth], sizes[-tenth:])
    )
    section.say("memory of the largest function", f"{early} MB early, {late} MB at the end")
    section.say("memory of the engine", f"{sizes[0][1]} MB before, {sizes[-1][1]} MB after")
    section.series = {
        "lags": sorted(round(each, 2) for each in lags.values())[:: len(lags) // 200 or 1]
    }


def _verify(section: Section, load: Load) -> None:
    told, _ = commands.verified(load.stack, "--prefix", load.prefix)
    differs = len(told["findings"])
    section.say("differences that verify found", f"{differs:,}", "none", differs == 0)


def _told(lags: list[float]) -> str:
    centiles = statistics.quantiles(lags, n=100) if len(lags) > 1 else lags * 99
    return f"median {centiles[49]:.1f} s, 95 % {centiles[94]:.1f} s, longest {max(lags):.1f} s"


@contextmanager
def _memory() -> Iterator[list[tuple[int, int]]]:
    """The resident sizes of the largest function and of the engine, in MB, every second."""
    sizes: list[tuple[int, int]] = [_sizes()]
    done = threading.Event()

    def watch() -> None:
        while not done.wait(1):
            sizes.append(_sizes())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield sizes
    finally:
        done.set()
        watcher.join()
        sizes.append(_sizes())


def _sizes() -> tuple[int, int]:
    functions, engine = [0], [0]
    for process, is_function in engine_processes():
        with suppress(OSError, IndexError):
            pages = int((process / "statm").read_text().split()[1])
            size = pages * os.sysconf("SC_PAGE_SIZE") >> 20
            (functions if is_function else engine).append(size)
    return max(functions), max(engine)


if __name__ == "__main__":
    for each in (load, throttled, reconcile):
        if not sys.argv[1:] or each.__name__ in sys.argv:
            each()
