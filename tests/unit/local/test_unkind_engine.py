"""Where the engine is as unkind as AWS: by default, by a fault, or by a switch."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError, ResponseStreamingError
from botocore.exceptions import ConnectionError as EndpointError

from local.switches import LAMBDA_THROTTLES, STATES_QUOTAS, UPDATES_APART
from tests.unit.local.conftest import ROLE, Engine
from tests.unit.local.test_engine import task

pytestmark = pytest.mark.xdist_group("engine")


@pytest.fixture(scope="module")
def bucket(engine: Engine) -> str:
    """A bucket with three objects."""
    client = engine.client("s3")
    client.create_bucket(Bucket="unkind")
    for key in "abc":
        client.put_object(Bucket="unkind", Key=key, Body=b"x" * 100_000)
    return "unkind"


def test_a_throttled_invocation_costs_an_attempt(engine: Engine) -> None:
    function = engine.function("ThrottledFunction", seconds=60)
    retry = {"ErrorEquals": ["Lambda.TooManyRequestsException"], "MaxAttempts": 1}
    definition = {"States": {"A": task(function, {"sleep": 2}, Retry=[retry], TimeoutSeconds=60)}}
    with engine.stack.switches.on(LAMBDA_THROTTLES):
        running = [engine.start(definition) for _ in range(6)]
        ended = [engine.end(each) for each in running]
    failed = [each["error"] for each in ended if each["status"] == "FAILED"]
    assert set(failed) == {"Lambda.TooManyRequestsException"}
    assert 0 < len(failed) < 6


def test_functions_are_updated_one_after_the_other(engine: Engine) -> None:
    """So a deployment has a middle, in which one function has new code and another has not, and
    everything else goes on.
    """
    cloudformation, functions = engine.client("cloudformation"), engine.client("lambda")
    names = ("FirstUpdated", "SecondUpdated")

    def template(answer: int) -> str:
        code = f"def handler(event, context):\n    return {answer}\n"
        function = {"Handler": "index.handler", "Runtime": "python3.13", "Role": ROLE}
        return json.dumps(
            {
                "Resources": {
                    name: {
                        "Type": "AWS::Lambda::Function",
                        "Properties": {"FunctionName": name, "Code": {"ZipFile": code}, **function},
                    }
                    for name in names
                }
            }
        )

    def codes() -> tuple[str, ...]:
        return tuple(
            functions.get_function_configuration(FunctionName=n)["CodeSha256"] for n in names
        )

    def answers() -> list[int]:
        return [json.load(functions.invoke(FunctionName=n)["Payload"]) for n in names]

    cloudformation.create_stack(StackName="apart", TemplateBody=template(1))
    cloudformation.get_waiter("stack_create_complete").wait(StackName="apart")
    assert answers() == [1, 1]
    old = codes()
    seen = [old]
    with engine.stack.switches.on(UPDATES_APART):
        cloudformation.update_stack(StackName="apart", TemplateBody=template(2))
        deadline = time.monotonic() + 60
        while seen[-1][1] == old[1] and time.monotonic() < deadline:
            seen.append(codes())
    new = seen[-1]
    assert list(dict.fromkeys(seen)) == [old, (new[0], old[1]), new]
    assert answers() == [2, 2]


def test_executions_are_listed_within_a_quota(engine: Engine) -> None:
    """A bucket of a hundred calls, and two a second, for a client that tries once."""
    client = engine.once("stepfunctions")
    machine = "arn:aws:states:us-east-1:000000000000:stateMachine:none"
    codes = []
    with engine.stack.switches.on(STATES_QUOTAS):
        for _ in range(400):
            try:
                client.list_executions(stateMachineArn=machine)
            except ClientError as error:
                codes.append(error.response["Error"]["Code"])
            if codes and codes[-1] == "ThrottlingException":
                break
    assert codes[-1] == "ThrottlingException"


def test_a_timestamp_is_cut_to_whole_seconds(engine: Engine) -> None:
    soon = (datetime.now(UTC) + timedelta(seconds=1)).replace(microsecond=999_000)
    states: dict[str, Any] = {"A": {"Type": "Wait", "Timestamp": soon.isoformat(), "End": True}}
    execution = engine.start({"States": states})
    engine.end(execution)
    history = engine.client("stepfunctions").get_execution_history(executionArn=execution)
    assert history["events"][-1]["timestamp"] < soon


def test_delete_objects_may_leave_keys_and_answer_200(engine: Engine, bucket: str) -> None:
    client = engine.client("s3")
    engine.stack.faults.inject("DeleteObjects", error="SlowDown", cause="busy")
    wanted = {"Objects": [{"Key": "a"}, {"Key": "b"}], "Quiet": True}
    (left,) = client.delete_objects(Bucket=bucket, Delete=wanted)["Errors"]
    assert (left["Key"], left["Code"]) == ("a", "SlowDown")
    assert [each["Key"] for each in client.list_objects_v2(Bucket=bucket)["Contents"]] == ["a", "c"]
    assert "Errors" not in client.delete_objects(Bucket=bucket, Delete=wanted)


def test_a_body_may_break_off(engine: Engine, bucket: str) -> None:
    client = engine.client("s3")
    engine.stack.faults.inject("GetObject", match="c")
    answer = client.get_object(Bucket=bucket, Key="c")
    assert answer["ContentLength"] == 100_000
    with pytest.raises((ResponseStreamingError, EndpointError)):
        answer["Body"].read()
    assert len(client.get_object(Bucket=bucket, Key="c")["Body"].read()) == 100_000


@pytest.mark.parametrize("name", ["", "x" * 65_536], ids=["no characters", "65,536 bytes"])
def test_an_attribute_has_a_name_of_1_to_65535_bytes(engine: Engine, table: str, name: str) -> None:
    item = {"pk": {"S": "named"}, name: {"S": "v"}}
    with pytest.raises(ClientError, match="ValidationException"):
        engine.client("dynamodb").transact_write_items(
            TransactItems=[{"Put": {"TableName": table, "Item": item}}]
        )


def test_a_key_is_held_against_the_schema_in_a_delete(engine: Engine, table: str) -> None:
    delete = {"TableName": table, "Key": {"pk": {"N": "1"}}}
    with pytest.raises(ClientError) as caught:
        engine.client("dynamodb").transact_write_items(TransactItems=[{"Delete": delete}])
    said = str(caught.value.response)
    assert "The provided key element does not match the schema" in said


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        ("1E+40", "1" + "0" * 40),
        ("9.99E+125", "999" + "0" * 123),
        ("1.50", "1.5"),
        ("1E-10", "0.0000000001"),
        ("1E-130", f"0.{'0' * 129}1"),
    ],
    ids=["large", "largest", "trailing zero", "small", "smallest"],
)
def test_a_number_of_an_update_has_plain_digits(
    engine: Engine, table: str, written: str, stored: str
) -> None:
    client = engine.client("dynamodb")
    key = {"pk": {"S": "numbers"}}
    client.update_item(
        TableName=table,
        Key=key,
        UpdateExpression="SET n = :n",
        ExpressionAttributeValues={":n": {"N": written}},
    )
    assert client.get_item(TableName=table, Key=key)["Item"]["n"] == {"N": stored}
