"""A short storm; `make chaos` has long ones."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from local.running import running_stack
from tests.chaos.storm import Storm
from tests.e2e.conftest import SCHEMAS
from tests.e2e.desk import Desk

pytestmark = pytest.mark.xdist_group("chaos")

OPERATIONS = int(os.environ.get("CHAOS_OPERATIONS", "60"))


def test_after_a_storm_and_one_reconcile_the_table_equals_the_bucket(
    tmp_path: Path, schemas: str
) -> None:
    seed = random.SystemRandom().randrange(10**6)
    with running_stack(
        tmp_path / "stack",
        schemas=SCHEMAS,
        enforces_roles=False,
        wait_scale=0.1,
        keeps_state=True,
    ) as stack:
        account = Storm(Desk(stack), schemas, seed, OPERATIONS).run()
    print(account)
    assert account.happened["event dropped"] + account.happened["event late"]
    assert account.happened["engine restarted"]
    assert account.wrong == []
