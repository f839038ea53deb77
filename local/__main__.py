"""The local stack: `python -m local build|up|down`.

`up` leaves an engine running in the background, with the project deployed to it and the console
beside it, and writes .local/stack.json. Tests and the demo have stacks of their own that end with
them: running_stack().
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from local.console_process import start_console, stop_console
from local.deployment import BUILD, build, deploy
from local.engine_process import free_port, start_engine, stop_engine
from local.environment import (
    DEFAULT_PORT,
    LOCAL,
)
from local.errors import LocalStackError, say
from local.processes import engine_process, locked
from local.stack import Stack


def up() -> Stack:
    """Starts and deploys; where an engine is up already, deploys only what changed."""
    with locked(LOCAL / "up.lock"):
        template = build()
        deployed = LOCAL / "deployed"
        fingerprint = (BUILD / "fingerprint").read_text()
        found = engine_process(LOCAL)
        if found and deployed.exists() and deployed.read_text() == fingerprint:
            stack = Stack.load()
            if stack:
                say(f"up already: {stack.endpoint_url}")
                say(f"put files in s3://{stack.outputs['SourceBucketName']}/")
                start_console(stack)
                return stack
        port = found[1] if found else start_engine(LOCAL, free_port(DEFAULT_PORT))
        stack = deploy(Stack.on(port, LOCAL), template)
        deployed.write_text(fingerprint)
        say(f"up: {stack.endpoint_url}, described in .local/stack.json, logs in .local/engine.log")
        say(f"put files in s3://{stack.outputs['SourceBucketName']}/")
        start_console(stack)
        return stack


def down() -> None:
    """Ends the engine that `up` started; its state is gone."""
    with locked(LOCAL / "up.lock"):
        stop_console()
        say("down" if stop_engine(LOCAL) else "nothing was up")


def main() -> None:
    """Runs one command; ends with an error message and code 1 if it fails."""
    parser = argparse.ArgumentParser(prog="python -m local", description=__doc__)
    parser.add_argument("command", choices=("build", "up", "down"))
    commands: dict[str, Callable[[], object]] = {"build": build, "up": up, "down": down}
    try:
        commands[parser.parse_args().command]()
    except LocalStackError as error:
        sys.exit(f"local stack: {error}")


if __name__ == "__main__":
    main()
