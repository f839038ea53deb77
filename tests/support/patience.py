"""Patience of the command with a local engine: a busy machine that keeps it from answering is no
fault of what is tested.
"""

from __future__ import annotations

from functools import partial

import pytest

from tablekeeper_cli import engine

SECONDS = 60


def have_patience(patch: pytest.MonkeyPatch) -> None:
    """Makes the checks of the engine wait for an answer."""
    patch.setattr(engine, "ANSWER_SECONDS", SECONDS)
    patch.setattr(engine, "guard", partial(engine.guard, patience=SECONDS))
