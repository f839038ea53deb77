"""Processes of functions that begin as forks of one that has loaded boto3 (Linux alone)."""

from __future__ import annotations

import inspect
import json
import os
import select
import signal
import socket
import subprocess
import threading
import weakref
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from ministack.core import lambda_runtime

from local.engine import fork_server
from local.engine.patches import PatchPointError

SERVERS = 3
"""One for each of the codes that began last."""


class _Fork:
    """What ministack uses of subprocess.Popen, of a process that is not a child of this one."""

    def __init__(self, process: int, streams: list[int]) -> None:
        self._process = process
        weakref.finalize(self, os.close, process)
        self.stdin = os.fdopen(streams[0], "w", buffering=1)
        self.stdout, self.stderr = (os.fdopen(stream) for stream in streams[1:])

    def poll(self) -> int | None:
        """Zero once it has ended, however it did."""
        return 0 if _is_readable(self._process, 0) else None

    def wait(self, timeout: float | None = None) -> int:
        """Zero. Raises subprocess.TimeoutExpired."""
        if not _is_readable(self._process, timeout):
            raise subprocess.TimeoutExpired("fork", timeout or 0)
        return 0

    def terminate(self) -> None:
        """Sends SIGTERM."""
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        """Sends SIGKILL."""
        self._send(signal.SIGKILL)

    def _send(self, number: int) -> None:
        if self.poll() is None:
            signal.pidfd_send_signal(self._process, number)


def _is_readable(descriptor: int, seconds: float | None) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(None if seconds is None else seconds * 1000))


class _Server:
    """The process that forks for functions of one code."""

    def __init__(self, interpreter: str, code: Path) -> None:
        self._requests, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        weakref.finalize(self, self._requests.close)
        self._lock = threading.Lock()
        with theirs:
            command = [interpreter, fork_server.__file__, str(theirs.fileno()), str(code)]
            self._process = subprocess.Popen(command, pass_fds=[theirs.fileno()])

    def fork(self, start: dict[str, Any]) -> _Fork:
        """Begins a process."""
        (stdin, ours), (read, stdout), (errors, stderr) = (os.pipe() for _ in range(3))
        theirs = [stdin, stdout, stderr]
        try:
            with self._lock:
                socket.send_fds(self._requests, [json.dumps(start).encode()], theirs)
                _, (process,), *_ = socket.recv_fds(self._requests, 1, 1)
        finally:
            for descriptor in theirs:
                os.close(descriptor)
        return _Fork(process, [ours, read, errors])


_servers: dict[Path, _Server] = {}
_starting = threading.Lock()


def _start(command: list[str], *, cwd: str, env: dict[str, str], **stock: Any) -> Any:
    """Stands for subprocess.Popen where the process of a function is started."""
    interpreter, script = command[0], command[-1]
    if interpreter != os.environ["ENGINE_LAMBDA_PYTHON"] or not hasattr(os, "pidfd_open"):
        return subprocess.Popen(command, cwd=cwd, env=env, **stock)
    code = Path(cwd).resolve()
    with _starting:
        server = _servers.pop(code, None) or _Server(interpreter, code)
        _servers[code] = server
        for old in list(_servers)[:-SERVERS]:
            del _servers[old]
    return server.fork({"script": script, "folder": cwd, "environment": env})


if "[binary, worker_path],\n            cwd=code_dir," not in inspect.getsource(
    lambda_runtime.Worker._spawn
):
    raise PatchPointError("the process of a function is not started as it was")
# AWS: a start takes nothing from the other functions. Stock: it takes half a second of a processor.
lambda_runtime.subprocess = SimpleNamespace(**vars(subprocess) | {"Popen": _start})
