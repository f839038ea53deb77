"""The stack of a benchmark."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from local.running import running_stack
from local.stack import Stack

E2E_SCHEMAS = Path(__file__).parents[1] / "e2e" / "schemas"


@contextmanager
def measured_stack(**options: Any) -> Iterator[Stack]:
    """A stack on an engine of its own that enforces no roles; options as of `running_stack`."""
    with (
        tempfile.TemporaryDirectory() as folder,
        running_stack(Path(folder), enforces_roles=False, **options) as stack,
    ):
        yield stack
