"""Lambda: what runs a function, its errors, and faults of its invocations."""

from __future__ import annotations

import contextvars
import hashlib
import inspect
import json
import os
import queue
import tempfile
import threading
import time
import zipfile
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from ministack.core import lambda_runtime
from ministack.services import lambda_svc
from ministack.services.cloudformation import stacks

from local.engine.patches import Json, PatchPointError, mends
from local.engine.state import (
    CHAOS,
    FAULTS,
    PAYLOAD_BYTES,
    SLOTS,
    SWITCHES,
    has_slot,
)
from local.faults import Fault
from local.switches import LAMBDA_THROTTLES, UPDATES_APART


def rewrites(old: str, new: str) -> None:
    """Replaces `old` in the script that runs Python functions. Raises PatchPointError."""
    script = lambda_runtime._PYTHON_WORKER_SCRIPT
    if script.count(old) != 1:
        raise PatchPointError(f"the script that runs Python functions does not hold once: {old}")
    lambda_runtime._PYTHON_WORKER_SCRIPT = script.replace(old, new)


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

END_OF_LOG = "\0 end of the invocation"
LOG_SECONDS = 0.25
"""How long the end of a log is waited for, which is written before the answer."""
rewrites(
    "        _real_stdout.flush()\n\nrun()",
    f'        sys.stderr.write({END_OF_LOG!r} + "\\n")\n'
    "        sys.stderr.flush()\n        _real_stdout.flush()\n\nrun()",
)


# AWS: an invocation is over when it has answered. Stock: 50 ms later, if it has logged nothing.
@mends(
    lambda_runtime.Worker, "_drain_stderr_bounded", "self, first_line_wait, idle_confirm, hard_cap"
)
def _log(stock: Callable[..., Any], worker: Any, *args: Any, **kwargs: Any) -> str:
    if worker._proc is None:
        return str(stock(worker, *args, **kwargs))
    lines, end = [], time.monotonic() + LOG_SECONDS
    with suppress(queue.Empty):
        while True:
            line = worker._stderr_queue.get(timeout=max(end - time.monotonic(), 0))
            if line == END_OF_LOG:
                break
            lines.append(line)
    return "\n".join(lines)


class _Code(zipfile.ZipFile):
    """An archive whose content all processes of its function have in common."""

    def extractall(self, path: Any = None, *_: Any, **__: Any) -> None:
        """Makes `path` a link to the content, which the first caller unpacks."""
        digest = hashlib.sha256(Path(str(self.filename)).read_bytes()).hexdigest()
        code = Path(tempfile.gettempdir()) / f"code-{digest}"
        with _unpacking:
            if not code.exists():
                unfinished = code.with_suffix(".unfinished")
                super().extractall(unfinished)
                unfinished.rename(code)
        Path(path).rmdir()
        Path(path).symlink_to(code)


# AWS: code is unpacked and compiled beside a start, not by it. Stock: by every process again, which
# took half of the time of a start.
_unpacking = threading.Lock()
if "zipfile.ZipFile" not in inspect.getsource(lambda_runtime.Worker._spawn):
    raise PatchPointError("the start of a function's process does not unpack it")
lambda_runtime.zipfile = SimpleNamespace(**vars(zipfile) | {"ZipFile": _Code})
LOOK_SECONDS = 0.1
"""Between two looks whether an invocation of old code has ended."""
FUNCTION = "AWS::Lambda::Function"
UPDATE_SECONDS = 1
"""Between two updates of functions where they are apart."""
INIT_FAILED = "Worker init failed: "
TIMED_OUT = "Task timed out after "


_answer: contextvars.ContextVar[Json] = contextvars.ContextVar("answer")


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
        for key, pool in lambda_runtime._workers.items():
            if func_name in key.split(":"):
                busy = [worker for worker in pool if worker.in_use]
                pool[:] = [worker for worker in pool if not worker.in_use]
                for worker in busy:
                    threading.Thread(target=_retire, args=(worker,), daemon=True).start()
    stock(func_name, *args, **kwargs)


# AWS: an invocation of a function once it is updated finds its new code. Stock: an invocation that
# began before the update may start a process with the old code after it, which stays.
@mends(lambda_svc, "acquire_worker", "func_name, config, code_zip, qualifier, max_concurrency")
def _acquire(
    stock: Callable[..., Any], name: str, config: Json, code: bytes, *args: Any, **more: Any
) -> Any:
    while True:
        worker, how = stock(name, config, code, *args, **more)
        if worker is None or worker.code_zip == code:
            return worker, how
        with lambda_runtime._lock:
            for pool in lambda_runtime._workers.values():
                if worker in pool:
                    pool.remove(worker)
        lambda_runtime.kill_workers([worker])


def _retire(worker: Any) -> None:
    """Ends a process that no invocation finds any more, once its last one has ended."""
    while worker.in_use:
        time.sleep(LOOK_SECONDS)
    lambda_runtime.kill_workers([worker])


# AWS: functions of a stack are updated one by one, within minutes, and all else goes on meanwhile.
# Stock: at one moment, on the thread that answers every call.
@mends(stacks, "_update_keeping_seed", "args")
def _update(stock: Callable[..., Any], kind: str, *args: Any) -> Any:
    if kind == FUNCTION and SWITCHES.is_on(UPDATES_APART):
        time.sleep(UPDATE_SECONDS)
    return stock(kind, *args)


@mends(stacks, "_runs_on_worker_thread", "resource_type")
def _runs_apart(stock: Callable[..., Any], kind: str) -> bool:
    return (kind == FUNCTION and SWITCHES.is_on(UPDATES_APART)) or bool(stock(kind))


def _kill(worker: Any) -> None:
    if worker._proc:
        worker._proc.kill()


# AWS: as many executions as there is concurrency, the others are throttled and tried again.
# Stock: no bound. Here they wait for a slot, which costs no attempt, unless that is switched on.
@mends(lambda_svc, "_execute_function_warm", "func, event, request_id")
def _execute(stock: Callable[..., Any], func: Json, event: Any, request_id: str) -> Json:
    name = func.get("config", func).get("FunctionName", "")
    # An event's invocation is Lambda's own to try again, for hours.
    throttles = has_slot.get() is not None and SWITCHES.is_on(LAMBDA_THROTTLES)
    if not SLOTS.acquire(blocking=not throttles):
        throttled: Json = lambda_svc._throttle_response(
            "ConcurrentInvocationLimitExceeded", "Rate Exceeded."
        )
        return throttled
    with ExitStack() as held:
        held.callback(SLOTS.release)
        if running := has_slot.get():
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
    kind, logged = "Sandbox.Timedout", result
    if not message.startswith(TIMED_OUT):
        # The process died: while it started, before it was written to, or before it answered.
        logged = {"log": message}
        message, kind = "Runtime exited without providing a reason", "Runtime.ExitError"
    message = f"RequestId: {request_id} Error: {message}"
    return _function_error(request_id, {"errorType": kind, "errorMessage": message}, logged)


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
            fault.wait()
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
