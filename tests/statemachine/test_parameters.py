"""The template's parameters, and the stack that each choice of them makes."""

import json
import re
from collections.abc import Mapping
from typing import Any

import pytest
from tablekeeper.model.keys import TableKey

from tests.statemachine.resolved import (
    CREATED,
    EXISTING,
    EXPRESS,
    PARTITION_KEY_ONLY,
    Stack,
)
from tests.support.project import ROOT, lambda_tasks, template

PARAMETERS: Mapping[str, Any] = template()["Parameters"]
VARIANTS = {
    "created": CREATED,
    "existing": EXISTING,
    "no sort key": PARTITION_KEY_ONLY,
    "express": EXPRESS,
}
REFUSED = {
    "KeyPrefix": ("o'brien/", 'a"b/', "a\\b/", "a\nb/"),
    "SourceBucketName": ("My-Bucket", "s3://bucket", "ab", "bucket/"),
    "ItemsTableName": ("ab", "a table", "arn:aws:dynamodb:us-east-1:123456789012:table/t"),
    "PartitionKeyName": ("", "pk:S", "a,b"),
    "SortKeyName": ("sk:S", "a,b"),
    "TtlAttribute": ("", "expires at"),
    "KmsKeyArn": (
        "alias/tablekeeper",
        "1234abcd-12ab-34cd-56ef-1234567890ab",
        "arn:aws:kms:us-east-1:123456789012:alias/tablekeeper",
    ),
    "AlarmEmail": ("on-call", "a b@example.com", "a@b@c"),
    "ReconcileSchedule": ("1 day", "rate()", "every day"),
    "Runtime": ("python3.10", "python3", "nodejs22.x", "python3.130"),
}
ACCEPTED = {
    "KeyPrefix": ("", "in/", "a b/ö,$(1)/{2}/"),
    "SourceBucketName": ("", "my.bucket-1"),
    "ItemsTableName": ("", "My_Table.1-a"),
    "PartitionKeyName": ("pk", "Customer-Id", "a_b.c"),
    "SortKeyName": ("", "sk"),
    "TtlAttribute": ("expires_at",),
    "KmsKeyArn": (
        "",
        "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab",
        "arn:aws-cn:kms:cn-north-1:123456789012:key/mrk-1234abcd12ab34cd56ef1234567890ab",
    ),
    "AlarmEmail": ("", "on-call+alarms@example.com"),
    "ReconcileSchedule": ("", "rate(1 day)", "cron(0 3 * * ? *)"),
    "Runtime": ("python3.11", "python3.13", "python3.14"),
}


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_parameter_says_what_it_is(name: str) -> None:
    assert len(PARAMETERS[name]["Description"]) > 15


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_parameter_has_a_default_that_it_accepts(name: str) -> None:
    parameter = PARAMETERS[name]
    default = parameter["Default"]
    assert re.fullmatch(parameter.get("AllowedPattern", ".*"), str(default))
    assert default in parameter.get("AllowedValues", [default])
    if parameter["Type"] == "Number":
        assert parameter.get("MinValue", default) <= default <= parameter.get("MaxValue", default)


@pytest.mark.parametrize("name", [n for n, each in PARAMETERS.items() if "AllowedPattern" in each])
def test_a_refused_value_is_refused_in_words(name: str) -> None:
    """Without a ConstraintDescription, CloudFormation shows the bare pattern."""
    assert PARAMETERS[name]["ConstraintDescription"].startswith("must be ")


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in REFUSED.items() for value in values]
)
def test_a_parameter_refuses_what_could_not_work(name: str, value: str) -> None:
    assert not re.fullmatch(PARAMETERS[name]["AllowedPattern"], value)


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in ACCEPTED.items() for value in values]
)
def test_a_parameter_accepts_what_works(name: str, value: str) -> None:
    assert re.fullmatch(PARAMETERS[name]["AllowedPattern"], value)


def test_every_pattern_is_tried() -> None:
    patterns = {name for name, each in PARAMETERS.items() if "AllowedPattern" in each}
    assert patterns == set(REFUSED) == set(ACCEPTED)


def test_every_parameter_is_in_one_group_of_the_console() -> None:
    groups = template()["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    grouped = [name for group in groups for name in group["Parameters"]]
    assert sorted(grouped) == sorted(PARAMETERS)
    assert all(group["Label"]["default"] for group in groups)


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_parameter_changes_something(name: str) -> None:
    rest = {part: template()[part] for part in ("Conditions", "Globals", "Resources")}
    text = json.dumps(rest)
    assert f'{{"Ref": "{name}"}}' in text or f"${{{name}}}" in text


@pytest.mark.parametrize("variant", VARIANTS)
def test_nothing_refers_to_what_the_stack_does_not_have(variant: str) -> None:
    stack = Stack(VARIANTS[variant])
    assert set(stack.outputs) == set(template()["Outputs"])
    assert all(stack.outputs.values())


def test_an_existing_bucket_and_table_are_left_alone() -> None:
    stack = Stack(EXISTING)
    assert not {"SourceBucket", "SourceBucketPolicy", "ItemsTable"} & set(stack.resources)
    assert stack.outputs["SourceBucketName"] == "their-bucket"
    assert stack.outputs["ItemsTableName"] == "their-table"
    assert "EventBridge" in template()["Parameters"]["SourceBucketName"]["Description"]
    assert "EventBridge" in template()["Outputs"]["SourceBucketName"]["Description"]


@pytest.mark.parametrize("variant", VARIANTS)
def test_functions_get_the_names_of_the_bucket_and_the_table_that_are_used(variant: str) -> None:
    stack = Stack(VARIANTS[variant])
    for name, resource in stack.resources.items():
        if resource["Type"] == "AWS::Serverless::Function":
            told = resource["Properties"]["Environment"]["Variables"]
            for variable, output in (
                ("SOURCE_BUCKET", "SourceBucketName"),
                ("ITEMS_TABLE", "ItemsTableName"),
                ("LEDGER_TABLE", "LedgerTableName"),
                ("STAGING_BUCKET", "StagingBucketName"),
                ("STATE_MACHINE_ARN", "StateMachineArn"),
            ):
                assert told.get(variable, stack.outputs[output]) == stack.outputs[output], name


@pytest.mark.parametrize(
    ("variant", "keys"),
    [
        ("created", (("pk", "S"), ("sk", "S"))),
        ("no sort key", (("pk", "S"),)),
        ("existing", (("id", "N"),)),
    ],
)
def test_functions_read_the_table_s_key_from_one_variable(
    variant: str, keys: tuple[tuple[str, str], ...]
) -> None:
    stack = Stack(VARIANTS[variant])
    told = {
        resource["Properties"]["Environment"]["Variables"]["ITEM_KEYS"]
        for resource in stack.resources.values()
        if "ITEM_KEYS" in resource["Properties"].get("Environment", {}).get("Variables", {})
    }
    assert {TableKey.parse(each).attributes for each in told} == {keys}
    if "ItemsTable" in stack.resources:
        table = stack.properties("ItemsTable")
        types = {a["AttributeName"]: a["AttributeType"] for a in table["AttributeDefinitions"]}
        assert [each["KeyType"] for each in table["KeySchema"]] == ["HASH", "RANGE"][: len(keys)]
        assert types == dict(keys)
        assert (
            tuple(
                (each["AttributeName"], types[each["AttributeName"]]) for each in table["KeySchema"]
            )
            == keys
        )


def test_every_function_is_built_once_from_one_folder() -> None:
    shared = template()["Globals"]["Function"]
    assert shared["CodeUri"] == "functions/"
    assert shared["Runtime"] == {"Ref": "Runtime"}
    assert shared["Architectures"] == [{"Ref": "Architecture"}]
    assert shared["Tracing"] == "Active"
    for name, resource in template()["Resources"].items():
        if resource["Type"] == "AWS::Serverless::Function":
            own = resource["Properties"].keys()
            assert not own & {"CodeUri", "Runtime", "Architectures", "Tracing"}, name
            assert own >= {"MemorySize", "Timeout", "Description"}, name


def test_no_partition_or_region_is_written_out() -> None:
    text = json.dumps(template())
    assert "arn:aws:" not in text
    assert not re.search(r"\b[a-z]{2}-[a-z]+-\d\b", text)


def test_memory_and_time_outs_say_why() -> None:
    """A figure without its reason cannot be changed with confidence; YAML keeps no comments."""
    lines = (ROOT / "template.yaml").read_text().splitlines()
    sized = [place for place, line in enumerate(lines) if "MemorySize:" in line]
    assert len(sized) == sum(
        each["Type"] == "AWS::Serverless::Function" for each in template()["Resources"].values()
    )
    for place in sized:
        assert lines[place - 1].strip().startswith("# "), lines[place]


def test_the_state_machine_is_standard_logged_and_traced() -> None:
    machine = Stack(CREATED).properties("SyncObjectStateMachine")
    assert machine["Type"] == "STANDARD"
    assert machine["DefinitionUri"] == "statemachine/sync_object.asl.json"
    assert machine["Tracing"] == {"Enabled": True}
    assert machine["Logging"]["Level"] in ("ALL", "ERROR")
    (destination,) = machine["Logging"]["Destinations"]
    assert destination == {"CloudWatchLogsLogGroup": {"LogGroupArn": "<SyncObjectLogGroup.Arn>"}}
    group = Stack(CREATED).properties("SyncObjectLogGroup")["LogGroupName"]
    assert group.startswith("/aws/vendedlogs/")
    substitutions = machine["DefinitionSubstitutions"]
    assert substitutions["LedgerTableName"] == "<LedgerTable>"
    assert int(substitutions["AuditRetentionSeconds"]) >= 86400
    assert len(substitutions) == len(lambda_tasks()) + 2


def test_a_named_rule_stays_within_its_limit_for_any_stack_that_is_described() -> None:
    """A rule's name may have 64 characters; the template says how long a stack's name may be."""
    name = template()["Resources"]["ObjectChangedRule"]["Properties"]["Name"]["Fn::Sub"]
    promised = re.search(
        r"a stack's name may have (\d+) characters", (ROOT / "template.yaml").read_text()
    )
    assert promised
    assert len(name.replace("${AWS::StackName}", "x" * int(promised[1]))) <= 64
