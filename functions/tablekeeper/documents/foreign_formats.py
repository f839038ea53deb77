"""Formats that Tablekeeper does not read, recognised by a file's first bytes."""

from __future__ import annotations

import re

HEAD_BYTES = 4096
"""How many bytes of a file are looked at."""

_UNPACK = "unpack it and upload what it holds"
_EXPORT = "export it as JSON Lines or as CSV"
_FORMATS: tuple[tuple[bytes, str, str], ...] = (
    (rb"PK(?=\x03\x04.{26}(\[Content_Types\]\.xml|_rels/|xl/))", "an Excel file", _EXPORT),
    (
        rb"PK(?=\x03\x04.{26}mimetypeapplication/vnd\.oasis\.opendocument)",
        "an OpenDocument file",
        _EXPORT,
    ),
    (rb"PK(\x03\x04|\x05\x06|\x07\x08)", "a zip archive", _UNPACK),
    (rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Excel file", _EXPORT),
    # A header of CSV may begin so, as ORCID does: what is binary has other bytes, too.
    (rb"PAR[1E](?=.*[\x00-\x08])", "Parquet", _EXPORT),
    (rb"ORC(?=.*[\x00-\x08])", "ORC", _EXPORT),
    (rb"Obj\x01", "Avro", _EXPORT),
    (rb"ARROW1\x00", "Arrow", _EXPORT),
    (rb"\xe0\x01\x00\xea|\$ion_1_0\s", "Amazon Ion", "export the table as DynamoDB JSON"),
    (rb"SQLite format 3\x00", "an SQLite database", _EXPORT),
    (rb"\x89HDF\r\n", "HDF5", _EXPORT),
    (rb"bplist00", "a binary property list", "convert it to JSON"),
    (rb"\{\\rtf", "RTF", "save it as plain text"),
    (
        rb"version https://git-lfs\.github\.com/",
        "a pointer of Git LFS",
        "run `git lfs pull` and upload the file itself",
    ),
    (rb"-----BEGIN PGP MESSAGE", "encrypted with PGP", "decrypt it and upload what it holds"),
    (rb"%PDF-", "PDF", "upload the data itself"),
    (rb"\x89PNG\r\n|\xff\xd8\xff|GIF8[79]a", "an image", "upload the data itself"),
    (rb"\xfd7zXZ\x00", "xz", "compress it with gzip, zstd or bzip2"),
    (rb"\x04\x22\x4d\x18", "lz4", "compress it with gzip, zstd or bzip2"),
    (rb"\xff\x06\x00\x00sNaPpY", "Snappy", "compress it with gzip, zstd or bzip2"),
    (rb"\x1f\x9d", "compressed by `compress`", "compress it with gzip, zstd or bzip2"),
    (rb"\x78[\x01\x9c\xda]", "zlib", "compress it with gzip, zstd or bzip2"),
    (rb"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", _UNPACK),
    (rb"Rar!\x1a\x07", "a RAR archive", _UNPACK),
    # The digits of a mode end in NUL or a space; text has "mustard" anywhere, and no NUL.
    (rb"(?=.{,256}\x00).{257}ustar", "a tar archive", _UNPACK),
    (
        rb"(\xef\xbb\xbf)?\s*<(!doctype\s+html|(html|head|body)\b[^>]*>(?![,;|\t]))",
        "HTML",
        "it may be the error page of a download: download the data itself",
    ),
    # A header of CSV may be <TICKER>,<PER>,<DATE>: behind a tag stands no delimiter.
    (
        rb"(\xef\xbb\xbf)?\s*<(\?xml|[A-Za-z][^>]*>(?![,;|\t]))",
        "XML",
        "convert it to JSON Lines or to CSV",
    ),
)
_KNOWN = tuple(
    (re.compile(pattern, re.DOTALL | re.IGNORECASE if b"html" in pattern else re.DOTALL), name, do)
    for pattern, name, do in _FORMATS
)


def foreign_format(head: bytes) -> tuple[str, str] | None:
    """The name of a format that Tablekeeper does not read, and what to do; None for all others."""
    for pattern, name, advice in _KNOWN:
        if pattern.match(head):
            return name, advice
    return None
