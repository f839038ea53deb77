"""What every test shares: the names of the cases of parametrised tests, and botocore's models."""

from __future__ import annotations

import gc
import os
import re
from collections.abc import Iterator
from functools import cache
from operator import itemgetter
from typing import Any

import pytest
from botocore import session
from hypothesis import HealthCheck, settings
from tablekeeper.steps import fetch

settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
# `pytest --hypothesis-profile long`: what each run of CI looks for with other examples, for longer.
settings.register_profile("long", settings.get_profile("busy"), max_examples=3000)
settings.load_profile("busy")  # A busy machine is no fault of what is tested.

LONGEST_FIRST = (
    *("workshop", "commands", "bucket", "deployment", "chaos", "formats", "privileges"),
    *("express", "exact values"),
)
"""The groups of end-to-end tests; one that is not among them begins before these."""
LAST = 2
"""The turn of what any worker runs."""

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


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What needs no engine runs first, then the groups, each of which one worker runs; last what
    any worker runs, the longest before the others, so that all workers end at one time. What
    computes is spread among what waits, so that no processor idles.
    """
    items.sort(key=_turn)
    last = [item for item in items if _turn(item)[0] == LAST]
    busy = [item for item in last if item.get_closest_marker("busy")]
    waiting = [item for item in last if item not in busy]
    spread = [(n / len(part), item) for part in (waiting, busy) for n, item in enumerate(part)]
    items[len(items) - len(last) :] = [item for _, item in sorted(spread, key=itemgetter(0))]


def _turn(item: pytest.Item) -> tuple[int, int]:
    busy, group = map(item.get_closest_marker, ("busy", "xdist_group"))
    if "e2e" not in item.path.parts and not busy:
        return 0, 0
    if group and not busy:
        name = group.args[0]
        return 1, LONGEST_FIRST.index(name) if name in LONGEST_FIRST else -1
    long = item.get_closest_marker("long")
    return LAST, -long.args[0] if long else 0


def pytest_collection_finish() -> None:
    """A tenth of the tests' time went into looking for garbage among modules and tests."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 50, 50)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Prints how a test that draws something else each time is run again, also where it passed."""
    for outcome in ("passed", "failed"):
        for report in terminalreporter.stats.get(outcome, ()):
            for name, value in report.user_properties:
                terminalreporter.write_line(f"{report.nodeid}: {name}: {value}")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Where .ci/run has everything that tests need, a skipped test is a failed one."""
    reporter: Any = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("SKIPPED_TEST_FAILS") and reporter and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(scope="session", autouse=True)
def _models_once() -> Iterator[None]:
    """Reads each service's model once a process.

    botocore keeps models a session, moto begins a session a test, and reading them took half of
    the time of a test with moto.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "create_loader", cache(session.create_loader))
        yield


@pytest.fixture(scope="session", autouse=True)
def _no_jitter() -> Iterator[None]:
    """Rivals of a test are kept apart by the test, and its rounds are many."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fetch, "MAX_JITTER", 0)
        yield
