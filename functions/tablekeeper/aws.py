"""The edge to AWS: clients, and which of their errors pass by themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import cache
from threading import Lock
from typing import TYPE_CHECKING, Any

from tablekeeper.errors import TransientServiceError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_stepfunctions import SFNClient

TRANSIENT_CODES = frozenset(
    {
        "InternalError",
        "InternalFailure",
        "InternalServerError",
        "KMS.DependencyTimeoutException",
        "KMS.KMSInternalException",
        "KMS.ThrottlingException",
        "LimitExceededException",
        "OperationAborted",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestTimeout",
        "RequestTimeoutException",
        "ServiceUnavailable",
        "ServiceUnavailableException",
        "SlowDown",
        "ThrottledException",
        "Throttling",
        "ThrottlingError",
        "ThrottlingException",
        "TooManyRequestsException",
        "TransactionConflict",
        "TransactionConflictException",
        "TransactionInProgressException",
    }
)
"""S3: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
DynamoDB: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html
"""

RETRIES: Any = {"mode": "standard", "total_max_attempts": 4}
DYNAMODB_RETRIES: Any = {"mode": "legacy", "total_max_attempts": 8}
"""A table that throttles for long is waited for. The standard mode has a quota of retries a client,
which is used up when half of all calls are throttled: after some hundred calls each of them fails
at its first throttling. The legacy mode has none, and waits 6 seconds altogether.
https://docs.aws.amazon.com/boto3/latest/guide/retries.html
"""

_makers: list[Callable[[str], Any]] = []
_making = Lock()


@contextmanager
def clients_by(make: Callable[[str], Any]) -> Iterator[None]:
    """Within it, `client` gives what `make` gives for a service: for the command, which has
    credentials of its own.
    """
    _makers.append(make)
    cached_client.cache_clear()
    try:
        yield
    finally:
        _makers.pop()
        cached_client.cache_clear()


def client(service: str) -> Any:
    """One client a service, made when it is first asked for, however many threads ask at once."""
    with _making:
        return cached_client(service)


@cache
def cached_client(service: str) -> Any:
    """A client as boto3 makes it, but by botocore alone, which loads faster.

    It is imported here, so that a module that needs no client does not load it.
    """
    if _makers:
        return _makers[-1](service)
    import botocore.session
    from botocore.config import Config

    session = botocore.session.get_session()
    session.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=_time)
    config = Config(
        connect_timeout=5,
        read_timeout=20,
        retries=DYNAMODB_RETRIES if service == "dynamodb" else RETRIES,
        max_pool_connections=20,
        # A third of the time of a large transaction, to find what the type checker finds.
        parameter_validation=service != "dynamodb",
        # A tenth of a call's time, twice a call, to put together what is always the same.
        user_agent=session.user_agent(),
    )
    return session.create_client(service, config=config)


def _time(value: Any) -> datetime:
    """A time of an answer. S3's Last-Modified takes a tenth of the time that botocore takes."""
    if isinstance(value, str) and value.endswith("GMT"):
        return parsedate_to_datetime(value)
    from botocore.utils import parse_timestamp

    parsed: datetime = parse_timestamp(value)
    return parsed


def dynamodb() -> DynamoDBClient:
    """The DynamoDB client."""
    made: DynamoDBClient = client("dynamodb")
    return made


def s3() -> S3Client:
    """The S3 client."""
    made: S3Client = client("s3")
    return made


def states() -> SFNClient:
    """The Step Functions client."""
    made: SFNClient = client("stepfunctions")
    return made


def check_deleted(answer: Mapping[str, Any]) -> None:
    """Raises ClientError for the keys that DeleteObjects, which answers 200 all the same, did not
    delete; for one whose error does not pass, if there is one.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html
    """
    from botocore.exceptions import ClientError

    failed = sorted(
        answer.get("Errors", ()), key=lambda each: each.get("Code", "") in TRANSIENT_CODES
    )
    if failed:
        code, key = failed[0].get("Code", ""), failed[0].get("Key", "")
        message = f"{len(failed):,} objects were not deleted, among them {key}"
        raise ClientError({"Error": {"Code": code, "Message": message}}, "DeleteObjects")


@contextmanager
def transient_errors() -> Iterator[None]:
    """Within it, an AWS error that passes by itself is raised as TransientServiceError; others stay
    as they are.
    """
    from botocore.exceptions import (
        ClientError,
        FlexibleChecksumError,
        HTTPClientError,
        IncompleteReadError,
    )
    from botocore.exceptions import ConnectionError as EndpointError
    from urllib3.exceptions import HTTPError

    try:
        yield
    except ClientError as error:
        code = error.response["Error"].get("Code", "")
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if code in TRANSIENT_CODES or status >= 500:
            raise TransientServiceError(f"{error.operation_name}: {code}") from error
        raise
    except (
        # The two families of an endpoint that cannot be reached and of an exchange that broke.
        EndpointError,
        HTTPClientError,
        # Bytes that got lost or changed on their way.
        IncompleteReadError,
        FlexibleChecksumError,
        # What botocore does not translate while a body is read.
        HTTPError,
    ) as error:
        raise TransientServiceError(f"the connection broke: {type(error).__name__}") from error
