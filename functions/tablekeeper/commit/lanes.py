"""The lanes of a large write: rows that remember which transactions are done."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from tablekeeper.ledger.rows import lane_key
from tablekeeper.model import sizes
from tablekeeper.model.items import Item
from tablekeeper.model.keys import ItemKey
from tablekeeper.staging import partitioned_lines
from tablekeeper.staging.partitioned_lines import key_hash

LANES = 8
"""How many transactions of one large write are under way at once; each has a row in the ledger."""

UNDO = "UNDO"


PHASES = (UNDO, "ADD", "REPLACE", "REMOVE")
"""In the order in which a lane passes them; after an undo it begins again."""


def cut() -> str:
    """What the transactions of a large write are cut by: lanes count them."""
    return (
        f"{LANES} {partitioned_lines.PARTITIONS} {sizes.TRANSACTION_ITEMS} "
        f"{sizes.TRANSACTION_BYTES} {sizes.size_bound('')}"
    )


Action = tuple[ItemKey, Item | None, str]
"""An item to put, with its text, or None to delete what has the key."""


class SupersededError(Exception):
    """Another execution has taken the claim over; it has read the bucket later."""


def delete_lanes(ledger: str, uri: str) -> list[dict[str, Any]]:
    """The actions that end the lanes of a claim."""
    return [{"Delete": {"TableName": ledger, "Key": lane_key(uri, lane)}} for lane in range(LANES)]


@dataclass(frozen=True)
class Progress:
    """How far a lane is: the transactions done in its phase, and the items removed in all.

    Another attempt makes the same transactions in the same order. Where it deletes there may be
    more keys among them, of a list that came late, after its claim was lost and no item written:
    then the transactions that it skips hold no key that was not deleted before.
    """

    phase: str = PHASES[0]
    done: int = 0
    removed: int = 0


def lane_action(
    ledger: str,
    key: Mapping[str, Any],
    claim: int,
    held: int | None,
    progress: Progress | None,
) -> dict[str, Any]:
    """Sets a lane's claim and progress, on condition that the claim `held` holds it."""
    sets, values = ["claim = :claim"], {":claim": {"N": str(claim)}}
    if progress:
        sets += ["phase = :phase", "done = :done", "removed = :removed"]
        values |= {
            ":phase": {"S": progress.phase},
            ":done": {"N": str(progress.done)},
            ":removed": {"N": str(progress.removed)},
        }
    update: dict[str, Any] = {
        "TableName": ledger,
        "Key": key,
        "UpdateExpression": "SET " + ", ".join(sets),
        "ExpressionAttributeValues": values,
    }
    if held is not None:
        update["ConditionExpression"] = "claim = :held"
        values[":held"] = {"N": str(held)}
    return {"Update": update}


def chunks(
    actions: Iterator[Action],
) -> Iterator[dict[ItemKey, Item | None]]:
    """What fits one transaction beside its lane's row."""
    chunk: dict[ItemKey, Item | None] = {}
    size = 0
    for key, item, text in actions:
        more = sizes.size_bound(text)
        if chunk and (
            len(chunk) > sizes.TRANSACTION_ITEMS or size + more > sizes.TRANSACTION_BYTES
        ):
            yield chunk
            chunk, size = {}, 0
        chunk[key] = item
        size += more
    if chunk:
        yield chunk


def partition_of(key: str) -> int:
    return key_hash(key) % partitioned_lines.PARTITIONS


def in_parallel(calls: Sequence[Callable[[], None]]) -> None:
    """Makes the calls side by side and waits for all; raises what the first to fail raised, a lost
    claim before anything else.
    """
    with ThreadPoolExecutor(len(calls)) as pool:
        failures = [each.exception() for each in [pool.submit(call) for call in calls]]
    raised = [each for each in failures if each]
    for error in raised:
        if isinstance(error, SupersededError):
            raise error
    if raised:
        raise raised[0]
