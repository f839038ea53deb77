"""`make chaos OPERATIONS=n SEED=n`: a storm over a stack of its own; exit code 1 if anything is
wrong.
"""

from __future__ import annotations

import random
import sys
import tempfile
from pathlib import Path

from tests.chaos.storm import storm_over


def main() -> None:
    """Takes the number of operations and the seed."""
    operations = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.SystemRandom().randrange(10**6)
    print(f"seed {seed}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        account = storm_over(Path(folder), seed, operations)
    print(account)
    sys.exit(bool(account.wrong))


if __name__ == "__main__":
    main()
