"""The promise itself: after any history the table equals the bucket, and nothing is silent."""

import os
import random
from collections.abc import Iterator
from itertools import chain

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.convergence.history import first_wrong, history
from tests.convergence.services import moto, moto_world
from tests.convergence.weaknesses import WEAKNESSES
from tests.convergence.world import universe

HINTS = {
    "event-is-truth": 2,
    "silent-unchanged": 1,
    "failed-unconditional": 41,
    "no-audit-condition": 1,
    "no-safety-net": 0,
    "force-by-row": 23,
    "no-release": 323,
    "no-barrier": 34,
    "no-claim-check": 8,
    "no-digest-check": 1,
}
"""Seeds that went wrong once, by what is switched off: tried first, so that the search is short.

Any seed that goes wrong will do. The other weaknesses take a search that is too long for each run
of the tests: `python -m tests.convergence 3000 WEAKNESS` makes it. With each of them a test of
tests/unit/commit or of its handler fails, and of those of Record Failure one of tests/statemachine.
"""
SEARCH = 300
BLOCK = 10


@pytest.fixture(scope="module", autouse=True)
def _universe() -> Iterator[None]:
    with universe():
        yield


@pytest.mark.parametrize("block", range(4))
def test_the_table_equals_the_bucket_after_any_history(block: int) -> None:
    """Other histories in each run; those of the environment's HISTORIES_SEED again."""
    first = int(os.environ.get("HISTORIES_SEED") or random.randrange(10**9)) + block * BLOCK
    for seed in range(first, first + BLOCK):
        assert history(random.Random(seed)) == [], f"HISTORIES_SEED={seed - block * BLOCK}"


@settings(
    max_examples=10,
    deadline=None,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink),
)
@given(st.randoms(use_true_random=False))
def test_no_history_that_hypothesis_looks_for_goes_wrong(rng: random.Random) -> None:
    assert history(rng) == []


def test_the_same_histories_hold_on_moto() -> None:
    """moto is a second opinion on what the fakes say that S3 and DynamoDB do."""
    with moto_world():
        for seed in range(2):
            assert history(random.Random(seed), clients=moto) == [], f"seed {seed}"


@pytest.mark.parametrize("weakness", HINTS)
def test_every_protection_is_needed(weakness: str) -> None:
    """With one protection of the code switched off, histories go wrong: these tests have teeth."""
    assert weakness in WEAKNESSES
    seeds = chain([HINTS[weakness]], range(SEARCH))
    assert first_wrong(weakness, seeds), f"{SEARCH} histories without {weakness}, and nothing wrong"
