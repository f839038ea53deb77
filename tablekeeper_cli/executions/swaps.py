"""Files that wait for each other's items."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tablekeeper_cli.errors import UnknownError
from tablekeeper_cli.executions.reprocess import (
    ExecutionEnd,
    StartedExecution,
    follow,
    input_of,
    start,
)
from tablekeeper_cli.ledger.files import file
from tablekeeper_cli.ledger.problems import Problem
from tablekeeper_cli.stack import Stack


@dataclass(frozen=True)
class Swap:
    """Files that wait for each other's items, each for those of the next, the last for the first's.

    The first is the one with the fewest items: it lets them go, and is written last.
    """

    keys: tuple[str, ...]


def find_swap(stack: Stack, problem: Problem) -> Swap | None:
    """The files that wait for each other, if this one is among them."""
    chain: list[str] = [problem.key]
    sizes: dict[str, int | None] = {}
    while problem.owner:
        owner = stack.key(problem.owner)
        try:
            next_one = file(stack, owner)
        except UnknownError:
            return None
        sizes[owner] = next_one.items
        if owner == chain[0]:
            # A file whose items are too many for its row is not the smallest.
            first = chain.index(min(chain, key=lambda key: sizes[key] or float("inf")))
            return Swap((*chain[first:], *chain[:first]))
        if owner in chain or not next_one.problem:
            return None
        chain.append(owner)
        problem = next_one.problem
    return None


def break_swap(
    stack: Stack, swap: Swap, told: Callable[[StartedExecution], None]
) -> list[ExecutionEnd]:
    """The first file lets its items go; then each takes what it waited for, the first one last.

    Tells of each start; returns how the files ended at last.
    """
    first, *others = swap.keys
    ended: list[ExecutionEnd] = []
    for key, release in ((first, True), *((key, False) for key in (*reversed(others), first))):
        begun = start(stack, key, input_of(stack, key, release=release))
        told(begun)
        ended += follow(stack, [begun])
    return ended[1:]
