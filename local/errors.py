"""What goes wrong with a local stack."""

from __future__ import annotations

import sys


class LocalStackError(Exception):
    """Raised when the engine does not start, or the build or the deployment fails."""


def say(text: str) -> None:
    print(f"local stack: {text}", file=sys.stderr, flush=True)
