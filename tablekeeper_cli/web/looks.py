"""How outcomes and states look: one colour and one mark for each, on every page."""

from __future__ import annotations

from collections.abc import Iterable

from tablekeeper_cli.executions.visits import CAUGHT, FAILED, RUNNING, Visit, attempts_by_error
from tablekeeper_cli.executions.visits import Attempts as SameAttempts
from tablekeeper_cli.ledger.problems import PROBLEMS

RETRIED = "RETRIED"
"""How an attempt ended that failed and was followed by another one."""
MARKS = {"ok": "✓", "retried": "↻", "caught": "!", "failed": "✗", "running": "●"}
"""A look's mark, so that a look is recognised without its colour."""
LOOKS = {
    "SYNCED": "ok",
    "UNCHANGED": "ok",
    "SUCCEEDED": "ok",
    "PARTIAL": "caught",
    "RELEASED": "caught",
    CAUGHT: "caught",
    RETRIED: "retried",
    "WRITING": "running",
    RUNNING: "running",
    "INVALID": "failed",
    "INCOMPLETE": "failed",
    FAILED: "failed",
    "TIMED_OUT": "failed",
    "ABORTED": "failed",
}
ORDER = (
    "FAILED", "INVALID", "INCOMPLETE", "PARTIAL", "RELEASED", "RUNNING", "WRITING", "SYNCED",
    "UNCHANGED", "DELETED", "IGNORED",
)  # fmt: skip
"""The statuses of files, as pages show them: what is wrong first."""


def look(status: str) -> str:
    """How a status looks; nothing for one that is neither good nor bad."""
    return LOOKS.get(status) or ("failed" if status in PROBLEMS else "")


def place(status: str) -> int:
    """Where a status stands among others; one that is not known here stands first."""
    return ORDER.index(status) if status in ORDER else -1


def ordered(statuses: Iterable[str]) -> list[str]:
    return sorted(set(statuses), key=lambda each: (place(each), each))


def visit_look(visit: Visit) -> str:
    return {CAUGHT: "caught", FAILED: "failed", RUNNING: "running"}.get(visit.status, "ok")


def attempts(visit: Visit) -> list[tuple[SameAttempts, str]]:
    """The attempts of a visit, those of one error once, each with the status that is shown: one
    that failed is RETRIED, and the last one what came of it.
    """
    groups = attempts_by_error(visit.attempts)
    shown = []
    for place, each in enumerate(groups):
        status = each.status
        if status == FAILED:
            ended = place == len(groups) - 1 and visit.exited
            status = visit.status if ended else RETRIED
        shown.append((each, status))
    return shown
