"""The table in docs/failure-table.md, made from what the end-to-end tests expect.

`python -m tools.failure_table --write`, or `--check`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from tests.e2e.matrix import CASES, Case

PAGE = Path(__file__).parents[1] / "docs" / "failure-table.md"
BEGIN, END = "<!-- failure table: begin -->", "<!-- failure table: end -->"


def table(cases: Iterable[Case]) -> str:
    """A Markdown table with a line a case."""
    lines = [
        "| State | Fault | Attempts | Execution | Error | Recorded | By |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for case in cases:
        error = f"`{case.error}`" if case.error else ""
        lines.append(
            f"| {case.state} | {case.fault} | {case.attempts} | {case.ends} | {error} "
            f"| {case.outcome} | {case.by} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Rewrites or checks the page; exit code 1 when it is stale."""
    text = PAGE.read_text()
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    current = f"{before}{BEGIN}\n{table(CASES)}\n{END}{after}"
    if sys.argv[1:] == ["--write"]:
        PAGE.write_text(current)
    elif current != text:
        sys.exit(f"{PAGE.name}: the table of failures is stale; run -m tools.failure_table --write")


if __name__ == "__main__":
    main()
