"""Step Functions: errors and limits of a task, retries, and the ends of executions."""

from __future__ import annotations

import contextvars
import json
import random
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from ministack.services import stepfunctions

from local.engine.patches import Json, mends
from local.engine.state import (
    CAUSE_CHARACTERS,
    FAULTS,
    PAYLOAD_BYTES,
    SLOTS,
    SWITCHES,
    has_slot,
)
from local.faults import Fault
from local.switches import LAMBDA_THROTTLES

UNCATCHABLE = ("States.DataLimitExceeded", "States.Runtime")
"""https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html"""

THROTTLED = (
    "Lambda.TooManyRequestsException",
    "Rate Exceeded. (Service: Lambda, Status Code: 429)",
)
Failure = stepfunctions._ExecutionError


# AWS: TimeoutSeconds is for one attempt of the task, and a throttled invocation is another attempt.
# Stock: it would run while the invocation waits for a slot, too.
@mends(stepfunctions, "_invoke_resource_with_timeout", "resource, input_data, timeout")
def _with_timeout(_stock: Callable[..., Any], resource: str, data: Any, timeout: float) -> Any:
    if ":lambda:" in resource and SWITCHES.is_on(LAMBDA_THROTTLES):
        # Where thousands are throttled, their threads would take the engine's whole time.
        if not SLOTS.acquire(blocking=False):
            raise Failure(*THROTTLED)
        SLOTS.release()
    running = threading.Event()
    has_slot.set(running if ":lambda:" in resource else None)
    pool = ThreadPoolExecutor(max_workers=1)
    future: Future[Any] = pool.submit(
        contextvars.copy_context().run, stepfunctions._invoke_resource, resource, data
    )
    pool.shutdown(wait=False)
    future.add_done_callback(lambda _: running.set())
    if ":lambda:" in resource:
        running.wait()
    try:
        return future.result(timeout)
    except TimeoutError:
        raise Failure("States.Timeout", f"Task timed out after {timeout} seconds") from None


_state: contextvars.ContextVar[tuple[str, str]] = contextvars.ContextVar("state", default=("", ""))


@mends(stepfunctions, "_execute_task", "state_def, raw_input, execution, ctx")
def _task(
    stock: Callable[..., Any], definition: Json, data: Any, execution: Json, ctx: Json
) -> Any:
    _state.set((ctx["State"]["Name"], execution.get("input") or ""))
    return stock(definition, data, execution, ctx)


# AWS: a task's result has at most 262,144 bytes, a Cause 32,768 characters, a throttled Lambda its
# own name, the Cause of a Lambda error is JSON as the function's runtime wrote it, and errors of
# DynamoDB have the names of the SDK for Java's classes, the service's details after the message.
# Stock: no limits, Lambda.Unknown, JSON with non-ASCII letters escaped, DynamoDB's own names.
@mends(stepfunctions, "_invoke_resource", "resource, input_data")
def _resource(stock: Callable[..., Any], resource: str, data: Any) -> Any:
    fault = FAULTS.take(*_state.get())
    if fault and not fault.after:
        _strike_state(fault)
    try:
        result = _within_limit(stock(resource, data), "returned a result")
    except Failure as error:
        name, cause = error.error, error.cause or ""
        if ":lambda:" in resource or ":function:" in resource:
            name, cause = _lambda_error(name, cause)
        elif "dynamodb:" in resource and not name.startswith("States."):
            name, cause = _dynamodb_error(name, cause)
        raise Failure(name, cause[:CAUSE_CHARACTERS]) from error
    if fault and fault.after:
        _strike_state(fault)
    return result


def _strike_state(fault: Fault) -> None:
    if fault.mode != "delay":
        raise Failure(fault.error, fault.cause)
    fault.wait()


def _lambda_error(name: str, cause: str) -> tuple[str, str]:
    if name == "Lambda.Unknown" and "TooManyRequestsException" in cause:
        return THROTTLED
    if cause.startswith("{"):
        cause = json.dumps(json.loads(cause), ensure_ascii=False, separators=(",", ":"))
    return name, cause


def _dynamodb_error(name: str, cause: str) -> tuple[str, str]:
    prefix, _, code = name.rpartition(".")
    modelled = {shape.name for shape in stepfunctions._service_model("dynamodb").error_shapes}
    if code in modelled:
        code = code if code.endswith("Exception") else f"{code}Exception"
    else:
        code = "DynamoDbException" if prefix == "DynamoDb" else "AmazonDynamoDBException"
    return f"{prefix}.{code}", f"{cause} (Service: DynamoDb, Status Code: 400, Request ID: local)"


def _within_limit(value: Any, what: str) -> Any:
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    if len(text.encode(errors="surrogatepass")) > PAYLOAD_BYTES:
        raise Failure(
            "States.DataLimitExceeded",
            f"The state/task {what} with a size exceeding the maximum number of bytes service "
            "limit.",
        )
    return value


# AWS: what goes into a task and what a state puts out is limited in the same way. Stock: no limit.
@mends(stepfunctions, "_apply_jsonata_arguments", "state_def, raw_input, ctx")
def _arguments(stock: Callable[..., Any], *args: Any) -> Any:
    return _within_limit(stock(*args), "was given arguments")


@mends(
    stepfunctions,
    "_apply_jsonata_output",
    "state_def, raw_input, ctx, result, error_output, default",
)
def _output(stock: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    return _within_limit(stock(*args, **kwargs), "returned a result")


# AWS: an input over the limit is refused. Stock: it is accepted.
@mends(stepfunctions, "_start_execution", "data")
def _start(stock: Callable[..., Any], data: Json) -> Any:
    if len((data.get("input") or "").encode()) > PAYLOAD_BYTES:
        return stepfunctions.error_response_json(
            "ValidationException",
            "1 validation error detected: Value at 'input' failed to satisfy constraint: "
            f"Member must have length less than or equal to {PAYLOAD_BYTES}",
            400,
        )
    return stock(data)


# AWS: StopExecution documents no error for what has ended, which stays as it is. Stock: it is a
# ValidationException, but for what was aborted.
@mends(stepfunctions, "_stop_execution", "data")
def _stop(stock: Callable[..., Any], data: Json) -> Any:
    answer = stock(data)
    execution = stepfunctions._executions.get(data.get("executionArn"))
    if not execution:
        return answer
    return stepfunctions.json_response(
        {"stopDate": execution.get("stopDate") or stepfunctions.now_iso()}
    )


# AWS: States.ALL matches neither of these. Stock: it matches everything.
@mends(stepfunctions, "_error_matches", "error_equals, error")
def _matches(stock: Callable[..., Any], names: list[str], error: str) -> bool:
    return error in names if error in UNCATCHABLE else bool(stock(names, error))


# AWS: MaxDelaySeconds and JitterStrategy are honoured. Stock: neither is.
@mends(stepfunctions, "_find_matching_retrier", "retriers, error, retry_counts")
def _retrier(
    stock: Callable[..., Any], retriers: list[Json], error: str, counts: dict[int, int]
) -> Any:
    retrier, index = stock(retriers, error, counts)
    if retrier is not None:
        first, rate = retrier.get("IntervalSeconds", 1), retrier.get("BackoffRate", 2.0)
        delay = min(
            first * rate ** counts.get(index, 0), retrier.get("MaxDelaySeconds", 31_622_400)
        )
        if retrier.get("JitterStrategy") == "FULL":
            delay = random.uniform(0, delay)
        retrier = {**retrier, "IntervalSeconds": delay, "BackoffRate": 1.0}
    return retrier, index


# AWS: TimeoutSeconds of the state machine ends the execution as TIMED_OUT. Stock: it is not read.
@mends(stepfunctions, "_run_execution", "exec_arn")
def _execution(stock: Callable[..., Any], arn: str) -> None:
    execution = stepfunctions._executions.get(arn) or {}
    machine = stepfunctions._state_machines.get(execution.get("stateMachineArn")) or {}
    seconds = json.loads(machine.get("definition", "{}")).get("TimeoutSeconds")
    if seconds is None:
        stock(arn)
        return
    timer = threading.Timer(seconds, contextvars.copy_context().run, (_time_out, execution))
    timer.daemon = True
    timer.start()
    try:
        stock(arn)
    finally:
        timer.cancel()


def _time_out(execution: Json) -> None:
    if execution["status"] == "RUNNING":
        execution.update(status="TIMED_OUT", stopDate=stepfunctions.now_iso())
        stepfunctions._add_event(
            execution, "ExecutionTimedOut", {"executionTimedOutEventDetails": {}}
        )
        stepfunctions._emit_execution_status_event(execution)


# AWS: nothing follows the end of an execution. Stock: the state that was running adds its events,
# and its failure turns ABORTED into FAILED.
@mends(stepfunctions, "_add_event", "execution, event_type, details")
def _event(stock: Callable[..., Any], execution: Json, *args: Any) -> Json:
    last = execution["events"][-1]
    ended = last["type"] in ("ExecutionAborted", "ExecutionTimedOut")
    event: Json = last if ended else stock(execution, *args)
    return event


@mends(stepfunctions, "_fail_execution", "execution, error, cause")
def _fail(stock: Callable[..., Any], execution: Json, *args: Any) -> None:
    if execution["status"] == "RUNNING":
        stock(execution, *args)


# AWS: all expressions of an Assign see the variables as they were. Stock: each sees the one before.
@mends(stepfunctions, "_apply_state_assign", "state_def, raw_input, ctx, result, error_output")
def _assign(
    stock: Callable[..., Any],
    definition: Json,
    data: Any,
    ctx: Json | None,
    result: Any = None,
    error_output: Any = None,
) -> None:
    assign = definition.get("Assign")
    if ctx is None or not isinstance(assign, dict):
        return
    variables = ctx.setdefault("variables", {})
    assigned: Json = {}
    for name, template in assign.items():
        scope = {**ctx, "variables": dict(variables)}
        stock({**definition, "Assign": {name: template}}, data, scope, result, error_output)
        if name in scope["variables"]:
            assigned[name] = scope["variables"][name]
    variables.update(_within_limit(assigned, "assigned variables"))
