"""What the engine does as AWS does and stock ministack does not: one test a patch."""

from __future__ import annotations

import base64
import json
import socket
import subprocess
import time
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from local.environment import ROOT, python
from tests.e2e.observer import until
from tests.unit.local.conftest import BROKEN, Engine

pytestmark = pytest.mark.xdist_group("engine")


def task(function: str, payload: Any, **more: Any) -> dict[str, Any]:
    """A state that invokes a function and ends."""
    return {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke",
        "Arguments": {"FunctionName": function, "Payload": payload},
        "End": True,
        **more,
    }


def passing(**more: Any) -> dict[str, Any]:
    """A Pass state, the last one unless it has a Next."""
    return {"Type": "Pass", **({} if "Next" in more else {"End": True}), **more}


def catching(names: list[str]) -> dict[str, Any]:
    """A Catch of these names that leads to B."""
    return {"Catch": [{"ErrorEquals": names, "Next": "B"}]}


def run_python(program: str) -> subprocess.CompletedProcess[str]:
    """Runs a program in the engine's environment."""
    return subprocess.run(
        [python("engine"), "-c", program],
        cwd=ROOT,
        env={"ENGINE_STATE_DIR": "unused"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="session")
def function(engine: Engine) -> str:
    """A function that does what its event says; it is given a minute."""
    return engine.function("AnyFunction")


def test_one_worker_runs_a_group(request: pytest.FixtureRequest, worker_id: str) -> None:
    """pytest-xdist tells the scheduler a test's group in its id; engines are shared by it."""
    assert worker_id == "master" or request.node.nodeid.endswith("@engine")


def test_listens_on_127_0_0_1_only(engine: Engine) -> None:
    port = int(engine.stack.endpoint_url.rpartition(":")[2])
    with socket.socket() as probe:
        probe.settimeout(2)
        assert probe.connect_ex(("127.0.0.1", port)) == 0
    with socket.socket() as probe:
        probe.settimeout(2)
        assert probe.connect_ex(("127.0.0.2", port)) != 0


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ("stepfunctions._error_matches = lambda names: True", "_error_matches takes (names)"),
        ("del stepfunctions._run_execution", "_run_execution takes (nothing)"),
        ("lambda_runtime._PYTHON_WORKER_SCRIPT = ''", "does not hold once"),
    ],
)
def test_does_not_start_when_a_patch_point_has_changed(change: str, complaint: str) -> None:
    changed = (
        "from ministack.core import lambda_runtime\n"
        "from ministack.services import stepfunctions\n"
        f"{change}\nfrom local.engine.__main__ import patch; patch()"
    )
    run = run_python(changed)
    assert run.returncode == 1
    assert "PatchPointError" in run.stderr
    assert complaint in run.stderr


def test_an_expression_has_a_second_of_its_own_however_long_its_thread_waits() -> None:
    """A clock on which two seconds pass between any two looks, as for a thread of thousands."""
    evaluated = (
        "from itertools import count; from jsonata import Jsonata\n"
        "from jsonata.timebox import Timebox; from local.engine import expressions\n"
        "Timebox.current_milli_time = staticmethod(count(0, 2000).__next__)\n"
        "print(Jsonata.jsonata('1 + 1', timeout=1000).evaluate({}))\n"
        "endless = '($f := function($n) { $f($n + 1) }; $f(0))'\n"
        "try: Jsonata.jsonata(endless, timeout=50).evaluate({})\n"
        "except Exception as error: print(error)"
    )
    run = run_python(evaluated)
    assert run.stdout.splitlines() == [
        "2",
        "Evaluation timeout after 50 milliseconds. Check for infinite loop",
    ]


def test_an_exception_arrives_under_its_class_name(engine: Engine, function: str) -> None:
    ended = engine.run(
        {"A": task(function, {"raise": "é"}, **catching(["KeyOwnershipError"])), "B": passing()}
    )
    assert ended["output"]["Error"] == "KeyOwnershipError"
    cause = json.loads(ended["output"]["Cause"])
    assert cause["errorMessage"] == "é"
    assert "in handler" in cause["stackTrace"][0]


def test_a_function_stays_warm_after_an_exception(engine: Engine) -> None:
    warm = engine.function("WarmFunction")
    engine.run({"A": task(warm, {"raise": "x"})})
    assert engine.run({"A": task(warm, {})})["output"]["Payload"]["calls"] == 2


def test_a_log_holds_all_lines_of_its_invocation_and_no_others(engine: Engine) -> None:
    source = "def handler(event, _):\n    for line in event: print(line)\n"
    talking, client = engine.function("TalkingFunction", source), engine.client("lambda")

    def log(*lines: str) -> list[str]:
        answer = client.invoke(
            FunctionName=talking, Payload=json.dumps(lines).encode(), LogType="Tail"
        )
        return base64.b64decode(answer.get("LogResult", "")).decode().splitlines()

    first = [f"line {number}" for number in range(20)]
    assert [log(*first), log(), log("one")] == [first, [], ["one"]]


@pytest.mark.parametrize(
    ("event", "error", "message"),
    [
        ({"exit": 1}, "Runtime.ExitError", "Runtime exited"),
        ({"import": "samtranslator"}, "ModuleNotFoundError", "samtranslator"),
        ({"import": "jsonschema"}, "ModuleNotFoundError", "jsonschema"),
    ],
)
def test_errors_of_a_function_have_their_names(
    engine: Engine, function: str, event: Any, error: str, message: str
) -> None:
    ended = engine.run({"A": task(function, event)})
    assert ended["error"] == error
    assert message in ended["cause"]


def test_a_function_that_takes_too_long_is_timed_out(engine: Engine) -> None:
    ended = engine.run({"A": task(engine.function("SlowFunction", seconds=3), {"sleep": 60})})
    assert ended["error"] == "Sandbox.Timedout"
    assert "timed out after 3.00 seconds" in ended["cause"]


def test_a_function_finds_what_its_runtime_brings(engine: Engine, function: str) -> None:
    assert engine.run({"A": task(function, {"import": "boto3"})})["status"] == "SUCCEEDED"


def test_a_function_may_do_only_what_its_role_allows(engine: Engine) -> None:
    source = "import boto3\ndef handler(event, _): boto3.client('dynamodb').list_tables()"
    refused = engine.function("RefusedFunction", source)
    assert "is not authorized to perform" in engine.run({"A": task(refused, {})})["cause"]


def test_a_module_that_cannot_be_imported_is_named(engine: Engine) -> None:
    broken = engine.function("BrokenFunction", BROKEN)
    ended = engine.run({"A": task(broken, {})})
    assert ended["error"] == "Runtime.ImportModuleError"
    assert "no_such_module" in ended["cause"]


def test_a_process_that_is_ended_while_it_starts_has_exited(engine: Engine) -> None:
    source = "import os\nos.kill(os.getpid(), 9)\ndef handler(event, _): pass"
    ended = engine.run({"A": task(engine.function("EndedFunction", source), {})})
    assert ended["error"] == "Runtime.ExitError"


def test_a_cause_has_at_most_32768_characters(engine: Engine, function: str) -> None:
    ended = engine.run({"A": task(function, {"raise": "é" * 40_000})})
    assert len(ended["cause"]) == 32_768
    assert "ééé" in ended["cause"]


def test_two_functions_run_at_a_time_and_waiting_is_no_time_out(engine: Engine) -> None:
    function = engine.function("PatientFunction")
    definition = {"States": {"A": task(function, {"sleep": 2}, TimeoutSeconds=7)}}
    running = [engine.start(definition) for _ in range(8)]
    times = [engine.end(execution)["output"]["Payload"] for execution in running]
    for one in times:
        assert sum(1 for two in times if two["started"] <= one["started"] < two["ended"]) <= 2


def test_a_task_times_out(engine: Engine, function: str) -> None:
    states = {"A": task(function, {"sleep": 10}, TimeoutSeconds=1)}
    assert engine.run(states)["error"] == "States.Timeout"


@pytest.mark.parametrize(
    "states",
    [
        {"A": passing(Output="{% $pad('', 270000, 'x') %}")},
        {"A": passing(Assign={"x": "{% $pad('', 270000, 'x') %}"})},
    ],
)
def test_a_state_puts_out_and_assigns_at_most_262144_bytes(
    engine: Engine, states: dict[str, Any]
) -> None:
    assert engine.run(states)["error"] == "States.DataLimitExceeded"


def test_a_task_returns_at_most_262144_bytes_and_states_all_does_not_catch_it(
    engine: Engine, function: str
) -> None:
    large = {"A": task(function, {"letters": 262_200}, **catching(["States.ALL"])), "B": passing()}
    assert engine.run(large)["error"] == "States.DataLimitExceeded"
    small = {"A": task(function, {"letters": 262_000}, **catching(["States.ALL"])), "B": passing()}
    assert engine.run(small)["status"] == "SUCCEEDED"


def test_an_execution_takes_at_most_262144_bytes(engine: Engine) -> None:
    with pytest.raises(Exception, match="less than or equal to 262144"):
        engine.start({"States": {"A": passing()}}, "x" * 262_200)


def test_retries_wait_no_longer_than_max_delay_seconds(engine: Engine, function: str) -> None:
    retry = {"ErrorEquals": ["KeyOwnershipError"], "MaxAttempts": 3, "BackoffRate": 10}
    state = task(function, {"raise": "x"}, Retry=[{**retry, "MaxDelaySeconds": 1}])
    waits = _waits(engine, state)
    assert len(waits) == 3
    assert all(timedelta(seconds=1) <= wait < timedelta(seconds=10) for wait in waits)


def test_retries_have_jitter(engine: Engine, function: str) -> None:
    """A wait of a second is shorter, one of several at least, however slow the machine is."""
    retry = {"ErrorEquals": ["States.ALL"], "MaxAttempts": 8, "BackoffRate": 1}
    state = task(function, {"raise": "x"}, Retry=[{**retry, "JitterStrategy": "FULL"}])
    waits = _waits(engine, state)
    assert len(waits) == 8
    assert min(waits) < timedelta(seconds=1)


def _waits(engine: Engine, state: dict[str, Any]) -> list[timedelta]:
    """How long after one attempt the next one began, of a task that never succeeds."""
    execution = engine.start({"States": {"A": state}})
    assert engine.end(execution)["status"] == "FAILED"
    history = engine.client("stepfunctions").get_execution_history(executionArn=execution)
    times = [each["timestamp"] for each in history["events"] if each["type"] == "TaskScheduled"]
    return [after - before for before, after in pairwise(times)]


def test_assign_sees_the_variables_as_they_were(engine: Engine) -> None:
    ended = engine.run(
        {
            "A": passing(Assign={"a": 1, "b": 2}, Next="B"),
            "B": passing(Assign={"a": "{% $b %}", "b": "{% $a %}"}, Next="C"),
            "C": passing(Output="{% [$a, $b] %}"),
        }
    )
    assert ended["output"] == [2, 1]


def test_a_catch_without_output_puts_the_error_out(engine: Engine, function: str) -> None:
    states = {"A": task(function, {"exit": 1}, **catching(["States.ALL"])), "B": passing()}
    assert engine.run(states, {"kept": False})["output"].keys() == {"Error", "Cause"}


def test_the_context_holds_redrive_count_and_times(engine: Engine) -> None:
    context = {
        "redriven": "{% $states.context.Execution.RedriveCount %}",
        "started": "{% $states.context.Execution.StartTime %}",
        "entered": "{% $fromMillis($toMillis($states.context.State.EnteredTime)) %}",
    }
    output = engine.run({"A": passing(Output=context)})["output"]
    assert output["redriven"] == 0
    assert [len(output[name]) for name in ("started", "entered")] == [24, 24]
    assert output["started"].endswith("Z")


def test_string_writes_letters_as_they_are(engine: Engine) -> None:
    ended = engine.run({"A": passing(Output="{% $string($states.input) %}")}, {"a": "é😀"})
    assert ended["output"] == '{"a":"é😀"}'


def test_the_clock_of_an_expression_is_everybody_s(engine: Engine) -> None:
    ended = engine.run({"A": passing(Output="{% $millis() %}")})
    assert abs(ended["output"] / 1000 - time.time()) < 60


def test_an_expression_without_end_is_stopped_after_a_second(engine: Engine) -> None:
    endless = "{% ($forever := function($n) { $forever($n + 1) }; $forever(0)) %}"
    ended = engine.run({"A": passing(Output=endless)})
    assert (ended["status"], ended["error"]) == ("FAILED", "States.QueryEvaluationError")


def test_a_state_machine_times_out(engine: Engine) -> None:
    queue = engine.queue_for({"source": ["aws.states"], "detail": {"status": ["TIMED_OUT"]}})
    states = {"A": {"Type": "Wait", "Seconds": 10, "Next": "B"}, "B": passing()}
    execution = engine.start({"States": states, "TimeoutSeconds": 1})
    assert engine.end(execution)["status"] == "TIMED_OUT"
    detail = engine.events(queue, 1)[0]["detail"]
    assert detail["executionArn"] == execution
    assert engine.run(states)["status"] == "SUCCEEDED"  # So the wait is over.
    history = engine.client("stepfunctions").get_execution_history(executionArn=execution)
    assert history["events"][-1]["type"] == "ExecutionTimedOut"
    assert engine.end(execution)["status"] == "TIMED_OUT"


def test_an_aborted_execution_stays_aborted(engine: Engine, function: str, tmp_path: Path) -> None:
    """Whatever becomes of the function that runs."""
    begun, release = tmp_path / "begun", tmp_path / "release"
    event = {"begun": str(begun), "until": str(release), "raise": "x"}
    execution = engine.start({"States": {"A": task(function, event)}})
    until(begun.exists, "the function has not begun")
    engine.client("stepfunctions").stop_execution(executionArn=execution)
    release.touch()
    assert engine.run({"A": task(function, {})})["status"] == "SUCCEEDED"
    assert engine.end(execution)["status"] == "ABORTED"


def test_an_execution_that_has_ended_may_be_stopped_and_stays_as_it_is(engine: Engine) -> None:
    ended = engine.run({"A": passing()})
    states = engine.client("stepfunctions")
    answer = states.stop_execution(executionArn=ended["executionArn"])
    assert answer["stopDate"] == ended["stopDate"]
    assert engine.end(ended["executionArn"])["status"] == "SUCCEEDED"


def dynamodb(action: str, **arguments: Any) -> dict[str, Any]:
    """A state that calls DynamoDB."""
    resource = f"arn:aws:states:::{action}"
    return {"A": {"Type": "Task", "Resource": resource, "Arguments": arguments, "End": True}}


def test_a_cancelled_transaction_says_why(engine: Engine, table: str) -> None:
    absent = {"ConditionExpression": "attribute_not_exists(pk)", "TableName": table}
    items = [{"Put": {**absent, "Item": {"pk": {"S": key}}}} for key in "ab"]
    states = dynamodb("aws-sdk:dynamodb:transactWriteItems", TransactItems=items)
    ended = engine.run(states)
    assert ended["error"] == "DynamoDb.TransactionCanceledException"
    assert "[ConditionalCheckFailed, None] (Service: DynamoDb, " in ended["cause"]


@pytest.mark.parametrize(
    ("action", "error"),
    [
        ("aws-sdk:dynamodb:putItem", "DynamoDb.DynamoDbException"),
        ("dynamodb:putItem", "DynamoDB.AmazonDynamoDBException"),
    ],
)
def test_what_dynamodb_finds_invalid_has_no_name_of_its_own(
    engine: Engine, table: str, action: str, error: str
) -> None:
    assert engine.run(dynamodb(action, TableName=table, Item={}))["error"] == error


def test_s3_events_are_as_documented(engine: Engine) -> None:
    s3 = engine.client("s3")
    s3.create_bucket(Bucket="versioned")
    s3.put_bucket_versioning(Bucket="versioned", VersioningConfiguration={"Status": "Enabled"})
    s3.put_bucket_notification_configuration(
        Bucket="versioned", NotificationConfiguration={"EventBridgeConfiguration": {}}
    )
    queue = engine.queue_for({"source": ["aws.s3"]})
    version = s3.put_object(Bucket="versioned", Key="a b+c%20é", Body=b"12")["VersionId"]
    created = engine.events(queue, 1)[0]
    marker = s3.delete_object(Bucket="versioned", Key="a b+c%20é")["VersionId"]
    marked = engine.events(queue, 1)[0]
    s3.delete_object(Bucket="versioned", Key="a b+c%20é", VersionId=version)
    deleted = engine.events(queue, 1)[0]
    assert created["detail-type"] == "Object Created"
    assert created["detail"]["object"].keys() == {"key", "size", "etag", "version-id", "sequencer"}
    assert created["detail"]["object"]["version-id"] == version
    assert created["detail"]["object"]["key"] == "a b+c%20é"
    assert marked["detail"]["deletion-type"] == "Delete Marker Created"
    assert marked["detail"]["object"].keys() == {"key", "version-id", "sequencer"}
    assert marked["detail"]["object"]["version-id"] == marker
    assert deleted["detail"]["deletion-type"] == "Permanently Deleted"
    assert deleted["detail"]["object"]["version-id"] == version


@pytest.mark.parametrize(
    ("mode", "error"),
    [
        ("error", "TransientServiceError"),
        ("crash", "Runtime.ExitError"),
        ("timeout", "Sandbox.Timedout"),
        ("throttle", "Lambda.TooManyRequestsException"),
        ("oversized", "States.DataLimitExceeded"),
        ("access-denied", "ClientError"),
    ],
)
def test_a_fault_strikes_a_function_as_often_as_it_was_told(
    engine: Engine, function: str, mode: str, error: str
) -> None:
    faults = engine.stack.faults
    faults.inject("AnyFunction", mode, error="TransientServiceError", match=f"for {mode}")
    states = {"A": task(function, "{% $states.input %}")}
    assert engine.run(states, {"text": "for none"})["status"] == "SUCCEEDED"
    assert engine.run(states, {"text": f"for {mode}"})["error"] == error
    assert engine.run(states, {"text": f"for {mode}"})["status"] == "SUCCEEDED"
    assert faults.waiting() == []


def test_a_fault_may_make_an_answer_malformed_or_late(engine: Engine, function: str) -> None:
    engine.stack.faults.inject("AnyFunction", "malformed")
    engine.stack.faults.inject("AnyFunction", "delay", seconds=10)
    states = {"A": task(function, {}, TimeoutSeconds=1)}
    assert engine.run(states)["output"]["Payload"] == {"unexpected": "injected"}
    assert engine.run(states)["error"] == "States.Timeout"


def test_a_fault_may_lose_the_answer_of_a_call_that_was_made(engine: Engine, table: str) -> None:
    name = "DynamoDb.InternalServerErrorException"
    engine.stack.faults.inject("A", "error", error=name, cause="lost", after=True, match="lose")
    put = dynamodb("aws-sdk:dynamodb:putItem", TableName=table, Item={"pk": {"S": "lost"}})
    ended = engine.run(put, {"do": "lose"})
    assert (ended["error"], ended["cause"]) == (name, "lost")
    found = engine.client("dynamodb").get_item(TableName=table, Key={"pk": {"S": "lost"}})
    assert "Item" in found


def test_each_item_of_a_large_table_is_on_one_page_of_a_scan(engine: Engine) -> None:
    client, name = engine.client("dynamodb"), "large-table"
    client.create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
    )
    names = [f"item {number}" for number in range(11)]
    for each in names:
        item = {"pk": {"S": each}, "text": {"S": "x" * 300_000}}
        client.put_item(TableName=name, Item=item)
    scan = client.get_paginator("scan").paginate
    pages = [page["Items"] for page in scan(TableName=name)]
    assert [len(page) for page in pages] == [3, 3, 3, 2]
    segments = [scan(TableName=name, Segment=each, TotalSegments=3) for each in range(3)]
    of_segments = [item for pages in segments for page in pages for item in page["Items"]]
    for items in ([item for page in pages for item in page], of_segments):
        assert sorted(item["pk"]["S"] for item in items) == sorted(names)
