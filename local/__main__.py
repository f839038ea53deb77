"""The local stack: `python -m local build|up|down|schemas`.

`up` leaves an engine running in the background, with the project deployed to it and the console
beside it, and writes .local/stack.json. `schemas` puts the dataset files of a folder into what
`sam build` has built, before it is deployed to AWS. Tests and the demo have stacks of their own
that end with them: running_stack().
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from local.console_process import start_console, stop_console
from local.deployment import BUILD, build, deploy
from local.engine_process import free_port, start_engine, stop_engine
from local.environment import (
    DEFAULT_PORT,
    LOCAL,
    ROOT,
)
from local.errors import LocalStackError, say
from local.own_schemas import check_schemas, replace_schemas
from local.processes import engine_process, locked
from local.stack import Stack


def up(schemas: Path | None) -> Stack:
    """Starts and deploys; where an engine is up already, deploys only what changed. `schemas` is a
    folder of dataset files that stand in the place of the project's own.
    """
    if schemas:
        check_schemas(schemas)
        say(f"datasets of {schemas}; for plan and verify: export TABLEKEEPER_SCHEMAS={schemas}")
    with locked(LOCAL / "up.lock"):
        template = build(schemas, beside=False)
        deployed = LOCAL / "deployed"
        fingerprint = f"{(BUILD / 'fingerprint').read_text()} {template}"
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


def own_schemas(schemas: Path | None) -> None:
    """Puts dataset files into what `sam build` has built for AWS."""
    if not schemas:
        raise LocalStackError("say --schemas DIR")
    check_schemas(schemas)
    replace_schemas(ROOT / ".aws-sam" / "build", schemas)
    say(f"the datasets of {schemas} are deployed, and no others")


def main() -> None:
    """Runs one command; ends with an error message and code 1 if it fails."""
    parser = argparse.ArgumentParser(prog="python -m local", description=__doc__)
    commands: dict[str, Callable[[], object]] = {
        "build": build,
        "up": lambda: up(given.schemas),
        "down": down,
        "schemas": lambda: own_schemas(given.schemas),
    }
    parser.add_argument("command", choices=sorted(commands))
    parser.add_argument(
        "--schemas",
        type=lambda text: Path(text).resolve(),
        metavar="DIR",
        help="dataset files in the place of the project's own",
    )
    given = parser.parse_args()
    try:
        commands[given.command]()
    except LocalStackError as error:
        sys.exit(f"local stack: {error}")


if __name__ == "__main__":
    main()
