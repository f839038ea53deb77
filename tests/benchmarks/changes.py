"""What an overwrite costs: a large file is loaded, and again with some of its records changed.

    PYTHONPATH=.:functions python -m tests.benchmarks.changes 100000 1 10 50 100

The numbers behind that of the records are percentages; without any it is 1.

In this process, on S3 and DynamoDB made of files on the disk, by the functions' own code: the
counts are those of any DynamoDB, the times and the memory are the functions' share of them.
"""

from __future__ import annotations

import json
import marshal
import math
import sqlite3
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, MutableMapping, Sequence
from contextlib import redirect_stdout
from hashlib import md5
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from tablekeeper.model.sizes import attribute_size

from tests.support.memory import peak_megabytes
from tests.support.quick import QuickDynamoDB, QuickS3, quick_pipeline

KEY = "notes/many.jsonl"


class DiskTable(MutableMapping[tuple[str, str], Any]):
    """The items of a table, in a file."""

    def __init__(self, path: Path) -> None:
        self.rows = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self.rows.execute("PRAGMA journal_mode = OFF")
        self.rows.execute("PRAGMA synchronous = OFF")
        self.rows.execute("CREATE TABLE item (pk, sk, body, PRIMARY KEY (pk, sk)) WITHOUT ROWID")
        self.lock = threading.Lock()

    def _run(self, statement: str, *values: Any) -> list[Any]:
        with self.lock:
            return self.rows.execute(statement, values).fetchall()

    def __getitem__(self, key: tuple[str, str]) -> Any:
        found = self._run("SELECT body FROM item WHERE pk = ? AND sk = ?", *key)
        if not found:
            raise KeyError(key)
        return marshal.loads(found[0][0])

    def __setitem__(self, key: tuple[str, str], item: Any) -> None:
        self._run("REPLACE INTO item VALUES (?, ?, ?)", *key, marshal.dumps(item))

    def __delitem__(self, key: tuple[str, str]) -> None:
        self._run("DELETE FROM item WHERE pk = ? AND sk = ?", *key)

    def __len__(self) -> int:
        return int(self._run("SELECT count(*) FROM item")[0][0])

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._run("SELECT pk, sk FROM item"))


class DiskS3(QuickS3):
    """Objects in files."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    def put_object(self, Bucket: str, Key: str, Body: Any, **_: Any) -> None:  # noqa: N803
        """Body: bytes, or pieces of them."""
        super().put_object(Bucket, Key, b"")
        version = self.objects[Bucket, Key][-1]
        version["path"] = self.folder / version["VersionId"]
        digest = md5(usedforsecurity=False)
        with version["path"].open("wb") as file:
            for piece in [bytes(Body)] if isinstance(Body, bytes | bytearray) else Body:
                file.write(piece)
                digest.update(piece)
            version["size"] = file.tell()
        version["etag"] = digest.hexdigest()

    def copy_object(self, Bucket: str, Key: str, CopySource: Any) -> None:  # noqa: N803
        self.put_object(Bucket, Key, self.get_object(**CopySource)["Body"].read())

    def get_object(
        self,
        Bucket: str,  # noqa: N803
        Key: str,  # noqa: N803
        VersionId: str | None = None,  # noqa: N803
        Range: str | None = None,  # noqa: N803
    ) -> Any:
        answer = super().get_object(Bucket, Key, VersionId)
        (found,) = [
            each for each in self.objects[Bucket, Key] if each["VersionId"] == answer["VersionId"]
        ]
        first, last = 0, found["size"] - 1
        if Range:
            first, last = map(int, Range.removeprefix("bytes=").split("-"))
        body = _Part(found["path"], first, last + 1 - first)
        return {
            **answer,
            "ETag": f'"{found["etag"]}"',
            "ContentLength": found["size"],
            "Body": body,
        }


class _Part:
    """A streaming body: some bytes of a file."""

    def __init__(self, path: Path, first: int, size: int) -> None:
        self.file, self.left = path.open("rb"), size
        self.file.seek(first)

    def __enter__(self) -> _Part:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def read(self, size: int | None = None) -> bytes:
        """At most so many bytes."""
        some = self.file.read(self.left if size is None else min(size, self.left))
        self.left -= len(some)
        return some

    def iter_chunks(self, size: int) -> Iterator[bytes]:
        """All of it, in pieces."""
        while chunk := self.read(size):
            yield chunk

    def close(self) -> None:
        """Closes the file."""
        self.file.close()


class Meter:
    """A DynamoDB client that counts what transactions write, in items and in write units.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis.html
    """

    def __init__(self, client: Any) -> None:
        self.client, self.items, self.units = client, 0, 0
        self.lock = threading.Lock()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.client, name)

    def transact_write_items(self, TransactItems: list[Any]) -> Any:  # noqa: N803
        answer = self.client.transact_write_items(TransactItems)
        for action in TransactItems:
            ((kind, each),) = action.items()
            size = sum(
                len(name.encode()) + attribute_size(value)
                for name, value in (each.get("Item") or each["Key"]).items()
            )
            with self.lock:
                self.units += 0 if kind == "ConditionCheck" else 2 * math.ceil(size / 1024)
                self.items += each["TableName"] == "items"
        return answer


def body(count: int, shares: Sequence[int]) -> Iterator[bytes]:
    """A file of so many records, which was changed once for each of the shares: that many of a
    hundred records were. The first time 0.1 % were added and 0.1 % removed, too.
    """
    for number in range(count + count // 1000 if shares else count):
        if shares and number % 1000 == 507 and number < count:
            continue
        last = max((n for n, share in enumerate(shares, 1) if number % 100 < share), default=0)
        text = f"note {last if number < count else 1} of some length, as notes are"
        record = {"pk": f"{number:07}", "sk": "1", "text": text}
        yield json.dumps(record).encode() + b"\n"


def main() -> None:
    """Prints what each load wrote, how long it took, and its peak memory."""
    count, shares = int(sys.argv[1]), [int(each) for each in sys.argv[2:]] or [1]
    with pytest.MonkeyPatch.context() as patches, tempfile.TemporaryDirectory() as folder:
        pipeline = quick_pipeline(patches)
        patches.setenv("MAX_DOCUMENT_BYTES", str(10**10))
        dynamodb, s3 = QuickDynamoDB(), DiskS3(Path(folder))
        table: Any = DiskTable(Path(folder) / "items")
        dynamodb.tables["items"] = table
        meter = Meter(dynamodb)
        from tablekeeper import aws, tables

        pipeline.s3 = s3
        patches.setattr(aws, "s3", lambda: s3)
        patches.setattr(aws, "dynamodb", lambda: meter)
        patches.setattr(tables, "dynamodb", lambda: meter)
        for done in range(len(shares) + 1):
            s3.put_object("source", KEY, body(count, shares[:done]))
            meter.items = meter.units = 0
            Path("/proc/self/clear_refs").write_text("5")
            before, begun = peak_megabytes(), time.perf_counter()
            with redirect_stdout(StringIO()):
                ended = pipeline.sync(KEY)
            took, peak = time.perf_counter() - begun, peak_megabytes()
            told = {name: ended[name] for name in ("items_put", "items_removed", "items_kept")}
            name = f"{shares[done - 1]} %" if done else "first"
            print(
                f"{name}: {took:.1f} s, {told}, items written {meter.items:,}, "
                f"write units {meter.units:,}, peak memory {peak} MB, {before} MB before",
                flush=True,
            )


if __name__ == "__main__":
    main()
