"""The reference implementation, where `make test` could get it with npm."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.project import ROOT

PACKAGE = ROOT / ".local" / "jsonata"

collect_ignore = [] if (PACKAGE / "node_modules" / "jsonata").is_dir() else ["test_jsonata.py"]


@pytest.fixture
def jsonata_package() -> Path:
    """The folder whose node_modules has it."""
    return PACKAGE
