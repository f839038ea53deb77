"""The demo: a file comes, a bad version of it follows, and the way back, told by the project's own
commands on a stack of its own. Ends with exit code 1 when anything is not as it should be.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from local.environment import LOCAL, ROOT, python
from local.errors import LocalStackError
from local.running import running_stack
from local.stack import Stack
from tablekeeper_cli.errors import OK
from tablekeeper_cli.stack import LOCAL_VARIABLE, STACK_VARIABLE

STORY = ROOT / "local" / "story"
FILES = (STORY / "files").relative_to(ROOT)
KEY = "products/tools.json"
PATIENCE_SECONDS = 240
COLUMNS = 80


@dataclass(frozen=True)
class Call:
    """A command as a user would type it, how it has to end, and what it has to say."""

    line: str
    says: tuple[str, ...]
    code: int = OK


@dataclass(frozen=True)
class Chapter:
    """What happens to the file, and the commands that show it. `status` is the file's, after it."""

    title: str
    upload: str | None
    status: str
    calls: tuple[Call, ...]


CHAPTERS = (
    Chapter(
        f"A file comes: {FILES}/tools.json is uploaded as {KEY}",
        "tools.json",
        "SYNCED",
        (Call("tablekeeper item 4712 product", (KEY, '{"N": "8.2"}')),),
    ),
    Chapter(
        "A bad version overwrites it. The items of the good one stay",
        "bad.json",
        "INVALID",
        (Call(f"tablekeeper items {KEY}", ("4711 product", "4712 product")),),
    ),
    Chapter(
        "Why: its newest execution, state by state",
        None,
        "INVALID",
        (
            Call(
                f"tablekeeper trace {KEY}",
                ("SchemaViolationError", "CAUGHT", "Sync Failed", '"/price"', "a string"),
            ),
        ),
    ),
    Chapter(
        "What a mended version would do",
        None,
        "INVALID",
        (
            Call(
                f"tablekeeper plan {FILES}/mended.json --key {KEY}",
                ("would be SYNCED (1 put, 1 changed, 1 removed)", '{"N": "1.25"}'),
            ),
        ),
    ),
    Chapter(
        "It is uploaded. Every item is derived again from the bucket, and compared",
        "mended.json",
        "SYNCED",
        (Call("tablekeeper verify", ("2 items derived", "table == bucket")),),
    ),
)
NEXT = f"""\
What next? The same by hand, on an engine that stays up:
  make up SCHEMAS={STORY.relative_to(ROOT)}    # prints lines to paste
  aws s3 cp {FILES}/bad.json s3://$BUCKET/{KEY}
  tablekeeper failures
docs/datasets.md says how to describe files of your own."""


class Demo:
    """A stack to tell the story on."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack

    def tell(self, chapter: Chapter) -> None:
        """Raises LocalStackError: anything is not as it should be."""
        print(f"\n{_bold(chapter.title)}", flush=True)
        if chapter.upload:
            self._upload(STORY / "files" / chapter.upload)
        for call in chapter.calls:
            print(f"$ {call.line}", flush=True)
            self._run(call)
        if (status := self._row().get("status_shown")) != chapter.status:
            raise LocalStackError(f"{KEY} is {status}, not {chapter.status}")

    def _upload(self, file: Path) -> None:
        """Puts a version of the file, and waits until the ledger has the outcome of it."""
        before = self._row().get("revision")
        self.stack.client("s3").put_object(
            Bucket=self.stack.outputs["SourceBucketName"], Key=KEY, Body=file.read_bytes()
        )
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self._row().get("revision") == before:
            if time.monotonic() > deadline:
                raise LocalStackError(f"{KEY} has no outcome after {PATIENCE_SECONDS} s")
            time.sleep(0.1)

    def _row(self) -> dict[str, str]:
        """The file's revision in the ledger, and the status that a person is shown."""
        answer = self.stack.client("dynamodb").get_item(
            TableName=self.stack.outputs["LedgerTableName"],
            Key={
                "pk": {"S": f"s3://{self.stack.outputs['SourceBucketName']}/{KEY}"},
                "sk": {"S": "CURRENT"},
            },
            ConsistentRead=True,
        )
        row = answer.get("Item", {})
        status = row.get("problem_status") or row.get("status")
        return {
            **({"revision": row["revision"]["N"]} if "revision" in row else {}),
            **({"status_shown": status["S"]} if status else {}),
        }

    def _run(self, call: Call) -> None:
        command, *arguments = call.line.split()
        ran = subprocess.run(
            [str(python("dev").with_name(command)), *arguments],
            cwd=ROOT,
            env=self._environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        print(ran.stdout, end="", flush=True)
        plain = " ".join(ran.stdout.split())
        missing = [each for each in call.says if each not in plain]
        if ran.returncode != call.code or missing:
            raise LocalStackError(
                f"`{call.line}` ended with {ran.returncode}, not {call.code}; it does not say "
                f"{missing}\n{ran.stderr}"
            )

    def _environment(self) -> dict[str, str]:
        """Where the command finds the stack, and the terminal that it writes to."""
        kept = {name: value for name, value in os.environ.items() if name != STACK_VARIABLE}
        width = min(COLUMNS, shutil.get_terminal_size((COLUMNS, 24)).columns)
        return kept | {
            LOCAL_VARIABLE: str(Path(self.stack.state_dir) / "stack.json"),
            "TABLEKEEPER_SCHEMAS": str(STORY.relative_to(ROOT)),
            "COLUMNS": str(width),
            "FORCE_COLOR": "1",  # It is a terminal to the command, though the demo reads along.
            "TERM": "dumb",  # Without colours, which would stand in what is compared.
        }


def _bold(text: str) -> str:
    return f"\x1b[1m{text}\x1b[0m" if sys.stdout.isatty() else text


def main() -> None:
    """Tells the story on an engine and a stack that end with it."""
    begun = time.monotonic()
    try:
        with running_stack(LOCAL / "demo", schemas=STORY) as stack:
            demo = Demo(stack)
            for chapter in CHAPTERS:
                demo.tell(chapter)
    except LocalStackError as error:
        sys.exit(f"demo: {error}")
    print(f"\nAll was as it should be ({time.monotonic() - begun:.0f} s).\n\n{NEXT}")


if __name__ == "__main__":
    main()
