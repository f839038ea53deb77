"""How the engine is patched: a function of ministack is replaced by one that gets it."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

Json = dict[str, Any]


class PatchPointError(Exception):
    """Raised when ministack is not the one that the patches were written for."""


def mends(module: Any, name: str, parameters: str) -> Callable[[Callable[..., Any]], None]:
    """Puts the decorated function in place of `module.name`, which it gets as its first argument.

    `parameters` are the names that the stock function takes. Raises PatchPointError if they differ.
    """
    stock: Any = getattr(module, name, None)
    actual = ", ".join(inspect.signature(stock).parameters) if callable(stock) else "nothing"
    if actual != parameters:
        raise PatchPointError(f"{module.__name__}.{name} takes ({actual}), not ({parameters})")

    def put(mended: Callable[..., Any]) -> None:
        @functools.wraps(stock)
        def call(*args: Any, **kwargs: Any) -> Any:
            return mended(stock, *args, **kwargs)

        setattr(module, name, call)

    return put
