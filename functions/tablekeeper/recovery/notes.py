"""Errors that a sweep passes over: one bad row, execution or file does not stop the rest."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tablekeeper.errors import TransientServiceError
from tablekeeper.runtime.context import logger

PATIENCE = 3
"""Services that fail so many times, one after the other, are left alone until the next sweep."""


class ServicesDownError(Exception):
    """Raised when a service throttled or failed several times in a row."""


class Notes:
    """Logs and counts what is passed over; in_a_row counts the troubles of services."""

    def __init__(self) -> None:
        self.count = self.in_a_row = 0

    @contextmanager
    def passing_over(self, job: str, what: str) -> Iterator[None]:
        """Within it, an error is noted and ends there.

        Raises ServicesDownError for the third one in a row that passes by itself.
        """
        try:
            yield
        except ServicesDownError:
            raise
        except Exception as error:  # noqa: BLE001 - see pass_over
            self.pass_over(job, what, error)
        else:
            self.in_a_row = 0

    def pass_over(self, job: str, what: str, error: Exception) -> None:
        """Notes an error that ends here.

        Raises ServicesDownError for the third one in a row that passes by itself.
        """
        self._note(job, what, error)
        if isinstance(error, TransientServiceError):
            self.in_a_row += 1
            if self.in_a_row >= PATIENCE:
                raise ServicesDownError(str(error)) from error

    @contextmanager
    def ending(self, job: str) -> Iterator[None]:
        """Within it, any error is noted and ends the job, and nothing else."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - the other job has to run, too
            self._note(job, "the rest of this sweep", error)

    def _note(self, job: str, what: str, error: Exception) -> None:
        self.count += 1
        about = {"job": job, "what": what, "error": type(error).__name__, "cause": str(error)}
        logger().error("passed over", extra=about)
