"""`make bench`: what is measured, as ratios wherever it can be.

`python -m tests.benchmarks NAME ...` measures some of it alone.
"""

from __future__ import annotations

import functools
import io
import json
import os
import statistics
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date as date_of
from datetime import timedelta
from typing import Any

from local.deployment import BUILD
from local.environment import LOCAL, python
from local.stack import Stack
from tests.benchmarks import bulk, commands, formats, large_files, overwrites
from tests.benchmarks.results import Section
from tests.benchmarks.stacks import Used, any_runs, measured_stack, processor_seconds
from tests.benchmarks.validation import validation
from tools.cost import ONE_FUNCTION

FILES, UPLOADS_AT_ONCE, ROUNDS = 200, 8, 3
LATENCY_FILES = 100
PATIENCE_SECONDS = 600
STARTS = 15
FIRST_DAY = date_of(2000, 1, 1)
NOTHING = "def handler(event, context):\n    return {'action': 'validate'}\n"
ROLE = "arn:aws:iam::000000000000:role/nothing"


def main(wanted: list[str]) -> None:
    """Prints each figure beside its aim, and keeps it. A benchmark is no test: it does not fail."""
    for name, measure in BENCHMARKS.items():
        if not wanted or name in wanted:
            measure()


def throughput() -> None:
    """Small files a second: live, beside what does nothing and what does less, and in bulk."""
    section = Section("Throughput")
    with measured_stack() as stack:
        ours = Counted(stack, stack.outputs["SourceBucketName"], stack.outputs["StateMachineArn"])
        rivals = {"tablekeeper": ours, "nothing": _nothing(stack), "one function": _one(stack)}
        rates: dict[str, list[float]] = {name: [] for name in rivals}
        used: dict[str, list[Used]] = {name: [] for name in rivals}
        for number in range(ROUNDS + 1):
            for name, rival in rivals.items():
                before = processor_seconds()
                rate = _files_a_second(rival, number)
                if number:  # the first round warms up
                    rates[name].append(rate)
                    used[name].append(processor_seconds() - before)
        section.series = {name: statistics.median(each) for name, each in rates.items()}
        for name, what in (
            ("tablekeeper", "Tablekeeper, live"),
            ("nothing", "the same five states whose functions do nothing"),
            ("one function", "one function that gets, parses and puts"),
        ):
            rounds = ", ".join(f"{rate:.1f}" for rate in rates[name])
            section.say(f"{what}, files a second", f"{section.series[name]:.1f} (rounds: {rounds})")
            functions, engine = (
                statistics.median(part) * 1000 / FILES for part in zip(*used[name], strict=True)
            )
            section.say(
                "a file takes of a processor",
                f"its functions {functions:.1f} ms, the engine and its services {engine:.1f} ms",
            )
        ratio = section.series["tablekeeper"] / section.series["nothing"]
        section.say("live to nothing", f"{ratio:.2f}")
        bulk.bulk(section, stack, section.series["tablekeeper"])
    section.keep()


def latency() -> None:
    """How long each state of a small file takes, one file after another."""
    section = Section("Latency")
    with measured_stack() as stack:
        ours = Counted(stack, stack.outputs["SourceBucketName"], stack.outputs["StateMachineArn"])
        states = stack.client("stepfunctions")
        seconds: dict[str, list[float]] = {}
        begun: dict[int, float] = {}
        for number in range(LATENCY_FILES + 5):
            begun[number] = time.time()
            _put_small(ours, f"weather/latency/{number}.json", number)
            _wait_for(functools.partial(ours.has, number + 1))
        executions = sorted(ours.executions(), key=lambda each: each["startDate"])[5:]
        for number, execution in enumerate(executions, 5):
            assert execution["status"] == "SUCCEEDED", execution
            for name, each in _durations(states, execution["executionArn"]):
                seconds.setdefault(name, []).append(each)
            whole = execution["stopDate"].timestamp() - begun[number]
            seconds.setdefault("from the upload to the end", []).append(whole)
    for name, times in seconds.items():
        centiles = [1000 * each for each in statistics.quantiles(times, n=100)]
        section.series[name] = [centiles[49], centiles[94]]
        section.say(name, f"median {centiles[49]:.0f} ms, 95 % {centiles[94]:.0f} ms")
    section.keep()


def ledger() -> None:
    """What commands read of a large ledger."""
    section = Section("A large ledger")
    with measured_stack() as stack:
        bulk.dry_run(section, stack)
        commands.failures(section, stack)
    section.keep()


def starts() -> None:
    """Of functions and of the command."""
    section = Section("Starts")
    cold_starts(section)
    commands.start(section)
    section.keep()


def validate() -> None:
    """Against jsonschema alone."""
    section = Section("Validation")
    validation(section)
    section.keep()


def first_load() -> None:
    """A large file, against a plain loop."""
    section = Section("A large file")
    large_files.against_batch_writer(section)
    section.keep()


def overwrite() -> None:
    """What differs little, and what moves between files."""
    section = Section("Overwrites")
    overwrites.again(section)
    overwrites.dealt(section)
    section.keep()


def memory() -> None:
    """Against the size of the file."""
    section = Section("Memory")
    large_files.memory(section)
    section.keep()


def read_formats() -> None:
    """Each format from bytes to items."""
    section = Section("Formats")
    formats.formats(section)
    section.keep()


BENCHMARKS = {
    "validation": validate,
    "throughput": throughput,
    "latency": latency,
    "ledger": ledger,
    "starts": starts,
    "first-load": first_load,
    "overwrites": overwrite,
    "memory": memory,
    "formats": read_formats,
}


@dataclass
class Counted:
    """A bucket whose files a state machine works on, or a function that fills a table."""

    stack: Stack
    bucket: str
    machine: str = ""
    table: str = ""

    def count(self) -> int:
        """How many files are done."""
        if self.table:
            pages = self.stack.client("dynamodb").get_paginator("scan")
            found = pages.paginate(TableName=self.table, Select="COUNT")
            return sum(page["Count"] for page in found)
        return sum(each["status"] != "RUNNING" for each in self.executions())

    def has(self, count: int) -> bool:
        """Whether so many files are done. Asks for what costs little, often, and then for all."""
        if self.machine and any_runs(self.stack, self.machine):
            return False
        return self.count() >= count

    def executions(self) -> list[Any]:
        """Those of the state machine."""
        states = self.stack.client("stepfunctions")
        pages = states.get_paginator("list_executions").paginate(stateMachineArn=self.machine)
        return [each for page in pages for each in page["executions"]]


def _files_a_second(rival: Counted, number: int) -> float:
    before = rival.count()
    begun = time.perf_counter()

    def upload(file: int) -> None:
        _put_small(rival, f"weather/bench/{number}-{file}.json", number * FILES + file)

    with ThreadPoolExecutor(UPLOADS_AT_ONCE) as pool:
        list(pool.map(upload, range(FILES)))
    _wait_for(lambda: rival.has(before + FILES))
    seconds = time.perf_counter() - begun
    if rival.machine:
        bad = sum(each["status"] != "SUCCEEDED" for each in rival.executions())
        assert not bad, f"{bad} executions did not succeed"
    return FILES / seconds


def _put_small(rival: Counted, key: str, number: int) -> None:
    record: dict[str, Any] = {"location": "Seattle", "date": str(FIRST_DAY + timedelta(number))}
    record |= {"precipitation": 0.0, "temp_max": 5.6, "temp_min": -2.1, "wind": 3.5}
    body = json.dumps([record]).encode()
    rival.stack.client("s3").put_object(Bucket=rival.bucket, Key=key, Body=body)


def _wait_for(met: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not met():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.05)


def _durations(states: Any, execution: str) -> Iterator[tuple[str, float]]:
    """The states of an execution, and the seconds that each took."""
    pages = states.get_paginator("get_execution_history").paginate(executionArn=execution)
    entered: dict[str, float] = {}
    for event in (event for page in pages for event in page["events"]):
        at = event["timestamp"].timestamp()
        if event["type"].endswith("StateEntered"):
            entered[event["stateEnteredEventDetails"]["name"]] = at
        elif event["type"].endswith("StateExited"):
            name = event["stateExitedEventDetails"]["name"]
            yield name, at - entered[name]


def _nothing(stack: Stack) -> Counted:
    """A bucket whose events start five states with four functions that do nothing."""
    functions = stack.client("lambda")
    arns = [_function(functions, f"nothing-{number}", NOTHING) for number in range(4)]

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
    _bucket(stack, "nothing", machine)
    return Counted(stack, "nothing", machine=machine)


def _one(stack: Stack) -> Counted:
    """A bucket whose events invoke one function, which gets, parses and puts."""
    dynamodb = stack.client("dynamodb")
    names = ("pk", "sk")
    dynamodb.create_table(
        TableName="one",
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[
            {"AttributeName": name, "KeyType": kind}
            for name, kind in zip(names, ("HASH", "RANGE"), strict=True)
        ],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in names],
    )
    _bucket(stack, "one", _function(stack.client("lambda"), "one", ONE_FUNCTION))
    return Counted(stack, "one", table="one")


def _function(functions: Any, name: str, source: str) -> str:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("code.py", source)
    created = functions.create_function(
        FunctionName=name,
        Runtime=f"python{sys.version_info.major}.{sys.version_info.minor}",
        Role=ROLE,
        Handler="code.handler",
        Timeout=60,
        Code={"ZipFile": archive.getvalue()},
    )
    return str(created["FunctionArn"])


def _bucket(stack: Stack, name: str, target: str) -> None:
    """A bucket whose events go to a target."""
    s3, events = stack.client("s3"), stack.client("events")
    s3.create_bucket(Bucket=name)
    s3.put_bucket_notification_configuration(
        Bucket=name, NotificationConfiguration={"EventBridgeConfiguration": {}}
    )
    pattern = {"source": ["aws.s3"], "detail": {"bucket": {"name": [name]}}}
    events.put_rule(Name=name, EventPattern=json.dumps(pattern))
    events.put_targets(Rule=name, Targets=[{"Id": "1", "Arn": target, "RoleArn": ROLE}])


def cold_starts(section: Section) -> None:
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
        milliseconds, ratio = statistics.median(each) * 1000, statistics.median(each) / base
        what, told = f"import of {name}", f"{milliseconds:.0f} ms, {ratio:.2f} of boto3"
        if name in aims:
            section.say(what, told, f"at most {aims[name]}", ratio <= aims[name])
        else:
            section.say(what, told)


if __name__ == "__main__":
    main(sys.argv[1:])
