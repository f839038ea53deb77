"""Sets of lines and of items: staged in partitions, read back as they were, in flat memory."""

from __future__ import annotations

import random
import threading
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from handlers import transform_records
from tablekeeper.errors import DuplicateItemKeyError, StagedSetMissingError
from tablekeeper.model import sizes
from tablekeeper.model.items import item_text
from tablekeeper.model.keys import TableKey
from tablekeeper.staging import item_set, partitioned_lines, repeated_hashes
from tablekeeper.staging.item_set import ItemSet, ItemSetWriter
from tablekeeper.staging.partitioned_lines import (
    PARTITIONS,
    Lines,
    LinesWriter,
    copied_manifest,
    copy_set,
    delete_copy,
)
from tablekeeper.steps import transform

from tests.unit.conftest import Pipeline

KEY = TableKey.parse("pk:S,sk:N")


def item(number: int, **more: Any) -> Any:
    return {"pk": {"S": f"p\n{number}\u2028"}, "sk": {"N": str(number)}, **more}


def keys(pipeline: Pipeline, prefix: str) -> list[str]:
    listed = pipeline.s3.list_objects_v2(Bucket="staging", Prefix=prefix).get("Contents", ())
    return [each["Key"] for each in listed]


@pytest.mark.parametrize("part_bytes", [10_000, 50_000, 8_000_000])
def test_a_partition_s_lines_come_back_in_order(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, part_bytes: int
) -> None:
    monkeypatch.setattr(partitioned_lines, "PART_BYTES", part_bytes)
    monkeypatch.setattr(partitioned_lines, "_PENDING_CHARACTERS", 50)
    monkeypatch.setattr(partitioned_lines, "WHOLE_PART_BYTES", 1000)
    rng, expected = random.Random(7), [[] for _ in range(PARTITIONS)]  # type: ignore[var-annotated]
    writer = LinesWriter("staging", "items")
    for number in range(2000):
        partition = rng.choice([0, 1, 5, PARTITIONS - 1])
        line = f"{number} é\u2028 {rng.randbytes(rng.randrange(300)).hex()}"
        expected[partition].append(line)
        writer.add(partition, line)
    lines = Lines("staging", writer.close())
    assert len(lines) == 2000
    assert [list(lines.partition(number)) for number in range(PARTITIONS)] == expected
    parts = len(lines.manifest["parts"])
    assert (parts > 1) == (part_bytes < 8_000_000)
    assert len(keys(pipeline, "items/")) == parts + 1


def test_a_part_holds_no_more_text_than_memory_has_room_for(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partitioned_lines, "PART_CHARACTERS", 100_000)
    writer = LinesWriter("staging", "items")
    for _ in range(1000):
        writer.add(3, "x" * 1000)
    lines = Lines("staging", writer.close())
    assert len(lines.manifest["parts"]) >= 9
    assert sum(1 for _ in lines.partition(3)) == 1000
    assert pipeline


def test_an_empty_set_is_a_set(pipeline: Pipeline) -> None:
    lines = Lines("staging", LinesWriter("staging", "items").close())
    assert lines.exists()
    assert len(lines) == 0
    assert list(lines.partition(0)) == []
    assert pipeline


def test_the_same_lines_are_the_same_objects(pipeline: Pipeline) -> None:
    def write() -> str:
        writer = LinesWriter("staging", "items")
        for number in range(100):
            writer.add(number % PARTITIONS, str(number))
        return writer.close()

    assert write() == write()
    assert len(keys(pipeline, "items/")) == 2


def test_a_copy_outlives_its_original_and_is_deleted_whole(pipeline: Pipeline) -> None:
    writer = LinesWriter("staging", "items")
    writer.add(2, "two")
    manifest = writer.close()
    copy_set("staging", manifest, "keys/x/1")
    for key in keys(pipeline, "items/"):
        pipeline.s3.delete_object(Bucket="staging", Key=key)
    assert not Lines("staging", manifest).exists()
    copy = Lines("staging", copied_manifest("keys/x/1"))
    assert list(copy.partition(2)) == ["two"]
    copy_of_another = "keys/x/10"
    pipeline.s3.put_object(Bucket="staging", Key=f"{copy_of_another}/manifest.json", Body=b"{}")
    delete_copy("staging", "keys/x/1")
    delete_copy("staging", "keys/x/1")
    assert keys(pipeline, "keys/") == [f"{copy_of_another}/manifest.json"]
    with pytest.raises(StagedSetMissingError):
        Lines("staging", manifest).partition(2).__next__()
    with pytest.raises(StagedSetMissingError):
        copy_set("staging", manifest, "keys/x/2")


@pytest.mark.parametrize(("count", "size", "way"), [(98, 10, "items"), (99, 10, "staged")])
def test_few_items_travel_inline_and_many_are_staged(
    pipeline: Pipeline, count: int, size: int, way: str
) -> None:
    with ItemSetWriter("staging", KEY) as writer:
        for number in range(count):
            made = item(number, text={"S": "x" * size})
            writer.add(made, item_text(made))
        payload = writer.close()
    assert list(payload) == [way]
    read = ItemSet("staging", payload, KEY)
    assert len(read) == count
    assert sorted(read.all(), key=item_text) == sorted(
        (item(number, text={"S": "x" * size}) for number in range(count)), key=item_text
    )
    staged = read.stage()
    assert staged["count"] == count
    lines = Lines("staging", staged["keys"])
    assert sum(1 for part in range(PARTITIONS) for _ in lines.partition(part)) == count
    assert pipeline


def test_a_set_that_was_staged_later_is_the_set_that_was_staged_at_once(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ItemSetWriter("staging", KEY) as writer:
        for number in range(50):
            writer.add(item(number), item_text(item(number)))
        inline = writer.close()
    monkeypatch.setattr(sizes, "TRANSACTION_ITEMS", 10)
    with ItemSetWriter("staging", KEY) as writer:
        for number in range(50):
            writer.add(item(number), item_text(item(number)))
        staged = writer.close()
    assert ItemSet("staging", inline, KEY).stage() == staged["staged"]
    assert pipeline


def test_two_equal_hashes_are_suspected_also_on_disk(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repeated_hashes, "_HASHES_IN_MEMORY", 2)
    with ItemSetWriter("staging", KEY) as writer:
        for number in range(1000):
            writer.add(item(number), item_text(item(number)))
        assert writer.suspects() == set()
        writer.add(item(3), item_text(item(3)))
        writer.add(item(998), item_text(item(998)))
        assert len(writer.suspects()) == 2
        assert len(writer.suspects()) == 2
    assert pipeline


def test_a_collision_of_hashes_is_no_duplicate(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (item_set, transform):
        monkeypatch.setattr(module, "key_hash", lambda _: 1)
    records = [{"pk": "a", "sk": str(number)} for number in range(150)]
    pipeline.put("notes/a.json", records)
    answer = transform_records.handler(pipeline.fetch("notes/a.json"), None)
    assert answer["staged"]["count"] == 150
    pipeline.put("notes/a.json", [*records, records[70]])
    with pytest.raises(DuplicateItemKeyError, match="records 70 and 150"):
        transform_records.handler(pipeline.fetch("notes/a.json"), None)


def test_no_set_waits_until_another_was_read(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lanes of a write, and the files of a batch, read theirs side by side."""
    slow, fast = (
        Lines("staging", LinesWriter("staging", name).close()) for name in ("slow", "fast")
    )
    read, begun, go_on = partitioned_lines.read_object, threading.Event(), threading.Event()

    def get(bucket: str, key: str, **more: Any) -> bytes:
        if key.startswith("slow/"):
            begun.set()
            go_on.wait(60)
        return read(bucket, key, **more)

    monkeypatch.setattr(partitioned_lines, "read_object", get)
    with ThreadPoolExecutor() as pool:
        lengths = [pool.submit(len, slow)]
        begun.wait(60)
        lengths.append(pool.submit(len, fast))
        try:
            assert lengths[1].result(timeout=60) == 0
        finally:
            go_on.set()
        assert lengths[0].result() == 0


def test_a_set_under_way_holds_little_more_than_its_compressed_text(pipeline: Pipeline) -> None:
    writer, line = LinesWriter("staging", "items"), "x" * 500
    tracemalloc.start()
    for number in range(64 * PARTITIONS):
        writer.add(number % PARTITIONS, line)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(Lines("staging", writer.close())) == 64 * PARTITIONS
    assert held < 3_000_000
    assert pipeline
