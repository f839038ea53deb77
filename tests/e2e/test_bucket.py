"""`tablekeeper backfill` and `reconcile` over a bucket whose events never came."""

from __future__ import annotations

import json
import os
import random
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from local.stack import Stack
from tablekeeper_cli.web.app import create_app
from tests.e2e.desk import Desk, Tamperer

pytestmark = pytest.mark.xdist_group("bucket")

FILES = int(os.environ.get("BUCKET_FILES", "400"))
"""Objects that are there before the first run: 10,000 take some minutes. One in a hundred is bad,
and one in twenty changes while the run is under way.
"""


def content(key: str, version: int) -> Any:
    """A good file of one of two datasets."""
    if key.startswith("orders/"):
        orders = [{"customer": key, "id": str(n), "total": version + 0.5} for n in range(2)]
        return {"data": {"orders": orders}}
    return [{"pk": key, "sk": str(n), "version": version} for n in range(version, version + 2)]


def test_a_bucket_is_brought_into_the_table_while_it_changes(desk: Desk, schemas: str) -> None:
    folders = ("notes/fill", "orders/fill")
    keys = [f"{folders[number // 100 % 2]}/{number:05}.json" for number in range(FILES)]
    bad = {key for number, key in enumerate(keys) if number % 100 == 42}
    with desk.events_off():
        desk.put_all({key: b'[{"sk": ' if key in bad else content(key, 1) for key in keys})
    started = desk.ask("backfill", "--bulk", "--no-wait", "--prefix", "notes/fill/")["execution"]
    live = [key for number, key in enumerate(keys) if number % 20 == 7 and key not in bad]
    seed = random.SystemRandom().randrange(10**6)
    print(f"seed {seed}")
    rng = random.Random(seed)
    deleted = {key for key in live if rng.random() < 0.3}

    def change() -> None:
        for key in live:
            if key in deleted:
                desk.s3.delete_object(Bucket=desk.bucket, Key=key)
            else:
                desk.put(key, content(key, 2))

    writer = threading.Thread(target=change)
    writer.start()
    begun = time.monotonic()
    told = desk.ask("backfill", "--bulk", "--prefix", "orders/fill/", code=1)
    seconds = time.monotonic() - begun
    writer.join()
    states = desk.stack.client("stepfunctions")
    desk.until(lambda: states.describe_execution(executionArn=started)["status"] != "RUNNING")
    other = json.loads(states.describe_execution(executionArn=started)["output"])
    print(f"{told['files']} objects in {seconds:.1f} s")
    for run in (told, other):
        assert run["outcomes"]["INVALID"] == run["differences"] == len(bad) // 2
        assert run["failed_batches"] == 0
        assert set(run["outcomes"]) <= {"INVALID", "SYNCED", "UNCHANGED", "DELETED"}
    for key in live:
        gone = key in deleted
        desk.until(lambda key=key, gone=gone: _is_there(desk, key, gone))  # type: ignore[misc]
    for folder in folders:
        left = desk.ask("failures", "--prefix", f"{folder}/", code=1)
        assert {each["key"] for each in left["failures"]} == {k for k in bad if folder in k}
        found = desk.ask("verify", "--schemas", schemas, "--prefix", f"{folder}/")
        assert (found["differences"], found["findings"]) == (0, [])
    again = desk.ask("backfill", "--bulk", "--prefix", "orders/fill/", code=1)
    assert again["findings"] == {**dict.fromkeys(again["findings"], 0), "PROBLEM": len(bad) // 2}
    with desk.events_off():
        desk.put_all({key: content(key, 3) for key in bad})
        mended = desk.ask("backfill", "--prefix", "orders/fill/")
        assert mended["outcomes"] == {"SYNCED": len(bad) // 2}
        assert desk.ask("backfill", "--prefix", "notes/fill/")["differences"] == 0


def _is_there(desk: Desk, key: str, gone: bool) -> bool:
    """Whether an execution has ended that saw the change."""
    if gone:
        return "DELETED" in desk.outcomes(key)
    etag = desk.s3.head_object(Bucket=desk.bucket, Key=key)["ETag"].strip('"')
    return any(row.get("etag", {}).get("S") == etag for row in desk.audit_rows(key))


def test_what_no_event_told_is_found_and_mended_and_nothing_else(
    desk: Desk, by_hand: Tamperer, schemas: str, tmp_path: Path
) -> None:
    prefix, report = "notes/lost/", tmp_path / "report.jsonl"
    keys = [f"{prefix}{number:03}.json" for number in range(120)]
    expected = Counter(UNKNOWN=10, STALE=20, ORPHAN=20, OUTDATED=1, PROBLEM=1)
    with desk.events_off():
        desk.put_all({key: content(key, 1) for key in keys})
        assert desk.ask("backfill", "--bulk", "--prefix", prefix)["outcomes"] == {"SYNCED": 120}
        desk.put_all({key: content(key, 2) for key in keys[:20]})
        desk.put_all({f"{prefix}new.json": content("new", 9)})
        desk.put_all({f"{key}.more.json": content(key, 9) for key in keys[100:109]})
        for key in keys[20:40]:
            desk.s3.delete_object(Bucket=desk.bucket, Key=key)
        row = by_hand.row(keys[50])
        by_hand.put_row({**row, "digest": {"S": "earlier"}})
        desk.put(f"{prefix}bad.json", b"[")
        desk.ask("backfill", "--bulk", "--prefix", f"{prefix}bad", code=1)

        arguments = ("reconcile", "--prefix", prefix, "--bulk", "--report", str(report))
        looked = desk.ask(*arguments, "--dry-run", code=1)
        assert Counter(looked["findings"]) + Counter() == expected
        assert (looked["outcomes"], looked["differences"]) == ({}, 52)
        lines = [json.loads(line) for line in report.read_text().splitlines()]
        assert Counter(line["finding"] for line in lines) == expected
        assert {line["key"] for line in lines if line["finding"] == "ORPHAN"} == set(keys[20:40])
        differs = ("verify", "--schemas", schemas, "--prefix", prefix, "--settle", "0")
        assert desk.ask(*differs, code=1)["differences"]

        mended = desk.ask(*arguments, code=1)
        assert mended["findings"] == looked["findings"]
        assert mended["outcomes"] == {"SYNCED": 31, "DELETED": 20, "INVALID": 1}
        named = desk.run("reconcile", "--prefix", prefix, code=1)
        assert f"{prefix}bad.json" in named
        assert "1 file differs" in named
        desk.put(f"{prefix}bad.json", [])
        last = desk.ask(*arguments)
        assert last["outcomes"] == {"SYNCED": 1}
        nothing = desk.run("reconcile", "--prefix", prefix)
        assert "nothing differs" in nothing
    assert desk.ask("verify", "--schemas", schemas, "--prefix", prefix)["findings"] == []
    assert desk.ask("status")["last_run"]["differences"] == 0
    overview = create_app(desk.located).test_client().get("/").text
    assert f"The last run: reconcile --prefix {prefix} ended" in overview


def test_a_run_that_is_stopped_is_finished_by_the_next(desk: Desk) -> None:
    prefix = "notes/stopped/"
    keys = [f"{prefix}{number:03}.json" for number in range(300)]
    states = desk.stack.client("stepfunctions")
    with desk.events_off():
        desk.put_all({key: content(key, 1) for key in keys})
        arguments = ("backfill", "--bulk", "--prefix", prefix, "--concurrency", "1")
        arn = desk.ask(*arguments, "--no-wait")["execution"]
        desk.until(lambda: any(desk.outcomes(keys[0])))
        states.stop_execution(executionArn=arn)
        # A function that runs goes on, and is done with its batch or is not.
        done = desk.ask(*arguments)
        assert done["outcomes"].get("SYNCED", 0) < 300
        assert desk.statuses(prefix) == {"SYNCED": 300}
        assert desk.ask(*arguments)["findings"]["UNKNOWN"] == 0
    counts = Counter(len(desk.outcomes(key)) for key in keys[::10])
    assert set(counts) <= {1, 2}


def test_a_batch_whose_function_fails_is_done_file_by_file(desk: Desk) -> None:
    prefix = "notes/crash/"
    keys = [f"{prefix}{number}.json" for number in range(5)]
    desk.stack.faults.inject("SyncObjectsFunction", "crash", times=3, match=prefix)
    with desk.events_off():
        desk.put_all({key: content(key, 1) for key in keys})
        desk.put(keys[0], b"[")
        done = desk.ask("backfill", "--bulk", "--prefix", prefix, code=1)
    assert done["outcomes"] == {"SYNCED": 4, "INVALID": 1}
    assert [desk.outcomes(key) for key in keys] == [["INVALID"], *[["SYNCED"]] * 4]


def test_a_run_keeps_to_what_its_roles_allow(stack: Stack) -> None:
    """On the stack of the other tests, where a function may do what its role allows."""
    desk = Desk(stack)
    by_hand = Tamperer(desk)
    key = "notes/allowed/a.json"
    desk.put(key, content(key, 1))
    desk.settled(key, "SYNCED")
    for how in ("--bulk", "--wait"):
        by_hand.put_row({**by_hand.row(key), "digest": {"S": how}})
        told = desk.ask("reconcile", "--prefix", "notes/allowed/", how)
        assert told["outcomes"] == {"SYNCED": 1}
