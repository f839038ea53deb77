"""Files that programs put beside the data: manifests, checksums, marks. They are recognised by
name, and are not to be mended.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping

_KINDS: Mapping[str, str] = {
    "manifest-*.json": "a manifest of a DynamoDB export",
    "manifest-*.md5": "a checksum of a DynamoDB export",
    "manifest.json": "a manifest",
    "*manifest": "a manifest",
    "*.checksum": "a checksum",
    "*.md5": "a checksum",
    "*.sha[0-9]*": "a checksum",
    "*.crc": "a checksum",
    "*_CloudTrail-Digest_*": "a digest of CloudTrail",
    "*_$folder$": "a folder marker of Hadoop",
    "_SUCCESS": "a mark that a job has ended",
    "_committed_*": "a mark that a job has ended",
    "_metadata": "metadata of Parquet files",
    "_common_metadata": "metadata of Parquet files",
    "*.csv.metadata": "metadata of a result of Athena",
    "*.metadata.json": "metadata of an Iceberg table",
    "Thumbs.db": "a cache of Windows",
    "desktop.ini": "settings of Windows",
}
"""Globs for the name behind a key's last slash, as IgnorePatterns has them."""


def no_data_hint(key: str) -> str:
    """A sentence for the cause of an INVALID file whose name says that it holds no data; empty for
    every other. It begins with a space.
    """
    name = key.rpartition("/")[2]
    for pattern, what in _KINDS.items():
        if fnmatch.fnmatchcase(name, pattern):
            return (
                f" By its name the file is {what} and no data: name the endings of the data in "
                f"`suffixes`, or add `{pattern}` to the parameter IgnorePatterns."
            )
    return ""
