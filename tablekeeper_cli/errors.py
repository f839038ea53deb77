"""Errors that end a command, each with its exit code."""

from __future__ import annotations

OK, DIFFERENT, USAGE, NOT_FOUND, UNREACHABLE, INTERRUPTED = 0, 1, 2, 3, 4, 130
"""Exit codes: all is as it should be; it is not (differences, violations, files that failed again);
the command was called wrongly; the file, item or execution is unknown; the stack cannot be reached
or a service refused, or the output cannot be written; Ctrl-C.
"""


class CommandError(Exception):
    """Raised when a command cannot answer; the message says what to do."""

    exit_code = UNREACHABLE


class UsageError(CommandError):
    """Raised when the command was called wrongly."""

    exit_code = USAGE


class UnknownError(CommandError):
    """Raised for an unknown file, item or execution."""

    exit_code = NOT_FOUND
