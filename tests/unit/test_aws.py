"""The clients: how much throttling they stand."""

from __future__ import annotations

import random
import time

import pytest
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from tablekeeper import aws
from tablekeeper.errors import TransientServiceError

CALLS = 2000


class _Raw:
    def __init__(self, body: bytes) -> None:
        self.body = body

    def stream(self) -> list[bytes]:
        return [self.body]


def test_a_table_that_throttles_half_of_all_calls_for_long_is_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No quota of retries is used up, after which half of the calls would fail."""
    waited: list[float] = []
    monkeypatch.setattr(time, "sleep", waited.append)
    odds = random.Random(1)
    client = aws.client.__wrapped__("dynamodb")
    busy = b'{"__type": "com.amazonaws.dynamodb.v20120810#ThrottlingException"}'

    def answer(request: object, **_: object) -> AWSResponse:
        status, body = (400, busy) if odds.random() < 0.5 else (200, b"{}")
        return AWSResponse("", status, HTTPHeaders(), _Raw(body))

    client.meta.events.register("before-send.dynamodb.GetItem", answer)
    failed = 0
    for _ in range(CALLS):
        try:
            with aws.transient_errors():
                client.get_item(TableName="ledger", Key={"pk": {"S": "a"}})
        except TransientServiceError:
            failed += 1
    assert failed < CALLS / 50
    assert 0 < sum(waited) / CALLS < 1
