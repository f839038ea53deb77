"""What `make up` is given, and what it keeps of that."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from local.deploy_options import DeployOptions, parsed
from local.environment import ROOT
from local.errors import LocalStackError


def test_parameters_are_read_as_a_shell_reads_words() -> None:
    assert parsed("KeyPrefix=a/ ReconcileSchedule='rate(1 day)' SortKeyName=") == {
        "KeyPrefix": "a/",
        "ReconcileSchedule": "rate(1 day)",
        "SortKeyName": "",
    }
    assert parsed("") == {}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("KeyPrefix", "'KeyPrefix' is no Name=value"),
        ("KeyPrefix='a", "No closing quotation"),
        ("KeyPrefx=a", r"no 'KeyPrefx'; it has .*, KeyPrefix,"),
        ("LogLevel=LOUD", "one of DEBUG, INFO, WARNING, ERROR"),
        ("ReconcileSchedule=daily", r"must be empty, or a rate\(...\)"),
        ("LagAlarmSeconds=0", "a number, 1..: '0'"),
        ("MaxDocumentBytes=6000000000", "a number, 1..5000000000"),
        ("MaxDocumentBytes=2GB", "a number"),
        ("Runtime=python3.12", "follows from this machine"),
    ],
    ids=["no-value", "quote", "name", "one-of", "pattern", "least", "most", "digits", "machine"],
)
def test_what_cloudformation_would_refuse_is_refused(text: str, complaint: str) -> None:
    with pytest.raises(LocalStackError, match=complaint):
        parsed(text)


def test_what_was_given_once_is_kept_until_other_is_given(tmp_path: Path) -> None:
    assert DeployOptions.load(tmp_path) == DeployOptions()
    first = DeployOptions().then(tmp_path, parsed("KeyPrefix=a/ LogLevel=DEBUG"))
    first.save(tmp_path)
    second = DeployOptions.load(tmp_path).then(None, parsed("KeyPrefix="))
    assert second == DeployOptions(tmp_path, {"KeyPrefix": "", "LogLevel": "DEBUG"})
    assert second.then(ROOT / "schemas", {}).schemas is None
    words = shlex.split(str(second).partition("parameters ")[2])
    assert parsed(shlex.join(words)) == second.parameters


def test_datasets_are_checked_against_the_keys_of_the_items_table() -> None:
    assert DeployOptions().item_keys == "pk:S,sk:S"
    options = DeployOptions(
        parameters=parsed("PartitionKeyName=id PartitionKeyType=N SortKeyName=")
    )
    assert options.item_keys == "id:N"
