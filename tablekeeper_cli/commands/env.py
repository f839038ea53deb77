"""`env`: a stack's address, credentials and names, for a shell."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from tablekeeper_cli.errors import CommandError
from tablekeeper_cli.stack import (
    LOCAL_VARIABLE,
    SCHEMAS_VARIABLE,
    STACK_VARIABLE,
    Stack,
    local_file,
)
from tablekeeper_cli.terminal.context import Context, command, group

if TYPE_CHECKING:
    from pathlib import Path

app = group()


@command(app, "env", "env --stack my-stack --region eu-west-1")
def env(context: Context) -> None:
    r"""Lines for a shell: eval "$(tablekeeper env)".

    With them, the AWS command, an SDK and `tablekeeper` find the stack from any folder, and
    $BUCKET, $ITEMS_TABLE and $STATE_MACHINE_ARN are its names.
    """
    stack = context.stack
    keys, file = None, None
    if stack.endpoint_url:
        file = local_file()
        held = stack.session.get_credentials() if stack.session else None
        if not held or not file:
            raise CommandError("the local engine's stack.json is gone: `make up` writes it")
        keys = (str(held.access_key), str(held.secret_key))
    values = variables(stack, keys, file.resolve() if file else None, profile=context.profile)
    if context.json:
        context.answer(values, lambda: None)
    else:
        typer.echo("\n".join(_lines(values)))


def variables(
    stack: Stack, keys: tuple[str, str] | None, file: Path | None, profile: str | None = None
) -> dict[str, str | None]:
    """The variables of a shell by name; None is one to unset. `keys` are an access key's id and
    its secret, `file` is the stack.json of a local engine.
    """
    here: dict[str, str | None] = {
        "AWS_REGION": stack.region,
        "AWS_DEFAULT_REGION": stack.region,
    }
    if keys and file:
        here |= {
            "AWS_ENDPOINT_URL": stack.endpoint_url,
            "AWS_ACCESS_KEY_ID": keys[0],
            "AWS_SECRET_ACCESS_KEY": keys[1],
            LOCAL_VARIABLE: str(file),
        }
        here |= dict.fromkeys((STACK_VARIABLE, "AWS_PROFILE", "AWS_SESSION_TOKEN"))
        here[SCHEMAS_VARIABLE] = stack.schemas
    else:
        here[STACK_VARIABLE] = stack.name
        if profile:
            here["AWS_PROFILE"] = profile
        here |= dict.fromkeys((LOCAL_VARIABLE, "AWS_ENDPOINT_URL"))
    return here | {
        "BUCKET": stack.bucket,
        "ITEMS_TABLE": stack.items,
        "STATE_MACHINE_ARN": stack.state_machine,
    }


def shell_lines(stack: Stack, keys: tuple[str, str], file: Path) -> list[str]:
    return _lines(variables(stack, keys, file))


def _lines(values: dict[str, str | None]) -> list[str]:
    from shlex import quote

    unset = [name for name, value in values.items() if value is None]
    lines = [f"export {name}={quote(value)}" for name, value in values.items() if value is not None]
    return [*lines, f"unset {' '.join(unset)}"]
