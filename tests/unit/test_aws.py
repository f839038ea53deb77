"""The clients: how much throttling they stand, and which of their errors pass."""

from __future__ import annotations

import inspect
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType
from typing import Any

import pytest
from botocore import exceptions as botocore_errors
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.exceptions import ClientError
from botocore.utils import parse_timestamp
from tablekeeper import aws
from tablekeeper.errors import TransientServiceError
from urllib3 import exceptions as urllib3_errors

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
    client = aws.cached_client.__wrapped__("dynamodb")
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


def _tree(module: ModuleType, *bases: type[Exception]) -> list[type[Exception]]:
    """The classes of a module that are of these families."""
    return [
        each for each in vars(module).values() if inspect.isclass(each) and issubclass(each, bases)
    ]


BROKEN = [
    *_tree(botocore_errors, botocore_errors.ConnectionError, botocore_errors.HTTPClientError),
    botocore_errors.IncompleteReadError,
    botocore_errors.FlexibleChecksumError,
    *_tree(urllib3_errors, urllib3_errors.HTTPError),
]
"""Whatever botocore or urllib3 have for an exchange that did not work."""


@pytest.mark.parametrize("error", BROKEN, ids=[f"{e.__module__}.{e.__name__}" for e in BROKEN])
def test_every_error_of_a_connection_passes(error: type[Exception]) -> None:
    with pytest.raises(TransientServiceError, match=error.__name__), aws.transient_errors():
        raise error.__new__(error)


def test_the_families_have_what_a_connection_can_meet() -> None:
    """A class that botocore moved out of them would be missed."""
    names = {each.__name__ for each in BROKEN}
    assert names >= {
        "ConnectTimeoutError",
        "ConnectionClosedError",
        "EndpointConnectionError",
        "ProtocolError",
        "ProxyConnectionError",
        "ReadTimeoutError",
        "ResponseStreamingError",
        "SSLError",
    }


@pytest.mark.parametrize(
    "error",
    [botocore_errors.NoCredentialsError, botocore_errors.ParamValidationError],
    ids=["no credentials", "a parameter"],
)
def test_what_does_not_pass_stays_as_it_is(error: type[Exception]) -> None:
    with pytest.raises(error), aws.transient_errors():
        raise error.__new__(error)


@pytest.mark.parametrize(
    ("codes", "error"),
    [
        (["SlowDown", "InternalError"], TransientServiceError),
        (["SlowDown", "AccessDenied"], ClientError),
    ],
    ids=["all pass", "one does not"],
)
def test_what_delete_objects_did_not_delete_is_an_error(
    codes: list[str], error: type[Exception]
) -> None:
    errors = [{"Key": f"keys/{code}", "Code": code, "Message": ""} for code in codes]
    with pytest.raises(error, match="DeleteObjects"), aws.transient_errors():
        aws.check_deleted({"Errors": errors})
    aws.check_deleted({"Deleted": [{"Key": "keys/a"}]})


def test_a_client_that_many_threads_ask_for_at_once_is_made_once() -> None:
    made: list[str] = []
    together = threading.Barrier(8)

    def make(service: str) -> object:
        made.append(service)
        time.sleep(0)
        return object()

    def ask(_: int) -> object:
        together.wait()
        return aws.client("s3")

    with aws.clients_by(make), ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(ask, range(8)))) == 1
    assert made == ["s3"]


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("Sat, 28 Feb 2026 23:59:59 GMT", id="as S3 gives Last-Modified"),
        pytest.param("2026-02-28T23:59:59.123Z", id="as S3 lists objects"),
        pytest.param(1772323199.123, id="as Step Functions describes executions"),
    ],
)
def test_a_time_is_read_as_botocore_reads_it(value: Any) -> None:
    time_parser = aws.cached_client.__wrapped__("s3")._response_parser._timestamp_parser
    assert time_parser(value) == parse_timestamp(value)
    assert time_parser(value).tzinfo
