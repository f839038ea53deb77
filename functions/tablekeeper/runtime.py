"""What every handler shares: its settings, its datasets, its logger, and the names of what is
logged.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from aws_lambda_powertools.logging import Logger

from tablekeeper.datasets import Catalogue
from tablekeeper.found import Execution
from tablekeeper.ledger import event_text

logger = Logger()


@cache
def catalogue() -> Catalogue:
    """The datasets of this deployment, read once a process. Raises DatasetDefinitionError."""
    return Catalogue.load()


def execution_of(payload: Mapping[str, Any]) -> Execution:
    """The execution that a state passes on."""
    values = payload["execution"]
    return Execution(
        id=values["id"],
        name=values["name"],
        start=values["start"],
        redrive=int(values["redrive"]),
        event=event_text(values.get("event", "{}")),
    )
