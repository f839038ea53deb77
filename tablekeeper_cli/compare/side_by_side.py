"""Work done side by side, with no more under way than there is room for."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def side_by_side(
    pool: ThreadPoolExecutor, work: Callable[[T], R], each: Iterable[T], at_once: int
) -> Iterator[R]:
    """What `work` gives for each, in order; no more are under way, or waiting to be taken, than
    `at_once`.
    """
    rest = iter(each)
    under_way = deque(pool.submit(work, one) for one in islice(rest, at_once))
    while under_way:
        yield under_way.popleft().result()
        under_way.extend(pool.submit(work, one) for one in islice(rest, 1))
