"""Files by the ledger's index."""

from __future__ import annotations

from tablekeeper.model.objects import MAX_URI_BYTES

from tablekeeper_cli.ledger.files import _last


def test_a_page_ends_with_a_key_that_the_index_can_hold() -> None:
    """A sort key has 1,024 bytes at most, and a condition on one no longer value."""
    for prefix in ("s3://b/", "s3://b/é", f"s3://b/{'x' * 1017}"):
        last = _last(prefix).encode()
        assert len(last) <= MAX_URI_BYTES
        assert last >= f"{prefix}zzz".encode()[:MAX_URI_BYTES]
        assert last >= f"{prefix}\U0010fffe".encode()[:MAX_URI_BYTES]
