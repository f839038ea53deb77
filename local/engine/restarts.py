"""What the engine keeps when it is restarted."""

from __future__ import annotations

import functools
import sys
import time
from collections.abc import Callable
from typing import Any

from ministack import app

from local.engine.patches import Json, mends


# Here an execution that has ended before has all its writes after. Stock: the tables are written to
# disk before the executions, and an execution that ends between the two would have no writes; and
# what changes while it is copied is not kept at all.
@mends(app, "_build_persistence_save_dict", "")
def _saved(stock: Callable[..., Any]) -> Json:
    services = {name: functools.partial(_at_once, get_state) for name, get_state in stock().items()}
    first = "stepfunctions"
    return {first: services[first], **services} if first in services else services


def _at_once(get_state: Callable[[], Any]) -> Any:
    """What it returns, while no other thread runs: none gets its turn before the interval ends."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(60)
    time.sleep(2 * usual)  # Waits by the old interval end.
    try:
        return get_state()
    finally:
        sys.setswitchinterval(usual)
