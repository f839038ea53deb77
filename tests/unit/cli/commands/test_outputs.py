"""What the commands print: text at four widths and piped, JSON, and help.

`UPDATE_EXPECTED=1` writes the files of `expected/` anew; a change of them is read like code.
"""

from __future__ import annotations

import io
import json
import os
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer
import typer.testing
from rich.console import Console
from tablekeeper.model.keys import TableKey
from tablekeeper.model.messages import with_values

from tablekeeper_cli.app import app
from tablekeeper_cli.commands import (
    bucket,
    failures,
    items,
    plan,
    reprocess,
    status,
    trace,
    verify,
    watch,
)
from tablekeeper_cli.compare.items import Change
from tablekeeper_cli.errors import DIFFERENT, OK, USAGE, UsageError
from tablekeeper_cli.executions import bucket_runs
from tablekeeper_cli.executions.failed_events import FailedEvent, Redrive
from tablekeeper_cli.executions.outcomes import LeftOut, Outcome
from tablekeeper_cli.executions.reprocess import ExecutionEnd, StartedExecution
from tablekeeper_cli.executions.running import Progress
from tablekeeper_cli.executions.traces import Trace
from tablekeeper_cli.executions.visits import Attempt, Visit
from tablekeeper_cli.ledger import items as ledger_items
from tablekeeper_cli.ledger.files import File
from tablekeeper_cli.ledger.history import Event
from tablekeeper_cli.ledger.items import Item
from tablekeeper_cli.ledger.problems import Failure, Problem, Violation, problem_of
from tablekeeper_cli.plan.offline import OfflinePlanner
from tablekeeper_cli.stack import Stack
from tablekeeper_cli.terminal import showing
from tablekeeper_cli.terminal.context import UNLIMITED, Context
from tablekeeper_cli.verify.findings import Finding, Kind
from tablekeeper_cli.verify.verifier import Summary

EXPECTED = Path(__file__).with_name("expected")
WIDTHS = (60, 80, 120, 200)
KEY = "products/north/of/the/river/tools.json"
LONG = "products/" + "a-long-folder-name/" * 5 + "tools.json"
MACHINE = "arn:aws:states:eu-west-1:123456789012:execution:shop-SyncObjectStateMachine-0A1B2C3D"
ARN = f"{MACHINE}:5a0e1269-c532-4f6a-b9ca-e75ef9b4ef26"
AT = "2026-11-25T22:00:00.000Z"
EVENT = '{"detail-type": "Object Created", "detail": {"object": {"key": "products/tools.json"}}}'
STACK = Stack("shop", "eu-west-1", {"SourceBucketName": "shop-source"})
PROBLEM = Problem(
    key=KEY,
    status="INVALID",
    error="SchemaViolationError",
    state="Validate Records",
    since=AT,
    at=AT,
    next_try=None,
    started=AT,
    execution=ARN,
    input=EVENT,
    message=f"s3://shop-source/{KEY}: 2 violations of products.schema.json in 3 records:\n...",
    advice="Mend the records at the JSON Pointers that the report names, or the schema.",
    violations=[
        Violation(1, "/price", "type", '"number"', "a string of 1 character", 4),
        Violation(2, "/options/0/a-long-name/of-a-field", "maximum", "5", "9", 9),
    ],
    violation_count=2,
    report="s3://shop-staging/reports/5a0e1269-c532-4f6a-b9ca-e75ef9b4ef26.json",
    record=None,
    line=None,
    column=None,
    pointer=None,
    item=None,
    owner=None,
)
FILE = File(
    key=KEY,
    status="INVALID",
    outcome="SYNCED",
    dataset="products",
    etag="ea066c58ae9c48a50f3f2d8da0b57573",
    version_id="25acade5-72af-4b9b-829b-d75466ee8054",
    size=1234,
    last_modified=AT,
    digest="57e20a8501bceacfd86f0e385a00a54b",
    committed_at=AT,
    execution=ARN,
    revision=7,
    items=3,
    set_aside=None,
    incomplete_since=None,
    writing=None,
    problem=PROBLEM,
)
PARTIAL_ROW = {
    "problem": {
        "M": {
            "status": {"S": "PARTIAL"},
            "state": {"S": "Validate Records"},
            "error": {"S": "BadRecordsError"},
            "cause": {
                "S": json.dumps(
                    {
                        "errorMessage": with_values(
                            f"s3://shop-source/{KEY}: 2 of 30 records set aside:\n...",
                            {
                                "count": 2,
                                "report": "s3://shop-staging/reports/5a0e1269.json",
                                "first": [
                                    {
                                        "record": 3,
                                        "pointer": "/price",
                                        "keyword": "type",
                                        "expected": '"number"',
                                        "found": "null",
                                        "line": None,
                                    },
                                    {
                                        "record": 7,
                                        "line": 8,
                                        "error": "KeyMissingError",
                                        "message": "record 7 gives no value for the key attribute",
                                    },
                                ],
                            },
                        )
                    }
                )
            },
            "execution": {"S": ARN},
            "input": {"S": EVENT},
            "at": {"S": AT},
        }
    },
    "problem_status": {"S": "PARTIAL"},
    "problem_error": {"S": "BadRecordsError"},
    "problem_at": {"S": AT},
}
PARTIAL = problem_of(STACK, KEY, PARTIAL_ROW)
PARTIAL_FILE = replace(FILE, status="PARTIAL", outcome="PARTIAL", problem=PARTIAL, set_aside=2)
PROGRESS = Progress(ARN, AT, EVENT, "Write Items", 3, "TransientServiceError", "SlowDown\nmore")
EVENTS = [
    Event(AT, "RUNNING", ARN, EVENT, "Object Created (PutObject)", "123456789012", "event",
          {"state": PROGRESS.sentence}),
    Event(AT, "INVALID", ARN, EVENT, "Object Created (PutObject)", "123456789012 from 192.0.2.1",
          "event", {"error": "SchemaViolationError", "version_id": "25acade5-72af-4b9b"}),
    Event(AT, "SYNCED", f"{MACHINE}:reprocess-20261125T220000-0123456789ab", EVENT,
          "Object Deleted (delete marker removed)", "", "reprocess by arn:aws:iam::1:user/ada",
          {"items_put": 3, "items_removed": 0, "etag": "ea066c58ae9c48a5"}),
    Event(AT, "PARTIAL", ARN, EVENT, "Object Created (PutObject)", "123456789012", "event",
          {"items_put": 28, "items_removed": 1, "set_aside": 2, "etag": "ea066c58ae9c48a5"}),
]  # fmt: skip
FAILURES = [
    Failure(KEY, "INVALID", "SchemaViolationError", "products", AT, AT, None, None),
    Failure(LONG, "FAILED", "DynamoDB.ProvisionedThroughputExceededException", "-", AT, AT, AT, AT),
]
COUNTS = Counter({("INVALID", "SchemaViolationError", "products"): 1, ("FAILED", "Boom", "-"): 41})
REPORT = {
    "object": f"s3://shop-source/{KEY}",
    "records": 3,
    "violations": 1002,
    "listed": [
        *(each.__dict__ for each in PROBLEM.violations),
        {"record": 7, "line": 8, "error": "KeyMissingError", "message": "record 7 gives no value"},
    ],
    "all": "s3://shop-staging/reports/5a0e1269.jsonl.gz",
}
ATTEMPTS = [
    Attempt(f"2026-11-25T22:00:{2 * number:02}.000Z", 1.0, f"2026-11-25T22:00:{2 * number + 1:02}"
            ".000Z", "FAILED", "TransientServiceError", "S3 is slow\nand says more")
    for number in range(9)
]  # fmt: skip
TRACE = Trace(
    execution=ARN,
    name="5a0e1269-c532-4f6a-b9ca-e75ef9b4ef26",
    key=KEY,
    event=EVENT,
    status="FAILED",
    started=AT,
    stopped="2026-11-25T22:00:20.000Z",
    error="AccessDeniedError",
    cause="AccessDenied: no\nsecond line",
    redrives=0,
    visits=[
        Visit("Fetch Object", "Task", AT, "2026-11-25T22:00:18.000Z", "CAUGHT", "Record Failure",
              "AccessDeniedError", "AccessDenied: no", 711, 140,
              [*ATTEMPTS, Attempt(AT, 1.0, AT, "FAILED", "AccessDeniedError", "AccessDenied: no")],
              EVENT, '{"a": 1.10}'),
        Visit("Record Failure", "Task", AT, AT, "SUCCEEDED", None, None, None, 2, 2),
    ],
    definition={},
    console_url="https://eu-west-1.console.aws.amazon.com/states/home",
)  # fmt: skip
SUMMARY = {
    "prefix": "",
    "orphans": True,
    "how": "look",
    "ended": AT,
    "error": None,
    "files": 12,
    "findings": {"UNKNOWN": 2, "ORPHAN": 0},
    "outcomes": {"INVALID": 1, "SYNCED": 1},
    "differences": 1,
    "failed_batches": 0,
    "results": "s3://shop-staging/runs/0123",
}
STATUS = {
    "stack": "shop",
    "files": {
        "-": {"DELETED": 3, "IGNORED": 2},
        "products": {"SYNCED": 1200, "INVALID": 1, "FAILED": 1, "INCOMPLETE": 1},
        "a-dataset-with-a-long-name": {"SYNCED": 7, "UNCHANGED": 1},
    },
    "running_executions": 1000,
    "running_executions_at_least": True,
    "oldest_running_execution": None,
    "failed_events": 2,
    "last_run": SUMMARY,
    "last_whole_run": SUMMARY,
}
STATUSES = [
    each
    for each in showing.STYLES
    if any(each in counts for counts in STATUS["files"].values())  # type: ignore[attr-defined]
]
FAILED_EVENT = FailedEvent("1", LONG, "Object Created (PutObject)", "", "NO_PERMISSIONS: it may "
                           "not start executions", AT, EVENT, "receipt")  # fmt: skip
BAD = ExecutionEnd(KEY, ARN, "INVALID", "SchemaViolationError", "2 violations of products\nmore")
ITEM = Item(
    {"pk": "4711", "sk": "tool"},
    {"pk": {"S": "4711"}, "sk": {"S": "tool"}, "price": {"N": "1.1"}},
    {"key": KEY, "version_id": "25acade5", "execution": ARN, "dataset": "products", "time": AT},
)

SHOWN: dict[str, Callable[[], Any]] = {
    "status": lambda: status._shown_files(STATUS, STATUSES),
    "status-after-a-run-over-a-folder": lambda: status._shown_files(
        {**STATUS, "files": {}, "last_run": {**SUMMARY, "prefix": "a/", "differences": 0}}, []
    ),
    "status-of-nothing": lambda: status._shown_files({**STATUS, "files": {}}, []),
    "status-of-a-file": lambda: status._shown_file(FILE, []),
    "status-of-a-file-that-runs": lambda: status._shown_file(FILE, [PROGRESS]),
    "status-of-a-partial-file": lambda: status._shown_file(PARTIAL_FILE, []),
    "history": lambda: status._shown_history(EVENTS),
    "failures": lambda: failures._shown_failures(COUNTS, FAILURES, 42),
    "failures-none": lambda: failures._shown_failures(Counter(), [], 0),
    "failure": lambda: failures.shown_problem(PROBLEM),
    "failure-report": lambda: failures.shown_report(REPORT),
    "items": lambda: items._shown_keys([{"pk": "4711", "sk": LONG}, ITEM.key], True),
    "item-of-many": lambda: items._shown_partition([ITEM.key, {"pk": "4711", "sk": "x"}], True),
    "item": lambda: items._shown_item(ITEM),
    "item-of-nobody": lambda: items._shown_item(Item({}, {"pk": {"S": "1"}}, None)),
    "trace": lambda: trace._shown(TRACE),
    "reprocess": lambda: reprocess._shown_ends(
        [StartedExecution(KEY, ARN, "", 0.0)],
        [BAD],
        Counter({"INVALID": 1, "SYNCED": 30}),
        wait=True,
    ),
    "reprocess-dry-run": lambda: reprocess._shown_plan([KEY], {KEY: PROBLEM}),
    "events": lambda: reprocess._shown_events([FAILED_EVENT], 0),
    "events-held": lambda: reprocess._shown_events([], 2),
    "events-redrive": lambda: reprocess._shown_redriven(
        [Redrive(FAILED_EVENT, None, "it names no object")],
        [Redrive(FAILED_EVENT, None, "it names no object: look at it, and delete it by hand")],
        0,
    ),
    "reconcile": lambda: bucket._shown(
        bucket_runs.RunEnd(ARN, "SUCCEEDED", None, SUMMARY),
        [
            {
                "finding": "UNKNOWN",
                "outcome": "INVALID",
                "error": "SchemaViolationError",
                "key": LONG,
            }
        ],
        Path("found.jsonl"),
    ),
    "reconcile-with-failed-batches": lambda: bucket._shown(
        bucket_runs.RunEnd(
            ARN,
            "SUCCEEDED",
            None,
            {**SUMMARY, "prefix": "a/", "findings": {}, "differences": 0, "failed_batches": 2},
        ),
        [],
        None,
    ),
    "reconcile-that-failed": lambda: bucket._shown(
        bucket_runs.RunEnd(
            ARN,
            "FAILED",
            "States.ExceedToleratedFailureThreshold",
            {**SUMMARY, "differences": 0, "failed_batches": 1},
        ),
        [],
        None,
    ),
    "reconcile-of-many-items": lambda: bucket._shown(
        bucket_runs.RunEnd(
            ARN,
            "SUCCEEDED",
            None,
            {**SUMMARY, "how": "bulk", "findings": {"ORPHAN": 1}, "outcomes": {"TRACED": 1}},
        ),
        [{"finding": "ORPHAN", "outcome": "TRACED", "key": KEY}],
        None,
    ),
}


@pytest.fixture(autouse=True)
def same_age(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever happened, happened five minutes ago."""
    monkeypatch.setattr(showing, "ago", lambda _: "5 min ago")


def held(name: str, text: str) -> None:
    """Compares a text with the file that holds it."""
    file = EXPECTED / f"{name}.txt"
    if os.environ.get("UPDATE_EXPECTED"):
        EXPECTED.mkdir(exist_ok=True)
        file.write_text(text)
    assert text == file.read_text()


def printed(what: Any, width: int) -> str:
    """What a terminal of this width shows."""
    console = Console(file=io.StringIO(), width=width, highlight=False)
    for part in what if isinstance(what, list) else [what]:
        console.print(part, markup=False, soft_wrap=width == UNLIMITED)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("name", SHOWN)
def test_text_is_as_it_was_at_every_width(name: str) -> None:
    parts = []
    for width in (*WIDTHS, UNLIMITED):
        text = printed(SHOWN[name](), width)
        assert max(map(len, text.splitlines())) <= width
        title = "piped" if width == UNLIMITED else f"{width} columns"
        parts.append(f"=== {title} ===\n{text}")
        if width == UNLIMITED:
            assert all(line == line.rstrip() for line in text.splitlines())
            assert "…" not in text
            assert "not shown" not in text
    held(name, "\n".join(parts))


def test_lines_of_watch_are_as_they_were() -> None:
    outcomes: list[Outcome | LeftOut] = [
        Outcome(AT, "SYNCED", KEY, 0.42, None, None, ARN),
        Outcome(AT, "INVALID", LONG, 75.0, "SchemaViolationError", f"s3://shop-source/{LONG}: "
                "2 violations of products.schema.json in 3 records:\nmore", ARN),
        Outcome(AT, "FAILED", None, 2.0, "InvalidEventError", None, ARN),
        LeftOut(12),
    ]  # fmt: skip
    parts = []
    for width in (*WIDTHS, UNLIMITED):
        context = Context()
        vars(context).update(stack=STACK, out=Console(file=io.StringIO(), width=width))
        text = "".join(printed(watch._line(each, context), UNLIMITED) for each in outcomes)
        assert max(map(len, text.splitlines())) <= width
        parts.append(f"=== {'piped' if width == UNLIMITED else f'{width} columns'} ===\n{text}")
    held("watch", "\n".join(parts))


@pytest.mark.parametrize(
    ("name", "data"),
    [("trace-json", lambda: trace._data(TRACE)), ("problem-json", lambda: PROBLEM)],
    ids=["trace", "problem"],
)
def test_json_is_as_it_was(
    name: str, data: Callable[[], Any], capsys: pytest.CaptureFixture[str]
) -> None:
    Context(json=True).answer(data(), lambda: None)
    text = capsys.readouterr().out
    json.loads(text)
    held(name, text)


SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Products",
    "type": "object",
    "required": ["sku", "price"],
    "properties": {"sku": {"type": "string"}, "price": {"type": "number", "nullable": True}},
    "examples": [{"sku": "4711", "price": 1.10}],
    "x-tablekeeper": {"prefix": "products/", "key": {"pk": "sku", "sk": "'product'"}},
}
BAD_SCHEMA = {**SCHEMA, "x-tablekeeper": {"prefix": "bad/", "key": {"pk": "sku ||"}}}
GOOD_FILE = '[{"sku": "4711", "price": 1.10}, {"sku": "4712", "price": 8.20}]'
BAD_FILE = '[{"sku": "4711", "price": 1.25}, {"sku": "4713", "price": "3.90"}, {"price": 1}]'
TWICE_FILE = '[{"sku": "4711", "price": 1}, {"sku": "4711", "price": 2}]'


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with a dataset and files of it."""
    monkeypatch.chdir(tmp_path)
    for name, text in {
        "schemas/products.schema.json": json.dumps(SCHEMA),
        "bad/bad.schema.json": json.dumps(BAD_SCHEMA),
        "products/good.json": GOOD_FILE,
        "data/good.json": GOOD_FILE,
        "products/bad.json": BAD_FILE,
        "products/twice.json": TWICE_FILE,
    }.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return tmp_path


STACKLESS = {
    "plan-offline": [
        *("plan", "--offline", "products/good.json", "products/bad.json", "products/twice.json")
    ],
    "plan-offline-elsewhere": ["plan", "--offline", "data/good.json"],
    "plan-offline-items": ["plan", "--offline", "--items", "products/good.json"],
    "schemas-check": ["schemas", "check"],
    "schemas-check-bad": ["schemas", "check", "bad"],
}
"""Commands that need no stack, whole, by the file that holds what they print."""


@pytest.mark.parametrize("name", STACKLESS)
@pytest.mark.usefixtures("folder")
def test_commands_without_a_stack_answer_as_they_did(name: str) -> None:
    text = typer.testing.CliRunner().invoke(app, STACKLESS[name])
    answer = typer.testing.CliRunner().invoke(app, [*STACKLESS[name], "--json"])
    fine = name in ("plan-offline-items", "schemas-check")
    assert text.exit_code == answer.exit_code == (OK if fine else DIFFERENT)
    json.loads(answer.stdout)
    told = re.sub(r'"digest": "\w+"', '"digest": "…"', answer.stdout)
    held(name, f"{text.stdout}=== --json ===\n{told}")


@pytest.mark.usefixtures("folder")
def test_the_lines_of_plan_are_as_they_were() -> None:
    catalogue = plan.load_catalogue(Path("schemas"))
    planner = OfflinePlanner.with_keys(catalogue, TableKey.parse("pk:S,sk:S"))
    parts = []
    for name in ("good", "bad", "twice"):
        made = planner.of_file(Path(f"products/{name}.json"), f"products/{name}.json")
        parts += [printed(each, UNLIMITED) for each in plan._lines(made, "schemas")]
        parts.append(printed(plan._object(made), UNLIMITED))
        made.close()
    held("plan", "".join(parts))


def test_the_lines_of_verify_are_as_they_were() -> None:
    key = {"pk": {"S": "4711"}, "sk": {"S": "tool"}}
    found = [
        Finding(Kind.MISSING, KEY, key, "the table does not have it"),
        Finding(Kind.DIFFERENT, KEY, key, "", (Change("/price", {"N": "1"}, {"N": "2"}),)),
        Finding(Kind.FOREIGN, None, key, "it has no lineage", is_difference=False),
    ]
    kinds = {"missing": 1, "different": 1, "foreign": 1}
    bad = Summary(1234, 5, 4, 1, {"INVALID": 2, "PARTIAL": 1}, 1, kinds, 2)
    fine = Summary(1, 2, 2, 0, {}, 0, {}, 0)
    parts = []
    for summary, listed, values in ((bad, found, False), (bad, found, True), (fine, [], False)):
        of: Any = SimpleNamespace(findings=lambda listed=listed: iter(listed))
        lines = verify._lines(summary, of, values, Path("found.jsonl"))
        parts += [printed(each, UNLIMITED) for each in lines]
    held("verify", "".join(parts))


def test_a_page_that_cannot_be_written_is_wrong_use(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tablekeeper_cli.executions.traces.read", lambda *_, **__: TRACE)
    monkeypatch.setattr("tablekeeper_cli.web.pages.trace_page", lambda _: "")
    monkeypatch.setattr(Stack, "find", lambda *_, **__: STACK)
    wrong = typer.testing.CliRunner().invoke(
        app, ["trace", KEY, "--html", str(tmp_path / "none" / "x.html")]
    )
    assert isinstance(wrong.exception, UsageError)
    assert str(wrong.exception).endswith("x.html: No such file or directory")


@pytest.mark.parametrize(
    "words", [["items", "a"], ["plan", "--dataset", "a"], ["events"], ["events", "redrive"]]
)
def test_a_limit_that_python_cannot_count_to_is_wrong_use(words: list[str]) -> None:
    wrong = typer.testing.CliRunner().invoke(app, [*words, "--limit", "9" * 20])
    assert wrong.exit_code == USAGE
    assert "--limit" in wrong.stderr


def test_a_negative_number_is_a_key_of_an_item(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def item(_: Stack, *key: str) -> Item:
        asked.append(key)
        return ITEM

    monkeypatch.setattr(Stack, "find", lambda *_, **__: STACK)
    monkeypatch.setattr(ledger_items, "item", item)
    ran = typer.testing.CliRunner().invoke(app, ["item", "-1.5", "-5", "--json"])
    assert (ran.exit_code, asked) == (OK, [("-1.5", "-5")])


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_binary_of_an_item_is_base64(monkeypatch: pytest.MonkeyPatch, options: list[str]) -> None:
    """As in the table, where it is bytes."""
    item = replace(ITEM, attributes={"b": {"B": b"hello"}, "bs": {"BS": [b"hi"]}})
    monkeypatch.setattr(Stack, "find", lambda *_, **__: STACK)
    monkeypatch.setattr(ledger_items, "item", lambda *_: item)
    ran = typer.testing.CliRunner().invoke(app, ["item", "1", "2", *options])
    assert ran.exit_code == OK
    assert '"aGVsbG8="' in ran.stdout
    assert '"aGk="' in ran.stdout


def test_every_command_has_an_output_that_is_held() -> None:
    names = [path.stem for path in EXPECTED.glob("*.txt") if not path.stem.startswith("help-")]
    groups = {"tablekeeper", "tablekeeper schemas"}
    # `backfill` answers as `reconcile` does; tests of their own hold the other three.
    elsewhere = {f"tablekeeper {name}" for name in ("backfill", "console", "env", "smoke")}
    for name in commands().keys() - groups - elsewhere:
        stem = name.removeprefix("tablekeeper ").replace(" ", "-")
        assert any(each.startswith(stem) for each in names), name


def commands() -> dict[str, Any]:
    """Every command, by its name."""
    found: dict[str, Any] = {}

    def add(command: Any, name: str) -> None:
        found[name] = command
        for inner, sub in getattr(command, "commands", {}).items():
            add(sub, f"{name} {inner}".strip())

    add(typer.main.get_command(app), "tablekeeper")
    return found


@pytest.mark.parametrize("name", commands())
def test_help_is_as_it_was_and_fits_80_columns(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    command = commands()[name]
    context = command.context_class(command, info_name=name, terminal_width=80)
    text = command.get_help(context) + "\n"
    assert max(map(len, text.splitlines())) <= 80
    assert "..." not in text.partition("Commands:")[2].replace("[KEY]...", "")
    held(f"help-{name.replace(' ', '-')}", text)
