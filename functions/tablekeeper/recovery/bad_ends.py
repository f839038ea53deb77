"""Compares the executions that ended badly with the ledger, and records those that are missing.

A listing comes newest first, and is read to its end before anything is recorded, so that the oldest
ends are recorded first and the watermark can move with them. Those that recorded themselves cost a
hundredth of a read. What one sweep does not get done, the next one does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from tablekeeper.aws import transient_errors
from tablekeeper.ledger.ends import MAX_READ, EndKey, read_ends
from tablekeeper.recovery import clock
from tablekeeper.recovery.notes import Notes
from tablekeeper.recovery.progress import MAX_LEFT, Progress
from tablekeeper.recovery.quotas import DESCRIBES_A_SECOND, LISTS_A_SECOND, Pace
from tablekeeper.recovery.safety_net import BAD_ENDS, BadEnd, SafetyNet

OVERLAP = timedelta(minutes=10)
"""ListExecutions is eventually consistent, so each sweep looks again at what ended shortly before
the watermark.
"""
PAGE = 1000
"""Executions that ended are listed by their stopDate, the newest first.
https://docs.aws.amazon.com/step-functions/latest/apireference/API_ListExecutions.html
"""
KEEP_EVERY = 50
"""Ends recorded between two writes of the watermark."""
LAST_SECONDS = 20.0


Missing = dict[EndKey, tuple[datetime, str]]
"""Ends that have no row, by name and redrive: when they stopped, and their ARNs."""


class BadEnds:
    """One sweep of the executions that ended badly; `remaining` is the function's, in seconds."""

    def __init__(
        self, net: SafetyNet, state_machine: str, remaining: Callable[[], float], notes: Notes
    ) -> None:
        self.net, self.state_machine = net, state_machine
        self.remaining, self.notes = remaining, notes
        self.progress = Progress.read(net.dynamodb, net.ledger)
        self.since = self.progress.swept_to - OVERLAP
        self.recorded: list[BadEnd] = []
        self._lists, self._describes = Pace(LISTS_A_SECOND), Pace(DESCRIBES_A_SECOND)

    def sweep(self) -> None:
        """Records what is missing, as far as time allows.

        Raises TransientServiceError, ServicesDownError.
        """
        begun = self.progress.begun or clock.now()
        missing: Missing = {}
        place, share = self.progress.place, min(self.remaining(), 600) / 2
        while place[0] < len(BAD_ENDS) and self.remaining() > max(share, LAST_SECONDS):
            after = None
            with self.notes.passing_over("executions", BAD_ENDS[place[0]]):
                after = self._listed(place, missing)
            if after is None:
                break
            place = after
        whole = place[0] == len(BAD_ENDS)
        # A listing that takes several sweeps moves the watermark only at its end.
        moves = whole and self.progress.begun is None
        if not self._record(missing, moves=moves):
            return
        if whole:
            self.progress.swept_to, self.progress.begun = begun, None
            self.progress.place = (0, None)
        else:
            self.progress.begun, self.progress.place = begun, place
        self._keep()

    def _listed(self, place: tuple[int, str | None], missing: Missing) -> tuple[int, str | None]:
        """Reads the page at a place; the place that comes next."""
        from botocore.exceptions import ClientError

        number, token = place
        more: dict[str, Any] = {"nextToken": token} if token else {}
        self._lists.wait()
        try:
            with transient_errors():
                page: Mapping[str, Any] = self.net.states.list_executions(
                    stateMachineArn=self.state_machine,
                    statusFilter=BAD_ENDS[number],
                    maxResults=PAGE,
                    **more,
                )
        except ClientError as error:
            if error.response["Error"]["Code"] != "InvalidToken":
                raise
            # A token is good for a day: what it led to is listed from its beginning.
            return number, None
        executions = page["executions"]
        self._compare(executions, missing)
        token = page.get("nextToken")
        too_old = bool(executions) and executions[-1]["stopDate"] < self.since
        return (number + 1, None) if token is None or too_old else (number, token)

    def _compare(self, executions: list[Any], missing: Missing) -> None:
        ended = {
            EndKey(each["name"], each.get("redriveCount") or 0): (
                each["stopDate"],
                each["executionArn"],
            )
            for each in executions
            if each["stopDate"] >= self.since
        }
        for keys in _batches(list(ended)):
            known = read_ends(self.net.dynamodb, self.net.ledger, keys)
            missing |= {key: ended[key] for key in keys if key not in known}

    def _record(self, missing: Missing, *, moves: bool) -> bool:
        """Records the oldest first; whether all had their turn."""
        left = self.progress.left
        again: list[tuple[datetime | None, str]] = [(None, arn) for arn in left]
        try:
            for done, (stopped, arn) in enumerate([*again, *sorted(missing.values())], 1):
                if self.remaining() < LAST_SECONDS:
                    return False
                # From here on it has been tried; if that fails, the next sweep tries it again.
                if arn not in left:
                    left.append(arn)
                with self.notes.passing_over("executions", arn):
                    self._describes.wait()
                    end = self.net.record(arn)
                    left.remove(arn)
                    if end and end.missing:
                        self.recorded.append(end)
                if moves and stopped and len(left) < MAX_LEFT:
                    self.progress.swept_to = stopped
                if done % KEEP_EVERY == 0:
                    self._keep()
        finally:
            self._keep()
        return len(left) < MAX_LEFT

    def _keep(self) -> None:
        self.progress.keep(self.net.dynamodb, self.net.ledger)


def _batches(keys: list[EndKey]) -> Iterator[list[EndKey]]:
    for place in range(0, len(keys), MAX_READ):
        yield keys[place : place + MAX_READ]
