"""What to do about an error. docs/runbook.md says the same, and more: each *Do* begins so."""

from __future__ import annotations

from collections.abc import Mapping

from tablekeeper import errors

_LAMBDA_FAILED = "When Lambda answers again, reprocess."
_PROCESS_DIED = (
    "Raise MemorySize in the template, or build for the parameter Architecture; if one file does "
    "it again and again, report it. Then reprocess."
)
_BUG = "Report it, with the cause; when it is mended, reprocess."
_OTHER = (
    "Look at the cause and the trace, mend what it names, then reprocess; docs/runbook.md has an "
    "entry for each error."
)
_OF_AWS: Mapping[str, str] = {
    "ClientError": "Grant or restore what the cause names, then reprocess.",
    "Lambda.TooManyRequestsException": (
        "Raise the account's quota of concurrent executions, or find who uses it up."
    ),
    "Lambda.ClientExecutionTimeoutException": _LAMBDA_FAILED,
    "Lambda.ServiceException": _LAMBDA_FAILED,
    "Lambda.AWSLambdaException": _LAMBDA_FAILED,
    "Lambda.SdkClientException": _LAMBDA_FAILED,
    "Lambda.Unknown": _PROCESS_DIED,
    "Runtime.ExitError": _PROCESS_DIED,
    "Sandbox.Timedout": (
        "Mend the pattern of the schema that backtracks, or wait for the service that does not "
        "answer; then reprocess."
    ),
    "States.Timeout": (
        "For a single state mend the schema's pattern that backtracks, or wait for the service; "
        "for a large write raise the capacity of the items table; then reprocess."
    ),
    "States.DataLimitExceeded": "Report it with the state and the object's size.",
    "States.QueryEvaluationError": "Deploy the stack whole, then reprocess.",
    "States.Runtime": "Start executions with an S3 event; if the input is one, report it.",
    "UnknownActionError": "Deploy the functions and the definition together, then reprocess.",
    "ExecutionAborted": "Ask who stopped the execution, and why; then reprocess.",
}
"""By the names with which AWS, the definition and the safety net end an execution."""


def advice(error: str) -> str:
    """What to do about an error, by its name. Other names of AWS have a dot or are a status, in
    capitals; any other name without a dot is a Python exception's.
    """
    own = getattr(errors, error, None)
    if isinstance(own, type) and issubclass(own, errors.TablekeeperError) and own.advice:
        return own.advice
    if error in _OF_AWS:
        return _OF_AWS[error]
    return _BUG if error.isidentifier() and not error.isupper() else _OTHER
