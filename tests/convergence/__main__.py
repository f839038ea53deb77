"""Runs many histories.

python -m tests.convergence 20000            every protection on: nothing wrong
python -m tests.convergence 5000:20000       those seeds alone
python -m tests.convergence narrow 20000     a world of fewer words: more of what it has in each
python -m tests.convergence 3000 WEAKNESS    one protection off: the first to go wrong
"""

from __future__ import annotations

import random
import sys
import time

from tests.convergence.focus import FOCUS, NARROW
from tests.convergence.history import first_wrong, history
from tests.convergence.world import universe

PROGRESS = 250


def main() -> None:
    """Runs histories and says what is wrong with them; with a weakness, until one goes wrong."""
    narrow = sys.argv[1] == "narrow"
    first, _, last = sys.argv[1 + narrow].rpartition(":")
    seeds, weaknesses = range(int(first or 0), int(last)), sys.argv[2 + narrow :]
    with universe():
        for weakness in weaknesses:
            print(weakness, first_wrong(weakness, seeds, FOCUS.get(weakness)), flush=True)
        if not weaknesses:
            sys.exit(_run(seeds, narrow=narrow))


def _run(seeds: range, *, narrow: bool) -> bool:
    """Whether anything is wrong."""
    kinds: dict[str, list[int]] = {}
    for count, seed in enumerate(seeds, start=1):
        for kind, *told in history(random.Random(seed), focus=NARROW if narrow else None):
            kinds.setdefault(kind, []).append(seed)
            print(f"seed {seed}: {kind}: {told}", flush=True)
        if count % PROGRESS == 0:
            print(f"{count:,} histories, {time.process_time():,.0f} s", flush=True)
    found = "; ".join(
        f"{len(set(each))} {kind} (seeds {each[:3]})" for kind, each in sorted(kinds.items())
    )
    world = "narrow" if narrow else "wide"
    print(f"{world}, seeds {seeds.start} to {seeds.stop - 1}: {found or 'nothing wrong'}")
    return bool(kinds)


if __name__ == "__main__":
    main()
