"""Modules, classes and parameter lists that one can take in: what is longer says why, here.

The parameters of a command are its options, which `--help` lists; they are not counted.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tests.support.project import ROOT

MODULE_LINES, CLASS_LINES, PARAMETERS = 400, 200, 5
EXCEPTIONS: dict[str, str] = {}
"""Why something is larger, by `module`, `module:Class` or `module:function`; five at most."""


def too_large(path: str, text: str) -> Iterator[tuple[str, str]]:
    """What is larger than it may be, and how large."""
    lines = len(text.splitlines())
    if lines > MODULE_LINES:
        yield path, f"{lines} lines"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ClassDef):
            lines = (node.end_lineno or 0) - node.lineno + 1
            if lines > CLASS_LINES:
                yield f"{path}:{node.name}", f"{lines} lines"
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            if path.startswith("tablekeeper_cli/commands/") and not node.name.startswith("_"):
                continue
            arguments = node.args
            names = [
                each.arg
                for each in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)
                if each.arg not in ("self", "cls")
            ]
            if len(names) > PARAMETERS:
                yield f"{path}:{node.name}", f"{len(names)} parameters"


def test_what_is_too_large_is_found() -> None:
    lines = "\n".join(["    x = 1"] * CLASS_LINES)
    many = ", ".join(f"a{number}" for number in range(PARAMETERS + 1))
    text = f"class C:\n{lines}\n    def f(self, {many}): ...\n" + "\n" * MODULE_LINES
    assert [name for name, _ in too_large("m.py", text)] == ["m.py", "m.py:C", "m.py:f"]


def test_nothing_is_too_large_without_a_reason() -> None:
    found: dict[str, str] = {}
    for folder in ("functions", "tablekeeper_cli"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            found |= dict(too_large(str(path.relative_to(ROOT)), path.read_text("utf-8")))
    assert {name: size for name, size in found.items() if name not in EXCEPTIONS} == {}
    assert set(EXCEPTIONS) <= set(found), "no exception that nothing needs"
    assert len(EXCEPTIONS) <= 5
