"""The stack that every end-to-end test of a run shares: the built project on a local engine."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.environment import ROOT
from local.running import running_stack
from local.stack import Stack
from tests.e2e.desk import Desk, Tamperer

SCHEMAS = Path(__file__).parent / "schemas"


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Iterator[Stack]:
    """The project with the datasets of tests/e2e/schemas added, never the engine of `make up`.

    All workers of a run share it, so a test takes object keys and item keys of its own. Waits take
    a tenth of their time.
    """
    base = tmp_path_factory.getbasetemp()
    shared = base if worker_id == "master" else base.parent
    with running_stack(shared / "stack", schemas=SCHEMAS, wait_scale=0.1) as running:
        yield running


@pytest.fixture(scope="session")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """For the tests of the xdist groups `commands` and `bucket`, each of which one worker runs."""
    with running_stack(
        tmp_path_factory.mktemp("desk"), schemas=SCHEMAS, enforces_roles=False, wait_scale=0.1
    ) as stack:
        yield Desk(stack)


@pytest.fixture(scope="session")
def schemas(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The folder of the schemas that the stack was deployed with."""
    folder: Path = tmp_path_factory.mktemp("datasets") / "schemas"
    folder.mkdir()
    for source in (ROOT / "schemas", SCHEMAS):
        shutil.copytree(source, folder, dirs_exist_ok=True)
    return str(folder)


@pytest.fixture
def by_hand(desk: Desk) -> Tamperer:
    """Hands on the stack."""
    return Tamperer(desk)
