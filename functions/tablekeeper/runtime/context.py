"""What handlers share: the logger, and the time that is left."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from math import inf
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aws_lambda_powertools.logging import Logger


@cache
def logger() -> Logger:
    """The structured log. Loaded with its first line, which comes after the work is done, because
    it takes about a third of the time that boto3 takes.
    """
    import logging

    from aws_lambda_powertools.logging import Logger

    made = Logger()
    # Lambda's own filter has the level DEBUG or INFO, and Powertools takes that for the only one.
    if level := os.environ.get("POWERTOOLS_LOG_LEVEL"):
        logging.getLogger(made.service).setLevel(level)
    return made


def seconds_left(context: Any) -> Callable[[], float]:
    """How many seconds are left to the function; without a context it has all the time."""
    if context is None:
        return lambda: inf
    return lambda: float(context.get_remaining_time_in_millis()) / 1000
