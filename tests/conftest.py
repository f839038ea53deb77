"""What every test shares: how the cases of a parametrised test are named."""

from __future__ import annotations

import re
from typing import Any

import pytest

WORDS = re.compile(r"[A-Za-z][A-Za-z0-9_.:/ -]{0,39}")


def pytest_make_parametrize_id(config: pytest.Config, val: Any, argname: str) -> str | None:
    """Names a case that has no id of its own: by a value that is a word, else by its argument.

    Left alone, pytest makes an id of any text or bytes. An id of content is unreadable, and one of
    compressed content holds the time, so that two workers of pytest-xdist collect different tests.
    """
    if isinstance(val, str):
        return val if WORDS.fullmatch(val) else argname
    if isinstance(val, int) and abs(val) < 10**9:
        return str(val)
    return argname
