"""When a file that FAILED is tried again, and what the command says of it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from tablekeeper.recovery.schedule import LONGEST, SHORTEST, next_try

from tablekeeper_cli.commands import failures as commands
from tablekeeper_cli.ledger.problems import problem_of
from tests.support.project import states

FIRST = "2026-01-01T00:00:00.000Z"


def test_each_pause_is_as_long_as_all_before_it_up_to_a_day() -> None:
    at, pauses = FIRST, list[timedelta]()
    for _ in range(12):
        due = next_try("FAILED", "States.Timeout", FIRST, at)
        assert due
        pauses.append(due - datetime.fromisoformat(at))
        at = due.isoformat()
    assert pauses[:4] == [SHORTEST, SHORTEST, 2 * SHORTEST, 4 * SHORTEST]
    assert pauses == sorted(pauses)
    assert pauses[-1] == LONGEST


def test_whatever_the_definition_tries_again_heals_by_itself() -> None:
    """An error that a state waits for may outlast the waiting."""
    from tablekeeper.causes import passes

    tried = {
        name
        for state in states("Task").values()
        if "lambda" in state["Resource"]
        for retry in state["Retry"]
        for name in retry["ErrorEquals"]
    }
    assert {name for name in tried if not passes(name)} <= {"KeyOwnershipError"}


class Named:
    """A stack's names."""

    def uri(self, key: str) -> str:
        return f"s3://b/{key}"

    def key(self, uri: str) -> str:
        return uri.removeprefix("s3://b/")


@pytest.mark.parametrize(
    ("status", "error", "shown"),
    [
        ("FAILED", "Lambda.TooManyRequestsException", "2026-01-01 02:00:00Z"),
        ("FAILED", "ClientError", "by a person"),
        ("INVALID", "EncodingError", "when it is mended"),
        ("INVALID", "KeyOwnershipError", "when no other file has the item"),
    ],
)
def test_the_command_says_since_when_and_when_next(status: str, error: str, shown: str) -> None:
    last = "2026-01-01T01:00:00.000Z"
    held = dict.fromkeys(("state", "cause", "execution", "input"), "x")
    held |= {"status": status, "error": error, "at": last}
    row = {
        "problem": {"M": {name: {"S": value} for name, value in held.items()}},
        "problem_status": {"S": status},
        "problem_error": {"S": error},
        "problem_since": {"S": FIRST},
        "problem_at": {"S": last},
    }
    stack: Any = Named()
    problem = problem_of(stack, "k", row)
    assert problem
    assert (problem.since, problem.at) == (FIRST, last)
    assert commands._next_try(problem) == shown
