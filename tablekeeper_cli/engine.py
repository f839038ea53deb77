"""Checks of the local engine, each with an answer in seconds and a sentence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from tablekeeper_cli.errors import UNREACHABLE, CommandError

if TYPE_CHECKING:
    from threading import Event

ANSWER_SECONDS = 4
HEALTH = "/_ministack/health"
PAUSE_SECONDS, PATIENCE_SECONDS = 1.0, 7.0
"""The interval and the time-out of the engine's checks while a command runs: a fault is reported
within ten seconds.
"""


def check(endpoint_url: str, bucket: str, state_dir: Path = Path(".local")) -> None:
    """Asks the engine for its health, and for the bucket of the stack. `state_dir` is the folder
    that has the engine's log and, after `make down`, the mark that it was ended so.

    Raises CommandError: nothing listens, nothing answers, or something else does.
    """
    from http.client import HTTPException

    try:
        health, text = _ask(endpoint_url, "GET", HEALTH, ANSWER_SECONDS)
        status, _ = _ask(endpoint_url, "HEAD", f"/{bucket}", ANSWER_SECONDS)
    except ConnectionRefusedError:
        raise CommandError(_ended(endpoint_url, state_dir)) from None
    except TimeoutError:
        raise CommandError(_silent(endpoint_url, state_dir, ANSWER_SECONDS)) from None
    except (OSError, HTTPException):
        health = 0
    if health != 200 or not _is_health(text):
        raise CommandError(_another(endpoint_url, state_dir))
    if status == 404:
        raise CommandError(
            f"the engine at {endpoint_url} has no bucket {bucket}: it is another one, or was "
            f"started anew; `make up{for_make(state_dir)}` deploys to it"
        )


def guard(
    endpoint_url: str,
    state_dir: Path = Path(".local"),
    *,
    pause: float = PAUSE_SECONDS,
    patience: float = PATIENCE_SECONDS,
) -> Event:
    """Ends this process with a sentence when the engine ends or falls silent, until the event is
    set. A request in flight would wait a minute, and be tried again.
    """
    from threading import Event, Thread

    unguarded = Event()

    def ask() -> None:
        from http.client import HTTPException

        while not unguarded.wait(pause):
            try:
                _ask(endpoint_url, "GET", HEALTH, patience)
            except ConnectionRefusedError:
                message = _ended(endpoint_url, state_dir)
            except TimeoutError:
                message = _silent(endpoint_url, state_dir, patience)
            except (OSError, HTTPException):
                continue
            else:
                continue
            if not unguarded.is_set():
                _exit(message)

    Thread(target=ask, daemon=True).start()
    return unguarded


def _exit(message: str) -> None:
    """Threads that wait for an answer keep a process that ends in the usual way."""
    import os
    import sys

    if sys.stderr.isatty():
        sys.stderr.write("\x1b[?25h\n")  # The progress display hides the cursor.
    sys.stderr.write(f"tablekeeper: {message}\n")
    sys.stderr.flush()
    os._exit(UNREACHABLE)


def _silent(endpoint_url: str, state_dir: Path, seconds: float) -> str:
    name = for_make(state_dir)
    return (
        f"the local engine at {endpoint_url} does not answer within {seconds:g} s: it is stopped "
        f"or overloaded; `make down{name}` and `make up{name}` start it anew"
    )


def _another(endpoint_url: str, state_dir: Path) -> str:
    answers = f"another program answers at {endpoint_url}, the address of the local engine"
    if (state_dir / "kept.json").exists():
        # What the engine kept has its port in the names of queues.
        return (
            f"{answers}, which `make down{for_make(state_dir)}` ended: end that program, then "
            f"`make up{for_make(state_dir)}`"
        )
    return f"{answers}: `make up{for_make(state_dir)}` starts the engine on a free port"


def _ended(endpoint_url: str, state_dir: Path) -> str:
    if (state_dir / "kept.json").exists():
        return (
            f"the local engine is not running: `make down{for_make(state_dir)}` ended it; "
            f"`make up{for_make(state_dir)}` starts it with its files and tables"
        )
    return (
        f"the local engine has ended: nothing listens at {endpoint_url}; "
        f"`make up{for_make(state_dir)}` starts it, {state_dir / 'engine.log'} says why it ended"
    )


def further_name(state_dir: Path) -> str:
    """The name that a further local stack was started under; "" of the first."""
    return state_dir.name if state_dir.parent.name == "stacks" else ""


def for_make(state_dir: Path) -> str:
    """What `make` is given for the stack of this folder."""
    name = further_name(state_dir)
    return f" NAME={name}" if name else ""


def _ask(endpoint_url: str, method: str, path: str, seconds: float) -> tuple[int, bytes]:
    """The status and the body of an answer. Raises OSError and HTTPException."""
    from http.client import HTTPConnection
    from urllib.parse import urlsplit

    place = urlsplit(endpoint_url)
    connection = HTTPConnection(place.hostname or "", place.port, timeout=seconds)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def _is_health(text: bytes) -> bool:
    try:
        return "services" in json.loads(text)
    except (ValueError, TypeError):
        return False
