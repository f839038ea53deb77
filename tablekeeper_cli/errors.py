"""Errors that end a command, each with its exit code."""

from __future__ import annotations

OK, DIFFERENT, USAGE, NOT_FOUND, UNREACHABLE, INTERRUPTED = 0, 1, 2, 3, 4, 130
"""Exit codes: what was asked is so; it is not (differences, violations, files that failed again);
the command was called wrongly; the ledger does not know it; the stack cannot be reached or a
service refused; Ctrl-C.
"""


class CommandError(Exception):
    """Raised when a command cannot answer; the message says what to do."""

    exit_code = UNREACHABLE


class UsageError(CommandError):
    """Raised when the command was called wrongly."""

    exit_code = USAGE


class UnknownError(CommandError):
    """Raised for a file, an item or an execution that nothing is known of."""

    exit_code = NOT_FOUND
