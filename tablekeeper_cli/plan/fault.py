"""What is wrong with a record of a planned file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tablekeeper.steps.file_content import Refusal
from tablekeeper.validation.violation import Violation


@dataclass(frozen=True)
class Fault:
    """A violation or a refusal; `value` is the value that violates, as JSON, in a plan of a local
    file: it is shown where it comes from, and nowhere else.
    """

    what: Violation | Refusal
    value: str | None = None

    def __str__(self) -> str:
        return f"{self.what}" + (f": {self.value}" if self.value is not None else "")

    def data(self) -> dict[str, Any]:
        """For `--json`."""
        return self.what._asdict() | ({} if self.value is None else {"value": self.value})
