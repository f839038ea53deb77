"""Step Functions: JSONata."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from jsonata.functions import Functions as JsonataFunctions
from jsonata.timebox import Timebox
from ministack.services import stepfunctions

from local.engine.patches import Json, mends


# AWS: an expression has a second of its own. Stock: a second by the clock, in which thousands of
# executions that run at once take turns.
@mends(Timebox, "check_runaway", "self")
def _check_runaway(stock: Callable[..., None], box: Any) -> None:
    began = box.__dict__.setdefault("began", time.thread_time())
    box.time = Timebox.current_milli_time() - int(1000 * (time.thread_time() - began))
    stock(box)


# AWS: the context object holds how often the execution was redriven. Stock: it does not.
@mends(stepfunctions, "_evaluate_jsonata", "expression, raw_input, ctx, result, error_output")
def _evaluate(
    stock: Callable[..., Any],
    expression: str,
    data: Any,
    ctx: Json | None = None,
    result: Any = None,
    error_output: Any = None,
) -> Any:
    if ctx and "Execution" in ctx:
        ctx["Execution"].setdefault("RedriveCount", 0)
    return stock(expression, data, ctx, result, error_output)


# AWS: $string writes JSON as JavaScript does. Stock: letters that are not ASCII are escaped.
class _RawEncoder(JsonataFunctions.Encoder):  # type: ignore[misc]
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{**kwargs, "ensure_ascii": False})


JsonataFunctions.Encoder = _RawEncoder
