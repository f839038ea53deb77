"""What came of a storm."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import monotonic
from typing import Any


@dataclass
class Account:
    """What came of a storm; `seconds` by what took them."""

    seed: int
    operations: int
    seconds: dict[str, float] = field(default_factory=dict)
    happened: Counter[str] = field(default_factory=Counter)
    executions: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    reconciled: dict[str, Any] = field(default_factory=dict)
    sweeps: list[int] = field(default_factory=list)
    statuses: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        took = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in self.seconds.items())
        lines = [
            f"seed {self.seed}: {self.operations:,} operations in "
            f"{sum(self.seconds.values()):.0f} s: {took}",
            f"happened: {_counts(self.happened)}",
            f"executions: {_counts(self.executions)}",
            f"outcomes: {_counts(self.outcomes)}",
            f"errors of INVALID and FAILED: {_counts(self.errors)}",
            f"reconcile found {_counts(self.reconciled.get('findings', {}))}; "
            f"ended {_counts(self.reconciled.get('outcomes', {}))}",
            f"files that the sweeps afterwards started again: {self.sweeps}",
            f"files at the end: {_counts(self.statuses)}",
            *(f"WRONG: {each}" for each in self.wrong),
        ]
        return "\n".join(lines)

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Within it, time counts as this."""
        begun = monotonic()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0) + monotonic() - begun


def _counts(counts: Mapping[str, int]) -> str:
    found = [f"{count:,} {name}" for name, count in sorted(counts.items()) if count]
    return ", ".join(found) or "nothing"
