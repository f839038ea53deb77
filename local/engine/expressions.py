"""Step Functions: JSONata."""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable
from typing import Any

from jsonata.functions import Functions as JsonataFunctions
from jsonata.jexception import JException
from jsonata.parser import Parser
from jsonata.timebox import Timebox
from ministack.services import stepfunctions

from local.engine.patches import Json, mends

LOOKS_AT_THE_TIME = 64
"""The clock of a thread is asked at one of so many steps of an evaluation."""


# AWS: an expression has a second of its own. Stock: a second by the clock, in which thousands of
# executions that run at once take turns.
@mends(Timebox, "check_runaway", "self")
def _check_runaway(stock: Callable[..., None], box: Any) -> None:
    steps = box.__dict__["steps"] = box.__dict__.get("steps", -1) + 1
    if box.timeout is not None and steps % LOOKS_AT_THE_TIME == 0:
        began = box.__dict__.setdefault("began", time.thread_time())
        if 1000 * (time.thread_time() - began) > box.timeout:
            raise JException("D1012", -1, box.timeout)
    box.time = math.inf  # for the clock: what is left to it is the depth
    stock(box)


# An evaluation changes nothing of what the parser made. Stock: every evaluation parses.
@mends(Parser, "parse", "self, jsonata, regex_engine")
def _parse(stock: Callable[..., Any], _: Parser, text: str, regex_engine: Any) -> Any:
    return _parsed(stock, text, regex_engine)


@functools.lru_cache(maxsize=4096)
def _parsed(stock: Callable[..., Any], text: str, regex_engine: Any) -> Any:
    return stock(Parser(), text, regex_engine)


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
