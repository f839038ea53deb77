"""The ledger: one row an object of what its items stand for, and one row an execution of how it
ended.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tablekeeper.aws import transient_errors
from tablekeeper.errors import ItemKey, TransientServiceError
from tablekeeper.model.snapshot import Execution, Found, looked_at, now

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

CURRENT = "CURRENT"
PROBLEM = ("problem", "problem_status", "problem_at", "problem_error", "problem_dataset")
"""The problem, and what the sparse index `problems` holds of it."""
RELEASED = "RELEASED"
"""The outcome of an execution that was told to take a refused file's items out of the table, so
that another file can have them.
"""
SHARDS = "0123456789abcdef"
"""The partitions of the index `files`, which lists every CURRENT row: one would be written to a
thousand times a second at most.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/bp-partition-key-design.html
"""
OBJECT = ("etag", "version_id", "size", "last_modified", "dataset", "digest")


ADDING, REPLACING, INCOMPLETE = "ADDING", "REPLACING", "INCOMPLETE"
"""How far a claim is: nothing of the earlier version is lost; some may be; some may be, and nobody
can finish the write. An incomplete claim has no `claim_state`, which is what Record Failure asks
for.
"""


@dataclass(frozen=True)
class Claim:
    """A large write under way.

    revision is the row's when the claim was made, which no other claim of the row has. owner is
    the audit key of the execution that made it, from the ledger's revision `base`. items is the
    staged set to write, None to remove all. pending are the prefixes of the key lists of items
    that may be in the table beside those of the row.
    """

    revision: int
    state: str
    owner: str
    base: int
    outcome: str
    execution: str
    found: Mapping[str, Any]
    items: Mapping[str, Any] | None
    pending: tuple[str, ...]

    @classmethod
    def of(cls, attributes: Mapping[str, Any], state: str) -> Claim:
        """A claim from its attribute in DynamoDB JSON."""
        return cls(
            revision=int(attributes["revision"]["N"]),
            state=state,
            **json.loads(attributes["details"]["S"])
            | {"pending": tuple(each["S"] for each in attributes["pending"]["L"])},
        )

    def attributes(self) -> dict[str, Any]:
        """The inverse of `of`, state left aside."""
        details = {
            "owner": self.owner,
            "base": self.base,
            "outcome": self.outcome,
            "execution": self.execution,
            "found": self.found,
            "items": self.items,
        }
        return {
            "M": {
                "revision": {"N": str(self.revision)},
                "details": {"S": json.dumps(details, ensure_ascii=False)},
                "pending": {"L": [{"S": each} for each in self.pending]},
            }
        }

    def writes_the_same(self, other: Claim) -> bool:
        """Whether the other one's progress counts for this one."""
        same = ("etag", "version_id", "digest", "last_modified")
        return (self.outcome, self.items) == (other.outcome, other.items) and all(
            self.found[name] == other.found[name] for name in same
        )


@dataclass(frozen=True)
class Row:
    """An object's CURRENT row; revision 0 means that nobody has ever committed the object.

    The keys of its items are in item_keys or, when they are many, in the key list at the prefix
    keys_at. claimed_by is the audit key of the execution that last took a claim. as_of is what
    `found.as_of` made of the time of the last committed look at the bucket.
    refusal is what a large write of this object met; discarded are the prefixes of key lists that
    nobody needs any more.
    """

    revision: int = 0
    status: str | None = None
    etag: str | None = None
    version_id: str | None = None
    size: int | None = None
    last_modified: str | None = None
    digest: str | None = None
    item_keys: frozenset[ItemKey] = frozenset()
    keys_at: str | None = None
    claim: Claim | None = None
    claimed_by: str | None = None
    refusal: Mapping[str, Any] | None = None
    discarded: tuple[str, ...] = ()
    as_of: str | None = None
    problem: Mapping[str, Any] | None = field(default=None, repr=False)

    @property
    def problem_error(self) -> str | None:
        """The error of the problem, if there is one."""
        return self.problem["error"]["S"] if self.problem else None

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

        claim, refusal = attributes.get("claim"), text("refusal")
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
            keys_at=text("keys_at"),
            claim=Claim.of(claim["M"], text("claim_state") or INCOMPLETE) if claim else None,
            claimed_by=text("claimed_by"),
            refusal=json.loads(refusal) if refusal else None,
            discarded=tuple(each["S"] for each in attributes.get("discarded", {}).get("L", ())),
            as_of=text("as_of"),
            problem=attributes.get("problem", {}).get("M"),
        )


def read_row(client: DynamoDBClient, table: str, uri: str) -> Row:
    """The object's CURRENT row, read consistently. Raises TransientServiceError."""
    with transient_errors():
        answer = client.get_item(
            TableName=table, Key={"pk": {"S": uri}, "sk": {"S": CURRENT}}, ConsistentRead=True
        )
    return Row.of(answer.get("Item", {}))


def read_rows(client: DynamoDBClient, table: str, uris: Sequence[str]) -> dict[str, Row]:
    """The CURRENT rows of at most 100 objects, read consistently; one for each, whether or not it
    is there. Raises TransientServiceError.
    """
    rows = dict.fromkeys(uris, Row())
    wanted: Any = {
        table: {
            "Keys": [{"pk": {"S": uri}, "sk": {"S": CURRENT}} for uri in uris],
            "ConsistentRead": True,
        }
    }
    for pause in (0.0, 0.1, 0.2, 0.4, 0.8, 1.6):
        time.sleep(pause)
        with transient_errors():
            answer = client.batch_get_item(RequestItems=wanted)
        for attributes in answer["Responses"].get(table, ()):
            rows[attributes["pk"]["S"]] = Row.of(attributes)
        wanted = answer.get("UnprocessedKeys")
        if not wanted:
            return rows
    raise TransientServiceError("BatchGetItem: keys were left unprocessed")


def read_outcome(client: DynamoDBClient, table: str, uri: str, execution: Execution) -> str | None:
    """How this execution ended, if that is recorded already. Raises TransientServiceError."""
    with transient_errors():
        answer = client.get_item(
            TableName=table,
            Key={"pk": {"S": uri}, "sk": {"S": execution.audit_key}},
            ConsistentRead=True,
        )
    return answer["Item"]["outcome"]["S"] if "Item" in answer else None


def audit_row(
    uri: str, execution: Execution, outcome: str, retention: int, **details: str | int | None
) -> dict[str, Any]:
    """The immutable row of an execution's outcome; retention in seconds."""
    row: dict[str, Any] = {
        "pk": {"S": uri},
        "sk": {"S": execution.audit_key},
        "outcome": {"S": outcome},
        "execution": {"S": execution.id},
        "event": {"S": execution.event},
        "at": {"S": now()},
        "expires_at": {"N": str(int(time.time()) + retention)},
    }
    return row | {name: attribute(value) for name, value in details.items() if value is not None}


def put_audit_row(table: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """The transaction's action that makes an outcome happen once."""
    return {
        "Put": {"TableName": table, "Item": row, "ConditionExpression": "attribute_not_exists(pk)"}
    }


def update_row(
    table: str,
    uri: str,
    changes: Mapping[str, Any],
    *,
    seen: int,
    claim: int | None = None,
) -> dict[str, Any]:
    """The action that raises the row's revision, on condition of the one that was read.

    With `claim`, also on condition that the claim of this revision still stands. `changes` are
    attributes in DynamoDB JSON; those whose value is None are removed.
    """
    changes = {"revision": {"N": str(seen + 1)}, "file_shard": attribute(shard_of(uri)), **changes}
    names = {f"#{place}": name for place, name in enumerate(changes)}
    set_places = [place for place, value in enumerate(changes.values()) if value is not None]
    removed = [place for place, value in enumerate(changes.values()) if value is None]
    values = {f":{place}": changes[names[f"#{place}"]] for place in set_places}
    condition = "attribute_not_exists(#0)" if seen == 0 else "#0 = :seen"
    if seen:
        values[":seen"] = {"N": str(seen)}
    if claim is not None:
        condition += " AND #claim.#0 = :claim"
        names["#claim"] = "claim"
        values[":claim"] = {"N": str(claim)}
    expression = "SET " + ", ".join(f"#{place} = :{place}" for place in set_places)
    if removed:
        expression += " REMOVE " + ", ".join(f"#{place}" for place in removed)
    return {
        "Update": {
            "TableName": table,
            "Key": {"pk": {"S": uri}, "sk": {"S": CURRENT}},
            "UpdateExpression": expression,
            "ConditionExpression": condition,
            "ExpressionAttributeNames": names,
            "ExpressionAttributeValues": values,
        }
    }


def committed(found: Found, outcome: str, execution: str) -> dict[str, Any]:
    """The attributes that every commit sets."""
    return {
        "as_of": {"S": found.as_of},
        "committed_at": {"S": now()},
        "execution": {"S": execution},
        **without_problem(outcome),
    }


def without_problem(outcome: str) -> dict[str, Any]:
    """A commit knows more than any problem recorded before its read, so it removes the problem; but
    for a file that only lets its items go, and still has to be written.
    """
    return {} if outcome == RELEASED else dict.fromkeys(PROBLEM)


NO_CLAIM: Mapping[str, Any] = dict.fromkeys(("claim", "claim_state", "incomplete_since", "refusal"))
"""The changes that end a claim and what is known of it."""


def shard_of(uri: str) -> str:
    """The partition of the index `files` that lists an object; the definition makes the same."""
    return hashlib.md5(uri.encode(), usedforsecurity=False).hexdigest()[0]


def lane_key(uri: str, lane: int) -> dict[str, Any]:
    """The key of the row that the transactions of one lane of a large write check and advance."""
    return {"pk": {"S": uri}, "sk": {"S": f"CLAIM#{lane}"}}


def attribute(value: str | int) -> dict[str, str]:
    """A string or a whole number in DynamoDB JSON."""
    return {"S": value} if isinstance(value, str) else {"N": str(value)}


def event_text(event: Any) -> str:
    """An execution's input as the ledger keeps it."""
    return (
        event
        if isinstance(event, str)
        else json.dumps(event, ensure_ascii=False, separators=(",", ":"))
    )
