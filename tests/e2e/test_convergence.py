"""Convergence on the engine: events late, doubled, shuffled; many executions of a key at once."""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from tablekeeper.datasets.catalogue import Catalogue

from local.stack import Stack
from tests.e2e.conftest import SCHEMAS
from tests.e2e.failures import LIVE, Workshop
from tests.e2e.observer import Observer, until
from tests.support.check import differences

pytest_plugins = ["tests.e2e.workshop"]
pytestmark = pytest.mark.xdist_group("workshop")

GARBAGE = b'[{"pk": '
FILES, CHANGES, WORKERS = 20, 5, 8
TWICE, SPREAD_SECONDS = 0.2, 4.0


@pytest.fixture(scope="module")
def quiet(workshop: Workshop) -> Iterator[Observer]:
    """A stack whose rule is off: executions are started by these tests, from events they make.

    No other test has used it: these come first of its group, and compare the whole table.
    """
    with workshop.settings(off=(LIVE,)):
        yield Observer(workshop.stack)


def event(seen: Observer, key: str) -> str:
    """What a change of a key would start an execution with."""
    return json.dumps({"detail": {"bucket": {"name": seen.bucket}, "object": {"key": key}}})


def start(seen: Observer, text: str) -> str:
    """Starts an execution and does not wait for it."""
    arn: str = seen.states.start_execution(
        stateMachineArn=seen.stack.outputs["StateMachineArn"], input=text
    )["executionArn"]
    return arn


def all_ended(seen: Observer) -> bool:
    """Whether no execution is running."""
    return not seen.states.list_executions(
        stateMachineArn=seen.stack.outputs["StateMachineArn"], statusFilter="RUNNING", maxResults=1
    )["executions"]


def table_equals_bucket(stack: Stack) -> list[str]:
    """What differs."""
    return differences(stack, Catalogue.load(SCHEMAS))


def test_events_replayed_in_any_order_while_the_bucket_changes(quiet: Observer) -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    rng = random.Random(seed)
    keys = [f"notes/replay-{number}.json" for number in range(20)]
    events: list[str] = []

    def change(key: str) -> None:
        roll = rng.random()
        if roll < 0.2:
            quiet.s3.delete_object(Bucket=quiet.bucket, Key=key)
        else:
            records = [{"pk": key, "sk": str(n), "value": rng.random()} for n in range(3)]
            body = GARBAGE if roll < 0.4 else json.dumps(records).encode()
            quiet.s3.put_object(Bucket=quiet.bucket, Key=key, Body=body)
        events.append(event(quiet, key))

    for key in keys * 2:
        change(key)
    replays = events * 2
    rng.shuffle(replays)
    for number, replay in enumerate(replays):
        start(quiet, replay)
        if number % 4 == 0:
            change(rng.choice(keys))
    for last in [event(quiet, key) for key in keys]:
        start(quiet, last)
    until(lambda: all_ended(quiet), "executions are still running")
    assert table_equals_bucket(quiet.stack) == []

    settled = [start(quiet, event(quiet, key)) for key in keys * 2]
    until(lambda: all_ended(quiet), "executions are still running")
    outcomes = {
        key: [row for row in quiet.audit_rows(key) if row["execution"]["S"] in settled]
        for key in keys
    }
    for key, rows in outcomes.items():
        bad = quiet.problem(key).get("status") == "INVALID"
        assert [row["outcome"]["S"] for row in rows] == ["INVALID" if bad else "UNCHANGED"] * 2, key
    assert table_equals_bucket(quiet.stack) == []


def test_many_files_changed_five_times_with_doubled_and_shuffled_events(
    quiet: Observer, capsys: pytest.CaptureFixture[str]
) -> None:
    seed = random.randrange(10**6)
    rng = random.Random(seed)
    keys = [f"notes/burst-{number}.json" for number in range(FILES)]

    def upload(change: tuple[int, str]) -> None:
        turn, key = change
        records = [{"pk": key, "sk": str(n), "turn": turn} for n in range(turn + 1)]
        quiet.s3.put_object(Bucket=quiet.bucket, Key=key, Body=json.dumps(records).encode())

    deliveries: list[tuple[float, str]] = []
    with ThreadPoolExecutor(WORKERS) as uploads, ThreadPoolExecutor(WORKERS) as starts:
        begun = time.monotonic()
        started = []
        for turn in range(CHANGES):
            list(uploads.map(upload, [(turn, key) for key in keys]))
            now = time.monotonic() - begun
            doubled = [key for key in keys if rng.random() < TWICE]
            deliveries += [
                (now + rng.random() * SPREAD_SECONDS, event(quiet, key)) for key in keys + doubled
            ]
            due = sorted(each for each in deliveries if each[0] <= time.monotonic() - begun)
            deliveries = [each for each in deliveries if each not in due]
            started += [starts.submit(start, quiet, text) for _, text in due]
        for when, text in sorted(deliveries):
            until(lambda when=when: time.monotonic() - begun >= when, "the clock stands still")  # type: ignore[misc]
            started.append(starts.submit(start, quiet, text))
        executions = [each.result() for each in started]
    until(lambda: all_ended(quiet), "executions are still running", seconds=400)
    assert table_equals_bucket(quiet.stack) == []
    rounds = [quiet.states_entered(execution).count("Read Again") for execution in executions]
    rows = [row for key in keys for row in quiet.audit_rows(key)]
    outcomes = Counter(row["outcome"]["S"] for row in rows)
    assert outcomes.total() == len(executions)
    assert [row for row in rows if row["outcome"]["S"] not in ("SYNCED", "UNCHANGED")] == []
    with capsys.disabled():
        print(
            f"\nseed {seed}: {FILES * CHANGES} changes, {len(executions)} executions, "
            f"{dict(outcomes)}, "
            f"Read Again {sum(rounds)} times in {sum(map(bool, rounds))} executions, "
            f"{max(rounds)} times at most"
        )
