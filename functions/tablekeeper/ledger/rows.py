"""The ledger: one row an object of what its items stand for, and one row an execution of how it
ended.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from tablekeeper.model.items import DIGEST_BYTES
from tablekeeper.model.keys import ItemKey
from tablekeeper.model.outcome import PARTIAL, SYNCED
from tablekeeper.model.snapshot import SetAside
from tablekeeper.model.times import looked_at, now

CURRENT = "CURRENT"
PROBLEM = (
    "problem",
    "problem_status",
    "problem_at",
    "problem_since",
    "problem_error",
    "problem_dataset",
)
"""The problem, and what the sparse index `problems` holds of it. problem_at is the last
failure, problem_since the first one of the same content.
"""
RELEASED = "RELEASED"
"""The outcome of an execution that removed items of a refused file, so that another file can have
them.
"""
SHARDS = "0123456789abcdef"
"""The partitions of the index `files`, which lists every CURRENT row: one would be written to a
thousand times a second at most.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/bp-partition-key-design.html
"""
OBJECT = ("etag", "version_id", "size", "last_modified", "dataset", "digest")


ADDING, REPLACING, INCOMPLETE = "ADDING", "REPLACING", "INCOMPLETE"
"""How far a claim is: nothing of the earlier version is lost; some of it may be; some of it may be,
and the write cannot be finished. An incomplete claim has no `claim_state`, the attribute that
Record Failure checks.
"""


@dataclass(frozen=True)
class Claim:
    """A large write under way.

    revision is the row's when the claim was made, which no other claim of the row has. owner is the
    audit key of the execution that made it, from the ledger's revision `base`. items is the staged
    set to write, None to remove all. pending are the prefixes of the key lists of items that may be
    in the table beside those of the row; seen are those of them that were there when the claim was
    made: a claim may die before it has written its own. cut is what its transactions are cut by:
    the progress of a release that cuts otherwise does not count. answers is the problem that the
    row had when the bucket was read, as `Row.problem_id`: the close removes it. basis is what the
    digests of its items are bound to. trusts says that it writes no item whose digest the row has;
    an execution that takes the claim over may clear it, and none sets it again. superseded is the
    write that had begun to replace items when this claim was taken over from it, as long as this
    one has replaced none: it can be finished in place of this one.
    """

    revision: int
    state: str
    owner: str
    base: int
    outcome: str
    execution: str
    snapshot: Mapping[str, Any]
    items: Mapping[str, Any] | None
    pending: tuple[str, ...]
    seen: tuple[str, ...] = ()
    cut: str = ""
    answers: str = ""
    basis: str = ""
    trusts: bool = False
    superseded: Mapping[str, Any] | None = None

    @classmethod
    def of(cls, attributes: Mapping[str, Any], state: str) -> Claim:
        """A claim from its attribute in DynamoDB JSON."""
        details = json.loads(attributes["details"]["S"])
        return cls(
            revision=int(attributes["revision"]["N"]),
            state=state,
            snapshot=details.pop("found"),
            **details,
            pending=tuple(each["S"] for each in attributes["pending"]["L"]),
            seen=tuple(each["S"] for each in attributes.get("seen", {}).get("L", ())),
            cut=attributes.get("cut", {}).get("S", ""),
            answers=attributes.get("answers", {}).get("S", ""),
            basis=attributes.get("basis", {}).get("S", ""),
            trusts=attributes.get("trusts", {}).get("BOOL", False),
            superseded=json.loads(attributes.get("superseded", {}).get("S", "null")),
        )

    def attributes(self) -> dict[str, Any]:
        """The inverse of `of`, state left aside."""
        details = {"owner": self.owner, "base": self.base, **self.write}
        return {
            "M": {
                "revision": {"N": str(self.revision)},
                "details": {"S": json.dumps(details, ensure_ascii=False)},
                "pending": {"L": [{"S": each} for each in self.pending]},
                "seen": {"L": [{"S": each} for each in self.seen]},
                "cut": {"S": self.cut},
                "answers": {"S": self.answers},
                "basis": {"S": self.basis},
                "trusts": {"BOOL": self.trusts},
                "superseded": {"S": json.dumps(self.superseded, ensure_ascii=False)},
            }
        }

    @property
    def write(self) -> dict[str, Any]:
        """What it writes, and for whom."""
        return {
            "outcome": self.outcome,
            "execution": self.execution,
            "found": self.snapshot,
            "items": self.items,
        }

    @property
    def own(self) -> str | None:
        """The key list of the items that it writes itself."""
        return self.pending[-1] if self.items else None

    def finishing(self, write: Mapping[str, Any]) -> Claim:
        """The claim with another write in its place, whose digests are unknown."""
        return replace(
            self,
            outcome=write["outcome"],
            execution=write["execution"],
            snapshot=write["found"],
            items=write["items"],
            basis="",
            superseded=None,
        )

    def writes_the_same(self, other: Claim) -> bool:
        """Whether this one's progress counts for the other one."""
        same = ("etag", "version_id", "digest", "last_modified")
        mine, others = ((each.outcome, each.items, each.cut, each.basis) for each in (self, other))
        return mine == others and all(self.snapshot[n] == other.snapshot[n] for n in same)


class ItemDigests(NamedTuple):
    """Digests of the items in a row, what they are bound to, and the mark that binds them to the
    commit that wrote the row's keys.

    The mark stands in `discarded`, which every commit that writes keys replaces, in every release.
    One of before digests leaves them there without their mark, and they do not count.
    """

    mark: str
    basis: str
    by_key: Mapping[ItemKey, bytes]

    @classmethod
    def of(cls, attributes: Mapping[str, Any]) -> ItemDigests | None:
        """Those of a row in DynamoDB JSON."""
        held = attributes.get("item_digests", {}).get("M")
        marks = [each["S"] for each in attributes.get("discarded", {}).get("L", ())]
        if not held or held["mark"]["S"] not in marks:
            return None
        keys = [ItemKey.of(each["M"]) for each in attributes.get("item_keys", {}).get("L", ())]
        digests = bytes(held["digests"]["B"])
        parts = [digests[n : n + DIGEST_BYTES] for n in range(0, len(digests), DIGEST_BYTES)]
        if len(parts) != len(keys):
            return None
        return cls(held["mark"]["S"], held["basis"]["S"], dict(zip(keys, parts, strict=True)))

    def attributes(self) -> dict[str, Any]:
        """The inverse of `of`, for keys in the order of `sorted`."""
        digests = b"".join(self.by_key[key] for key in sorted(self.by_key))
        return {
            "M": {
                "mark": {"S": self.mark},
                "basis": {"S": self.basis},
                "digests": {"B": digests},
            }
        }


@dataclass(frozen=True)
class Row:
    """An object's CURRENT row; revision 0 means that the object was never committed.

    The keys of its items are in item_keys or, when they are many, in the key list at the prefix
    keys_at; items_table is the table that holds them. digests are of the items in item_keys, as far
    as they are known; doubted says that no digest of the row counts until all items are written
    again. claimed_by is the audit key of the execution that last took a claim. as_of is
    what `times.as_of` made of the time of the last committed look at the bucket. problem_since is
    when this content failed first. set_aside are the bad records of the content that is in the
    table. refusal is the note of a large write of this object that was refused; discarded are the
    prefixes of key lists that are no longer needed.
    """

    revision: int = 0
    status: str | None = None
    etag: str | None = None
    version_id: str | None = None
    size: int | None = None
    last_modified: str | None = None
    digest: str | None = None
    item_keys: frozenset[ItemKey] = frozenset()
    digests: ItemDigests | None = None
    doubted: bool = False
    items_table: str | None = None
    keys_at: str | None = None
    claim: Claim | None = None
    claimed_by: str | None = None
    refusal: Mapping[str, Any] | None = None
    set_aside: SetAside | None = None
    discarded: tuple[str, ...] = ()
    as_of: str | None = None
    problem: Mapping[str, Any] | None = field(default=None, repr=False)
    problem_since: str | None = None

    @property
    def is_written(self) -> bool:
        """Whether the table holds the items of the content that the row names."""
        return self.status in (SYNCED, PARTIAL)

    @property
    def has_failed(self) -> bool:
        """Whether a problem keeps newer content out of the table: INVALID or FAILED."""
        return self.problem is not None and self.problem["status"]["S"] != PARTIAL

    @property
    def is_refused(self) -> bool:
        """Whether what the row's claim writes was refused, in whole or in part."""
        if not self.claim or not self.refusal or self.claim.state == ADDING:
            return False
        names = ("etag", "version_id", "digest")
        written: list[str | None] = [self.claim.snapshot[name] for name in names]
        refused: list[str | None] = self.refusal["content"]
        return written == refused

    def failing_since(self, etag: str | None) -> str:
        """When the content with this ETag failed first; now, when it has not failed yet. Content
        that could not be read when it failed counts as the same.
        """
        if self.problem is None or self.problem_since is None:
            return now()
        failed = self.problem.get("etag", {}).get("S", "")
        return self.problem_since if failed in ("", etag or "") else now()

    @property
    def problem_id(self) -> str:
        """Names the problem, if there is one: no other problem of the row has this name."""
        held = self.problem
        return f"{held['execution']['S']} {held['at']['S']}" if held else ""

    @property
    def answered_until(self) -> str | None:
        """Until when the object's events are answered: an execution that looked at the bucket, or
        started, at that time has ended. None when none has.
        """
        started = (self.problem or {}).get("started", {}).get("S")
        return max(
            filter(None, (looked_at(self.as_of) if self.as_of else None, started)), default=None
        )

    @classmethod
    def of(cls, attributes: Mapping[str, Any]) -> Row:
        """A row from its attributes in DynamoDB JSON."""

        def text(name: str) -> str | None:
            value: str | None = attributes.get(name, {}).get("S")
            return value

        claim, refusal, aside = attributes.get("claim"), text("refusal"), text("set_aside")
        is_partial = text("status") == PARTIAL
        digests = ItemDigests.of(attributes)
        return cls(
            revision=int(attributes.get("revision", {}).get("N", "0")),
            status=text("status"),
            etag=text("etag"),
            version_id=text("version_id"),
            size=int(attributes["size"]["N"]) if "size" in attributes else None,
            last_modified=text("last_modified"),
            digest=text("digest"),
            item_keys=frozenset(
                ItemKey.of(each["M"]) for each in attributes.get("item_keys", {}).get("L", ())
            ),
            digests=digests,
            doubted="doubted" in attributes,
            items_table=text("items_table"),
            keys_at=text("keys_at"),
            claim=Claim.of(claim["M"], text("claim_state") or INCOMPLETE) if claim else None,
            claimed_by=text("claimed_by"),
            refusal=json.loads(refusal) if refusal else None,
            # A release before this one writes a status and leaves the rest as it is.
            set_aside=SetAside(**json.loads(aside)) if aside and is_partial else None,
            discarded=tuple(
                each["S"]
                for each in attributes.get("discarded", {}).get("L", ())
                if digests is None or each["S"] != digests.mark
            ),
            as_of=text("as_of"),
            problem=attributes.get("problem", {}).get("M"),
            problem_since=text("problem_since"),
        )


def shard_of(uri: str) -> str:
    """The partition of the index `files` that lists an object; the definition makes the same."""
    return hashlib.md5(uri.encode(), usedforsecurity=False).hexdigest()[0]


def lane_key(uri: str, lane: int) -> dict[str, Any]:
    """The key of the row that the transactions of one lane of a large write check and advance."""
    return {"pk": {"S": uri}, "sk": {"S": f"CLAIM#{lane}"}}


def attribute(value: str | int) -> dict[str, str]:
    """A string or a whole number in DynamoDB JSON."""
    return {"S": value} if isinstance(value, str) else {"N": str(value)}


def texts(values: Sequence[str]) -> dict[str, Any] | None:
    """A list of strings in DynamoDB JSON; None for an empty one: the attribute is removed."""
    return {"L": [{"S": each} for each in values]} if values else None


def item_keys(keys: Collection[ItemKey]) -> dict[str, Any] | None:
    """Keys in DynamoDB JSON, in the order of `sorted`; None where there are none."""
    return {"L": [{"M": key.attributes} for key in sorted(keys)]} if keys else None
