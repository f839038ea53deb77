"""A stack of its own, whose events can be switched off, and the `tablekeeper` command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from local.stack import Stack
from tablekeeper_cli.ledger.files import list_files
from tablekeeper_cli.stack import LOCAL_VARIABLE
from tablekeeper_cli.stack import Stack as Located
from tests.e2e.observer import Observer, until
from tests.support.command import run_command
from tests.support.patience import have_patience

COMMAND = Path(sys.executable).with_name("tablekeeper")


class Desk:
    """A stack of its own, whose events can be switched off, and the command."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.bucket = stack.outputs["SourceBucketName"]
        self.s3 = stack.client("s3")
        self.variable = {LOCAL_VARIABLE: f"{stack.state_dir}/stack.json"}
        with pytest.MonkeyPatch.context() as patch:
            have_patience(patch)
            patch.setenv(*next(iter(self.variable.items())))
            self.located = Located.on_local_engine()

    def run(self, *arguments: str, code: int | None = 0) -> str:
        """What a command prints, errors and all, whatever its exit code when `code` is None."""
        ran = self._run(arguments, code)
        return ran.stdout + ran.stderr

    def ask(self, *arguments: str, code: int | None = 0) -> Any:
        """What a command answers with --json, whatever its exit code when `code` is None."""
        return json.loads(self._run((*arguments, "--json"), code).stdout)

    def first_line(self, *arguments: str) -> Any:
        """The first line of a command that goes on without an end, with --json."""
        with subprocess.Popen(
            [COMMAND, *arguments, "--json", "--local"],
            env={**os.environ, **self.variable},
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout
            try:
                return json.loads(process.stdout.readline())
            finally:
                process.terminate()

    def _run(
        self, arguments: tuple[str, ...], code: int | None
    ) -> subprocess.CompletedProcess[str]:
        ran = run_command((*arguments, "--local"), {**os.environ, **self.variable})
        assert code in (None, ran.returncode), (arguments, ran.stdout, ran.stderr)
        return ran

    def put(self, key: str, content: Any) -> None:
        """Uploads bytes, or a value as JSON."""
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=body)

    def put_all(self, files: dict[str, Any]) -> None:
        """Uploads many."""
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda each: self.put(*each), files.items()))

    @contextmanager
    def events_off(self) -> Iterator[None]:
        """Within it, events are lost."""
        events = self.stack.client("events")
        rule = f"{self.stack.stack_name}-object-changed"
        events.disable_rule(Name=rule)
        try:
            yield
        finally:
            events.enable_rule(Name=rule)

    @contextmanager
    def events_lost(self, count: int) -> Iterator[None]:
        """Within it, events are off; it ends when this many are lost. The engine hands them on in
        the background, to the older rule first.
        """
        events, sqs = self.stack.client("events"), self.stack.client("sqs")
        queue = sqs.create_queue(QueueName="lost-events")["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])
        events.put_rule(Name="lost-events", EventPattern='{"source": ["aws.s3"]}')
        target = {"Id": "queue", "Arn": arn["Attributes"]["QueueArn"]}
        events.put_targets(Rule="lost-events", Targets=[target])
        name = "ApproximateNumberOfMessages"

        def lost() -> bool:
            got = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=[name])
            return int(got["Attributes"][name]) == count

        with self.events_off():
            yield
            self.until(lost)
        events.remove_targets(Rule="lost-events", Ids=["queue"])
        events.delete_rule(Name="lost-events")
        sqs.delete_queue(QueueUrl=queue)

    def until(self, what: Callable[[], bool]) -> None:
        """Waits for a condition."""
        until(what, "the condition does not hold")

    def statuses(self, prefix: str) -> dict[str, int]:
        """The files under a prefix, by status."""
        return dict(Counter(each.status for each in list_files(self.located, prefix=prefix)))

    def settled(self, key: str, *outcomes: str) -> None:
        """Waits until the file's executions ended so, the first one first."""
        self.until(lambda: self.outcomes(key) == list(outcomes))

    def outcomes(self, key: str) -> list[str]:
        """How the file's executions ended."""
        return [row["outcome"]["S"] for row in self.audit_rows(key)]

    def audit_rows(self, key: str) -> list[Any]:
        """Of the file's executions."""
        return Observer(self.stack).audit_rows(key)


class Tamperer:
    """Changes items, ledger rows and objects by hand, so that nobody is told."""

    def __init__(self, desk: Desk) -> None:
        self.desk, self.dynamodb = desk, desk.stack.client("dynamodb")
        self.items = desk.stack.outputs["ItemsTableName"]
        self.ledger = desk.stack.outputs["LedgerTableName"]

    def item(self, pk: str, sk: str) -> Any:
        """An item."""
        key = {"pk": {"S": pk}, "sk": {"S": sk}}
        return self.dynamodb.get_item(TableName=self.items, Key=key)["Item"]

    def put_item(self, item: Any) -> None:
        """Puts an item."""
        self.dynamodb.put_item(TableName=self.items, Item=item)

    def delete_item(self, pk: str, sk: str) -> None:
        """Deletes an item."""
        key = {"pk": {"S": pk}, "sk": {"S": sk}}
        self.dynamodb.delete_item(TableName=self.items, Key=key)

    def row(self, key: str) -> Any:
        """A file's row."""
        return self.dynamodb.get_item(TableName=self.ledger, Key=self._row_key(key))["Item"]

    def put_row(self, row: Any) -> None:
        """Puts a file's row."""
        self.dynamodb.put_item(TableName=self.ledger, Item=row)

    def delete_row(self, key: str) -> None:
        """Deletes a file's row."""
        self.dynamodb.delete_item(TableName=self.ledger, Key=self._row_key(key))

    def _row_key(self, key: str) -> Any:
        return {"pk": {"S": f"s3://{self.desk.bucket}/{key}"}, "sk": {"S": "CURRENT"}}
