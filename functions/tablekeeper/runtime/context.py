"""What every handler shares: its settings, its datasets, its logger, and the names of what is
logged.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from math import inf
from typing import TYPE_CHECKING, Any

from tablekeeper.datasets.catalogue import Catalogue
from tablekeeper.errors import DatasetDefinitionError
from tablekeeper.ledger.rows import event_text
from tablekeeper.model.snapshot import Execution

if TYPE_CHECKING:
    from aws_lambda_powertools.logging import Logger


@cache
def logger() -> Logger:
    """The structured log. Loaded with its first line, which comes after the work is done, because
    it takes about a third of the time that boto3 takes.
    """
    from aws_lambda_powertools.logging import Logger

    return Logger()


@cache
def catalogue() -> Catalogue:
    """The datasets of this deployment, read once a process. Raises DatasetDefinitionError."""
    return Catalogue.load()


def dataset_of(key: str) -> str | None:
    """The name of the dataset that an object's key matches; None where there is none, or where the
    deployment's datasets cannot be read.
    """
    try:
        dataset = catalogue().find(key)
    except DatasetDefinitionError:
        return None
    return dataset.name if dataset else None


def seconds_left(context: Any) -> Callable[[], float]:
    """How many seconds are left to the function; without a context it has all the time."""
    if context is None:
        return lambda: inf
    return lambda: float(context.get_remaining_time_in_millis()) / 1000


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
