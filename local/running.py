"""The engine and the stack that run now."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from local.deployment import build, deploy
from local.engine_process import start_engine, stop_engine
from local.processes import engine_process, is_free, locked
from local.stack import Stack


@contextmanager
def running_engine(state_dir: Path, **settings: Any) -> Iterator[Stack]:
    """An engine on a free port, for as long as the context lasts and the process lives.

    Processes that name the same state directory share one engine, which ends with the last of them.
    Nothing is deployed to it. `settings` are start_engine()'s.
    """
    state_dir.mkdir(parents=True, exist_ok=True)
    users = state_dir / "users.lock"
    with users.open("w") as user:
        with locked(state_dir / "start.lock"):
            fcntl.flock(user, fcntl.LOCK_SH)
            process = engine_process(state_dir)
            port = process[1] if process else start_engine(state_dir, ends_with=users, **settings)
        try:
            yield Stack.on(port, state_dir)
        finally:
            with locked(state_dir / "start.lock"):
                if is_free(user):
                    stop_engine(state_dir)


@contextmanager
def running_stack(
    state_dir: Path,
    *,
    schemas: Path | None = None,
    parameters: Mapping[str, str] | None = None,
    **settings: Any,
) -> Iterator[Stack]:
    """An engine as in running_engine(), with the project deployed to it.

    `schemas` is a folder of dataset files to add to the project's own; `parameters` are the
    template's, where they are not to have their defaults.
    """
    with running_engine(state_dir, **settings) as engine:
        with locked(state_dir / "deploy.lock"):
            stack = Stack.load(state_dir) or deploy(engine, build(schemas), parameters)
        yield stack


def redeploy(stack: Stack, schemas: Path) -> None:
    """Deploys once more, with other dataset files beside the project's own; data stays."""
    deploy(stack, build(schemas))
