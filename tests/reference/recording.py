"""A pytest plugin: what every expression of a definition is evaluated on, and what it gives.

Each line of the file that RECORDED_EXPRESSIONS names is {"expression", "bindings"} and "value" or
"error". jsonata-python has None for null and for nothing.
"""

from __future__ import annotations

import json
import os
from typing import Any

import jsonata
import pytest

NULL = jsonata.utils.Utils.NULL_VALUE


@pytest.fixture(scope="session", autouse=True)
def _recorded() -> Any:
    begin, stock = jsonata.Jsonata.__init__, jsonata.Jsonata.evaluate
    seen: set[str] = set()
    with (
        open(os.environ["RECORDED_EXPRESSIONS"], "a") as file,  # noqa: PTH123
        pytest.MonkeyPatch.context() as patch,
    ):

        def init(self: Any, expression: str, *more: Any, **named: Any) -> None:
            self.source = expression
            begin(self, expression, *more, **named)

        def evaluate(self: Any, given: Any, bindings: Any = None) -> Any:
            line: dict[str, Any] = {"expression": self.source, "bindings": bindings or {}}
            asked = json.dumps(line, default=_plain, sort_keys=True)
            try:
                value = stock(self, given, bindings)
            except Exception:
                line["error"] = True
                raise
            else:
                line["value"] = value
                return value
            finally:
                if asked not in seen:
                    seen.add(asked)
                    file.write(json.dumps(line, default=_plain) + "\n")

        patch.setattr(jsonata.Jsonata, "__init__", init)
        patch.setattr(jsonata.Jsonata, "evaluate", evaluate)
        yield


def _plain(value: Any) -> Any:
    if value is NULL:
        return None
    raise TypeError(f"{type(value)} is no JSON")
