"""The executions that run, read within the quotas by a page that refreshes itself."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from tablekeeper_cli.executions import running
from tablekeeper_cli.executions.running import Progress, Running, Work
from tablekeeper_cli.stack import Stack

MOST = 1000
ASKED_NEWEST, ASKED_OLDEST = 30, 10
"""Executions that are asked for their input in one read, which comes every few seconds at most:
DescribeExecution allows ten a second. An input does not change: each is asked for once.
"""


@dataclass(frozen=True)
class UnderWay:
    """What runs: running are the executions whose inputs are known, the newest first."""

    work: Work
    running: list[Running]

    def of_file(self, key: str) -> list[Running]:
        """The executions that process a file, the newest first."""
        return [each for each in self.running if each.key == key]

    def keys(self, prefix: str = "") -> set[str]:
        return {each.key for each in self.running if each.key and each.key.startswith(prefix)}


class Now:
    """Reads what runs, and keeps the inputs of what does."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.known: dict[str, Running] = {}

    def read(self) -> UnderWay:
        listed = running.listed(self.stack, MOST + 1)
        arns = [each["executionArn"] for each in listed]
        new = [arn for arn in arns if arn not in self.known]
        asked = dict.fromkeys([*new[:ASKED_NEWEST], *new[-ASKED_OLDEST:]])
        described = {each.execution: each for each in running.described(self.stack, list(asked))}
        self.known = {
            arn: each for arn, each in (self.known | described).items() if arn in set(arns)
        }
        return UnderWay(
            running.work_of(self.stack, listed, MOST),
            [self.known[arn] for arn in arns if arn in self.known],
        )


def progress(stack: Stack, which: Iterable[Running]) -> list[Progress]:
    asked = list(which)
    if not asked:
        return []
    stack.client("stepfunctions")  # clients are not made in threads
    with ThreadPoolExecutor(running.THREADS) as pool:
        return list(pool.map(lambda each: running.progress(stack, each), asked))
