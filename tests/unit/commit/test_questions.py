"""What an index cannot hold is known before an item is replaced, and nothing else is refused."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import pytest
from tablekeeper.commit.questions import _refusal


def _binary(size: int) -> dict[str, str]:
    return {"B": b64encode(b"x" * size).decode()}


@pytest.mark.parametrize(
    ("value", "kind", "most", "why"),
    [
        pytest.param(None, "S", 2048, "", id="no such attribute"),
        pytest.param({"S": "é" * 1024}, "S", 2048, "", id="text as long as may be"),
        pytest.param(
            {"S": "é" * 1024 + "x"}, "S", 2048, "has 2,049 bytes, more than 2,048", id="longer text"
        ),
        pytest.param({"S": ""}, "S", 2048, "is empty", id="empty text"),
        pytest.param(_binary(2048), "B", 2048, "", id="a hash key's binary as long as may be"),
        pytest.param(_binary(1024), "B", 1024, "", id="a range key's binary as long as may be"),
        pytest.param(
            _binary(1025), "B", 1024, "has 1,025 bytes, more than 1,024", id="longer binary"
        ),
        pytest.param(_binary(0), "B", 1024, "is empty", id="empty binary"),
        pytest.param({"N": "1"}, "N", 1024, "", id="a number"),
        pytest.param({"NULL": True}, "N", 1024, "has the type NULL, not N", id="null"),
    ],
)
def test_why_an_index_cannot_hold_a_value(value: Any, kind: str, most: int, why: str) -> None:
    assert _refusal(value, kind, most) == why
