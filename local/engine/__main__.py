"""Runs ministack with what it lacks of AWS's behaviour: `python -m local.engine`.

Every patch below, and in local/distributed_map.py, says what AWS does and what stock ministack
does, and checks at start that the place it changes still looks as it did when the patch was
written. Environment: GATEWAY_PORT and AWS_ENDPOINT_URL, which ministack reads; ENGINE_STATE_DIR (a
folder, for `faults.json`, see local/faults.py, and `alive.lock`, locked while the engine runs);
ENGINE_LAMBDA_PYTHON (the interpreter that runs the functions); ENGINE_LAMBDA_CONCURRENCY (default
4); ENGINE_ENDS_WITH (a file: the engine ends when no process holds a lock on it any more); and
ENGINE_CALLS (a file, to which the calls of roles are written, see local/calls.py).
PERSIST_STATE, STATE_DIR, S3_PERSIST and S3_DATA_DIR let it be restarted: ministack reads them.
"""

from __future__ import annotations

import contextvars
import fcntl
import functools
import json
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from importlib import metadata
from pathlib import Path
from typing import Any

from jsonata.functions import Functions as JsonataFunctions
from jsonata.timebox import Timebox
from ministack import app
from ministack.core import iam_evaluator, lambda_runtime
from ministack.core.responses import error_response_json
from ministack.services import dynamodb, eventbridge, lambda_svc, s3, stepfunctions, sts

from local.calls import Call, Calls
from local.chaos import Chaos
from local.engine import distributed_map
from local.engine.patches import Json, PatchPointError, mends
from local.faults import Fault, Faults

MINISTACK = "1.5.33"
PAYLOAD_BYTES = 262_144
"""https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html"""
CAUSE_CHARACTERS = 32_768
"""https://docs.aws.amazon.com/step-functions/latest/apireference/API_HistoryEvent.html"""
UNCATCHABLE = ("States.DataLimitExceeded", "States.Runtime")
"""https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html"""

Failure = stepfunctions._ExecutionError

STATE_DIR = Path(os.environ["ENGINE_STATE_DIR"])
FAULTS = Faults(STATE_DIR / "faults.json")
CHAOS = Chaos(STATE_DIR / "chaos.json")
SLOTS = threading.BoundedSemaphore(int(os.environ.get("ENGINE_LAMBDA_CONCURRENCY", "4")))


def rewrites(old: str, new: str) -> None:
    """Replaces `old` in the script that runs Python functions. Raises PatchPointError."""
    script = lambda_runtime._PYTHON_WORKER_SCRIPT
    if script.count(old) != 1:
        raise PatchPointError(f"the script that runs Python functions does not hold once: {old}")
    lambda_runtime._PYTHON_WORKER_SCRIPT = script.replace(old, new)


if metadata.version("ministack") != MINISTACK:
    raise PatchPointError(f"ministack is {metadata.version('ministack')}, not {MINISTACK}")


# Lambda: what runs a function
#
# AWS: a function finds its zip and what the runtime brings, nothing else.
# Stock: it also finds every package of the engine.
@mends(lambda_runtime, "_detect_runtime_binary", "runtime")
def _interpreter(stock: Callable[..., Any], runtime: str) -> tuple[str, str]:
    binary, script = stock(runtime)
    return os.environ["ENGINE_LAMBDA_PYTHON"] if runtime.startswith("python") else binary, script


# AWS: an error that the handler raises has the name of its class, and the process goes on.
# Stock: all are called Runtime.HandlerError, and the process is ended.
rewrites(
    'json.dumps({"status": "error", "error": str(e), "trace": traceback.format_exc()})',
    'json.dumps({"status": "ok", "result": None, "raised": {"errorMessage": str(e), '
    '"errorType": type(e).__name__, "stackTrace": traceback.format_tb(e.__traceback__)[1:]}, '
    '"trace": traceback.format_exc()})',
)
# AWS: an error while the module is imported has a name too. Stock: it is called RuntimeError.
rewrites(
    '_real_stdout.write(json.dumps({"status": "error", "error": str(e)})',
    '_real_stdout.write(json.dumps({"status": "error", "error": json.dumps({'
    '"errorMessage": str(e), "errorType": '
    '"Runtime.ImportModuleError" if isinstance(e, ImportError) else type(e).__name__})})',
)
INVOCATION_SECONDS = 10
"""How long the update of a function waits for what runs of it."""
INIT_FAILED = "Worker init failed: "
DIED = ("Worker process died", "Worker process exited immediately")
TIMED_OUT = "Task timed out after "

_answer: contextvars.ContextVar[Json] = contextvars.ContextVar("answer")
_running: contextvars.ContextVar[threading.Event | None] = contextvars.ContextVar(
    "running", default=None
)


@mends(
    lambda_runtime.Worker,
    "invoke",
    "self, event, request_id, trace_id, depth, durable, invoked_function_arn",
)
def _invoke(stock: Callable[..., Any], *args: Any, **kwargs: Any) -> Json:
    worker = args[0]
    seconds = CHAOS.kill_after(worker.func_name)
    killer = threading.Timer(seconds, _kill, (worker,)) if seconds is not None else None
    if killer:
        killer.start()
    answer: Json = stock(*args, **kwargs)
    if killer:
        killer.cancel()
    _answer.set(answer)
    return answer


# AWS: what runs while the code is updated goes on with the old code. Stock: it is killed.
@mends(lambda_svc, "invalidate_worker", "func_name, qualifier, account, region")
def _invalidate(stock: Callable[..., Any], func_name: str, *args: Any, **kwargs: Any) -> None:
    with lambda_runtime._lock:
        workers = [
            worker
            for key, found in lambda_runtime._workers.items()
            if func_name in key.split(":")
            for worker in found
        ]
    held = [each for each in workers if each._lock.acquire(timeout=INVOCATION_SECONDS)]
    try:
        stock(func_name, *args, **kwargs)
    finally:
        for worker in held:
            worker._lock.release()


def _kill(worker: Any) -> None:
    if worker._proc:
        worker._proc.kill()


# AWS: as many executions as there is concurrency, the others are throttled and tried again.
# Stock: no bound. Here they wait for a slot, which costs no attempt.
@mends(lambda_svc, "_execute_function_warm", "func, event, request_id")
def _execute(stock: Callable[..., Any], func: Json, event: Any, request_id: str) -> Json:
    name = func.get("config", func).get("FunctionName", "")
    with SLOTS:
        if running := _running.get():
            running.set()
        fault = FAULTS.take(name, json.dumps(event, ensure_ascii=False)) or CHAOS.fault(name)
        if fault and not fault.after:
            struck = _strike(fault, request_id)
            if struck is not None:
                return struck
        _answer.set({})
        result = _named(stock(func, event, request_id), _answer.get(), request_id)
        if fault and fault.after:
            struck = _strike(fault, request_id)
            if struck is not None:
                return struck
    return result


def _named(result: Json, answer: Json, request_id: str) -> Json:
    """The result of an invocation, its error under the name that AWS gives it."""
    if raised := answer.get("raised"):
        return _function_error(request_id, raised, answer)
    if not result.get("error"):
        return result
    message = str(result["body"].get("errorMessage", ""))
    if message.startswith(INIT_FAILED):
        return _function_error(request_id, json.loads(message.removeprefix(INIT_FAILED)), result)
    if message.startswith(DIED):
        message, kind = "Runtime exited without providing a reason", "Runtime.ExitError"
    elif message.startswith(TIMED_OUT):
        kind = "Sandbox.Timedout"
    else:
        return result
    return _function_error(
        request_id, {"errorType": kind, "errorMessage": f"RequestId: {request_id} Error: {message}"}
    )


def _function_error(request_id: str, error: Json, logged: Json | None = None) -> Json:
    body = {
        "errorMessage": error["errorMessage"],
        "errorType": error["errorType"],
        "requestId": request_id,
        "stackTrace": error.get("stackTrace", []),
    }
    logged = logged or {}
    log = "\n".join(filter(None, [logged.get("log", ""), logged.get("trace", "")]))
    return {"body": body, "error": True, "log": log}


def _strike(fault: Fault, request_id: str) -> Json | None:
    """What the invocation answers instead; None if it goes on."""

    def fails(kind: str, message: str) -> Json:
        return _function_error(request_id, {"errorType": kind, "errorMessage": message})

    match fault.mode:
        case "delay":
            time.sleep(fault.seconds)
            return None
        case "crash":
            return fails("Runtime.ExitError", "Error: Runtime exited with error: signal: killed")
        case "timeout":
            return fails("Sandbox.Timedout", "Error: Task timed out")
        case "throttle":
            throttled: Json = lambda_svc._throttle_response("CallerRateLimitExceeded", "injected")
            return throttled
        case "oversized":
            return {"body": "x" * (PAYLOAD_BYTES + 1), "log": ""}
        case "malformed":
            return {"body": {"unexpected": fault.cause}, "log": ""}
        case "access-denied":
            message = (
                "An error occurred (AccessDeniedException) when calling an operation: injected"
            )
            return fails("ClientError", message)
    return fails(fault.error, fault.cause)


# Step Functions: JSONata
#
# AWS: an expression has a second of its own. Stock: a second by the clock, in which thousands of
# executions that run at once take turns.
@mends(Timebox, "check_runaway", "self")
def _check_runaway(stock: Callable[..., None], box: Any) -> None:
    began = box.__dict__.setdefault("began", time.thread_time())
    box.time = Timebox.current_milli_time() - int(1000 * (time.thread_time() - began))
    stock(box)


# Step Functions: errors of a task
#
# AWS: TimeoutSeconds is for one attempt of the task, and a throttled invocation is another attempt.
# Stock: it would run while the invocation waits for a slot, too.
@mends(stepfunctions, "_invoke_resource_with_timeout", "resource, input_data, timeout")
def _with_timeout(_stock: Callable[..., Any], resource: str, data: Any, timeout: float) -> Any:
    running = threading.Event()
    _running.set(running if ":lambda:" in resource else None)
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
    time.sleep(fault.seconds)


def _lambda_error(name: str, cause: str) -> tuple[str, str]:
    if name == "Lambda.Unknown" and "TooManyRequestsException" in cause:
        return (
            "Lambda.TooManyRequestsException",
            "Rate Exceeded. (Service: Lambda, Status Code: 429)",
        )
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


# Step Functions: executions
#
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


distributed_map.install()


# Step Functions: JSONata
#
# AWS: the context object holds how often the execution was redriven. Stock: it does not.
@mends(stepfunctions, "_evaluate_jsonata", "expression, raw_input, ctx, result, error_output")
def _evaluate(
    stock: Callable[..., Any],
    expression: str,
    data: Any,
    ctx: Json | None = None,
    result: Any = None,
    error_output: Any = None,
) -> Any:
    if ctx and "Execution" in ctx:
        ctx["Execution"].setdefault("RedriveCount", 0)
    return stock(expression, data, ctx, result, error_output)


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


# AWS: $string writes JSON as JavaScript does. Stock: letters that are not ASCII are escaped.
class _RawEncoder(JsonataFunctions.Encoder):  # type: ignore[misc]
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{**kwargs, "ensure_ascii": False})


JsonataFunctions.Encoder = _RawEncoder


# IAM
#
# AWS: requests come over TLS, and the buckets' policies refuse others. Stock: it knows that its own
# requests do not, though they never leave the machine.
@mends(iam_evaluator, "_resolve_condition_key", "key, ctx")
def _condition_key(stock: Callable[..., Any], key: str, ctx: Any) -> Any:
    return "true" if key.lower() == "aws:securetransport" else stock(key, ctx)


# AWS: CloudTrail tells what a role called. Stock: nothing does.
def _records_calls(calls: Calls) -> None:
    @mends(
        iam_evaluator,
        "enforce",
        "access_key_id, iam_action, service, region, resource_arn, service_context",
    )
    def _enforce(
        stock: Callable[..., Any],
        access_key: str,
        action: str,
        service: str,
        region: str,
        resource_arn: str = "*",
        service_context: Json | None = None,
    ) -> Any:
        denied = stock(access_key, action, service, region, resource_arn, service_context)
        caller = sts._sessions.get(access_key, {}).get("Arn", "")
        if ":assumed-role/" in caller:
            caller = caller.partition("/")[2]
            calls.add(Call(caller, action, resource_arn, allowed=denied is None))
        return denied


if _calls := os.environ.get("ENGINE_CALLS"):
    _records_calls(Calls(Path(_calls)))


# S3 and EventBridge
#
# AWS: events of a versioned bucket have a version id, events of a deletion no size and no empty
# etag: https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html
# Stock: never a version id, size 0 and an empty etag.
_version: contextvars.ContextVar[str | None] = contextvars.ContextVar("version", default=None)


@mends(
    s3,
    "_fire_s3_event",
    "bucket_name, key, event_name, size, etag, deletion_type, restore_event_data, version_id, "
    "sequencer, object_extra, record_extra",
)
def _fire(stock: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
    token = _version.set(kwargs.get("version_id"))
    try:
        stock(*args, **kwargs)
    finally:
        _version.reset(token)


@mends(eventbridge, "_dispatch_event", "event, view")
def _dispatch(stock: Callable[..., Any], event: Json, view: Any = None) -> Any:
    if event.get("Source") == "aws.s3" and view is None:
        detail = json.loads(event["Detail"])
        found = detail["object"]
        if version := _version.get():
            found["version-id"] = version
        if event["DetailType"] == "Object Deleted":
            found.pop("size", None)
            if not found.get("etag"):
                found.pop("etag", None)
        event = {**event, "Detail": json.dumps(detail)}
        for seconds in CHAOS.deliveries(found["key"]):
            if seconds:
                later = contextvars.copy_context()
                timer = threading.Timer(seconds, later.run, (stock, event, view))
                timer.daemon = True
                timer.start()
            else:
                stock(event, view)
        return None
    return stock(event, view)


# DynamoDB
#
# AWS: now and then it throttles, fails, or its answer is lost. Stock: never.
def _fails_by_chaos(operation: str) -> None:
    @mends(dynamodb, f"_{operation}", "data")
    def _operation(stock: Callable[..., Any], data: Json) -> Any:
        struck = CHAOS.answer(operation)
        if struck is None:
            return stock(data)
        (name, message), after = struck
        if after:
            stock(data)
        status = 500 if name == "InternalServerError" else 400
        reasons = [{"Code": "TransactionConflict"}] * len(data.get("TransactItems", ()))
        more = {"CancellationReasons": reasons} if name.startswith("Transaction") else None
        return error_response_json(name, message, status, more)


for _name in ("get_item", "batch_get_item", "query", "put_item", "update_item", "delete_item"):
    _fails_by_chaos(_name)
_fails_by_chaos("transact_write_items")


# When the engine is restarted
#
# Here an execution that has ended before has all its writes after. Stock: the tables are written to
# disk before the executions, and an execution that ends between the two would have no writes; and
# what changes while it is copied is not kept at all.
@mends(app, "_build_persistence_save_dict", "")
def _saved(stock: Callable[..., Any]) -> Json:
    services = {name: functools.partial(_at_once, get_state) for name, get_state in stock().items()}
    first = "stepfunctions"
    return {first: services[first], **services} if first in services else services


def _at_once(get_state: Callable[[], Any]) -> Any:
    """What it returns, while no other thread runs: none gets its turn before the interval ends."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(60)
    time.sleep(2 * usual)  # Whoever waits for a turn by the old interval takes it.
    try:
        return get_state()
    finally:
        sys.setswitchinterval(usual)


def _end_with(users: str) -> None:
    """Ends the engine and its functions when nobody locks the file any more, however they ended."""
    with Path(users).open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        os.killpg(os.getpgid(0), signal.SIGKILL)


def main() -> None:
    """Serves on 127.0.0.1:GATEWAY_PORT until it gets SIGTERM."""
    os.environ["BIND_HOST"] = "127.0.0.1"
    alive = (STATE_DIR / "alive.lock").open("w")
    fcntl.flock(alive, fcntl.LOCK_EX | fcntl.LOCK_NB)
    if users := os.environ.get("ENGINE_ENDS_WITH"):
        threading.Thread(target=_end_with, args=(users,), daemon=True).start()
    sys.argv = ["ministack"]
    app.main()


if __name__ == "__main__":
    main()
