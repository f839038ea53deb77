"""Each format, from bytes to items: throughput beside JSON Lines, and memory against the size.

    python -m tests.benchmarks.formats FORMAT MEGABYTES

reads as much of one format in this process, and prints records a second and the peak memory in MB.
"""

from __future__ import annotations

import bz2
import gzip
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tablekeeper.datasets.dataset import KEYWORD, Dataset
from tablekeeper.datasets.items_of_records import make_items
from tablekeeper.datasets.records import read_records
from tablekeeper.documents.text import Text
from tablekeeper.model.keys import TableKey
from tablekeeper.model.snapshot import Snapshot

from tests.benchmarks.results import Section

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

SIZES = (10, 100, 1000)
AIM_OF_MEMORY = 1.3
BATCH = 500
LINES = "jsonl"
TEXT = "x" * 300
COLUMNS = {"price": {"type": "number"}, "sold": {"type": "boolean"}}
FOUND = Snapshot(action="validate", bucket="b", key="d/f.json", revision=0, as_of="")


def formats(section: Section, sizes: tuple[int, ...] = SIZES) -> None:
    """Reads each format in a process of its own, one size after another."""
    rates: dict[str, float] = {}
    for name in FORMATS:
        peaks = {}
        for size in sizes:
            rates[name], peaks[size] = _measured(name, size)
        ratio = peaks[sizes[-1]] / peaks[sizes[0]]
        told = ", ".join(f"{size:,} MB: {peak:.0f} MB" for size, peak in peaks.items())
        beside = rates[name] / rates[LINES]
        section.say(f"{name}, records a second", f"{rates[name]:,.0f} ({beside:.2f} of jsonl)")
        section.say(
            f"{name}, peak memory ({told})",
            f"{ratio:.2f}",
            f"at most {AIM_OF_MEMORY}",
            ratio <= AIM_OF_MEMORY,
        )


def _measured(name: str, megabytes: int) -> tuple[float, float]:
    command = [sys.executable, "-m", "tests.benchmarks.formats", name, str(megabytes)]
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


def _same(body: bytes) -> bytes:
    return body


FORMATS: dict[str, tuple[dict[str, Any], Callable[[int], str], str, Callable[[bytes], bytes]]] = {
    LINES: ({"format": "jsonl"}, _line, "", _same),
    "json, values": ({}, _line, "", _same),
    "json, an array": ({}, _element, "]", _same),
    "json, members": ({"records": "*"}, _member, "}", _same),
    "csv": ({"format": "csv"}, _row, "", _same),
    "dynamodb-json": ({"format": "dynamodb-json"}, _exported, "", _same),
    "jsonl, gzip": ({"format": "jsonl"}, _line, "", gzip.compress),
    "jsonl, zstd": ({"format": "jsonl"}, _line, "", zstd.compress),
    "jsonl, bzip2": ({"format": "jsonl"}, _line, "", bz2.compress),
}
"""By name: the dataset, one record's text by its number, what ends the file, the compression."""


def _content(name: str, records: int) -> Iterator[bytes]:
    _, write, end, pack = FORMATS[name]
    for start in range(0, records, BATCH):
        batch = range(start, min(start + BATCH, records))
        yield pack("".join(map(write, batch)).encode())
    yield pack(end.encode())


def _read(name: str, megabytes: int) -> None:
    keyword, write, _, _ = FORMATS[name]
    records = megabytes * 1_000_000 // len(write(1))
    dataset = Dataset.read("d", {"properties": COLUMNS, KEYWORD: {"prefix": "", **keyword}})
    text = Text(_content(name, records), 10**12)
    begun = time.process_time()
    for _ in _content(name, records):
        pass
    written = time.process_time()
    found = read_records(text, "d/f.json", dataset)
    made = make_items(found, FOUND, dataset, TableKey.parse("pk:S,sk:S"), "expires_at")
    count = sum(1 for _ in made)
    seconds = time.process_time() - written - (written - begun)
    assert count == records, (count, records)
    status = Path("/proc/self/status").read_text()
    peak = next(line for line in status.splitlines() if line.startswith("VmHWM:")).split()[1]
    print(count / seconds, int(peak) / 1024)


if __name__ == "__main__":
    _read(sys.argv[1], int(sys.argv[2]))
