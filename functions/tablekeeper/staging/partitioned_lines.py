"""Sets of lines in the staging bucket, in partitions: what is too much for memory is worked on one
partition at a time.

A set is a manifest and its parts. A part is one object in which the partitions stand behind each
other, each in gzip members of its own, so that a partition is read by ranges. The same key falls
into the same partition of every set, so two sets are compared partition by partition.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import accumulate, chain
from typing import Any

from tablekeeper import aws
from tablekeeper.errors import StagedSetMissingError

PARTITIONS = 64
PART_BYTES = 2_000_000
"""About how much compressed text is held in memory until it is written as a part."""
SMALL_PART_BYTES = 1_000_000
"""The same, of sets with few bytes a line, of which a part lasts for long all the same."""
PART_CHARACTERS = 64_000_000
"""How much text a part may hold, however well it is compressed."""
WHOLE_PART_BYTES = 1_000_000
"""A part up to this size is read at once and kept, in a set of few parts: of many it is but one."""
FEW_PARTS = 3
_PENDING_CHARACTERS = 8_192
_GZIP_SMALL_WINDOW = 16 + 13


def key_hash(text: str) -> int:
    """64 bits of a key's text; the remainder by PARTITIONS is its partition."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


class LinesWriter:
    """Writes a set as its lines come, in flat memory.

    Objects are named by their content, so that a second attempt writes the same ones again.
    """

    def __init__(self, bucket: str, prefix: str, part_bytes: int | None = None) -> None:
        self.bucket, self.prefix = bucket, prefix
        self.part_bytes = part_bytes or PART_BYTES
        self.parts: list[dict[str, Any]] = []
        self.lines = 0
        self._begin_part()

    def add(self, partition: int, line: str) -> None:
        """Adds a line, which holds no line break. Raises TransientServiceError."""
        self.lines += 1
        self.pending[partition].append(line)
        self.characters[partition] += len(line)
        if self.characters[partition] > _PENDING_CHARACTERS:
            self._compress(partition)
            if self.held > self.part_bytes or self.held_characters > PART_CHARACTERS:
                self._end_part()

    def close(self, key: str | None = None, **more: str) -> str:
        """Writes what is left; the key of the set's manifest, which may be given, and has `more`.

        Raises TransientServiceError.
        """
        self._end_part()
        manifest = json.dumps({"lines": self.lines, "parts": self.parts, **more}).encode()
        return self._put(manifest, "json", key)

    def _begin_part(self) -> None:
        self.pending: list[list[str]] = [[] for _ in range(PARTITIONS)]
        self.characters = [0] * PARTITIONS
        self.members: list[list[bytes]] = [[] for _ in range(PARTITIONS)]
        self.held = self.held_characters = 0

    def _compress(self, partition: int) -> None:
        # A compressor for each member: those of all partitions of three sets held 18 MB.
        compressor = zlib.compressobj(1, zlib.DEFLATED, _GZIP_SMALL_WINDOW, 7)
        text = "\n".join(self.pending[partition]) + "\n"
        compressed = compressor.compress(text.encode()) + compressor.flush()
        self.held_characters += len(text)
        self.held += len(compressed)
        self.members[partition].append(compressed)
        self.pending[partition], self.characters[partition] = [], 0

    def _end_part(self) -> None:
        for partition in range(PARTITIONS):
            if self.pending[partition]:
                self._compress(partition)
        # Of its final size at once: a body that grows is copied, with the members beside it.
        body = b"".join(chain.from_iterable(self.members))
        offsets = [0, *accumulate(sum(map(len, each)) for each in self.members)]
        self._begin_part()
        if body:
            self.parts.append({"key": self._put(body, "gz"), "offsets": offsets})

    def _put(self, body: Any, suffix: str, key: str | None = None) -> str:
        key = key or f"{self.prefix}/{hashlib.sha256(body).hexdigest()}.{suffix}"
        with aws.transient_errors():
            aws.s3().put_object(Bucket=self.bucket, Key=key, Body=body)
        return key


class Lines:
    """A set, by the key of its manifest.

    Raises, wherever it reads, StagedSetMissingError and TransientServiceError.
    """

    def __init__(self, bucket: str, manifest: str) -> None:
        self.bucket, self.manifest_key = bucket, manifest
        self._whole: dict[str, bytes] = {}
        self._manifest: dict[str, Any] | None = None

    @property
    def manifest(self) -> Mapping[str, Any]:
        """`{lines, parts: [{key, offsets}]}`."""
        # No cached_property: before Python 3.12 it would make every set wait for this one's read.
        if self._manifest is None:
            self._manifest = json.loads(read_object(self.bucket, self.manifest_key))
        return self._manifest

    def exists(self) -> bool:
        """Whether the set was ever written, and is still there."""
        try:
            return bool(self.manifest)
        except StagedSetMissingError:
            return False

    def __len__(self) -> int:
        return int(self.manifest["lines"])

    def partition(self, number: int) -> Iterator[str]:
        """The lines of a partition, in the order in which they were added."""
        for part in self.manifest["parts"]:
            begin, end = part["offsets"][number : number + 2]
            if begin < end:
                member = io.BytesIO(self._member(part, begin, end))
                with gzip.open(member, "rt", encoding="utf-8", newline="\n") as lines:
                    for line in lines:
                        yield line[:-1]

    def _member(self, part: Mapping[str, Any], begin: int, end: int) -> bytes:
        key = part["key"]
        is_one_of_many = len(self.manifest["parts"]) > FEW_PARTS
        if is_one_of_many or part["offsets"][-1] > WHOLE_PART_BYTES:
            return read_object(self.bucket, key, Range=f"bytes={begin}-{end - 1}")
        if key not in self._whole:
            self._whole[key] = read_object(self.bucket, key)
        return self._whole[key][begin:end]


def copy_set(bucket: str, manifest: str, prefix: str, **more: str) -> None:
    """Copies a set to `<prefix>/manifest.json` and `<prefix>/<number>.gz`, its manifest last, so
    that a copy is whole or not there. `more` is added to the manifest. Raises as `Lines`.
    """
    original = Lines(bucket, manifest).manifest
    parts = []
    for number, part in enumerate(original["parts"]):
        key = f"{prefix}/{number}.gz"
        with _missing(part["key"]), aws.transient_errors():
            aws.s3().copy_object(
                Bucket=bucket, Key=key, CopySource={"Bucket": bucket, "Key": part["key"]}
            )
        parts.append({**part, "key": key})
    body = json.dumps({**original, "parts": parts, **more}).encode()
    with aws.transient_errors():
        aws.s3().put_object(Bucket=bucket, Key=copied_manifest(prefix), Body=body)


def copied_manifest(prefix: str) -> str:
    """The key of the manifest of a set that was copied to a prefix."""
    return f"{prefix}/manifest.json"


def copied_objects(bucket: str, prefix: str) -> set[str]:
    """The keys of the objects below a prefix that a set was copied to. Raises
    TransientServiceError.
    """
    pages = aws.s3().get_paginator("list_objects_v2")
    with aws.transient_errors():
        return {
            each["Key"]
            for page in pages.paginate(Bucket=bucket, Prefix=f"{prefix}/")
            for each in page.get("Contents", ())
        }


def delete_copy(bucket: str, prefix: str) -> None:
    """Deletes whatever `copy_set` left under a prefix. Raises TransientServiceError."""
    with aws.transient_errors():
        for page in (
            aws.s3().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{prefix}/")
        ):
            keys: Any = [{"Key": each["Key"]} for each in page.get("Contents", ())]
            if keys:
                wanted: Any = {"Objects": keys, "Quiet": True}
                aws.check_deleted(aws.s3().delete_objects(Bucket=bucket, Delete=wanted))


def read_object(bucket: str, key: str, **more: Any) -> bytes:
    """An object of the staging bucket. Raises as `Lines`."""
    with _missing(key), aws.transient_errors():
        return aws.s3().get_object(Bucket=bucket, Key=key, **more)["Body"].read()


@contextmanager
def _missing(key: str) -> Iterator[None]:
    """Within it, an object that is not there raises StagedSetMissingError."""
    from botocore.exceptions import ClientError

    try:
        yield
    except ClientError as error:
        if error.response["Error"].get("Code") in ("NoSuchKey", "404"):
            raise StagedSetMissingError(f"{key} is no longer staged") from None
        raise
