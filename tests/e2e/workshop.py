"""The fixture `workshop`, for test modules that list this one in `pytest_plugins`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from local.running import running_stack
from tests.e2e.failures import Workshop

SCHEMAS = Path(__file__).parent / "schemas"


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    """A stack for this process alone, so that its rules and its clock can be changed."""
    with running_stack(tmp_path_factory.mktemp("workshop"), schemas=SCHEMAS) as stack:
        yield Workshop(stack)
