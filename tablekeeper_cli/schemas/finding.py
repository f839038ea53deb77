"""What is wrong with the files of a folder like schemas/."""

from __future__ import annotations

from dataclasses import dataclass

from tablekeeper.datasets.dataset import SUFFIX
from tablekeeper.documents.pointers import pointer

from tablekeeper_cli.schemas.subschemas import Path_

ERROR, WARNING = "error", "warning"


@dataclass(frozen=True, order=True)
class Finding:
    """Something wrong with a file; `pointer` is a JSON Pointer into it. With an error the file, or
    all of them, cannot be used as they are meant.
    """

    file: str
    pointer: str
    severity: str
    what: str
    advice: str


class Findings(list[Finding]):
    """What was found so far."""

    def add(
        self, name: str, path: Path_ | str, what: str, advice: str, severity: str = ERROR
    ) -> None:
        """Adds a finding in the file of a schema, at a path or a JSON Pointer."""
        where = path if isinstance(path, str) else pointer(path)
        self.append(Finding(f"{name}{SUFFIX}", where, severity, what, advice))

    def warn(self, name: str, path: Path_ | str, what: str, advice: str) -> None:
        self.add(name, path, what, advice, WARNING)

    def has_error(self, name: str, path: Path_) -> bool:
        return any(
            (each.file, each.pointer, each.severity) == (f"{name}{SUFFIX}", pointer(path), ERROR)
            for each in self
        )


def shortened(text: str) -> str:
    """A message of at most 300 characters."""
    return text if len(text) <= 300 else text[:300] + "…"
