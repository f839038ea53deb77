"""The lanes of a large write: rows that count the transactions that are done."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

from tablekeeper.aws import transient_errors
from tablekeeper.commit.digests import RELEASE
from tablekeeper.commit.patience import patiently
from tablekeeper.commit.transaction import CancelledError, FileTransactions
from tablekeeper.ledger.rows import lane_key
from tablekeeper.model import sizes
from tablekeeper.model.items import Item
from tablekeeper.model.keys import ItemKey
from tablekeeper.staging import partitioned_lines

LANES = 8
"""How many transactions of one large write are under way at once; each has a row in the ledger."""

UNDO, ADD, REPLACE, REMOVE = PHASES = ("UNDO", "ADD", "REPLACE", "REMOVE")
"""In the order in which a lane passes them; after an undo it begins again."""


def cut() -> str:
    """The limits by which a large write is divided into transactions. Lanes count transactions, so
    the counts of a release with other limits are of no use.
    """
    return (
        f"{LANES} {partitioned_lines.PARTITIONS} {sizes.TRANSACTION_ITEMS} "
        f"{sizes.TRANSACTION_BYTES} {sizes.size_bound('')} {RELEASE}"
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
    """How far a lane is: the transactions done in its phase, and the items put and removed in all.

    Another attempt makes the same transactions in the same order. Where it deletes there may be
    more keys among them, of a list that came late, after its claim was lost and no item written:
    then the transactions that it skips hold no key that was not deleted before.
    """

    phase: str = PHASES[0]
    done: int = 0
    removed: int = 0
    put: int = 0


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
        # 0.2.0 believes `done` by whatever limits its transactions were cut; it writes 0 and more.
        sets += ["phase = :phase", "done = :none", "transactions = :transactions"]
        sets += ["removed = :removed", "items_put = :put"]
        values |= {
            ":phase": {"S": progress.phase},
            ":none": {"N": "-1"},
            ":transactions": {"S": f"{progress.phase} {progress.done}"},
            ":removed": {"N": str(progress.removed)},
            ":put": {"N": str(progress.put)},
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


def new_lanes(
    ledger: str,
    uri: str,
    claim: int,
    progress: Progress | None = Progress(),
    *,
    unwritten: bool = False,
) -> list[dict[str, Any]]:
    """The actions that give all lanes to a claim, with this progress; None: with the progress that
    they have. With `unwritten`, on condition that the claim before has put no item.
    """
    actions = [
        lane_action(ledger, lane_key(uri, lane), claim, None, progress) for lane in range(LANES)
    ]
    for each in actions if unwritten else ():
        update = each["Update"]
        update["ConditionExpression"] = "attribute_not_exists(items_put) OR items_put = :none"
        update["ExpressionAttributeValues"][":none"] = {"N": "0"}
    return actions


class Lanes:
    """The lanes of one claim, and how far each of them is."""

    def __init__(self, file: FileTransactions, claim: int) -> None:
        self.file, self.claim = file, claim
        self.progress: dict[int, Progress] = {}

    def read(self) -> None:
        """How far earlier attempts came. Raises TransientServiceError."""
        tables = self.file.tables
        with transient_errors():
            answer = tables.client.query(
                TableName=tables.ledger,
                KeyConditionExpression="pk = :pk AND begins_with(sk, :claim)",
                ExpressionAttributeValues={
                    ":pk": {"S": self.file.uri},
                    ":claim": {"S": "CLAIM#"},
                },
                ConsistentRead=True,
            )
        for each in answer["Items"]:
            phase, _, done = each.get("transactions", {"S": ""})["S"].partition(" ")
            counts = phase == each["phase"]["S"] and each["done"]["N"] == "-1"
            self.progress[int(each["sk"]["S"].removeprefix("CLAIM#"))] = Progress(
                each["phase"]["S"],
                int(done) if counts else 0,
                int(each["removed"]["N"]),
                int(each.get("items_put", {}).get("N", "0")),
            )

    def any(self) -> bool:
        """Whether earlier attempts put an item. Raises TransientServiceError."""
        self.read()
        return self.counts()[0] > 0

    def counts(self) -> tuple[int, int]:
        """How many items were put, and how many removed."""
        progress = self.progress.values()
        return sum(each.put for each in progress), sum(each.removed for each in progress)

    def run(self, phase: str, work: Callable[[int], Iterator[Action]]) -> None:
        """Writes a phase, of which `work` gives the actions of a partition.

        Raises:
            SupersededError: another execution has the claim.
            UnfinishedWriteError: the time is up; a retry goes on.
            and what `FileTransactions.transact` raises of items.
        """
        stop = threading.Event()

        def lane(number: int) -> None:
            try:
                self._lane(number, phase, work, stop)
            except BaseException:
                stop.set()
                raise

        in_parallel([partial(lane, number) for number in range(LANES)])

    def _lane(
        self,
        lane: int,
        phase: str,
        work: Callable[[int], Iterator[Action]],
        stop: threading.Event,
    ) -> None:
        progress = self.progress.get(lane, Progress())
        if PHASES.index(progress.phase) > PHASES.index(phase) and phase != UNDO:
            return
        done = progress.done if progress.phase == phase else 0
        mine = range(lane, partitioned_lines.PARTITIONS, LANES)
        actions = (each for partition in mine for each in work(partition))
        for number, chunk in enumerate(_chunks(actions), start=1):
            if stop.is_set():
                return
            if number > done:
                self._write_chunk(lane, phase, number, chunk)

    def _write_chunk(
        self, lane: int, phase: str, number: int, chunk: dict[ItemKey, Item | None]
    ) -> None:
        puts = {key: item for key, item in chunk.items() if item is not None}
        deletes = [key for key, item in chunk.items() if item is None]
        before = self.progress.get(lane, Progress())

        def reached(deleted: int) -> Progress:
            removed = before.removed + (deleted if phase == REMOVE else 0)
            return Progress(phase, number, removed, before.put + len(puts))

        def lane_row(deleted: int) -> list[dict[str, Any]]:
            ledger, key = self.file.tables.ledger, lane_key(self.file.uri, lane)
            return [lane_action(ledger, key, self.claim, self.claim, reached(deleted))]

        call = partial(self.file.transact, lane_row, puts, deletes)
        try:
            deleted = patiently(self.file.uri, self.file.remaining, call)
        except CancelledError:
            raise SupersededError from None
        self.progress[lane] = reached(len(deleted))


def _chunks(
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
