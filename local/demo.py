"""The demo: real files come, change, go, return and break, and the table follows. Ends with a
proof, or with exit code 1.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text
from tablekeeper.causes import message_of

from local.environment import LOCAL, ROOT
from local.errors import LocalStackError
from local.running import stack_up_or_own
from local.stack import Stack
from tablekeeper_cli.errors import OK
from tablekeeper_cli.stack import LOCAL_VARIABLE

SAMPLES = ROOT / "samples"
SEATTLE = "weather/seattle/2012-01.json"
SEATTLE_AGAIN = "weather/seattle/2012-01-again.json"
"""Holds 31 January too: a conflict, unless the other file lets it go."""
PATIENCE_SECONDS = 120

console = Console(highlight=False)


class Demo:
    """A bucket to change, and the executions that each change starts."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.s3, self.states = stack.client("s3"), stack.client("stepfunctions")
        self.dynamodb = stack.client("dynamodb")
        self.bucket = stack.outputs["SourceBucketName"]
        self.before = {each["executionArn"] for each in self._executions()}
        self.changes = 0

    def run(self) -> bool:
        """Whether the table equals the bucket at the end."""
        files = _samples(SAMPLES, but="bad")
        self.step(f"{len(files)} files are uploaded")
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda entry: self.put(*entry), files.items()))
        self.settle()

        bad = _samples(SAMPLES / "bad")
        self.step(
            "two records leave their file and one of them enters another; two files are deleted"
        )
        records = json.loads(files[SEATTLE])
        self.put(SEATTLE, json.dumps(records[:-2]).encode())
        self.put(SEATTLE_AGAIN, bad.pop(SEATTLE_AGAIN))
        self.put("countries/FR.json", files["countries/FR.json"])
        marker = self.delete("countries/TR.json")
        self.delete("countries/KE.json")
        self.settle()

        self.step("one of those is restored: its delete marker is removed")
        self.delete("countries/TR.json", VersionId=marker["VersionId"])
        self.settle()

        self.step(f"{len(bad)} bad files come, and a good one is overwritten by half of itself")
        for key, body in bad.items():
            self.put(key, body)
        self.put("countries/BR.json", files["countries/BR.json"][:-20])
        self.settle()

        self.show_items()
        self.show_ledger()
        self.show_failure("weather/seattle/2012-03-trace-of-rain.json")
        self.show_trace("countries/FR.json")
        return self.verify()

    def put(self, key: str, body: bytes) -> None:
        """Uploads a file."""
        self.changes += 1
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=body)

    def delete(self, key: str, **version: str) -> dict[str, Any]:
        """Deletes an object, or one version of it for good."""
        self.changes += 1
        answer: dict[str, Any] = self.s3.delete_object(Bucket=self.bucket, Key=key, **version)
        return answer

    def step(self, text: str) -> None:
        """Says what happens next."""
        console.print(f"\n[bold]{text[0].upper()}{text[1:]}[/bold]")

    def settle(self) -> None:
        """Waits until every change has had its execution, and shows how far they are."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        with Live(console=console, transient=False, auto_refresh=False) as live:
            while True:
                all_now = self._executions()
                new = [each for each in all_now if each["executionArn"] not in self.before]
                count = {
                    status: sum(each["status"] == status for each in new)
                    for status in ("RUNNING", "SUCCEEDED", "FAILED")
                }
                line = Text.assemble(
                    f"  executions {len(new)} of {self.changes}: ",
                    (f"{count['SUCCEEDED']} succeeded ", "green"),
                    (f"{count['FAILED']} failed ", "red"),
                    (f"{count['RUNNING']} running", "yellow"),
                )
                live.update(line, refresh=True)
                if len(new) >= self.changes and not count["RUNNING"]:
                    return
                if time.monotonic() > deadline:
                    raise LocalStackError(f"still under way after {PATIENCE_SECONDS} s")
                time.sleep(0.2)

    def show_items(self) -> None:
        """Three of the items, one a dataset."""
        items = self._scan("ItemsTableName")
        title = f"Items: {len(items)} in the table, one of each dataset"
        table = _table(title, "pk", "sk", "attributes", "_source")
        shown = set()
        for item in sorted(items, key=lambda each: json.dumps([each["pk"], each["sk"]])):
            source = item["_source"]["M"]
            if source["dataset"]["S"] in shown:
                continue
            shown.add(source["dataset"]["S"])
            attributes = {n: v for n, v in item.items() if n not in ("pk", "sk", "_source")}
            text = json.dumps(attributes, ensure_ascii=False)
            shortened = text[:200] + "…" * (len(text) > 200)
            lineage = f"{source['key']['S']}\nversion {source['version_id']['S'][:8]}…"
            table.add_row(item["pk"]["S"], item["sk"]["S"], Text(shortened), lineage)
        console.print("\n", table)

    def show_ledger(self) -> None:
        """Every file's row: its status, and its problem if it has one."""
        scanned = self._scan("LedgerTableName")
        rows = [row for row in scanned if row["sk"]["S"] == "CURRENT" and "revision" in row]
        title = f"Ledger: {len(rows)} files"
        table = _table(title, "file", "status", "problem", "revision", "items")
        for row in sorted(rows, key=lambda each: each["pk"]["S"]):
            problem = row.get("problem", {}).get("M", {})
            table.add_row(
                row["pk"]["S"].removeprefix(f"s3://{self.bucket}/"),
                row.get("status", {}).get("S", "-"),
                f"[red]{problem['status']['S']}[/red] {problem['error']['S']}" if problem else "",
                row["revision"]["N"],
                str(len(row.get("item_keys", {}).get("L", ()))),
            )
        console.print("\n", table)

    def show_failure(self, key: str) -> None:
        """What the ledger holds of one failure."""
        problem = self._row(key)["problem"]["M"]
        console.print(f"\n[bold]One failure: {key}[/bold]")
        for name in ("status", "state", "error", "execution"):
            console.print(f"  {name:10}", problem[name]["S"], overflow="fold")
        console.print("  cause     ", Text(message_of(problem["cause"]["S"])))

    def show_trace(self, key: str) -> None:
        """The newest execution of a file, state by state."""
        row = self._row(key)
        history = self.states.get_execution_history(
            executionArn=row["execution"]["S"], maxResults=200
        )
        table = _table(f"Trace: the last execution of {key}", "state", "entered", "took")
        entered: dict[str, datetime] = {}
        for event in history["events"]:
            if "stateEnteredEventDetails" in event:
                entered[event["stateEnteredEventDetails"]["name"]] = event["timestamp"]
            if "stateExitedEventDetails" in event:
                name = event["stateExitedEventDetails"]["name"]
                took = (event["timestamp"] - entered[name]).total_seconds() * 1000
                table.add_row(name, f"{entered[name]:%H:%M:%S.%f}"[:-3], f"{took:.0f} ms")
        described = self.states.describe_execution(executionArn=row["execution"]["S"])
        console.print("\n", table)
        console.print(f"  {described['status']}: {described['output']}")

    def verify(self) -> bool:
        """Has the command derive every item again from the bucket, and compare."""
        console.print("\n[bold]$ tablekeeper verify --local[/bold]")
        run = subprocess.run(
            [sys.executable, "-m", "tablekeeper_cli", "verify", "--local"],
            cwd=ROOT,
            env={**os.environ, LOCAL_VARIABLE: str(Path(self.stack.state_dir) / "stack.json")},
            check=False,
        )
        return run.returncode == OK

    def _executions(self) -> list[dict[str, Any]]:
        pages = self.states.get_paginator("list_executions").paginate(
            stateMachineArn=self.stack.outputs["StateMachineArn"]
        )
        return [each for page in pages for each in page["executions"]]

    def _scan(self, output: str) -> list[dict[str, Any]]:
        pages = self.dynamodb.get_paginator("scan").paginate(TableName=self.stack.outputs[output])
        return [item for page in pages for item in page["Items"]]

    def _row(self, key: str) -> dict[str, Any]:
        row: dict[str, Any] = self.dynamodb.get_item(
            TableName=self.stack.outputs["LedgerTableName"],
            Key={"pk": {"S": f"s3://{self.bucket}/{key}"}, "sk": {"S": "CURRENT"}},
        )["Item"]
        return row


def _samples(folder: Path, but: str = "") -> dict[str, bytes]:
    """Sample files by object key."""
    paths = sorted(folder.rglob("*.json*"))
    files = {str(path.relative_to(folder)): path.read_bytes() for path in paths}
    return {key: body for key, body in files.items() if not but or not key.startswith(f"{but}/")}


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def main() -> None:
    """Runs the demo on the stack that is up, or on one of its own."""
    begun = time.monotonic()
    try:
        with stack_up_or_own(LOCAL / "demo") as stack:
            equal = Demo(stack).run()
    except LocalStackError as error:
        sys.exit(f"demo: {error}")
    console.print(f"{time.monotonic() - begun:.0f} seconds.")
    sys.exit(not equal)


if __name__ == "__main__":
    main()
