"""moto's interpreter of Amazon States Language, which somebody else wrote: a second reading of
statemachine/sync_object.asl.json, in process.

JSONata is a stub in moto 5.2.5 (getmoto/moto issue 10105), for which jsonata-python stands in;
tasks are handed to the test; nothing waits. Two things are read otherwise than moto does:
States.ALL does not match States.DataLimitExceeded and States.Runtime, as AWS documents, and a Fail
state may name any error, so as to hand on the one that was caught.
"""

from __future__ import annotations

import json
import re
import types
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any
from unittest.mock import patch

import boto3
from jsonata.utils import Utils
from moto.core.config import default_user_config
from moto.stepfunctions.parser.api import HistoryEventType, TaskFailedEventDetails
from moto.stepfunctions.parser.asl.component.common.error_name import custom_error_name
from moto.stepfunctions.parser.asl.component.common.error_name.custom_error_name import (
    CustomErrorName,
)
from moto.stepfunctions.parser.asl.component.common.error_name.error_equals_decl import (
    ErrorEqualsDecl,
)
from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import (
    FailureEvent,
    FailureEventException,
)
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name import (
    StatesErrorName,
)
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name_type import (
    StatesErrorNameType,
)
from moto.stepfunctions.parser.asl.component.common.retry import retrier_decl
from moto.stepfunctions.parser.asl.component.intrinsic import jsonata as intrinsics
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service import (
    state_task_service_aws_sdk as aws_sdk,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service import (
    state_task_service_dynamodb as dynamodb,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service import (
    state_task_service_lambda as functions,
)
from moto.stepfunctions.parser.asl.component.state.wait.wait_function.wait_function import (
    WaitFunction,
)
from moto.stepfunctions.parser.asl.jsonata import jsonata
from moto.stepfunctions.parser.asl.parse.asl_parser import AmazonStateLanguageParser
from moto.stepfunctions.parser.asl.utils import boto_client
from moto.stepfunctions.parser.models import (
    StepFunctionsParserBackend,
    stepfunctions_parser_backends,
)
from moto.stepfunctions.parser.utils import TMP_THREADS

from tests.support.interpreter import UNCATCHABLE, StateError, compiled

Invoke = Callable[[str, Mapping[str, Any], Callable[[], Any]], Any]
"""Gets the state's name, the task's arguments and what carries it out; the result, or a
StateError.
"""


@dataclass(frozen=True)
class End:
    """How an execution ended, and how often each task was tried."""

    execution: str
    status: str
    error: str | None
    cause: str
    attempts: Counter[str]


class MotoStates:
    """A state machine in moto."""

    def __init__(self, definition: Mapping[str, Any], name: str = "sync") -> None:
        self.client = _client("stepfunctions")
        self.machine = self.client.create_state_machine(
            name=name,
            definition=json.dumps(definition),
            roleArn="arn:aws:iam::123456789012:role/sync",
        )["stateMachineArn"]

    def run(self, event: Mapping[str, Any], invoke: Invoke) -> End:
        """One execution, to its end."""
        attempts: Counter[str] = Counter()

        def task(stock: Any, self: Any, env: Any, **given: Any) -> None:
            name = env.states.context_object.context_object_data["State"]["Name"]
            attempts[name] += 1

            def carry_out() -> Any:
                stock(self, env, **given)
                return env.stack.pop()

            try:
                env.stack.append(invoke(name, given["normalised_parameters"], carry_out))
            except StateError as error:
                raise FailureEventException(_failure(env, error)) from error

        threads = len(TMP_THREADS)
        with _tasks(task):
            arn = self.client.start_execution(
                stateMachineArn=self.machine, name="e1", input=json.dumps(event)
            )["executionArn"]
            TMP_THREADS[threads].join()
        said = self.client.describe_execution(executionArn=arn)
        return End(arn, said["status"], said.get("error"), said.get("cause", ""), attempts)

    def path(self, execution: str) -> list[str]:
        """The states that an execution entered. They are read inside moto: the answer of its API
        takes longer to serialize than the execution.
        """
        region, account = execution.split(":")[3:5]
        history = stepfunctions_parser_backends[account][region].get_execution_history(execution)
        entered = (each.get("stateEnteredEventDetails") or {} for each in history["events"])
        return [each["name"] for each in entered if each.get("name")]


@contextmanager
def moto_reads_jsonata() -> Iterator[None]:
    """moto executes state machines, whose expressions jsonata-python evaluates."""
    unhurried = types.SimpleNamespace(sleep=lambda _seconds: None)
    with (
        patch.dict(default_user_config["stepfunctions"], {"execute_state_machine": True}),
        patch.object(jsonata, "_eval_jsonata", _evaluate),
        # moto declares functions of its own, $hash as one that is not supported.
        patch.dict(intrinsics._DECLARATION_BY_VARIABLE_REFERENCE, clear=True),
        patch.object(retrier_decl, "time", unhurried),
        # A definition is read once, and not at its creation and at each execution's start.
        patch.object(StepFunctionsParserBackend, "_validate_definition", lambda definition: None),
        patch.object(AmazonStateLanguageParser, "parse", _parsed),
        patch.object(WaitFunction, "_wait_interval", lambda *_args, **_more: None),
        patch.object(custom_error_name, "ILLEGAL_CUSTOM_ERROR_PREFIX", "\0"),
        patch.object(ErrorEqualsDecl, "_eval_body", _matches),
        patch.object(boto_client, "boto3", types.SimpleNamespace(client=_client)),
    ):
        yield


_clients: dict[str, Any] = {}


def _client(service_name: str, **settings: Any) -> Any:
    """One client for all of a process. moto makes one for each task, in a fifth of its time."""
    if service_name not in _clients:
        _clients[service_name] = boto3.client(service_name, **settings)  # type: ignore[call-overload]
    return _clients[service_name]


_parsed = cache(AmazonStateLanguageParser.parse)


def _evaluate(text: str) -> Any:
    """What an expression is. moto writes all that it sees before it, as text: to read that as
    JSONata took most of the time of an execution.
    """
    opening, expression = _OPENING.fullmatch(text).groups()  # type: ignore[union-attr]
    bindings = {}
    while declaration := _DECLARATION.match(expression):
        try:
            value, end = _DECODER.raw_decode(expression, declaration.end())
        except ValueError:
            break
        if expression[end] != ";":
            break
        bindings[declaration[1]] = _with_nulls(value)
        expression = expression[end + 1 :]
    try:
        return compiled(opening + expression).evaluate(None, bindings)
    except Exception as error:
        raise jsonata.JSONataException("UNKNOWN", str(error)) from error


_OPENING = re.compile(r"((?:\$\w+\()?\()(.*)", re.DOTALL)
_DECLARATION = re.compile(r"\$(\w+):=")
_DECODER = json.JSONDecoder()


def _with_nulls(value: Any) -> Any:
    """A value of JSON as jsonata-python has it: nothing is not null."""
    if isinstance(value, dict):
        return {name: _with_nulls(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_with_nulls(each) for each in value]
    return Utils.NULL_VALUE if value is None else value


def _matches(self: Any, env: Any) -> None:
    if str(env.stack[-1].error_name) in UNCATCHABLE and len(self.error_names) == 1:
        (only,) = self.error_names
        if only.error_name == "States.ALL":
            env.stack[-1] = False
            return
    _STOCK_MATCHES(self, env)


_STOCK_MATCHES = ErrorEqualsDecl._eval_body


@contextmanager
def _tasks(task: Callable[..., None]) -> Iterator[None]:
    """Hands every task to the function, with what would carry it out."""
    services: list[Any] = [
        functions.StateTaskServiceLambda,
        dynamodb.StateTaskServiceDynamoDB,
        aws_sdk.StateTaskServiceAwsSdk,
    ]
    stocks = [each._eval_service_task for each in services]
    service: Any = dynamodb.StateTaskServiceDynamoDB
    told = service._from_error

    def from_error(self: Any, env: Any, ex: Exception) -> FailureEvent:
        return ex.failure_event if isinstance(ex, FailureEventException) else told(self, env, ex)

    service._from_error = from_error
    for each, stock in zip(services, stocks, strict=True):
        each._eval_service_task = lambda self, env, _stock=stock, **given: task(
            _stock, self, env, **given
        )
    try:
        yield
    finally:
        service._from_error = told
        for each, stock in zip(services, stocks, strict=True):
            each._eval_service_task = stock


def _failure(env: Any, error: StateError) -> FailureEvent:
    if error.error.startswith("States."):
        name: Any = StatesErrorName(typ=StatesErrorNameType.from_name(error.error))
    else:
        name = CustomErrorName(error.error)
    failed = TaskFailedEventDetails(
        error=error.error, cause=error.cause, resource="", resourceType=""
    )
    details: Any = {"taskFailedEventDetails": failed}
    return FailureEvent(
        env=env,
        error_name=name,
        event_type=HistoryEventType.TaskFailed,
        event_details=details,
    )
