"""What the shell offers at TAB: keys, datasets, errors and statuses. Whatever goes wrong, nothing
is offered and nothing is printed.

Annotations are values here and not text, because typer evaluates those of a completion again for
each option that has it: a third of what `--help` costs.
"""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from tablekeeper_cli.stack import Stack

MOST = 100
INSTRUCTION = "_TABLEKEEPER_COMPLETE"
"""The variable in which the shell's script says which shell it is of."""
STATUSES = ("FAILED", "INVALID", "PARTIAL", "INCOMPLETE")


def statuses(incomplete: str) -> list[str]:
    """The statuses of problems, in lower case where they are typed so."""
    names = [each.lower() for each in STATUSES] if incomplete.islower() else STATUSES
    return [each for each in names if each.startswith(incomplete)]


def keys(ctx: typer.Context, incomplete: str) -> list[str]:
    def objects(stack: "Stack") -> Iterator[str]:
        listed = stack.client("s3").list_objects_v2(
            Bucket=stack.bucket, Prefix=incomplete, MaxKeys=MOST
        )
        return (each["Key"] for each in listed.get("Contents", ()))

    return _of_stack(ctx, incomplete, objects)


def bad_keys(ctx: typer.Context, incomplete: str) -> list[str]:
    return _of_stack(ctx, incomplete, lambda stack: (each.key for each in _failures(stack)))


def errors(ctx: typer.Context, incomplete: str) -> list[str]:
    """The errors that files have now; where there are none, every error of Tablekeeper."""
    from tablekeeper_cli.ledger.problems import error_names

    now = _of_stack(ctx, incomplete, lambda stack: (each.error for each in _failures(stack)))
    return now or [each for each in error_names() if each.startswith(incomplete)]


def datasets(ctx: typer.Context, incomplete: str) -> list[str]:
    """The datasets of ./schemas, and those of files with a problem."""
    from pathlib import Path

    suffix = ".schema.json"
    here = [path.name.removesuffix(suffix) for path in Path("schemas").glob(f"*{suffix}")]
    bad = _of_stack(ctx, incomplete, lambda stack: (each.dataset for each in _failures(stack)))
    return sorted({*bad, *(each for each in here if each.startswith(incomplete))})


def _failures(stack: "Stack") -> Iterator[Any]:
    from tablekeeper_cli.ledger.problems import failures

    return islice(failures(stack), 1000)


def _of_stack(
    ctx: typer.Context, incomplete: str, read: "Callable[[Stack], Iterator[str]]"
) -> list[str]:
    from tablekeeper_cli.stack import Stack

    with suppress(Exception):
        stack = Stack.find(
            ctx.params.get("stack_name"),
            local=bool(ctx.params.get("local")),
            region=ctx.params.get("region"),
            profile=ctx.params.get("profile"),
        )
        offered = sorted({each for each in read(stack) if each.startswith(incomplete)})[:MOST]
        return [_word(each) for each in offered]
    return []


def _word(text: str) -> str:
    """The text as one word: bash takes an offer as it is, zsh and fish quote it themselves."""
    if os.environ.get(INSTRUCTION) != "complete_bash":
        return text
    return re.sub(r"([^\w@%+=:,./-])", r"\\\1", text)
