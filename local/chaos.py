"""Chaos that a test asks the engine for: odds instead of single faults.

The file holds one JSON object of odds, from 0 to 1, under the names of `Odds`; the engine reads it
anew when it changes, and nothing happens while it is empty. What happened is added to `chaos.jsonl`
beside it, a line each, so that every event can be accounted for.
"""

from __future__ import annotations

import fcntl
import json
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from local.faults import Fault

THROTTLED = ("ThrottlingException", "Rate of requests exceeds the allowed throughput.")
BROKEN = ("InternalServerError", "The server had an error.")
CONFLICT = (
    "TransactionCanceledException",
    "Transaction cancelled, please refer cancellation reasons for specific reasons "
    "[TransactionConflict]",
)


@dataclass(frozen=True)
class Odds:
    """How likely each thing is: of an event, that it is dropped, doubled or late, by up to
    `late_seconds`; of an invocation, that the function's process is killed within half a second,
    that its answer is lost, that it is throttled or slow; of a call to DynamoDB, that it is
    throttled, fails, or fails after it was applied, and of a transaction, that it conflicts.
    """

    dropped: float = 0
    doubled: float = 0
    late: float = 0
    late_seconds: float = 5
    killed: float = 0
    lost: float = 0
    throttled: float = 0
    slow: float = 0
    busy: float = 0
    broken: float = 0
    broken_after: float = 0
    conflict: float = 0


STORM = Odds(
    dropped=0.05,
    doubled=0.1,
    late=0.5,
    killed=0.02,
    lost=0.02,
    throttled=0.03,
    slow=0.05,
    busy=0.02,
    broken=0.02,
    broken_after=0.02,
    conflict=0.03,
)
"""What a chaos run asks for."""


class Chaos:
    """The odds in one file, and the journal beside it."""

    def __init__(self, path: Path) -> None:
        self.path, self.journal = path, path.with_suffix(".jsonl")
        self._odds, self._read_at = Odds(), 0
        self._random = random.Random()

    def begin(self, odds: Odds) -> None:
        """From now on things happen by these odds."""
        self.path.write_text(json.dumps(asdict(odds)))

    def end(self) -> None:
        """From now on nothing happens; what is late is still to come."""
        self.path.write_text("")

    def happened(self) -> Counter[str]:
        """How often each thing has happened."""
        return Counter(line["what"] for line in self.lines())

    def lines(self) -> Iterator[dict[str, str]]:
        """The journal."""
        if self.journal.exists():
            yield from map(json.loads, self.journal.read_text().splitlines())

    def write(self, what: str, about: str = "") -> None:
        """Adds a line to the journal."""
        with self.journal.open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.write(json.dumps({"what": what, "about": about}) + "\n")

    @property
    def odds(self) -> Odds | None:
        """The odds now; None when nothing is to happen."""
        try:
            stat = self.path.stat()
        except FileNotFoundError:
            return None
        if stat.st_mtime_ns != self._read_at:
            text = self.path.read_text()
            self._odds = Odds(**json.loads(text)) if text else Odds()
            self._read_at = stat.st_mtime_ns
        return None if self._odds == Odds() else self._odds

    def deliveries(self, event: str) -> list[float]:
        """After how many seconds an event is to be handed on, each time that it is."""
        odds = self.odds
        if odds is None:
            return [0]
        self.write("event", event)
        if self._rolls(odds.dropped, "event dropped", event):
            return []
        times = 2 if self._rolls(odds.doubled, "event doubled", event) else 1
        return [
            self._random.uniform(0, odds.late_seconds)
            if self._rolls(odds.late, "event late", event)
            else 0
            for _ in range(times)
        ]

    def fault(self, function: str) -> Fault | None:
        """What befalls an invocation."""
        odds = self.odds
        if odds is None:
            return None
        for what, chance, fault in (
            ("function throttled", odds.throttled, Fault(function, "throttle")),
            ("answer lost", odds.lost, Fault(function, "crash", after=True)),
            ("function slow", odds.slow, Fault(function, "delay", seconds=self._random.random())),
        ):
            if self._rolls(chance, what, function):
                return fault
        return None

    def kill_after(self, function: str) -> float | None:
        """After how many seconds the process of an invocation is to be killed."""
        odds = self.odds
        if odds and self._rolls(odds.killed, "function killed", function):
            return self._random.uniform(0, 0.5)
        return None

    def answer(self, operation: str) -> tuple[tuple[str, str], bool] | None:
        """The error that a call to DynamoDB is to get, and whether it is applied all the same."""
        odds = self.odds
        if odds is None:
            return None
        conflict = odds.conflict if operation == "transact_write_items" else 0
        for what, chance, error, after in (
            ("DynamoDB throttled", odds.busy, THROTTLED, False),
            ("DynamoDB failed", odds.broken, BROKEN, False),
            ("DynamoDB failed after it had applied", odds.broken_after, BROKEN, True),
            ("transactions in conflict", conflict, CONFLICT, False),
        ):
            if self._rolls(chance, what, operation):
                return error, after
        return None

    def _rolls(self, chance: float, what: str, about: str) -> bool:
        if self._random.random() >= chance:
            return False
        self.write(what, about)
        return True
