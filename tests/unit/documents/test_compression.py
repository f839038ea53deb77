"""Compression is told by content; what is no text is named, with what to do."""

from __future__ import annotations

import bz2
import gzip
import io
import random
import sys
import tracemalloc
import zipfile
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tablekeeper import errors
from tablekeeper.documents.text import Text, text_of

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": lambda body: gzip.compress(body, mtime=0),
    "bzip2": bz2.compress,
    "zstd": zstd.compress,
}
SKIPPED = b"\x50\x2a\x4d\x18\x03\x00\x00\x00abc"
"""A frame of zstd that holds no data."""
packers = pytest.mark.parametrize("name", PACKERS)


def cut(body: bytes, size: int) -> Iterator[bytes]:
    """The body in chunks of a size."""
    return (body[start : start + size] for start in range(0, len(body), size))


def read(body: bytes, size: int = 10**9, limit: int = 10**6) -> str:
    """The text, or the error in words."""
    try:
        return "".join(text_of(cut(body, size), limit))
    except errors.InvalidFileError as error:
        return f"{type(error).__name__}: {error}"


@packers
def test_members_are_read_one_after_another(name: str) -> None:
    pack = PACKERS[name]
    body = pack(b"[") + pack(b"") * 100 + pack("é".encode()) + pack(b"]")
    for size in (1, 7, 16_384, len(body)):
        assert read(body, size) == "[é]"


def test_a_gzip_may_be_padded_with_zeros() -> None:
    one, other = gzip.compress(b"["), gzip.compress(b"]")
    body = one + bytes(20_000) + other + bytes(700)
    for size in (1, 512, len(body)):
        assert read(body, size) == "[]"
    behind = "EncodingError: what stands behind the end of the gzip is no gzip, or is damaged"
    assert read(one + b"\0 no gzip") == behind
    assert read(b"\0" + one).startswith("EncodingError")


def test_a_frame_of_zstd_may_hold_no_data() -> None:
    for body in (SKIPPED + zstd.compress(b"[1]"), zstd.compress(b"[1]") + SKIPPED):
        assert read(body) == read(body, 1) == "[1]"


def test_a_window_of_zstd_is_limited() -> None:
    options: dict[int, int] = {zstd.CompressionParameter.window_log: 24}
    body = zstd.compress(random.Random(1).randbytes(17_000_000), options=options)
    said = read(body, limit=10**9)
    assert said.startswith("EncodingError: the zstd has a window of more than 8,388,608 bytes")


@packers
def test_what_is_cut_or_damaged_is_said_to_be(name: str) -> None:
    body = PACKERS[name]("Öl, Öl und Öl".encode() * 5)
    for length in range(10, len(body)):
        assert read(body[:length]) == read(body[:length], 3)
        assert read(body[:length]) == f"EncodingError: the file begins as {name} and is cut short"
    damaged = body[:-3] + bytes([body[-3] ^ 255]) + body[-2:]
    if name != "zstd":  # has a checksum only where one is asked for
        assert read(damaged) == f"EncodingError: the file begins as {name} and is damaged"
    behind = f"EncodingError: what stands behind the end of the {name} is no {name}, or is damaged"
    assert read(body + b"more") == behind


@packers
def test_a_bomb_is_not_expanded(name: str) -> None:
    bomb = PACKERS[name](b" " * 50_000_000)
    tracemalloc.start()
    with pytest.raises(errors.DocumentTooLargeError, match=f"the {name} holds more than 2,000,000"):
        deque(text_of([bomb], 2_000_000), maxlen=0)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 6_000_000


@given(st.text(), st.sampled_from(sorted(PACKERS)), st.integers(1, 50), st.booleans())
def test_text_arrives_however_it_is_packed_and_cut(
    text: str, name: str, size: int, wide: bool
) -> None:
    for encoded in (text.encode(), ("\ufeff" + text).encode("utf-16-be" if wide else "utf-16-le")):
        expected = read(encoded)
        if not expected.startswith(("EncodingError", "FileFormatError")):
            assert expected == text.removeprefix("\ufeff") or text.startswith("\ufeff")
            assert read(PACKERS[name](encoded), size) == expected
        assert read(encoded, size) == expected


OPEN_DOCUMENT = b"mimetypeapplication/vnd.oasis.opendocument.spreadsheet"


def _workbook() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
    return file.getvalue()


def _archive() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("data.json", "[]")
    return file.getvalue()


@pytest.mark.parametrize(
    ("body", "name"),
    [
        (_workbook(), "an Excel file: export it as JSON Lines or as CSV"),
        (_archive(), "a zip archive: unpack it and upload what it holds"),
        (b"PK\x05\x06" + bytes(18), "a zip archive"),
        (b"PAR1" + bytes(20), "Parquet"),
        (b"PARE\x15\x04", "Parquet"),
        (b"PK\x03\x04" + bytes(26) + OPEN_DOCUMENT, "an OpenDocument file: export it"),
        (b"{\\rtf1\\ansi {}}", "RTF: save it as plain text"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a pointer of Git LFS: run `git lfs"),
        (b"-----BEGIN PGP MESSAGE-----\n", "encrypted with PGP: decrypt it"),
        (b"\x89HDF\r\n\x1a\n", "HDF5"),
        (b"bplist00\xd1", "a binary property list"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(512), "an old Excel file"),
        (b"Obj\x01\x04", "Avro"),
        (b"ORC\x08", "ORC"),
        (b"\xfd7zXZ\x00\x00", "xz: compress it with gzip, zstd or bzip2"),
        (b"\x04\x22\x4d\x18", "lz4"),
        (b"\xff\x06\x00\x00sNaPpY", "Snappy"),
        (b"7z\xbc\xaf\x27\x1c\x00", "a 7-Zip archive"),
        (b"a.json" + bytes(251) + b"ustar\x00", "a tar archive"),
        (b"\n<!DOCTYPE HTML><html>", "HTML: it may be the error page of a download"),
        (b"\xef\xbb\xbf<html lang='en'>", "HTML"),
        (b"<?xml version='1.0'?>", "XML"),
        (b"<ListBucketResult>", "XML"),
        (b"ARROW1\0\0", "Arrow"),
        (b"\xe0\x01\x00\xea\x21", "Amazon Ion: export the table as DynamoDB JSON"),
        (b"$ion_1_0 {Item:{a:1}}", "Amazon Ion"),
        (b"SQLite format 3\0\x10", "an SQLite database"),
        (b"%PDF-1.7", "PDF"),
        (b"\x89PNG\r\n\x1a\n", "an image"),
        (b"\x1f\x9d\x90", "compressed by `compress`"),
        (zlib.compress(b"{}"), "zlib"),
        (b"Rar!\x1a\x07\x01\0", "a RAR archive: unpack it"),
    ],
    ids=[
        *(
            "workbook",
            "zip",
            "empty zip",
            "parquet",
            "encrypted parquet",
            "ods",
            "rtf",
            "lfs",
            "pgp",
        ),
        *("hdf5", "plist", "xls", "avro", "orc", "xz", "lz4", "snappy"),
        *("7z", "tar", "doctype", "html", "declared", "xml", "arrow", "ion", "ion text"),
        *("sqlite", "pdf", "png", "compress", "zlib", "rar"),
    ],
)
def test_a_format_that_is_not_read_is_named(body: bytes, name: str) -> None:
    for size in (1, 3, len(body)):
        assert read(body, size).startswith(f"FileFormatError: the file is {name}")
    assert read(gzip.compress(body)).startswith(f"FileFormatError: the gzip is {name}")


@packers
def test_what_is_compressed_twice_is_named(name: str) -> None:
    body = bz2.compress(PACKERS[name](b"[]"))
    assert read(body) == f"FileFormatError: the bzip2 holds {name}: compress it once"


def test_a_text_can_be_read_again() -> None:
    text: Any = Text([gzip.compress(b"[1]")], 10)
    assert list(text) == list(text) == ["[1]"]


@pytest.mark.parametrize(
    "header",
    [
        *("ORCID,name", "PAR1,PAR2", "Object,n", "xyz,n", "GIF8,n"),
        *("<TICKER>,<PER>", "<ticker>;<date>", "<head>\t<body>"),
    ],
)
def test_a_header_that_begins_as_a_format_does_is_text(header: str) -> None:
    assert read(f"{header}\n1,2\n".encode()) == f"{header}\n1,2\n"


def test_a_word_at_the_place_of_an_archives_mark_is_text() -> None:
    text = f'[{{"name": "{"x" * 245}mustard"}}]'
    assert text.index("ustar") == 257
    assert read(text.encode()) == text
