"""What Fetch Object found, as it travels between the states, and the execution it travels in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Self

from tablekeeper.model.objects import object_uri

INLINE_BYTES = 200_000
"""What is larger does not travel in a payload, which may have 262,144 bytes:
https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html
"""


class SetAside(NamedTuple):
    """Bad records that are set aside: how many of how many records of a file, their report as
    s3://bucket/key, and the message of the problem.
    """

    records: int
    of: int
    report: str
    message: str


class Snapshot(NamedTuple):
    """The ledger's revision and the state of its claim and, read after it, the object's current
    state.

    Optional fields are None when absent. `answered_until` is the ledger row's: the object's events
    up to then are answered. `failing_since` is when this content failed first, as a problem is to
    say if it fails again. `set_aside` are the bad records that are not in the table: those that
    Validate Records found, or those of the content that is in the table already.
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
    failing_since: str = ""
    set_aside: SetAside | None = None

    @classmethod
    def read(cls, payload: Mapping[str, Any]) -> Self:
        """The inverse of `payload`. During a deployment it may be of a release with more fields."""
        known = {name: payload[name] for name in cls._fields if name in payload}
        aside = payload.get("set_aside")
        return cls(**{**known, "set_aside": SetAside(**aside) if aside else None})

    def payload(self) -> dict[str, Any]:
        """As a state's output. `set_aside` is left out where it is None: functions of the release
        before have no such field.
        """
        values = self._asdict()
        del values["set_aside"]
        aside = {"set_aside": self.set_aside._asdict()} if self.set_aside else {}
        return {**values, **aside}

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
