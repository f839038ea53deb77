"""The console's pages, without an engine."""

from __future__ import annotations

import html
import json
import re
import shlex
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from tablekeeper import aws
from tablekeeper.bucket.run_report import keep
from tablekeeper.model.messages import with_values
from tablekeeper.validation.violation import Violation
from typer.testing import CliRunner

from tablekeeper_cli.app import app
from tablekeeper_cli.web import file_list, shell_commands
from tablekeeper_cli.web.app import create_app
from tests.unit.cli.web.conftest import EXECUTIONS, Shop, before

KEY = "products/tools.json"
HOSTILE = "notes/<script>alert(1)</script>'\"\x1b[31m\u202egnp.json"
REPORT = "s3://shop-staging/reports/5a0e.json"
VIOLATION = Violation(1, "/price", "type", '"number"', "a string of 1 character", 4)
SENTENCE = (
    "s3://shop-source/products/tools.json: 1 violation of products.schema.json in 3 records:\n"
    f"{VIOLATION}\nReport: {REPORT}. Mend the records."
)
MESSAGE = with_values(SENTENCE, {"count": 1, "report": REPORT, "first": [VIOLATION._asdict()]})
BAD = ("INVALID", "SchemaViolationError", MESSAGE)
SLOW = {"error": "TransientServiceError", "cause": json.dumps({"errorMessage": "S3: SlowDown"})}


@pytest.fixture
def client(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> FlaskClient:
    monkeypatch.setattr(aws, "dynamodb", lambda: shop.dynamodb)
    return create_app(shop.stack).test_client()


def text_of(client: FlaskClient, address: str, code: int = 200) -> str:
    """A page's text, without its markup, but with what a mouse that rests on it is shown."""
    answer = client.get(address)
    assert answer.status_code == code
    page = re.sub(r"<(style|script)\b.*?</\1>", "", answer.text, flags=re.DOTALL)
    page = re.sub(r' title="([^"]*)"[^>]*>', r"> [\1] ", page)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).split())


def task(shop: Shop, name: str, state: str, *attempts: tuple[float, float, Any]) -> None:
    """A state in a history, and its attempts: begun, ended, and the failure if it failed."""
    first = attempts[0][0]
    details = {"name": state, "input": '{"text": "[1.10]"}'}
    shop.happens(name, "TaskStateEntered", first, stateEnteredEventDetails=details)
    for begun, ended, failure in attempts:
        shop.happens(name, "TaskScheduled", begun)
        if failure:
            shop.happens(name, "TaskFailed", ended, taskFailedEventDetails=failure)
        elif ended:
            shop.happens(name, "TaskSucceeded", ended)


def left(shop: Shop, name: str, state: str, second: float) -> None:
    details = {"name": state, "output": '{"price": 1.10, "big": 12345678901234567890.5}'}
    shop.happens(name, "TaskStateExited", second, stateExitedEventDetails=details)


def test_the_overview_has_what_is_wrong_first(shop: Shop, client: FlaskClient) -> None:
    shop.file("products/good.json")
    shop.file(KEY, problem=BAD)
    shop.file("products/other.json", problem=BAD, failed=before(4000))
    shop.failed_events = 2
    for number in range(40):
        shop.execution(f"e{number}", KEY, "FAILED" if number % 4 == 0 else "SUCCEEDED", ago=60)
    text = text_of(client, "/")
    told = [
        "Something needs you", "✗ INVALID SchemaViolationError products 2 products/tools.json",
        "5 min ago", "2 events could not start an execution",
        "tablekeeper events --stack shop --region eu-west-1", "Problems 2", "Running 0",
        "Lag, median", "95 % below", "Executions a minute 8.0", "Files 3", "The last hour",
        "40 executions ended, 10 badly", "Datasets", "products 2 1",
    ]  # fmt: skip
    places = [text.find(each) for each in told]
    assert -1 not in places, told[places.index(-1)]
    assert places == sorted(places)


def test_what_a_run_left_does_not_need_anybody_for_ever(shop: Shop, client: FlaskClient) -> None:
    """It may be mended since then; the console cannot know. What no run looked at needs one."""
    run = {"execution": "arn", "how": "look", "orphans": True, "prefix": "", "error": ""}
    run |= {"findings": {"PROBLEM": 1}, "outcomes": {}, "failed_batches": 0, "differences": 1}
    keep("ledger", run | {"started": before(90), "ended": before(80)})
    shop.file(KEY)
    text = text_of(client, "/")
    assert "A run left differences" in text
    assert "✗ differences The last run: reconcile --dry-run ended" in text
    assert "What differs now tablekeeper reconcile --dry-run --stack shop" in text
    shop.file("products/bad.json", problem=BAD)
    assert "Something needs you" in text_of(create_app(shop.stack).test_client(), "/")
    shop.file("products/bad.json")
    fine = run | {"findings": {}, "differences": 0}
    keep("ledger", fine | {"started": before(70), "ended": before(60), "failed_batches": 7})
    text = text_of(create_app(shop.stack).test_client(), "/")
    assert "Something needs you" in text
    assert "✗ failed The last run:" in text
    assert "0 differences found, 7 batches failed" in text
    keep("ledger", fine | {"started": before(50), "ended": before(40)})
    text = text_of(create_app(shop.stack).test_client(), "/")
    assert "All is well" in text
    assert "What differs now" not in text
    shop.stack.__dict__["parameters"] = {"KeyPrefix": ""}
    keep("ledger", fine | {"started": before(30), "ended": before(20), "prefix": "products/"})
    text = text_of(create_app(shop.stack).test_client(), "/")
    assert "The last run: reconcile --prefix products/ --dry-run ended" in text
    assert "The last whole run: reconcile --dry-run ended" in text


def test_a_stack_without_files_says_what_to_do_first(shop: Shop, client: FlaskClient) -> None:
    for address in ("/", "/files"):
        text = text_of(client, address)
        assert "bucket s3://shop-source become items of the table items" in text
        assert "aws s3 cp FILE s3://shop-source/PREFIX/FILE --region eu-west-1" in text
        assert "tablekeeper backfill --bulk --stack shop --region eu-west-1" in text
    assert "s3://shop-source is in the table items" in text_of(client, "/failures")
    assert "No files yet" in text_of(client, "/")


def test_a_status_that_this_release_does_not_know_is_shown(shop: Shop, client: FlaskClient) -> None:
    shop.file("products/a.json", "NOVEL")
    shop.file("products/b.json", "PARTIAL")
    shop.ended("products/a.json", "e", "NOVEL", items_put=3, items_kept=2, items_removed=0)
    assert "NOVEL PARTIAL" in text_of(client, "/")
    assert "NOVEL (1)" in text_of(client, "/files")
    assert "NOVEL 3 put, 2 kept, 0 removed" in " ".join(
        text_of(client, "/file?key=products/a.json").split()
    )


def test_a_file_that_is_processed_is_running_on_every_page(shop: Shop, client: FlaskClient) -> None:
    shop.file(KEY)
    shop.execution("now", KEY, ago=30)
    task(shop, "now", "Write Items", (0, 1, SLOW), (2, 3, SLOW), (6, 0, None))
    shop.execution("sweep-1", "products/new.json", ago=3)
    state = "Write Items ↻ attempt 3 TransientServiceError: S3: SlowDown"
    for address in ("/", f"/file?key={KEY}", "/files", "/files?status=RUNNING"):
        assert state in text_of(client, address), address
    assert "● RUNNING ✓ SYNCED" in text_of(client, f"/file?key={KEY}")
    assert "Running 2" in text_of(client, "/")
    assert "Files 1 · 2 running" in text_of(client, "/files")
    fresh = text_of(client, "/file?key=products/new.json")
    assert "● RUNNING" in fresh
    assert "started by sweep" in fresh
    assert "products/new.json ● RUNNING starting" in text_of(client, "/files?status=RUNNING")
    assert shop.described == 2, "an input is asked for once"
    trace = text_of(client, "/execution?name=now")
    assert "↻ RETRIED 2 attempts" in trace
    assert "every 3 s" in trace


def test_a_file_says_what_is_wrong_what_to_do_and_who_started_what(
    shop: Shop, client: FlaskClient
) -> None:
    shop.file(KEY, problem=BAD, items=["4711"])
    by = json.dumps({"reprocessed_by": "arn:aws:iam::1:user/ada"})
    shop.ended(KEY, "first", "SYNCED", at=before(7200), items_put=1, items_removed=0)
    shop.ended(KEY, "reprocess-1", "INVALID", error="SchemaViolationError", event=by)
    text = text_of(client, f"/file?key={KEY}")
    for each in (
        "✗ INVALID", "its items are those of its last good version (SYNCED)",
        'SchemaViolationError in Validate Records, [', '1 (line 4) /price type "number" a string',
        "What to do:", "tablekeeper plan FILE --key=products/tools.json --stack shop",
        "tablekeeper reprocess --stack shop --region eu-west-1 products/tools.json",
        "Items 1 4711 · product", "reprocess by arn:aws:iam::1:user/ada", "2 h ago", "1 put",
        "by 123456789012 from 192.0.2.7", "as of",
    ):  # fmt: skip
        assert each in text, each
    assert re.search(r"\[20\d\d-\d\d-\d\d \d\d:\d\d:\d\dZ\] 5 min ago", text)


def test_states_open_to_input_output_and_error(shop: Shop, client: FlaskClient) -> None:
    shop.execution("bad", KEY, "FAILED")
    task(shop, "bad", "Fetch Object", (0, 0.1, SLOW), (0.2, 0.3, None))
    left(shop, "bad", "Fetch Object", 0.3)
    failure = {"error": "SchemaViolationError", "cause": json.dumps({"errorMessage": MESSAGE})}
    task(shop, "bad", "Validate Records", (0.4, 0.5, failure))
    left(shop, "bad", "Validate Records", 0.5)
    ended = {"name": "Sync Failed", "input": "{}"}
    shop.happens("bad", "FailStateEntered", 0.6, stateEnteredEventDetails=ended)
    shop.happens("bad", "ExecutionFailed", 0.7, executionFailedEventDetails=failure)
    shop.executions[f"{EXECUTIONS}:bad"] |= failure
    answer = client.get("/execution?name=bad").text
    text = text_of(client, "/execution?name=bad")
    for each in (
        "SchemaViolationError in Validate Records", "✓ Fetch Object ↻ 2 attempts",
        "↻ RETRIED attempt 1, 100 ms TransientServiceError: S3: SlowDown", "! CAUGHT Task",
        "then Sync Failed", '"price": 1.10, "big": 12345678901234567890.5', "✗ FAILED Fail",
        "Open in the AWS console", "Started by event",
    ):  # fmt: skip
        assert each in text, each
    link = (
        "https://eu-west-1.console.aws.amazon.com/states/home?region=eu-west-1"
        f"#/v2/executions/details/{EXECUTIONS}:bad"
    )
    assert answer.count(f'href="{link}"') == 4
    assert answer.count("<details") == 4
    assert 'data-pace="0"' in answer, "it has ended: nothing on it changes"


def test_an_item_is_plain_json(shop: Shop, client: FlaskClient) -> None:
    shop.dynamodb.put_item(
        TableName="items",
        Item={
            "pk": {"S": "4711"},
            "sk": {"S": "--force"},
            "price": {"N": "12345678901234567890.10"},
            "tags": {"SS": ["a"]},
            "raw": {"B": b"\x00\x01"},
            "more": {"M": {"none": {"NULL": True}, "yes": {"BOOL": True}, "no": {"L": []}}},
        },
    )
    text = text_of(client, "/item?pk=4711&sk=--force")
    assert '"price": 12345678901234567890.10,' in text
    assert '"more": { "none": null, "yes": true, "no": [] }' in text
    assert '"raw": "AAE="' in text
    assert '"tags": [ "a" ]' in text
    assert "Tablekeeper did not write this item" in text
    assert "tablekeeper item --stack shop --region eu-west-1 -- 4711 --force" in text


def test_failures_are_chosen_and_say_when_they_are_tried_again(
    shop: Shop, client: FlaskClient
) -> None:
    shop.file(KEY, problem=BAD)
    shop.file("a/slow", None, problem=("FAILED", "TransientServiceError", "S3"), failed=before(5))
    shop.file("a/own", None, problem=("INVALID", "KeyOwnershipError", "S3"))
    # It failed before its dataset was known.
    early: Any = {"problem": ("FAILED", "ClientError", "S3"), "problem_dataset": "-"}
    shop.file("a/early", None, **early)
    text = text_of(client, "/failures")
    assert "Failures 4" in text
    assert re.search(r"a/slow ✗ FAILED TransientServiceError .*\] in \d+ (s|min)", text)
    assert "when it is mended" in text
    assert "when no other file has the item" in text
    chosen = text_of(client, "/failures?error=SchemaViolationError")
    assert "Failures 1" in chosen
    assert "a/slow" not in chosen
    command = "failures --error SchemaViolationError --stack shop --region eu-west-1"
    assert command in chosen
    of_none = "/failures?dataset=none"
    assert "Failures 1" in text_of(client, of_none)
    assert "No file has a problem like that" in text_of(client, f"{of_none}&status=INVALID")


def test_files_are_chosen_ordered_and_paged(
    shop: Shop, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_list, "PAGE", 3)
    for number in range(5):
        size = (number * 7) % 5
        items = [str(each) for each in range(size)]
        shop.file(f"a/{number}", size=size, items=items, at=before(60 * size + 1))
    shop.file("b/bad", None, problem=BAD)

    def listed(address: str) -> tuple[list[str], str]:
        page = client.get(address).text
        keys = re.findall(r'<a class="key"[^>]*>([^<]+)</a>', page)
        more = re.search(r'<a href="([^"]+)" rel="next"', page)
        return keys, html.unescape(more[1]) if more else ""

    first, more = listed("/files")
    assert first == ["a/0", "a/1", "a/2"]
    assert listed(more)[0] == ["a/3", "a/4", "b/bad"]
    first, more = listed("/files?prefix=a/&sort=size")
    second, end = listed(more)
    assert (first + second, end) == (["a/2", "a/4", "a/1", "a/3", "a/0"], "")
    assert listed("/files?prefix=a/&sort=items")[0] == first
    assert listed("/files?prefix=a/&sort=when")[0] == ["a/0", "a/3", "a/1"]
    assert listed("/files?sort=status")[0][0] == "b/bad"
    assert listed("/files?status=INVALID")[0] == ["b/bad"]
    assert listed("/files?dataset=a")[0] == ["a/0", "a/1", "a/2"]
    text = text_of(client, "/files")
    for each in ("a (5)", "Files 6", "a/1 ✓ SYNCED a 2 2 B ["):
        assert each in text, each
    assert "No file of s3://shop-source is like that" in text_of(client, "/files?prefix=zzz")
    monkeypatch.setattr(file_list, "SORTED", 2)
    assert "Only the first 2 of these files" in text_of(client, "/files?sort=size")


@pytest.mark.parametrize(
    "address",
    ["/", "/files", "/failures", "/file", "/execution", "/nothing"],
)
def test_hostile_names_are_harmless(shop: Shop, client: FlaskClient, address: str) -> None:
    shop.file(
        HOSTILE, problem=("INVALID", "NoDatasetError", f"<img src=x onerror=alert(2)>{HOSTILE}")
    )
    shop.ended(HOSTILE, "e", "INVALID", error="</td><script>", version_id="<b>")
    shop.execution("run", HOSTILE)
    task(shop, "run", "Fetch Object", (0, 1, {"error": "<i>", "cause": HOSTILE}), (2, 0, None))
    query = {"/file": {"key": HOSTILE}, "/execution": {"name": "run"}, "/nothing": {"key": HOSTILE}}
    answer = client.get(address, query_string=query.get(address))
    scripts = re.findall(r"<script[^>]*>", answer.text)
    assert scripts == ['<script src="/console.js" defer>']
    assert not re.search(r"<(img|i>|b>)", answer.text)
    assert "\x1b" not in answer.text
    assert "\u202e" not in answer.text
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self'" in policy
    if address == "/file":
        assert shell_commands.command(shop.stack, "reprocess", HOSTILE) in html.unescape(
            answer.text
        )


@pytest.mark.parametrize(
    "word",
    [HOSTILE, "a b", "-x", "", "$(id)", "a\nb\\n'", "\x80\U0001f600\u200b"],
    ids=["hostile", "space", "dash", "empty", "expansion", "lines", "wide"],
)
def test_a_command_that_is_copied_has_each_word_as_it_is(word: str) -> None:
    quoted = shell_commands.quoted(word)
    assert quoted.isprintable()
    ran = subprocess.run(
        ["bash", "-c", f"printf %s {quoted}"],
        env={"LC_ALL": "C.UTF-8"},
        capture_output=True,
        check=True,
    )
    assert ran.stdout.decode() == word


def test_every_command_on_a_page_is_one_that_there_is(shop: Shop, client: FlaskClient) -> None:
    shop.file(KEY, problem=BAD, items=[str(number) for number in range(60)])
    shop.file("many", keys_at="keys/")
    shop.ended(KEY, "e", "SYNCED")
    shop.execution("e", KEY, "SUCCEEDED")
    shop.dynamodb.put_item(TableName="items", Item={"pk": {"S": "1"}, "sk": {"S": "-x"}})
    shop.failed_events = 1
    query = "status=INVALID&error=SchemaViolationError&dataset=products"
    pages = ("/", "/files", f"/failures?{query}", f"/file?key={KEY}", "/file?key=many",
             "/file?key=none", "/execution?name=e", "/item?pk=1&sk=-x")  # fmt: skip
    told = {
        html.unescape(each)
        for page in pages
        for each in re.findall(r"<code>(tablekeeper .*?)</code>", client.get(page).text)
    }
    assert len(told) > 12
    for each in told:
        _, name, *rest = shlex.split(each)
        ran = CliRunner().invoke(app, [name, "--help", *rest])
        assert ran.exit_code == 0, (each, ran.output)


def test_a_command_names_the_stack_and_takes_no_key_for_an_option(shop: Shop) -> None:
    told = shell_commands.command(shop.stack, "reprocess", "--force")
    assert told == "tablekeeper reprocess --stack shop --region eu-west-1 -- --force"
    local = replace(shop.stack, endpoint_url="http://127.0.0.1:4566")
    assert shell_commands.command(local, "history", "a b") == "tablekeeper history --local 'a b'"
    assert shell_commands.upload(local).endswith("--endpoint-url http://127.0.0.1:4566")


def test_a_further_local_stack_is_told_from_the_first(shop: Shop, tmp_path: Path) -> None:
    file = tmp_path / ".local" / "stacks" / "second" / "stack.json"
    local = replace(shop.stack, endpoint_url="http://127.0.0.1:4566", local_file=file)
    told = shell_commands.command(local, "status")
    assert told == f"TABLEKEEPER_LOCAL={file} tablekeeper status --local"
    page = create_app(local).test_client().get("/none").text
    assert "</strong> local second<" in page


def test_errors_lead_on(shop: Shop, client: FlaskClient) -> None:
    text = text_of(client, "/file?key=products/none.json", 404)
    assert "Nothing is known of it" in text
    assert "the files beside it" in text
    assert "tablekeeper reprocess --stack shop --region eu-west-1 products/none.json" in text
    assert "every 5 s" in text, "the file may be on its way"
    express = "/execution?name=arn:aws:states:eu-west-1:1:express:shop:1:2"
    told = {"/execution?name=none": 404, "/nowhere": 404, "/item?pk=1": 400, express: 400}
    for address, code in told.items():
        text = text_of(client, address, code)
        assert "Overview Files Failures Try again" in text
    assert "is not the ARN of a Standard execution" in text
    assert client.post("/").status_code == 405
    stranger = client.get("/", headers={"Host": "attacker.example:8765"})
    assert stranger.status_code == 403


def test_an_error_of_the_console_is_a_page(shop: Shop, client: FlaskClient) -> None:
    shop.clients["sqs"].get_queue_attributes = lambda **_: 1 / 0
    text = text_of(client, "/", 500)
    assert "The console failed" in text
    assert "ZeroDivisionError" not in text


def test_a_page_refreshes_itself_without_script_too_and_can_be_paused(
    shop: Shop, client: FlaskClient
) -> None:
    page = client.get("/files?prefix=a&status=SYNCED").text
    assert re.search(r'<noscript><meta http-equiv="refresh" content="\d+"></noscript>', page)
    pause = re.search(r'href="(\?[^"]*refresh=off)"', page)
    assert pause
    paused = client.get("/files" + html.unescape(pause[1])).text
    assert "http-equiv" not in paused
    assert 'data-pace="0"' in paused
    assert 'value="a"' in paused
