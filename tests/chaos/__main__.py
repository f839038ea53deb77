"""`make chaos SEED=n OPS=n`: a storm over a stack of its own; exit code 1 if anything is wrong."""

from __future__ import annotations

import random
import shutil
import sys
import tempfile
from pathlib import Path

from local.environment import ROOT
from local.running import running_stack
from tests.chaos.storm import Storm
from tests.e2e.desk import Desk

SCHEMAS = ROOT / "tests" / "e2e" / "schemas"


def main() -> None:
    """Takes the seed and the number of operations."""
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else random.SystemRandom().randrange(10**6)
    operations = int(sys.argv[2]) if len(sys.argv) > 2 else 1000
    with tempfile.TemporaryDirectory() as folder:
        schemas = Path(folder) / "schemas"
        for source in (ROOT / "schemas", SCHEMAS):
            shutil.copytree(source, schemas, dirs_exist_ok=True)
        state = Path(folder) / "stack"
        with running_stack(
            state, schemas=SCHEMAS, enforces_roles=False, wait_scale=0.1, keeps_state=True
        ) as stack:
            account = Storm(Desk(stack), str(schemas), seed, operations).run()
    print(account)
    sys.exit(bool(account.wrong))


if __name__ == "__main__":
    main()
