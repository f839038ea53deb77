"""The diagram in docs/architecture.md, made from the definition: `--write` or `--check`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "architecture.md"
DEFINITION = ROOT / "statemachine" / "sync_object.asl.json"
BEGIN, END = "<!-- diagram: begin -->", "<!-- diagram: end -->"


def diagram(definition: dict[str, Any]) -> str:
    """A Mermaid stateDiagram-v2 of a definition.

    Catches that lead to one state are drawn as one line.
    """
    lines = ["```mermaid", "stateDiagram-v2"]
    lines += [f"    {_id(name)} : {name}" for name in definition["States"]]
    lines.append(f"    [*] --> {_id(definition['StartAt'])}")
    for name, state in definition["States"].items():
        lines += [f"    {_id(name)} --> {line}" for line in dict.fromkeys(_exits(state))]
    return "\n".join([*lines, "```"])


def _exits(state: dict[str, Any]) -> Iterator[str]:
    for choice in state.get("Choices", ()):
        yield f"{_id(choice['Next'])} : {_label(choice['Condition'])}"
    if "Next" in state:
        yield _id(state["Next"])
    if "Default" in state:
        yield f"{_id(state['Default'])} : otherwise"
    if state.get("End") or state["Type"] == "Fail":
        yield "[*]"
    caught: dict[str, list[str]] = {}
    for catcher in state.get("Catch", ()):
        names = catcher["ErrorEquals"]
        status = catcher.get("Assign", {}).get("problem", {}).get("status")
        caught.setdefault(catcher["Next"], []).append(status or names[0].rpartition(".")[2])
    for target, labels in caught.items():
        yield f"{_id(target)} : {' or '.join(dict.fromkeys(labels))}"


def _label(condition: str) -> str:
    """The words of a condition in which it differs from its neighbours."""
    quoted = condition.split("'")[1::2]
    return (
        " or ".join(word for word in quoted if word.isalpha() and word != "ConditionalCheckFailed")
        or "recorded"
    )


def _id(name: str) -> str:
    return "".join(letter for letter in name if letter.isalnum())


def main() -> None:
    """Rewrites or checks the page; exit code 1 when it is stale."""
    text = PAGE.read_text()
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    current = f"{before}{BEGIN}\n{diagram(json.loads(DEFINITION.read_text()))}\n{END}{after}"
    if sys.argv[1:] == ["--write"]:
        PAGE.write_text(current)
    elif current != text:
        sys.exit(f"{PAGE.name}: the diagram is stale; run tools/diagram.py --write")


if __name__ == "__main__":
    main()
