"""The sweep: finds what events missed, by looking at the ledger and at Step Functions.

Once a minute it counts the files that have a problem, tries those again that may pass by now, and
then compares the executions that ended badly with the ledger. Each of the two jobs runs once at a
time, and a failure of one does not stop the other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from tablekeeper.recovery.bad_ends import BadEnds
from tablekeeper.recovery.lease import lease
from tablekeeper.recovery.notes import Notes
from tablekeeper.recovery.safety_net import BadEnd, SafetyNet
from tablekeeper.recovery.waiting_files import WaitingFiles, count_files
from tablekeeper.runtime import metrics
from tablekeeper.tables import Tables

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient

FILES, EXECUTIONS = "files", "executions"


class SweepResult(NamedTuple):
    """What a sweep did: failures recorded that were missing, files tried again; how many files it
    found with a problem, by status, None when it could not count them or another sweep was at it;
    and how many rows, files and executions it passed over.
    """

    recorded: tuple[BadEnd, ...]
    restarted: int
    problems: Mapping[str, int] | None
    passed_over: int


class Sweep:
    """One sweep; `remaining` is the function's time, in seconds."""

    def __init__(
        self, states: SFNClient, tables: Tables, state_machine: str, remaining: Callable[[], float]
    ) -> None:
        self.states, self.tables, self.state_machine = states, tables, state_machine
        self.remaining, self.notes = remaining, Notes()
        self.problems: Mapping[str, int] | None = None
        self.restarted, self.recorded = 0, list[BadEnd]()

    def run(self) -> SweepResult:
        """Both jobs. What fails is noted, and left to the next sweep."""
        self._alone(FILES, self._files)
        self.notes.in_a_row = 0
        self._alone(EXECUTIONS, self._executions)
        return SweepResult(tuple(self.recorded), self.restarted, self.problems, self.notes.count)

    def _alone(self, job: str, work: Callable[[], None]) -> None:
        """A job, unless another sweep is at it: then it says nothing of it, because its zero would
        hide that the other one dies of it each time.
        """
        before, ours = self.notes.count, False
        tables, remaining = self.tables, self.remaining()
        with (
            self.notes.ending(job),
            lease(tables.client, tables.ledger, job, remaining) as held,
        ):
            ours = held
            if held:
                work()
        passed_over = self.notes.count - before
        if ours or passed_over:
            metrics.count_passed_over(job, passed_over)

    def _files(self) -> None:
        waiting = count_files(self.tables, self.notes)
        self.problems = waiting.counts
        # Before the rest, which may take long, or fail.
        metrics.gauge_problems(waiting.counts)
        files = WaitingFiles(
            self.states, self.tables, self.state_machine, self.remaining, self.notes
        )
        self.restarted = files.try_again(waiting)

    def _executions(self) -> None:
        net = SafetyNet(
            self.states, self.tables.client, self.tables.ledger, self.tables.audit_retention
        )
        ends = BadEnds(net, self.state_machine, self.remaining, self.notes)
        self.recorded = ends.recorded
        ends.sweep()
