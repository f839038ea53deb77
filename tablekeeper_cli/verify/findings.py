"""What `verify` can find, and a place on the local disk for what it saw: more than memory holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from tablekeeper_cli.compare.items import Change


class Kind(StrEnum):
    """What differs, or cannot be compared."""

    MISSING = "missing"
    """The file makes the item, and none of the file is in the table."""
    DIFFERENT = "different"
    """The file makes another item with this key."""
    EXTRA = "extra"
    """The item says that it is the file's, and the file does not make it."""
    FOREIGN = "foreign"
    """No file that the stack keeps is named by the item's lineage, if it has any."""
    LISTED = "listed"
    """The ledger's row lists an item that the file does not make."""
    UNLISTED = "unlisted"
    """The ledger's row does not list an item that the file makes."""
    UNKNOWN = "unknown"
    """The object is in the bucket, and the ledger has no row for it."""
    STALE = "stale"
    """The ledger's row is of another content than the bucket's, and has no problem."""
    UNRECORDED = "unrecorded"
    """The file is bad, and no problem is recorded."""
    OUTDATED = "outdated"
    """The file was written under other schemas, and would make other items now."""
    CLAIM = "claim"
    """A large write was begun and not ended, so that the table may hold a mix of two versions."""
    UNVERIFIABLE = "unverifiable"
    """The content that the file's items were made of cannot be read any more."""
    UNREADABLE = "unreadable"
    """S3 refuses to let the object be read."""
    IN_FLIGHT = "in flight"
    """The file is being processed: what should be in the table is not known yet."""


@dataclass(frozen=True)
class Finding:
    """One difference, or one thing that could not be compared.

    file is an object's key; None for an item that no file stands for. item is an item's key, and
    the values in changes are, in DynamoDB JSON: before what the table holds, after what the file
    makes.
    """

    kind: Kind
    file: str | None
    item: Mapping[str, Any] | None = None
    detail: str = ""
    changes: tuple[Change, ...] = ()
    is_difference: bool = True
