"""What `make up` was given: dataset files, and parameters of the template. A later `make up` has
them again unless it is given others, as a deployment to AWS keeps the parameters of a stack.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from local.environment import ROOT
from local.errors import LocalStackError
from local.package import read_template

FIXED = ("Runtime", "Architecture")
"""Follow from the Python and the processor of this machine."""


@dataclass(frozen=True)
class DeployOptions:
    """A folder of dataset files, None for the project's own, and parameters by name."""

    schemas: Path | None = None
    parameters: dict[str, str] = field(default_factory=dict)

    @classmethod
    def load(cls, state_dir: Path) -> DeployOptions:
        """What was given last; nothing before the first time."""
        try:
            held = json.loads((state_dir / "given.json").read_text())
        except FileNotFoundError:
            return cls()
        return cls(Path(held["schemas"]) if held["schemas"] else None, held["parameters"])

    def save(self, state_dir: Path) -> None:
        """Keeps it for the next time."""
        held = {"schemas": str(self.schemas) if self.schemas else None} | {
            "parameters": self.parameters
        }
        (state_dir / "given.json").write_text(json.dumps(held))

    def then(self, schemas: Path | None, parameters: Mapping[str, str]) -> DeployOptions:
        """This, with what is given now in its place."""
        own = ROOT / "schemas"
        return DeployOptions(
            (None if schemas == own else schemas) if schemas else self.schemas,
            self.parameters | dict(parameters),
        )

    def __str__(self) -> str:
        words = [f"{name}={shlex.quote(value)}" for name, value in self.parameters.items()]
        return f"datasets of {self.schemas or ROOT / 'schemas'}" + (
            f"; parameters {' '.join(words)}" if words else ""
        )

    @property
    def item_keys(self) -> str:
        """The key of the items table as `schemas check` takes it: `pk:S,sk:S`."""
        defaults = {name: str(each.get("Default")) for name, each in _declared().items()}
        of = defaults | self.parameters
        keys = [f"{of['PartitionKeyName']}:{of['PartitionKeyType']}"]
        if of["SortKeyName"]:
            keys.append(f"{of['SortKeyName']}:{of['SortKeyType']}")
        return ",".join(keys)


def parsed(text: str) -> dict[str, str]:
    """`KeyPrefix=a/ ReconcileSchedule='rate(1 day)'` as parameters by name.

    Raises LocalStackError: no name=value, or nothing that the template takes.
    """
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise LocalStackError(f"PARAMETERS {text!r}: {error}") from None
    parameters = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            raise LocalStackError(f"PARAMETERS: {word!r} is no Name=value")
        _check(name, value)
        parameters[name] = value
    return parameters


def _check(name: str, value: str) -> None:
    """Refuses what CloudFormation would refuse. Raises LocalStackError."""
    declared = _declared()
    if name in FIXED:
        raise LocalStackError(f"PARAMETERS: {name} follows from this machine, it cannot be set")
    if name not in declared:
        names = ", ".join(sorted(set(declared) - set(FIXED)))
        raise LocalStackError(f"PARAMETERS: the template has no {name!r}; it has {names}")
    of = declared[name]
    allowed = of.get("AllowedValues")
    if allowed and value not in map(str, allowed):
        raise LocalStackError(f"PARAMETERS: {name} is one of {', '.join(map(str, allowed))}")
    pattern = of.get("AllowedPattern")
    if pattern and not re.search(pattern, value):
        raise LocalStackError(f"PARAMETERS: {name} {of['ConstraintDescription']}: {value!r}")
    if of["Type"] == "Number" and not _between(value, of):
        limits = f"{of.get('MinValue', '')}..{of.get('MaxValue', '')}"
        raise LocalStackError(f"PARAMETERS: {name} is a number, {limits}: {value!r}")


def _between(value: str, declared: Mapping[str, Any]) -> bool:
    if not value.isascii() or not value.isdigit():
        return False
    least, most = declared.get("MinValue", 0), declared.get("MaxValue", float("inf"))
    return bool(least <= int(value) <= most)


def _declared() -> dict[str, Any]:
    parameters: dict[str, Any] = read_template(ROOT / "template.yaml")["Parameters"]
    return parameters
