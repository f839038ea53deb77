"""Runs many histories.

python -m tests.convergence 20000            every protection on: nothing wrong
python -m tests.convergence 3000 WEAKNESS    one protection off: the first to go wrong
"""

from __future__ import annotations

import random
import sys

from tests.convergence.history import first_wrong, history
from tests.convergence.world import universe


def main() -> None:
    """Runs histories and says what is wrong with them; with a weakness, until one goes wrong."""
    count, weaknesses = int(sys.argv[1]), sys.argv[2:]
    with universe():
        for weakness in weaknesses:
            print(weakness, first_wrong(weakness, range(count)), flush=True)
        if not weaknesses:
            kinds: dict[str, list[int]] = {}
            for seed in range(count):
                for kind, _, _ in history(random.Random(seed)):
                    kinds.setdefault(kind, []).append(seed)
            found = "; ".join(
                f"{len(set(each))} {kind} (seeds {each[:3]})"
                for kind, each in sorted(kinds.items())
            )
            print(f"{count} histories: {found or 'nothing wrong'}")
            sys.exit(bool(kinds))


if __name__ == "__main__":
    main()
