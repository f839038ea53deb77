"""What the names and the causes of failed executions say."""

from __future__ import annotations

import json
from typing import Any

from tablekeeper import errors
from tablekeeper.errors import InvalidFileError, TablekeeperError
from tablekeeper.model.messages import sentence_and_values


def message_of(cause: str) -> str:
    """The sentence in the Cause of a failed task; the whole Cause where it is no function's."""
    return sentence_and_values(_text(cause))[0]


def values_of(cause: str) -> dict[str, Any]:
    """The values of the error in the Cause of a failed task: those of `TablekeeperError`. An error
    of AWS has none, nor has one that a release wrote which had only sentences.
    """
    return sentence_and_values(_text(cause))[1]


def _text(cause: str) -> str:
    """The text of the error inside the Cause of a failed Lambda task.

    Lambda gives `{"errorMessage": "...", "errorType": ...}`, and Step Functions cuts it at 32,768
    characters, so only the first member can be relied on. A cause of any other form is returned as
    it is.
    """
    start = '{"errorMessage":'
    compact = cause.replace('{"errorMessage": ', start, 1)
    if not compact.startswith(start):
        return cause
    try:
        message, _ = json.JSONDecoder().raw_decode(compact, len(start))
    except ValueError:
        return cause
    return message if isinstance(message, str) else cause


def error_status(name: str) -> str:
    """INVALID for the name of an error that a file is to blame for, FAILED for every other."""
    invalid = {each.__name__ for each in InvalidFileError.__subclasses__()}
    return "INVALID" if name in invalid else "FAILED"


PASSING = frozenset(
    {
        "Lambda.AWSLambdaException",
        "Lambda.ClientExecutionTimeoutException",
        "Lambda.SdkClientException",
        "Lambda.ServiceException",
        "Lambda.TooManyRequestsException",
        "Lambda.Unknown",
        "Runtime.ExitError",
        "Sandbox.Timedout",
        "States.HeartbeatTimeout",
        "States.Timeout",
    }
)
"""What AWS ends an execution with, and what may be gone the next time: throttling, trouble of
Lambda, a function that crashed or ran out of time.
https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html
"""


def passes(name: str) -> bool:
    """Whether a file that FAILED with an error of this name may get its right end the next time.

    An error that ends otherwise than FAILED stands there where the definition was of another
    release than the function, in a deployment, or could not write and the safety net did; what it
    says of the file is found out again.
    """
    ours = getattr(errors, name, None)
    if isinstance(ours, type) and issubclass(ours, TablekeeperError):
        return ours.passes or ours.status != "FAILED"
    return name in PASSING
