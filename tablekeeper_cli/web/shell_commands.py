"""Whole commands, to be copied into a shell."""

from __future__ import annotations

import shlex

from tablekeeper_cli.engine import further_name
from tablekeeper_cli.stack import LOCAL_VARIABLE, Stack


def command(stack: Stack, name: str, *arguments: str) -> str:
    """`tablekeeper NAME ARGUMENTS` on this stack. The name, which may have options, is ours."""
    if any(each.startswith("-") for each in arguments):
        arguments = ("--", *arguments)
    file = stack.local_file
    named = bool(file and further_name(file.parent))
    which = [f"{LOCAL_VARIABLE}={quoted(str(file))}"] if named else []
    return " ".join((*which, "tablekeeper", name, *options(stack), *map(quoted, arguments)))


def options(stack: Stack) -> list[str]:
    if stack.endpoint_url:
        return ["--local"]
    profile = stack.session.profile_name if stack.session else "default"
    return [
        f"--stack {quoted(stack.name)}",
        f"--region {quoted(stack.region)}",
        *([f"--profile {quoted(profile)}"] if profile != "default" else []),
    ]


def upload(stack: Stack) -> str:
    words = ["aws", "s3", "cp", "FILE", f"s3://{stack.bucket}/PREFIX/FILE"]
    if stack.endpoint_url:
        words += ["--endpoint-url", stack.endpoint_url]
    else:
        words += ["--region", quoted(stack.region)]
    return " ".join(words)


def quoted(word: str) -> str:
    r"""A word for a shell. What does not print is escaped as in bash (`$'\x1b'`), so that no key
    can control the terminal that it is pasted into.
    """
    if word.isprintable():
        return shlex.quote(word)
    return f"$'{''.join(map(_escaped, word))}'"


def _escaped(each: str) -> str:
    if each.isprintable():
        return f"\\{each}" if each in "\\'" else each
    code = ord(each)
    return f"\\x{code:02x}" if code < 128 else f"\\U{code:08x}"
