"""The local stack: `python -m local build|up|down|wipe|schemas`.

`up` leaves an engine running in the background, with the project deployed to it and the console
beside it, and writes stack.json into its folder: .local, or .local/stacks/NAME for one of a name.
`down` ends the engine and keeps its files, tables and history; `wipe` deletes them. `schemas` puts
the dataset files of a folder into what `sam build` has built, before it is deployed to AWS. Tests
and the demo have stacks of their own that end with them: running_stack().
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from local.console_process import start_console, stop_console
from local.deploy_options import DeployOptions, parsed
from local.deployment import BUILD, build, deploy
from local.engine_process import (
    free_port,
    has_kept_state,
    is_healthy,
    resume_engine,
    save_engine,
    start_engine,
    stop_engine,
)
from local.environment import DEFAULT_PORT, LOCAL, ROOT
from local.errors import LocalStackError, say
from local.own_schemas import check_schemas, dataset_files, put_files
from local.processes import engine_process, locked
from local.stack import Stack
from tablekeeper_cli.commands.env import shell_lines
from tablekeeper_cli.engine import for_make
from tablekeeper_cli.stack import Stack as NamedStack


def up(state_dir: Path, schemas: Path | None, parameters: str) -> None:
    """Starts and deploys, and prints what to paste into a shell; where an engine is up already, or
    has been, deploys only what changed.
    """
    before = DeployOptions.load(state_dir)
    options = before.then(schemas, parsed(parameters))
    check_schemas(options.schemas or ROOT / "schemas", options.item_keys)
    with locked(state_dir / "up.lock"):
        template = build(options.schemas, beside=False)
        port = _engine(state_dir)
        options.save(state_dir)
        stack = _deployed(state_dir, port, template, options)
        stack = replace(stack, schemas=str(options.schemas) if options.schemas else None)
        stack.save()
        say(f"up: {stack.endpoint_url}, logs in {state_dir / 'engine.log'}")
        if options != DeployOptions():
            say(str(options))
        start_console(stack)
    print("\n".join(_to_paste(stack)), flush=True)


def _engine(state_dir: Path) -> int:
    """The port of the engine, which is up: started, or with what it held before."""
    process = engine_process(state_dir)
    if process:
        if not is_healthy(process[1]):
            raise LocalStackError(
                f"the engine on port {process[1]} does not answer: it is stopped or overloaded; "
                "`make down` and `make up` start it anew"
            )
        return process[1]
    if has_kept_state(state_dir):
        say("starting the engine with what it held before")
        return resume_engine(state_dir)
    if (state_dir / "stack.json").exists():
        say("the engine ended without a chance to save: its files, tables and history are gone")
    return start_engine(state_dir, free_port(DEFAULT_PORT), keeps_state=True)


def _deployed(state_dir: Path, port: int, template: Path, options: DeployOptions) -> Stack:
    stamp = state_dir / "deployed"
    fingerprint = f"{(BUILD / 'fingerprint').read_text()} {template} {options.parameters}"
    stack = Stack.load(state_dir)
    if stack and stamp.exists() and stamp.read_text() == fingerprint:
        return stack
    stamp.unlink(missing_ok=True)
    stack = deploy(Stack.on(port, state_dir), template, options.parameters)
    stamp.write_text(fingerprint)
    return stack


def _to_paste(stack: Stack) -> list[str]:
    """Lines for a shell, as `tablekeeper env` prints them."""
    named = NamedStack(
        stack.stack_name,
        stack.region,
        stack.outputs,
        stack.endpoint_url,
        schemas=stack.schemas,
    )
    file = Path(stack.state_dir) / "stack.json"
    return shell_lines(named, (stack.access_key_id, stack.secret_access_key), file)


def down(state_dir: Path) -> None:
    """Ends the engine that `up` started, and keeps what it holds."""
    with locked(state_dir / "up.lock"):
        stop_console(state_dir)
        saved = save_engine(state_dir)
        if saved is None:
            say("nothing was up")
        elif saved:
            name = for_make(state_dir)
            say(
                f"down; `make up{name}` goes on with its files and tables, `make wipe{name}` "
                "deletes them"
            )
        else:
            say("down; the engine did not answer, so its files, tables and history are gone")


def wipe(state_dir: Path) -> None:
    """Ends the engine that `up` started, and deletes what it held and was given."""
    with locked(state_dir / "up.lock"):
        stop_console(state_dir)
        stop_engine(state_dir)
        (state_dir / "given.json").unlink(missing_ok=True)
        name = for_make(state_dir)
        say(f"the next `make up{name}` begins with an empty bucket and an empty table")


def own_schemas(schemas: Path | None) -> None:
    """Puts dataset files into what `sam build` has built for AWS."""
    if not schemas:
        raise LocalStackError("give --schemas DIR")
    put_files(ROOT / ".aws-sam" / "build", dataset_files(schemas, beside=False))
    say(f"the datasets of {schemas} are deployed, and no others")


def _state_dir(name: str) -> Path:
    if not name:
        return LOCAL
    if not re.fullmatch(r"[a-zA-Z0-9_-]{1,48}", name):
        raise LocalStackError(f"a stack's NAME has letters, digits, - and _: {name!r}")
    return LOCAL / "stacks" / name


def _folder(text: str) -> Path | None:
    return Path(text).resolve() if text else None


def main() -> None:
    """Runs one command; ends with an error message and code 1 if it fails."""
    parser = argparse.ArgumentParser(prog="python -m local", description=__doc__)
    commands: dict[str, Callable[[], object]] = {
        "build": build,
        "up": lambda: up(_state_dir(args.name), args.schemas, args.parameters),
        "down": lambda: down(_state_dir(args.name)),
        "wipe": lambda: wipe(_state_dir(args.name)),
        "schemas": lambda: own_schemas(args.schemas),
    }
    parser.add_argument("command", choices=sorted(commands))
    parser.add_argument(
        "--schemas",
        type=_folder,
        metavar="DIR",
        help="dataset files in the place of the project's own",
    )
    parser.add_argument(
        "--parameters",
        default="",
        metavar="'NAME=VALUE ...'",
        help="the template's, where they are not to have their defaults",
    )
    parser.add_argument("--name", default="", help="a second stack beside the first one")
    args = parser.parse_args()
    try:
        commands[args.command]()
    except LocalStackError as error:
        sys.exit(f"local stack: {error}")


if __name__ == "__main__":
    main()
