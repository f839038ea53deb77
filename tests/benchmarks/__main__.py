"""`make bench`: validation against jsonschema alone, throughput against a machine that does
nothing, a bucket in bulk, cold starts, the command, and large files against a plain loop and in
memory, as ratios.
"""

from __future__ import annotations

import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from datetime import date as date_of
from datetime import timedelta
from pathlib import Path
from typing import Any

from local.environment import LOCAL, python
from local.stack import BUILD, Stack, running_stack
from tests.benchmarks import bulk, commands, large_files
from tests.benchmarks.validation import validation

FILES, UPLOADS_AT_ONCE, ROUNDS = 200, 8, 3
STARTS = 15
FIRST_DAY = date_of(2000, 1, 1)
NOTHING = "def handler(event, context):\n    return {'action': 'validate'}\n"
ROLE = "arn:aws:iam::000000000000:role/nothing"


def main() -> None:
    """Prints each figure beside its aim. A benchmark is no test: the exit code is 0."""
    validation()
    with tempfile.TemporaryDirectory() as folder:
        state_dir = Path(folder)
        with running_stack(state_dir, enforces_roles=False) as stack:
            bulk.bulk(stack, throughput(stack))
            bulk.dry_run(stack)
            commands.failures(stack)
    cold_starts()
    commands.start()
    large_files.against_batch_writer()
    large_files.memory()


def throughput(stack: Stack) -> float:
    """Small files a second, in turn with the same five states whose functions do nothing."""
    ours = (stack.outputs["SourceBucketName"], stack.outputs["StateMachineArn"])
    nothing = _nothing(stack)
    rates: dict[str, list[float]] = {"tablekeeper": [], "nothing": []}
    for number in range(ROUNDS + 1):
        for name, (bucket, machine) in (("tablekeeper", ours), ("nothing", nothing)):
            rate = _files_a_second(stack, bucket, machine, number)
            if number:  # the first round warms up
                rates[name].append(rate)
    medians = {name: statistics.median(each) for name, each in rates.items()}
    for name, each in rates.items():
        rounds = ", ".join(f"{rate:.1f}" for rate in each)
        print(f"{name:12} {medians[name]:6.1f} files/s   rounds: {rounds}")
    ratio = medians["tablekeeper"] / medians["nothing"]
    print(f"ratio of medians {ratio:.2f}, aim at least 0.85: {_met(ratio >= 0.85)}")
    return medians["tablekeeper"]


def _files_a_second(stack: Stack, bucket: str, machine: str, number: int) -> float:
    s3, states = stack.client("s3"), stack.client("stepfunctions")
    before = len(_executions(states, machine))
    begun = time.perf_counter()

    def upload(file: int) -> None:
        date = str(FIRST_DAY + timedelta(days=number * FILES + file))
        record = {"location": "Seattle", "date": date, "precipitation": 0.0}
        record |= {"temp_max": 5.6, "temp_min": -2.1, "wind": 3.5}
        key = f"weather/bench/{number}-{file}.json"
        s3.put_object(Bucket=bucket, Key=key, Body=json.dumps([record]).encode())

    with ThreadPoolExecutor(UPLOADS_AT_ONCE) as pool:
        list(pool.map(upload, range(FILES)))
    while True:
        ended = [e for e in _executions(states, machine) if e["status"] != "RUNNING"]
        if len(ended) - before >= FILES:
            bad = sum(each["status"] != "SUCCEEDED" for each in ended)
            if bad:
                print(f"{bad} executions did not succeed")
            return FILES / (time.perf_counter() - begun)
        time.sleep(0.1)


def _executions(states: Any, machine: str) -> list[Any]:
    pages = states.get_paginator("list_executions").paginate(stateMachineArn=machine)
    return [each for page in pages for each in page["executions"]]


def _nothing(stack: Stack) -> tuple[str, str]:
    """A bucket whose events start five states with four functions that do nothing."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("nothing.py", NOTHING)
    functions = stack.client("lambda")
    arns = [
        functions.create_function(
            FunctionName=f"nothing-{number}",
            Runtime=f"python{sys.version_info.major}.{sys.version_info.minor}",
            Role=ROLE,
            Handler="nothing.handler",
            Code={"ZipFile": archive.getvalue()},
        )["FunctionArn"]
        for number in range(4)
    ]

    def task(arn: str, **where: Any) -> dict[str, Any]:
        return {
            "Type": "Task",
            "Resource": "arn:aws:states:::lambda:invoke",
            "Arguments": {"FunctionName": arn, "Payload": {"event": "{% $states.input %}"}},
            "Output": "{% $states.result.Payload %}",
            "TimeoutSeconds": 60,
            **where,
        }

    choice = {"Condition": "{% $states.input.action = 'validate' %}", "Next": "C"}
    definition = {
        "QueryLanguage": "JSONata",
        "StartAt": "A",
        "States": {
            "A": task(arns[0], Next="B"),
            "B": {"Type": "Choice", "Choices": [choice], "Default": "C"},
            "C": task(arns[1], Next="D"),
            "D": task(arns[2], Next="E"),
            "E": task(arns[3], End=True),
        },
    }
    machine = stack.client("stepfunctions").create_state_machine(
        name="nothing", definition=json.dumps(definition), roleArn=ROLE
    )["stateMachineArn"]
    stack.client("s3").create_bucket(Bucket="nothing")
    stack.client("s3").put_bucket_notification_configuration(
        Bucket="nothing", NotificationConfiguration={"EventBridgeConfiguration": {}}
    )
    events = stack.client("events")
    pattern = {"source": ["aws.s3"], "detail": {"bucket": {"name": ["nothing"]}}}
    events.put_rule(Name="nothing", EventPattern=json.dumps(pattern))
    events.put_targets(Rule="nothing", Targets=[{"Id": "1", "Arn": machine, "RoleArn": ROLE}])
    return "nothing", machine


def cold_starts() -> None:
    """Import and first client in a fresh process, in turn with boto3 and that client alone."""
    package = BUILD / "build" / "FetchObjectFunction"
    environment = {
        **os.environ,
        "PYTHONPATH": str(package),
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
        "POWERTOOLS_SERVICE_NAME": "bench",
    }
    codes = {
        "boto3": "import boto3; boto3.client('dynamodb')",
        "fetch_object": "import handlers.fetch_object",
        "write_items": "import handlers.write_items",
        "validate_records": "import handlers.validate_records",
        "transform_records": "import handlers.transform_records",
        "second client (S3)": "import handlers.fetch_object; from tablekeeper import aws; aws.s3()",
    }
    aims = {
        "fetch_object": 1.15,
        "write_items": 1.15,
        "validate_records": 0.5,
        "transform_records": 0.5,
    }
    seconds: dict[str, list[float]] = {name: [] for name in codes}
    for _ in range(STARTS):
        for name, code in codes.items():
            begun = time.perf_counter()
            subprocess.run(
                [str(python("runtime")), "-c", code], env=environment, check=True, cwd=LOCAL
            )
            seconds[name].append(time.perf_counter() - begun)
    base = statistics.median(seconds["boto3"])
    for name, each in seconds.items():
        ratio = statistics.median(each) / base
        aim = f", aim at most {aims[name]}: {_met(ratio <= aims[name])}" if name in aims else ""
        print(f"{name:18} {statistics.median(each) * 1000:5.0f} ms, {ratio:.2f} of boto3{aim}")


def _met(met: bool) -> str:
    return "met" if met else "not met"


if __name__ == "__main__":
    main()
