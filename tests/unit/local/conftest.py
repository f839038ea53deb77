"""An engine without the project: functions and state machines as a test needs them."""

from __future__ import annotations

import io
import json
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import boto3
import pytest
from botocore.config import Config

from local.environment import REGION
from local.running import running_engine
from local.stack import Stack

HANDLER = """
import os, sys, time

calls = 0

class KeyOwnershipError(Exception):
    pass

def handler(event, context):
    global calls
    calls += 1
    if "begun" in event:
        open(event["begun"], "w").close()
        while not os.path.exists(event["until"]):
            time.sleep(0.02)
    if "raise" in event:
        raise KeyOwnershipError(event["raise"])
    if "exit" in event:
        os._exit(event["exit"])
    if "import" in event:
        __import__(event["import"])
    if "letters" in event:
        return "x" * event["letters"]
    started = time.time()
    time.sleep(event.get("sleep", 0))
    return {"calls": calls, "started": started, "ended": time.time()}
"""
BROKEN = "import no_such_module\n"
TABLE = "things"
ROLE = "arn:aws:iam::000000000000:role/any"
PATIENCE_SECONDS = 240


@dataclass
class Engine:
    """A running engine, and the short ways to use it that its tests need."""

    stack: Stack
    numbers: Iterator[int] = field(default_factory=count)

    def client(self, service: str) -> Any:
        """A boto3 client for one of the engine's services."""
        return self.stack.client(service)

    def once(self, service: Any) -> Any:
        """A client of its own, which tries no call again."""
        session: Any = boto3.session.Session()
        return session.client(
            service,
            endpoint_url=self.stack.endpoint_url,
            region_name=self.stack.region,
            aws_access_key_id=self.stack.access_key_id,
            aws_secret_access_key=self.stack.secret_access_key,
            config=Config(retries={"max_attempts": 0}),
        )

    def function(self, name: str, source: str = HANDLER, seconds: int = 60) -> str:
        """Creates a function; returns its ARN."""
        created = self.client("lambda").create_function(
            FunctionName=name,
            Runtime="python3.13",
            Role=ROLE,
            Handler="code.handler",
            Code={"ZipFile": zipped(source)},
            Timeout=seconds,
        )
        return str(created["FunctionArn"])

    def start(self, definition: dict[str, Any], data: Any = None) -> str:
        """Creates a state machine and starts it; returns the execution's ARN."""
        machine = self.client("stepfunctions").create_state_machine(
            name=f"machine-{next(self.numbers)}",
            definition=json.dumps({"QueryLanguage": "JSONata", "StartAt": "A", **definition}),
            roleArn=ROLE,
        )["stateMachineArn"]
        started = self.client("stepfunctions").start_execution(
            stateMachineArn=machine, input=json.dumps({} if data is None else data)
        )
        return str(started["executionArn"])

    def end(self, execution: str) -> dict[str, Any]:
        """What DescribeExecution says once the execution has ended, its output parsed."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            found: dict[str, Any] = self.client("stepfunctions").describe_execution(
                executionArn=execution
            )
            if found["status"] != "RUNNING":
                return {**found, "output": json.loads(found.get("output") or "null")}
            time.sleep(0.05)
        raise AssertionError(f"{execution} is still running")

    def run(self, states: dict[str, Any], data: Any = None, **top: Any) -> dict[str, Any]:
        """Runs a state machine of these states to its end."""
        return self.end(self.start({"States": states, **top}, data))

    def queue_for(self, pattern: dict[str, Any]) -> str:
        """A queue that gets the events of the default bus that match the pattern; its URL."""
        name = f"queue-{next(self.numbers)}"
        url = self.client("sqs").create_queue(QueueName=name)["QueueUrl"]
        events = self.client("events")
        events.put_rule(Name=name, EventPattern=json.dumps(pattern))
        arn = f"arn:aws:sqs:{REGION}:000000000000:{name}"
        events.put_targets(Rule=name, Targets=[{"Id": "queue", "Arn": arn}])
        return str(url)

    def events(self, url: str, number: int) -> list[dict[str, Any]]:
        """So many events from a queue, in the order of their times."""
        found: list[dict[str, Any]] = []
        deadline = time.monotonic() + PATIENCE_SECONDS
        while len(found) < number and time.monotonic() < deadline:
            answer = self.client("sqs").receive_message(QueueUrl=url, MaxNumberOfMessages=10)
            for message in answer.get("Messages", []):
                found.append(json.loads(message["Body"]))
                self.client("sqs").delete_message(
                    QueueUrl=url, ReceiptHandle=message["ReceiptHandle"]
                )
        assert len(found) == number
        return found


def zipped(source: str) -> bytes:
    """A function's archive."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("code.py", source)
    return data.getvalue()


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """An engine with two slots for functions, on a free port, with nothing deployed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ENGINE_LAMBDA_CONCURRENCY", "2")
        with running_engine(tmp_path_factory.mktemp("engine")) as bare:
            trusted = {"Service": ["lambda.amazonaws.com", "states.amazonaws.com"]}
            trust = {"Effect": "Allow", "Principal": trusted, "Action": "sts:AssumeRole"}
            bare.client("iam").create_role(
                RoleName="any",
                AssumeRolePolicyDocument=json.dumps(
                    {"Version": "2012-10-17", "Statement": [trust]}
                ),
            )
            yield Engine(bare)


@pytest.fixture(scope="session")
def table(engine: Engine) -> str:
    """A table that holds the item a."""
    dynamodb = engine.client("dynamodb")
    dynamodb.create_table(
        TableName=TABLE,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
    )
    dynamodb.put_item(TableName=TABLE, Item={"pk": {"S": "a"}})
    return TABLE
