"""Each format, from bytes to items: throughput beside JSON Lines, and memory against the size.

    python -m tests.benchmarks.formats read FORMAT MEGABYTES

reads as much of one format in this process, and prints records a second of processor time and the
peak memory in MB. What it reads comes from a process of its own, with `write` in the place of
`read`.
"""

from __future__ import annotations

import bz2
import json
import statistics
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from functools import partial
from typing import Any

from tablekeeper.datasets.dataset import KEYWORD, Dataset
from tablekeeper.datasets.items_of_records import make_items
from tablekeeper.datasets.records import read_records
from tablekeeper.documents.text import Text
from tablekeeper.model.keys import TableKey
from tablekeeper.model.snapshot import Snapshot
from tablekeeper.steps.content import CHUNK_BYTES

from tests.benchmarks.results import Section
from tests.support.memory import peak_megabytes

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

SIZES = (10, 100, 1000)
ROUNDS, SIZE_OF_A_ROUND = 5, 20
AIM_OF_MEMORY = 1.3
BATCH = 500
LINES = "jsonl"
TEXT = "x" * 300
COLUMNS = {"price": {"type": "number"}, "sold": {"type": "boolean"}}
FOUND = Snapshot(action="validate", bucket="b", key="d/f.json", revision=0, as_of="")


def formats(section: Section) -> None:
    """Reads each format in a process of its own: the throughput in rounds, each beside JSON Lines
    of the same round, then the memory of one size after another.
    """
    size = len(_line(1_000_000))
    section.say("what is read", f"records of {size} bytes in JSON Lines, from bytes to items")
    section.say("records a second", f"of processor time; medians of {ROUNDS} rounds")
    rounds = [
        {name: _measured(name, SIZE_OF_A_ROUND)[0] for name in FORMATS} for _ in range(ROUNDS)
    ]
    for name in FORMATS:
        beside = statistics.median(each[name] / each[LINES] for each in rounds)
        rate = statistics.median(each[name] for each in rounds)
        section.say(f"{name}, records a second", f"{rate:,.0f} ({beside:.2f} of jsonl)")
    for name in FORMATS:
        peaks = {size: _measured(name, size)[1] for size in SIZES}
        ratio = peaks[SIZES[-1]] / peaks[SIZES[0]]
        told = ", ".join(f"{size:,} MB: {peak:.1f} MB" for size, peak in peaks.items())
        section.say(
            f"{name}, peak memory ({told})",
            f"{ratio:.2f}",
            f"at most {AIM_OF_MEMORY}",
            ratio <= AIM_OF_MEMORY,
        )


def _command(what: str, name: str, megabytes: int) -> list[str]:
    return [sys.executable, "-m", "tests.benchmarks.formats", what, name, str(megabytes)]


def _measured(name: str, megabytes: int) -> tuple[float, float]:
    command = _command("read", name, megabytes)
    answer = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    rate, peak = map(float, answer.split())
    return rate, peak


def _record(number: int) -> dict[str, Any]:
    return {"pk": f"p{number}", "sk": "s", "price": number / 8, "sold": True, "text": TEXT}


def _item(number: int) -> dict[str, Any]:
    return {
        "pk": {"S": f"p{number}"},
        "sk": {"S": "s"},
        "price": {"N": str(number / 8)},
        "sold": {"BOOL": True},
        "text": {"S": TEXT},
    }


def _line(number: int) -> str:
    return json.dumps(_record(number)) + "\n"


def _element(number: int) -> str:
    return f"{',' if number else '['}{json.dumps(_record(number))}"


def _member(number: int) -> str:
    return f'{"," if number else "{"}"m{number}":{json.dumps(_record(number))}'


def _row(number: int) -> str:
    header = "" if number else "pk,sk,price,sold,text\n"
    return f"{header}p{number},s,{number / 8},true,{TEXT}\n"


def _exported(number: int) -> str:
    return json.dumps({"Item": _item(number)}) + "\n"


class _Plain:
    """What a compressor does, and nothing of it."""

    def compress(self, data: bytes) -> bytes:
        return data

    def flush(self) -> bytes:
        return b""


def _gzip() -> Any:
    return zlib.compressobj(wbits=zlib.MAX_WBITS | 16)


FORMATS: dict[str, tuple[dict[str, Any], Callable[[int], str], str, Callable[[], Any]]] = {
    LINES: ({"format": "jsonl"}, _line, "", _Plain),
    "json, values": ({}, _line, "", _Plain),
    "json, an array": ({}, _element, "]", _Plain),
    "json, members": ({"records": "*"}, _member, "}", _Plain),
    "csv": ({"format": "csv"}, _row, "", _Plain),
    "dynamodb-json": ({"format": "dynamodb-json"}, _exported, "", _Plain),
    "jsonl, gzip": ({"format": "jsonl"}, _line, "", _gzip),
    "jsonl, zstd": ({"format": "jsonl"}, _line, "", zstd.ZstdCompressor),
    "jsonl, bzip2": ({"format": "jsonl"}, _line, "", bz2.BZ2Compressor),
}
"""By name: the dataset, one record's text by its number, what ends the file, the compression."""


def _count(name: str, megabytes: int) -> int:
    """How many records make up so much, before they are compressed."""
    return megabytes * 1_000_000 // len(FORMATS[name][1](1))


def _write(name: str, megabytes: int) -> None:
    _, write, end, compressor = FORMATS[name]
    packer, records = compressor(), _count(name, megabytes)
    for start in range(0, records, BATCH):
        batch = range(start, min(start + BATCH, records))
        sys.stdout.buffer.write(packer.compress("".join(map(write, batch)).encode()))
    sys.stdout.buffer.write(packer.compress(end.encode()) + packer.flush())


def _read(name: str, megabytes: int) -> None:
    keyword = {"prefix": "", **FORMATS[name][0]}
    dataset = Dataset.read("d", {"properties": COLUMNS, KEYWORD: keyword})
    command, records = _command("write", name, megabytes), _count(name, megabytes)
    with subprocess.Popen(command, stdout=subprocess.PIPE) as writer:
        assert writer.stdout
        chunks = iter(partial(writer.stdout.read, CHUNK_BYTES), b"")
        begun = time.process_time()
        found = read_records(Text(chunks, 10**12), "d/f.json", dataset)
        made = make_items(found, FOUND, dataset, TableKey.parse("pk:S,sk:S"), "expires_at")
        count = sum(1 for _ in made)
        seconds = time.process_time() - begun
    assert count == records, (count, records)
    print(count / seconds, peak_megabytes())


if __name__ == "__main__":
    {"read": _read, "write": _write}[sys.argv[1]](sys.argv[2], int(sys.argv[3]))
