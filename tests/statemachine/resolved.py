"""The template as CloudFormation would see it with given parameters: conditions taken, references
filled in. What refers to a resource stands as `<LedgerTable.Arn>`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from tests.support.project import template

PSEUDO = {
    "AWS::AccountId": "123456789012",
    "AWS::Partition": "aws",
    "AWS::Region": "us-east-1",
    "AWS::StackName": "tablekeeper",
}
CREATED: Mapping[str, str] = {}
EXISTING: Mapping[str, str] = {
    "SourceBucketName": "their-bucket",
    "ItemsTableName": "their-table",
    "KeyPrefix": "in/",
    "PartitionKeyName": "id",
    "PartitionKeyType": "N",
    "SortKeyName": "",
}
SCHEDULED: Mapping[str, str] = {"ReconcileSchedule": "rate(1 hour)"}
EXPRESS: Mapping[str, str] = {"LiveStateMachineType": "EXPRESS", **SCHEDULED}
PARTITION_KEY_ONLY: Mapping[str, str] = {"SortKeyName": ""}
KMS_KEY = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
ENCRYPTED: Mapping[str, str] = {"KmsKeyArn": KMS_KEY}
_NOTHING = object()


class DanglingReferenceError(Exception):
    """Raised when something refers to what the stack does not have."""


class Stack:
    """The stack that these parameters make."""

    def __init__(self, parameters: Mapping[str, str], partition: str = "aws") -> None:
        defaults = {
            name: str(each.get("Default", "")) for name, each in template()["Parameters"].items()
        }
        self.parameters = {**defaults, **parameters}
        self.pseudo = {**PSEUDO, "AWS::Partition": partition}
        self.conditions: dict[str, bool] = {}
        for name, condition in template()["Conditions"].items():
            self.conditions[name] = self._fill(condition)
        self._ids = {n for n, each in template()["Resources"].items() if self._stands(each)}
        self.resources: dict[str, Any] = {
            name: self._fill(template()["Resources"][name]) for name in sorted(self._ids)
        }
        self.outputs: dict[str, str] = {
            name: self._fill(each["Value"])
            for name, each in template()["Outputs"].items()
            if self._stands(each)
        }

    def properties(self, logical_id: str) -> dict[str, Any]:
        """A resource's properties."""
        found: dict[str, Any] = self.resources[logical_id]["Properties"]
        return found

    def grants(self, role: str) -> set[tuple[str, str]]:
        """Each action that a role's policies allow, with each resource that it is allowed on."""
        return {
            (action, resource)
            for policy in self.properties(role)["Policies"]
            for statement in policy["PolicyDocument"]["Statement"]
            for action in listed(statement["Action"])
            for resource in listed(statement["Resource"])
        }

    def _stands(self, part: Mapping[str, Any]) -> bool:
        return "Condition" not in part or self.conditions[part["Condition"]]

    def _fill(self, value: Any) -> Any:
        if isinstance(value, list):
            return [each for each in map(self._fill, value) if each is not _NOTHING]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            ((name, argument),) = value.items()
            if name == "Ref":
                return self._reference(argument)
            if name.startswith("Fn::"):
                return self._function(name, argument)
        filled = {name: self._fill(each) for name, each in value.items()}
        return {name: each for name, each in filled.items() if each is not _NOTHING}

    def _function(self, name: str, argument: Any) -> Any:
        if name == "Fn::If":
            condition, then, otherwise = argument
            return self._fill(then if self.conditions[condition] else otherwise)
        if name == "Fn::Equals":
            first, second = self._fill(argument)
            return first == second
        if name == "Fn::Not":
            (inner,) = self._fill(argument)
            return not inner
        if name == "Fn::FindInMap":
            mapping, first, second = self._fill(argument)
            return template()["Mappings"][mapping][first][second]
        if name == "Fn::GetAtt":
            return self._attribute(".".join(argument))
        assert name == "Fn::Sub", name
        text, names = argument if isinstance(argument, list) else (argument, {})
        given = self._fill(names)
        return re.sub(
            r"\$\{([\w:.]+)\}",
            lambda found: (
                given[found[1]]
                if found[1] in given
                else self._attribute(found[1])
                if "." in found[1]
                else self._reference(found[1])
            ),
            text,
        )

    def _reference(self, name: str) -> Any:
        if name == "AWS::NoValue":
            return _NOTHING
        return self.pseudo.get(name) or self.parameters.get(name, None) or self._attribute(name)

    def _attribute(self, path: str) -> str:
        if path in self.parameters:
            return ""
        if path.partition(".")[0] not in self._ids:
            raise DanglingReferenceError(path)
        return f"<{path}>"


def listed(value: Any) -> list[Any]:
    """A list as it is, anything else as a list of itself."""
    return value if isinstance(value, list) else [value]
