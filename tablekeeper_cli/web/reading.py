"""What the pages read of a stack, cached for some seconds."""

from __future__ import annotations

from collections import Counter, OrderedDict
from dataclasses import dataclass, field
from threading import Lock

from tablekeeper_cli.executions import bucket_runs, traces, visits
from tablekeeper_cli.ledger import files, problems
from tablekeeper_cli.stack import Stack
from tablekeeper_cli.web.cache import Cached
from tablekeeper_cli.web.now import Now
from tablekeeper_cli.web.recent import Recent

CACHE_SECONDS, CACHE_TRACES = 3.0, 20
Kind = tuple[str, str, str]
"""Status, error and dataset of a problem."""


@dataclass
class Problems:
    """How many files have a problem, by kind, and the newest one of each kind."""

    counts: Counter[Kind] = field(default_factory=Counter)
    newest: dict[Kind, problems.Failure] = field(default_factory=dict)

    @property
    def files(self) -> int:
        return self.counts.total()

    def files_like(self, status: str, error: str, dataset: str) -> int:
        """Files whose problem has this status, this error and this dataset, where one is named."""
        return sum(
            count
            for (its_status, its_error, its_dataset), count in self.counts.items()
            if status in ("", its_status)
            and error in ("", its_error)
            and problems.may_be_of(dataset, its_status, its_error, its_dataset)
        )


@dataclass(frozen=True)
class Counts:
    """Numbers of files by status and dataset; INCOMPLETE ones have another status, too."""

    by_kind: Counter[tuple[str, str]]

    def files(self, status: str = "", dataset: str = "") -> int:
        return sum(
            count
            for (each, of), count in self.by_kind.items()
            if dataset in ("", of) and (each == status if status else each != problems.INCOMPLETE)
        )

    def by_status(self, dataset: str = "") -> Counter[str]:
        statuses = {each for each, _ in self.by_kind}
        return Counter({each: self.files(each, dataset) for each in statuses})

    def by_dataset(self) -> Counter[str]:
        return Counter({each: self.files("", each) for each in {of for _, of in self.by_kind}})


class Reader:
    """Reads a stack. What a page asks for alone, such as a file, it reads itself."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        for service in ("dynamodb", "stepfunctions", "sqs"):
            stack.client(service)  # else the first read would seem long, and be kept for long
        self.counts = Cached(lambda: Counts(files.counts(stack)), CACHE_SECONDS)
        self.problems = Cached(self._problems, CACHE_SECONDS)
        self.now = Cached(Now(stack).read, CACHE_SECONDS)
        self.hour = Cached(Recent(stack).read, CACHE_SECONDS)
        self.runs = Cached(lambda: bucket_runs.last(stack).shown, CACHE_SECONDS)
        self.ended = _EndedTraces(CACHE_TRACES)

    def trace(self, name: str) -> traces.Trace:
        return self.ended.trace(self.stack, name)

    def _problems(self) -> Problems:
        counted = Problems()
        for status in problems.PROBLEMS:
            wanted = problems.ProblemFilter(status=status)
            for each in problems.failures(self.stack, wanted):
                kind = (each.status, each.error, each.dataset)
                counted.counts[kind] += 1
                counted.newest.setdefault(kind, each)
        return counted


class _EndedTraces:
    """Traces of executions that have ended: their histories do not change any more."""

    def __init__(self, most: int) -> None:
        self.most, self.lock = most, Lock()
        self.traces: OrderedDict[str, traces.Trace] = OrderedDict()

    def trace(self, stack: Stack, name: str) -> traces.Trace:
        with self.lock:
            if name in self.traces:
                return self.traces[name]
        trace = traces.read(stack, name, data=True)
        if trace.status != visits.RUNNING and name in (trace.name, trace.execution):
            with self.lock:
                self.traces[name] = trace
                while len(self.traces) > self.most:
                    self.traces.popitem(last=False)
        return trace
