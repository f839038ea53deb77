"""The datasets of a storm, one a format and other ones each deployment; what their files hold, and
the items that they stand for.
"""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from local.environment import ROOT

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

PREFIX = "storm/"
FORMATS = ("json", "lines", "csv", "items", "members")
UNCHANGED_BY_DEPLOYMENTS = ("lines", "items")
"""Their items do not say which deployment they are of, so most deployments leave them alone."""
MOST_STARS = 5
COLUMNS = ("pk", "sk", "number", "stars", "expires_at")
Record = Mapping[str, Any]


class Content(NamedTuple):
    """What a file holds: its bytes, and its records, None where they cannot be read."""

    body: bytes
    records: tuple[Record, ...] | None

    @property
    def bad(self) -> int:
        """How many records are bad."""
        return sum(not _is_good(each) for each in self.records or ())

    def items(self, key: str, deployment: int) -> dict[tuple[str, str], dict[str, Any]] | None:
        """The items of the file under its datasets of a deployment, by their key; None where the
        file is INVALID.
        """
        if self.records is None or self.bad > 1:
            return None
        good = [each for each in self.records if _is_good(each)]
        made = [_item(each, _format_of(key), deployment) for each in good]
        return {(each["pk"], each["sk"]): each for each in made}


def _is_good(record: Record) -> bool:
    return bool(record.get("stars", 0) <= MOST_STARS)


def _item(record: Record, name: str, deployment: int) -> dict[str, Any]:
    item = dict(record)
    if _moves(deployment):
        item["pk"] = f"moved#{item['pk']}"
    if name not in UNCHANGED_BY_DEPLOYMENTS:
        item["deployment"] = str(deployment)
    return item


def _moves(deployment: int) -> bool:
    """Whether all items of a deployment have other keys than those of the one before."""
    return deployment % 3 == 2


def write_datasets(folder: Path, deployment: int) -> Path:
    """The project's own datasets and those of a deployment."""
    folder.mkdir()
    shutil.copytree(ROOT / "schemas", folder, dirs_exist_ok=True)
    for name in FORMATS:
        path = folder / f"storm-{name}.schema.json"
        path.write_text(json.dumps(_dataset(name, deployment)))
    return folder


def _dataset(name: str, deployment: int) -> dict[str, Any]:
    moves = _moves(deployment)
    pk = "join('#', ['moved', pk])" if moves else "pk"
    own: Mapping[str, dict[str, Any]] = {
        "lines": {"format": "jsonl"},
        "csv": {"format": "csv"},
        "items": {"format": "dynamodb-json"},
        "members": {"records": "data.*", "key": {"pk": pk, "sk": "split(_name, '|')[1]"}},
    }
    count = {"type": "integer"}
    said = {} if name in UNCHANGED_BY_DEPLOYMENTS else {"deployment": f"'{deployment}'"}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"Record in a storm, {name}",
        "type": "object",
        "required": ["pk", "number"],
        "properties": {
            "pk": {"type": "string"},
            "sk": {"type": "string"},
            "number": count,
            "stars": {**count, "minimum": 0, "maximum": MOST_STARS},
            "expires_at": count,
        },
        "examples": [{"pk": "a", "number": 1}],
        "x-tablekeeper": {
            "prefix": f"{PREFIX}{name}/",
            "key": {"pk": pk, "sk": "sk"},
            "attributes": {"*": "@", **said, **({"pk": None} if moves else {})},
            "ttl": "expires_at",
            "bad_records": {"at_most": 1},
            **own.get(name, {}),
        },
    }


def content(key: str, records: Sequence[Record], roll: float) -> Content:
    """A file of these records, in the format of its key's folder, compressed or not."""
    name = _format_of(key)
    if not records and name != "json":
        records = [{"pk": key, "sk": "only", "number": 0}]
    pack = PACKED[int(roll * 997) % len(PACKED)]
    return Content(pack(_WRITERS[name](records)), tuple(records))


def unreadable(key: str, number: int) -> Content:
    """A file that cannot be read, in one of several ways."""
    bodies = UNREADABLE if _format_of(key) == "json" else UNREADABLE[-1:]
    return Content(bodies[number % len(bodies)], None)


def _format_of(key: str) -> str:
    return key.removeprefix(PREFIX).split("/")[0]


UNREADABLE = (b"[", b"", b'{"pk": NaN}', b'[{"pk": "a"', b"\x1f\x8b\x08\x00cut off")
PACKED: tuple[Callable[[bytes], bytes], ...] = (
    bytes,
    gzip.compress,
    bz2.compress,
    zstd.compress,
)


def _json(records: Sequence[Record]) -> bytes:
    return json.dumps(records).encode()


def _lines(records: Sequence[Record]) -> bytes:
    return "".join(f"{json.dumps(each)}\n" for each in records).encode()


def _csv(records: Sequence[Record]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS)
    writer.writeheader()
    writer.writerows(records)
    return text.getvalue().encode()


def _items(records: Sequence[Record]) -> bytes:
    lines = (
        {
            name: {"S": value} if isinstance(value, str) else {"N": str(value)}
            for name, value in each.items()
        }
        for each in records
    )
    return "".join(f"{json.dumps({'Item': each})}\n" for each in lines).encode()


def _members(records: Sequence[Record]) -> bytes:
    data = {
        f"{each['pk']}|{each['sk']}": {name: each[name] for name in each if name != "sk"}
        for each in records
    }
    return json.dumps({"data": data}).encode()


_WRITERS: Mapping[str, Callable[[Sequence[Record]], bytes]] = {
    "json": _json,
    "lines": _lines,
    "csv": _csv,
    "items": _items,
    "members": _members,
}
