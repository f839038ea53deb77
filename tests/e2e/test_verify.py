"""`tablekeeper verify` on a stack that is tampered with, and on one that is busy."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.desk import Desk, Tamperer

pytestmark = pytest.mark.xdist_group("bucket")

Told = list[tuple[str, str | None, str | None]]


def told(findings: list[Any]) -> Told:
    """Kind, file and the item's sort key of each finding."""
    return [
        (each["kind"], each["file"], each["item"]["sk"]["S"] if each["item"] else None)
        for each in findings
    ]


def test_names_each_thing_that_was_tampered_with_and_nothing_else(
    desk: Desk, by_hand: Tamperer, schemas: str, tmp_path: Path
) -> None:
    pk, prefix = "verified", "notes/verify/"
    names = ("changed", "gone", "extra", "stripped", "norow", "etag", "keys", "late", "deleted")
    records = {
        name: [{"pk": pk, "sk": f"{name}{n}", "price": 1.10, "in": {"s": 1}} for n in (1, 2)]
        for name in (*names, "bad", "fine", "mended")
    }
    desk.put_all({f"{prefix}{name}.json": each for name, each in records.items()})
    orders = {"data": {"orders": [{"customer": pk, "id": "o1", "total": 10.50}]}}
    desk.put("orders/verify.json", orders)
    desk.put(f"{prefix}large.json", [{"pk": pk, "sk": f"large{n:03}"} for n in range(150)])
    now = int(time.time())
    desk.put(
        f"{prefix}ttl.json",
        [{"pk": pk, "sk": f"ttl{n}", "expires_at": now + n} for n in (-100, 3600)],
    )
    desk.until(lambda: desk.statuses(prefix) == {"SYNCED": 14})
    desk.settled("orders/verify.json", "SYNCED")
    desk.put(f"{prefix}bad.json", b"{")
    desk.settled(f"{prefix}bad.json", "SYNCED", "INVALID")
    by_hand.delete_item(pk, "ttl-100")
    verify = ("verify", "--schemas", schemas, "--settle", "0", "--prefix")

    fine = desk.ask(*verify, prefix)
    assert (fine["differences"], fine["findings"], fine["files"]) == (0, [], 14)
    assert (fine["items"], fine["held"], fine["expired"]) == (176, 175, 1)
    assert fine["problems"] == {"INVALID": 1}

    changed = by_hand.item(pk, "changed1")
    by_hand.put_item({**changed, "price": {"N": "1.2"}, "in": {"M": {"s": {"S": "1"}}}})
    by_hand.delete_item(pk, "gone2")
    by_hand.delete_item(pk, "large077")
    by_hand.put_item({**by_hand.item(pk, "o1"), "total": {"N": "10.51"}})
    lineage = by_hand.item(pk, "extra1")["_source"]
    by_hand.put_item({"pk": {"S": pk}, "sk": {"S": "extra3"}, "_source": lineage})
    stripped = by_hand.item(pk, "stripped1")
    by_hand.put_item({name: each for name, each in stripped.items() if name != "_source"})
    by_hand.put_item({"pk": {"S": pk}, "sk": {"S": "nobody's"}})
    bad = by_hand.item(pk, "bad2")
    by_hand.put_item({**bad, "more": {"BOOL": True}})
    by_hand.delete_row(f"{prefix}norow.json")
    by_hand.put_row({**by_hand.row(f"{prefix}etag.json"), "etag": {"S": "0" * 32}})
    row = by_hand.row(f"{prefix}keys.json")
    by_hand.put_row({**row, "item_keys": {"L": row["item_keys"]["L"][:1]}})
    with desk.events_lost(2):
        desk.put(f"{prefix}late.json", [{"pk": pk, "sk": "late1", "price": 1.10, "in": {"s": 1}}])
        desk.s3.delete_object(Bucket=desk.bucket, Key=f"{prefix}deleted.json")

    report = tmp_path / "report.jsonl"
    found = desk.ask(*verify, prefix, "--report", str(report), code=1)
    expected: Told = [
        ("different", f"{prefix}bad.json", "bad2"),
        ("different", f"{prefix}changed.json", "changed1"),
        ("stale", f"{prefix}deleted.json", None),
        ("extra", f"{prefix}deleted.json", "deleted1"),
        ("extra", f"{prefix}deleted.json", "deleted2"),
        ("stale", f"{prefix}etag.json", None),
        ("extra", f"{prefix}extra.json", "extra3"),
        ("missing", f"{prefix}gone.json", "gone2"),
        ("unlisted", f"{prefix}keys.json", "keys2"),
        ("missing", f"{prefix}large.json", "large077"),
        ("stale", f"{prefix}late.json", None),
        ("extra", f"{prefix}late.json", "late2"),
        ("unknown", f"{prefix}norow.json", None),
        ("foreign", f"{prefix}stripped.json", "stripped1"),
    ]
    assert told(found["findings"]) == expected
    assert [json.loads(line) for line in report.read_text().splitlines()] == found["findings"]
    (change,) = [
        each["changes"] for each in found["findings"] if each["file"].endswith("changed.json")
    ]
    assert change == [
        {"path": "/price", "expected": "number", "found": "number"},
        {"path": "/in/s", "expected": "number", "found": "string"},
    ]
    everything = told(desk.ask("verify", "--schemas", schemas, "--settle", "0", code=1)["findings"])
    mine = (prefix, "orders/verify")
    assert [each for each in everything if (each[1] or prefix).startswith(mine)] == [
        ("foreign", None, "nobody's"),
        *expected,
        ("different", "orders/verify.json", "o1"),
    ]

    shown = desk.run(*verify, prefix, code=1)
    assert "table != bucket: 14 differences" in shown
    assert "/price: expected number, found number" in shown
    assert "1.2" not in shown
    assert '/price: expected {"N": "1.1"}, found {"N": "1.2"}' in desk.run(
        *verify, prefix, "--values", code=1
    )

    for sk in ("nobody's", "stripped1", "extra3"):
        by_hand.delete_item(pk, sk)
    by_hand.put_item(bad)
    keys = [f"{prefix}{name}.json" for name in (*names, "large")]
    desk.run("reprocess", "--force", *keys, "orders/verify.json")
    assert desk.ask(*verify, prefix)["findings"] == []


def test_a_busy_bucket_gives_no_false_difference(desk: Desk, schemas: str) -> None:
    prefix, keys = "notes/busy/", [f"notes/busy/{number}.json" for number in range(12)]
    seed = random.SystemRandom().randrange(10**6)
    print(f"seed {seed}")
    rng, stop, changes = random.Random(seed), threading.Event(), 0

    def content() -> Any:
        sort_keys = rng.sample(range(5), 3)
        return [{"pk": key, "sk": str(each), "value": rng.random()} for each in sort_keys]

    def change() -> Iterator[None]:
        while not stop.is_set():
            key = rng.choice(keys)
            roll = rng.random()
            if roll < 0.2:
                desk.s3.delete_object(Bucket=desk.bucket, Key=key)
            else:
                desk.put(key, b"[" if roll < 0.3 else content())
            yield
            stop.wait(0.25)

    for key in keys:
        desk.put(key, content())

    def go_on() -> None:
        nonlocal changes
        for _ in change():
            changes += 1

    writer = threading.Thread(target=go_on)
    writer.start()
    try:
        for _ in range(2):
            found = desk.ask("verify", "--schemas", schemas, "--prefix", prefix, "--settle", "3")
            assert {each["kind"] for each in found["findings"]} <= {"in flight"}
    finally:
        stop.set()
        writer.join()
    assert changes > 10

    def is_quiet() -> bool:
        found = desk.ask("verify", "--schemas", schemas, "--prefix", prefix)["findings"]
        assert {each["kind"] for each in found} <= {"in flight"}
        return not found

    desk.until(is_quiet)


def test_what_it_cannot_use_is_said_before_it_begins(desk: Desk, tmp_path: Path) -> None:
    assert "no folder" in desk.run("verify", "--schemas", str(tmp_path / "none"), code=2)
    report = ("--report", str(tmp_path / "none" / "report"))
    assert "No such file" in desk.run("verify", *report, code=2)
