"""What an index cannot hold is known before an item is replaced, and nothing else is refused."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import pytest
from tablekeeper.commit import questions
from tablekeeper.commit.questions import _refusal
from tablekeeper.errors import UnfinishedWriteError

from tests.support.quick import quick_pipeline


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


@pytest.mark.usefixtures("large")
def test_what_was_answered_is_not_asked_again_by_the_attempt_that_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The table throttles: of sixty batches, a function has the time for thirty."""
    pipeline, key = quick_pipeline(monkeypatch), "notes/a.json"
    monkeypatch.setattr(questions, "BATCH", 1)
    for version in (1, 2):
        pipeline.put(key, [{"pk": "a", "sk": str(n), "v": version} for n in range(60)])
        if version == 1:
            pipeline.sync(key)
    stock, left, asked = pipeline.dynamodb.batch_get_item, [0.0], list[str]()

    def batch_get_item(**request: Any) -> Any:
        asked.extend(str(each) for each in request["RequestItems"]["items"]["Keys"])
        left[0] -= 30
        return stock(**request)

    monkeypatch.setattr(pipeline.dynamodb, "batch_get_item", batch_get_item)
    pipeline.seconds_left = lambda: left[0]
    fetched, execution = pipeline.fetch(key), pipeline.execution(key)
    for _ in range(2):
        left[0] = 900.0
        with pytest.raises(UnfinishedWriteError):
            pipeline.commit(fetched, execution)
        assert pipeline.row(key)["claim_state"] == {"S": "ADDING"}
    left[0] = 900.0
    assert pipeline.commit(fetched, execution)["items_put"] == 60
    assert len(asked) == len(set(asked)) == 60
