"""The datasets of a storm, one a format and other ones each deployment; what their files hold."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import shutil
import sys
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from local.environment import ROOT

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

PREFIX = "storm/"
FORMATS = ("json", "lines", "csv", "items", "members")
SET_ASIDE = "set-aside"
"""The sort key of the one bad record that a file may have."""
COLUMNS = ("pk", "sk", "number", "stars", "expires_at")
Records = Sequence[Mapping[str, Any]]


def write_datasets(folder: Path, deployment: int) -> Path:
    """The project's own datasets and those of a deployment; its items say which one it was, and
    those of every third have other keys.
    """
    folder.mkdir()
    shutil.copytree(ROOT / "schemas", folder, dirs_exist_ok=True)
    for name in FORMATS:
        path = folder / f"storm-{name}.schema.json"
        path.write_text(json.dumps(_dataset(name, deployment)))
    return folder


def _dataset(name: str, deployment: int) -> dict[str, Any]:
    moves = deployment % 3 == 2
    pk = "join('#', ['moved', pk])" if moves else "pk"
    own: Mapping[str, dict[str, Any]] = {
        "lines": {"format": "jsonl"},
        "csv": {"format": "csv"},
        "items": {"format": "dynamodb-json"},
        "members": {"records": "data.*", "key": {"pk": pk, "sk": "split(_name, '|')[1]"}},
    }
    count = {"type": "integer"}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"Record in a storm, {name}",
        "type": "object",
        "required": ["pk", "number"],
        "properties": {
            "pk": {"type": "string"},
            "sk": {"type": "string"},
            "number": count,
            "stars": {**count, "minimum": 0, "maximum": 5},
            "expires_at": count,
        },
        "examples": [{"pk": "a", "number": 1}],
        "x-tablekeeper": {
            "prefix": f"{PREFIX}{name}/",
            "key": {"pk": pk, "sk": "sk"},
            "attributes": {
                "*": "@",
                "deployment": f"'{deployment}'",
                **({"pk": None} if moves else {}),
            },
            "ttl": "expires_at",
            "bad_records": {"at_most": 1},
            **own.get(name, {}),
        },
    }


def content(key: str, records: Records, roll: float) -> bytes:
    """A file of these records, in the format of its key's folder, compressed or not."""
    name = key.removeprefix(PREFIX).split("/")[0]
    if not records and name != "json":
        records = [{"pk": key, "sk": "only", "number": 0}]
    return PACKED[int(roll * 997) % len(PACKED)](_WRITERS[name](records))


def unpacked(body: bytes) -> bytes:
    """What a file holds, and nothing where it was cut off."""
    readers: Mapping[bytes, Callable[[bytes], bytes]] = {
        b"\x1f\x8b": gzip.decompress,
        b"BZh": bz2.decompress,
        b"\x28\xb5\x2f\xfd": zstd.decompress,
    }
    for magic, reader in readers.items():
        if body.startswith(magic):
            try:
                return reader(body)
            except (EOFError, zlib.error):
                return b""
    return body


PACKED: tuple[Callable[[bytes], bytes], ...] = (
    bytes,
    gzip.compress,
    bz2.compress,
    zstd.compress,
)


def _json(records: Records) -> bytes:
    return json.dumps(records).encode()


def _lines(records: Records) -> bytes:
    return "".join(f"{json.dumps(each)}\n" for each in records).encode()


def _csv(records: Records) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS)
    writer.writeheader()
    writer.writerows(records)
    return text.getvalue().encode()


def _items(records: Records) -> bytes:
    lines = (
        {
            name: {"S": value} if isinstance(value, str) else {"N": str(value)}
            for name, value in each.items()
        }
        for each in records
    )
    return "".join(f"{json.dumps({'Item': each})}\n" for each in lines).encode()


def _members(records: Records) -> bytes:
    data = {
        f"{each['pk']}|{each['sk']}": {name: each[name] for name in each if name != "sk"}
        for each in records
    }
    return json.dumps({"data": data}).encode()


_WRITERS: Mapping[str, Callable[[Records], bytes]] = {
    "json": _json,
    "lines": _lines,
    "csv": _csv,
    "items": _items,
    "members": _members,
}
