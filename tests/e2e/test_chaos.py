"""A short storm, another one each time; `make chaos` has long ones, and repeats one by its seed."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.chaos.storm import storm_over

pytestmark = pytest.mark.xdist_group("chaos")

OPERATIONS = 30


def test_after_a_storm_and_one_reconcile_the_table_equals_the_bucket(
    tmp_path: Path, record_property: Callable[[str, str], None]
) -> None:
    seed = random.SystemRandom().randrange(10**6)
    record_property("again", f"make chaos OPERATIONS={OPERATIONS} SEED={seed}")
    account = storm_over(tmp_path, seed, OPERATIONS)
    print(account)
    assert account.happened["event dropped"] + account.happened["event late"]
    assert account.happened["engine restarted"]
    assert account.happened["deployment"]
    assert account.wrong == []
