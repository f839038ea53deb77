"""Starts processes of functions as forks of one that has loaded what their code brings.

A process that begins from nothing takes half a second of a processor, nearly all of it for
boto3, and a test run starts thousands. Run by the functions' interpreter, so it imports the
standard library alone: `fork_server.py SOCKET CODE`. A message on the socket is a JSON object of
`script`, `folder` and `environment`, with the descriptors of the process's standard input, output
and errors. The answer is the descriptor of the process (Linux's pidfd). Ends with its socket.
"""

from __future__ import annotations

import gc
import json
import os
import socket
import sys
import traceback
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

MODULES = (
    "botocore.client",
    "botocore.endpoint",
    "botocore.parsers",
    "botocore.session",
    "aws_lambda_powertools.logging",
    "ijson",
    "jsonschema_rs",
)
"""Of what functions import, what takes long."""
SERVICES = ("dynamodb", "s3")
MESSAGE_BYTES = 1 << 17
SCRIPT_DESCRIPTOR = 3
"""Where a process has its script open, whose path names the function."""


def _load(code: str) -> None:
    sys.path.insert(0, code)
    for name in MODULES:
        # What cannot be imported is the error of the function that imports it.
        with suppress(ImportError):
            import_module(name)
    sys.path.remove(code)
    botocore: Any = import_module("botocore.session")
    # The descriptions of services, read once.
    botocore.create_loader = cache(botocore.create_loader)
    session = botocore.Session()
    session.set_credentials("none", "none")
    for service in SERVICES:
        session.create_client(service, "us-east-1")
    # No collection in a fork goes through all that again.
    gc.collect()
    gc.freeze()


def _serve(requests: socket.socket) -> None:
    while True:
        message, streams, *_ = socket.recv_fds(requests, MESSAGE_BYTES, 3)
        if not message:
            return
        child = os.fork()
        if not child:
            requests.close()
            _run(**json.loads(message), streams=streams)
        process = os.pidfd_open(child)
        socket.send_fds(requests, [b"."], [process])
        for descriptor in (*streams, process):
            os.close(descriptor)
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


def _run(script: str, folder: str, environment: dict[str, str], streams: list[int]) -> NoReturn:
    """Goes on as `python SCRIPT` would."""
    code = 1
    try:
        for standard, stream in enumerate(streams):
            os.dup2(stream, standard)
            os.close(stream)
        sys.stdin, sys.stdout = os.fdopen(0, closefd=False), os.fdopen(1, "w", closefd=False)
        sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)
        os.environ.clear()
        os.environ.update(environment)
        os.chdir(folder)
        sys.argv, sys.path[0] = [script], str(Path(script).parent)
        os.dup2(os.open(script, os.O_RDONLY), SCRIPT_DESCRIPTOR)
        exec(compile(Path(script).read_text(), script, "exec"), {"__name__": "__main__"})
        code = 0
    except BaseException:  # noqa: BLE001 As the interpreter does.
        traceback.print_exc()
    finally:
        with suppress(Exception):
            sys.stdout.flush()
        os._exit(code)


if __name__ == "__main__":
    _load(sys.argv[2])
    _serve(socket.socket(fileno=int(sys.argv[1])))
