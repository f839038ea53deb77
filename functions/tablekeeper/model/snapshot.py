"""What Fetch Object found, as it travels between the states, and the execution it travels in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Self

CLOCK_SKEW = timedelta(seconds=5)
"""How far the clocks of two Step Functions hosts may be apart."""
INLINE_BYTES = 200_000
"""What is larger does not travel in a payload, which may have 262,144 bytes:
https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html
"""


@dataclass(frozen=True)
class Found:
    """The ledger's revision and the state of its claim and, read after it, the object's current
    state.

    Optional fields are None when absent. `answered_until` is the ledger row's: the object's events
    up to then are answered.
    """

    action: str
    bucket: str
    key: str
    revision: int
    as_of: str
    claim: str | None = None
    dataset: str | None = None
    digest: str | None = None
    etag: str | None = None
    version_id: str | None = None
    size: int | None = None
    last_modified: str | None = None
    answered_until: str | None = None

    @classmethod
    def read(cls, payload: Mapping[str, Any]) -> Self:
        """The inverse of `payload`."""
        return cls(**payload)

    def payload(self) -> dict[str, Any]:
        """As a state's output."""
        return asdict(self)

    @property
    def uri(self) -> str:
        """The object as s3://bucket/key, which is its partition key in the ledger."""
        return object_uri(self.bucket, self.key)

    def object_scope(self) -> dict[str, Any]:
        """What the expressions of a dataset see as `_object`."""
        name = self.key.rpartition("/")[2]
        return {
            "bucket": self.bucket,
            "key": self.key,
            "parts": self.key.split("/"),
            "name": name,
            "stem": name.partition(".")[0] or name,
            "etag": self.etag,
            "version_id": self.version_id,
            "size": self.size,
            "last_modified": self.last_modified,
        }


@dataclass(frozen=True)
class Execution:
    """An execution of the state machine; start is ISO 8601, event the text of its input."""

    id: str
    name: str
    start: str
    redrive: int = 0
    event: str = "{}"

    @property
    def audit_key(self) -> str:
        """The sort key of the one audit row of this execution, the same whoever writes it."""
        return f"EVENT#{iso_milliseconds(self.start)}#{self.name}#{self.redrive}"


def object_uri(bucket: str, key: str) -> str:
    """An object as s3://bucket/key."""
    return f"s3://{bucket}/{key}"


def key_of(uri: str) -> str:
    """The key of an object given as s3://bucket/key."""
    return uri.split("/", 3)[3]


def iso_milliseconds(time: str | datetime) -> str:
    """A time as `2026-01-31T12:00:00.000Z`: always UTC, always three decimals, so that text sorts
    as time.
    """
    moment = datetime.fromisoformat(time) if isinstance(time, str) else time
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def now() -> str:
    """The time, as `iso_milliseconds`."""
    return iso_milliseconds(datetime.now(UTC))


def as_of(entered: str) -> str:
    """From when on, at the earliest, a look at the bucket by a state entered then counts, clocks
    allowed for.
    """
    return iso_milliseconds(datetime.fromisoformat(entered) - CLOCK_SKEW)


def looked_at(as_of: str) -> str:
    """The inverse of `as_of`: when the state was entered that looked at the bucket."""
    return iso_milliseconds(datetime.fromisoformat(as_of) + CLOCK_SKEW)
