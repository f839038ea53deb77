"""Outcomes of executions as they come, for a person who watches."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tablekeeper.causes import message_of
from tablekeeper.ledger.reads import read_outcome_from_outside
from tablekeeper.model.execution import Execution
from tablekeeper.model.outcome import PARTIAL
from tablekeeper.model.times import iso_milliseconds

from tablekeeper_cli.executions.running import object_key
from tablekeeper_cli.ledger.problems import ProblemFilter, failures, problems
from tablekeeper_cli.stack import NO_OBJECT, Stack

POLL_SECONDS = 2.0
"""ListExecutions allows two to five requests a second."""
LISTED, PAGES = 1000, 10
"""Executions on a page of the list, and pages that are read in one poll."""
DESCRIBED = 20
"""Executions that are described in one poll: DescribeExecution allows ten a second."""
WAITING = 200
"""Outcomes that may wait to be shown; older ones are counted and left out."""


@dataclass(frozen=True)
class Outcome:
    """How an execution ended: at is ISO 8601, seconds is how long it took; error and message are
    of a bad end. key is None when its input names no object.
    """

    at: str
    outcome: str
    key: str | None
    seconds: float
    error: str | None
    message: str | None
    execution: str


@dataclass(frozen=True)
class LeftOut:
    """Outcomes that came faster than executions may be described."""

    left_out: int


class Watch:
    """Reads the outcomes of a state machine. `problems` leaves good ones out, `prefix` those of
    other files.
    """

    def __init__(self, stack: Stack, *, prefix: str = "", problems: bool = False) -> None:
        self.stack, self.prefix, self.problems = stack, prefix, problems
        self.seen: set[str] = set()
        self.running: set[str] = set()
        self.waiting: list[Any] = []
        self.has_begun = False

    def follow(self, newest: int) -> Iterator[Outcome | LeftOut]:
        """The newest outcomes that there are, then each as it comes, without an end."""
        self._list()
        self.waiting = self.waiting[-newest:] if newest else []
        yield from self._outcomes()
        while True:
            time.sleep(POLL_SECONDS)
            yield from self.poll()

    def poll(self) -> Iterator[Outcome | LeftOut]:
        self._list()
        rest = len(self.waiting) - WAITING
        if rest > 0:
            del self.waiting[:rest]
            yield LeftOut(rest)
        yield from self._outcomes()

    def _list(self) -> None:
        """Notes what has ended since the last time."""
        states, newest = self.stack.client("stepfunctions"), self._newest()
        names, listed = set(newest), [*newest.values()]
        old = sorted(self.running - names)[:DESCRIBED]  # too old for these pages
        listed += [states.describe_execution(executionArn=arn) for arn in old]
        ended = [each for each in listed if each["status"] != "RUNNING"]
        new = [each for each in ended if each["executionArn"] not in self.seen]
        self.running = (self.running - {each["executionArn"] for each in ended}) | {
            each["executionArn"] for each in listed if each["status"] == "RUNNING"
        }
        self.seen = (self.seen & names) | {each["executionArn"] for each in new}
        if self.problems:
            good = [each for each in new if each["status"] == "SUCCEEDED"]
            partial = self._partial(good) if good else ()
            new = [each for each in new if each not in good or each["executionArn"] in partial]
        self.waiting += sorted(new, key=lambda each: each["stopDate"])

    def _newest(self) -> dict[str, Any]:
        """The list's first page; after the first time, its pages up to one with what was there
        then, and of older ones what ran, until few enough are missing to be described.
        """
        asked = {"stateMachineArn": self.stack.state_machine, "maxResults": LISTED}
        known, is_old = self.seen | self.running, not self.has_begun
        found: dict[str, Any] = {}
        for _ in range(PAGES):
            page = self.stack.client("stepfunctions").list_executions(**asked)
            each_of = {each["executionArn"]: each for each in page["executions"]}
            wanted = each_of.keys() & self.running if found and is_old else each_of.keys()
            found |= {arn: each_of[arn] for arn in wanted}
            is_old = is_old or bool(known & found.keys())
            few = len(self.running - found.keys()) <= DESCRIBED
            if "nextToken" not in page or (is_old and few):
                break
            asked["nextToken"] = page["nextToken"]
        self.has_begun = True
        return found

    def _partial(self, ended: Sequence[Any]) -> set[str]:
        """Those of executions that ended well that left their file PARTIAL. The list of executions
        does not distinguish them, and the index of problems does.
        """
        since = min(each["startDate"] for each in ended)
        files = failures(self.stack, ProblemFilter(PARTIAL, since=since))
        return {each.execution for each in problems(self.stack, (each.key for each in files))}

    def _outcomes(self) -> Iterator[Outcome]:
        now, self.waiting = self.waiting[:DESCRIBED], self.waiting[DESCRIBED:]
        for each in now:
            outcome = self._outcome(each["executionArn"])
            if (outcome.key or "").startswith(self.prefix):
                yield outcome

    def _outcome(self, arn: str) -> Outcome:
        said = self.stack.client("stepfunctions").describe_execution(executionArn=arn)
        error, cause = said.get("error"), said.get("cause")
        key = object_key(self.stack, said.get("input", ""))
        return Outcome(
            at=iso_milliseconds(said["stopDate"]),
            outcome=outcome_of(self.stack, key, said),
            key=key,
            seconds=(said["stopDate"] - said["startDate"]).total_seconds(),
            error=error,
            message=message_of(cause) if cause else None,
            execution=arn,
        )


def outcome_of(stack: Stack, key: str | None, described: Any) -> str:
    """The outcome of an execution that ended, as DescribeExecution gives it: its own, else that of
    its audit row, else its status.
    """
    if described["status"] == "SUCCEEDED":
        return str(json.loads(described.get("output") or "{}").get("outcome", "SUCCEEDED"))
    begun = iso_milliseconds(described["startDate"])
    execution = Execution(
        described["executionArn"], described["name"], begun, described.get("redriveCount", 0)
    )
    recorded = read_outcome_from_outside(
        stack.client("dynamodb"), stack.ledger, stack.uri(key or NO_OBJECT), execution
    )
    return recorded or str(described["status"])
