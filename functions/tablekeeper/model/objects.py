"""Objects of the source bucket by address, and the longest key that the ledger holds."""

from __future__ import annotations


def object_uri(bucket: str, key: str) -> str:
    """An object as s3://bucket/key."""
    return f"s3://{bucket}/{key}"


def key_of(uri: str) -> str:
    """The key of an object given as s3://bucket/key."""
    return uri.split("/", 3)[3]


MAX_KEY_BYTES = 1024
"""https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html"""


MAX_URI_BYTES = 1024
"""What the ledger can hold of `s3://bucket/key`, which is the sort key of its index `files`.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
"""
