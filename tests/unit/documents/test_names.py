"""A name that stands twice in an object is found however many there are, in flat memory."""

from __future__ import annotations

import contextlib
import json
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from tempfile import TemporaryFile
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tablekeeper.documents import names
from tablekeeper.documents.json_stream import Document
from tablekeeper.documents.names import NamesSeen
from tablekeeper.errors import DuplicateJsonKeyError, InvalidFileError

from tests.support.project import template

SMALL = {"HELD_BYTES": 1_000, "PARTITIONS": 4, "_PART_BYTES": 8}


def members(chunks: Iterator[str]) -> int:
    """How many members the object has. Raises InvalidFileError."""
    document = Document(chunks)
    return sum(document.value((name,)) == 1 for name in document.members())


def written(all_names: list[str]) -> Iterator[str]:
    """An object with these names, in two chunks."""
    text = ",".join(f"{json.dumps(name)}:1" for name in all_names)
    yield "{" + text[: len(text) // 2]
    yield text[len(text) // 2 :] + "}"


def refusal(all_names: list[str]) -> str:
    """Why an object with these names is refused; empty if it is not."""
    try:
        assert members(written(all_names)) == len(all_names)
    except InvalidFileError as error:
        return f"{type(error).__name__}: {error}"
    return ""


@pytest.fixture(name="small")
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten names are in memory."""
    for name, value in SMALL.items():
        monkeypatch.setattr(names, name, value)


@given(st.lists(st.text(max_size=4) | st.sampled_from(["", "ÿ", "\x00", "\n", "a" * 40])))
@example([*map(str, range(60)), ""] * 2)
@example(["", *map(str, range(60)), ""])
@example([*map(str, range(60)), "\U0001f600", "\U0001f600"])
def test_the_names_that_stand_twice_are_those_that_a_count_finds(all_names: list[str]) -> None:
    counted = {name for name, count in Counter(all_names).items() if count > 1}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in SMALL.items():
            patch.setattr(names, name, value)
        with NamesSeen() as seen:
            known = {name for name in all_names if not seen.add(name)}
            later = seen.repeated()
            assert seen.repeated() == later
    assert known <= counted
    assert later == min(counted - known, key=str.encode, default=None) or later in known
    assert bool(counted) == bool(known or later is not None)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("count", [5, 50], ids=["in memory", "on disk"])
def test_an_object_says_which_name_stands_twice(count: int) -> None:
    many = [f"a{number}" for number in range(count)]
    assert refusal(many) == ""
    assert refusal([*many, "a3"]) == (
        'DuplicateJsonKeyError: at JSON Pointer "/a3": the key stands twice in its object'
    )


@pytest.mark.usefixtures("small")
def test_the_names_of_an_object_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "MAX_NAMES_BYTES", 150)
    assert refusal([f"a{number}" for number in range(30)]) == ""
    assert refusal([f"a{number}" for number in range(60)]) == (
        'RecordTooLargeError: at JSON Pointer "": the names of the object\'s members have more '
        "than 200,000,000 bytes"
    )


@pytest.mark.parametrize("length", [8, 1_000], ids=["short", "long"])
def test_memory_is_the_same_for_ten_times_the_names(
    length: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The names are held up to a size, however long each of them is."""
    monkeypatch.setattr(names, "HELD_BYTES", 100_000)
    monkeypatch.setattr(names, "_PART_BYTES", 256)

    def peak(count: int) -> int:
        tracemalloc.start()
        with NamesSeen() as seen:
            for number in range(count):
                seen.add(f"{number:>{length}}")
            assert seen.repeated() is None
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    few = 3_000 if length == 8 else 300
    assert peak(10 * few) < 1.3 * peak(few)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("last", ["50", "x"], ids=["left", "refused"])
def test_a_reading_that_ends_early_leaves_no_file_open(
    last: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = []

    def opened() -> Any:
        files.append(TemporaryFile())  # noqa: SIM115 - what is tested closes it
        return files[-1]

    monkeypatch.setattr(names, "TemporaryFile", opened)
    document = Document(written([*map(str, range(60)), "x", "x"]))
    refused = pytest.raises(DuplicateJsonKeyError) if last == "x" else contextlib.nullcontext()
    with refused:
        for name in document.members():
            document.value((name,))
            if name == last == "50":
                break
    assert [file.closed for file in files] == [True]


def test_the_names_of_two_readers_fit_the_disk_of_a_function() -> None:
    """Validate Records and Transform Records read; what a function has by itself is 512 MB."""
    resources = template()["Resources"]
    for name in ("ValidateRecordsFunction", "TransformRecordsFunction"):
        disk = resources[name]["Properties"].get("EphemeralStorage", {"Size": 512})
        assert disk["Size"] * 2**20 > 2 * names.MAX_NAMES_BYTES
