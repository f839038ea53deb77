"""The trace and the console on real executions, in a real browser where there is one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from tablekeeper_cli.web.app import create_app
from tests.e2e.desk import COMMAND, Desk

pytestmark = pytest.mark.xdist_group("commands")

HOSTILE = "notes/pages/<script>alert(1)</script>.json"
MARKUP = '</pre></style><script>alert(2)</script><img src=x onerror="alert(3)">'
SCREENSHOTS = os.environ.get("CONSOLE_SCREENSHOTS")
"""A folder to keep screenshots in."""
CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")


@pytest.fixture(scope="module")
def files(desk: Desk) -> None:
    """A good file full of markup, and a bad one with a hostile name that was good once."""
    item = {"pk": "pages", "sk": MARKUP, "text": MARKUP, MARKUP: "name"}
    desk.put("notes/pages/good.json", [item])
    desk.settled("notes/pages/good.json", "SYNCED")
    desk.put(HOSTILE, [{"pk": "pages", "sk": "1"}])
    desk.settled(HOSTILE, "SYNCED")
    desk.put(HOSTILE, [{"pk": "pages", "sk": "1", "stars": 9, MARKUP: MARKUP}])
    desk.settled(HOSTILE, "SYNCED", "INVALID")


@pytest.fixture(scope="module")
def client(desk: Desk) -> FlaskClient:
    return create_app(desk.located).test_client()


def test_a_trace_tells_the_path_of_the_newest_execution(desk: Desk, files: None) -> None:
    told = desk.ask("trace", HOSTILE)
    assert (told["key"], told["status"]) == (HOSTILE, "FAILED")
    assert told["error"] == "SchemaViolationError"
    assert [(each["state"], each["status"], each["next"]) for each in told["visits"]] == [
        ("Fetch Object", "SUCCEEDED", "What Now?"),
        ("What Now?", "SUCCEEDED", "Validate Records"),
        ("Validate Records", "CAUGHT", "Record Failure"),
        ("Record Failure", "SUCCEEDED", "Sync Failed"),
        ("Sync Failed", "FAILED", None),
    ]
    assert all(each["input"] is None for each in told["visits"])
    with_data = desk.ask("trace", told["name"], "--data")
    document = json.dumps(with_data["visits"][2]["input"], ensure_ascii=False)
    assert MARKUP in document.replace("\\", "")
    shown = desk.run("trace", told["execution"])
    assert "Validate Records" in shown
    assert "alert(2)" not in shown
    assert "no execution" in desk.run("trace", "nothing", code=3)


def test_a_trace_page_is_whole_and_harmless(desk: Desk, files: None, tmp_path: Path) -> None:
    page = tmp_path / "trace.html"
    desk.run("trace", HOSTILE, "--html", str(page), "--data")
    text = page.read_text()
    assert "<script" not in text
    assert "<img" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "http" not in text.replace("http-equiv", "")


@pytest.mark.parametrize(
    ("address", "holds"),
    [
        ("/", "SchemaViolationError"),
        ("/files?prefix=notes/pages/", "notes/pages/good.json"),
        ("/files?prefix=notes/pages/&status=INVALID", "alert(1)"),
        ("/failures?error=SchemaViolationError", "alert(1)"),
        ("/file?key=notes/pages/good.json", "Object Created (PutObject)"),
        (f"/file?key={HOSTILE}", "/stars"),
        (f"/item?pk=pages&sk={MARKUP.replace('#', '%23')}", "notes/pages/good.json"),
    ],
)
def test_pages_are_escaped_and_have_no_script(
    client: FlaskClient, files: None, address: str, holds: str
) -> None:
    answer = client.get(address)
    assert answer.status_code == 200
    assert holds in answer.text
    assert "<script" not in answer.text
    assert "<img" not in answer.text
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


def test_what_is_unknown_and_who_is_a_stranger_is_refused(client: FlaskClient) -> None:
    assert client.get("/file?key=none").status_code == 404
    assert client.get("/execution?name=none").status_code == 404
    assert client.get("/nowhere").status_code == 404
    assert client.post("/").status_code == 405
    assert client.get("/", headers={"Host": "attacker.example:8765"}).status_code == 403


def test_a_list_of_files_is_paged(
    desk: Desk, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = [f"notes/paged/{number}.json" for number in range(7)]
    desk.put_all({key: [{"pk": key, "sk": "1"}] for key in keys})
    desk.until(lambda: desk.statuses("notes/paged/") == {"SYNCED": 7})
    monkeypatch.setattr("tablekeeper_cli.web.app.PAGE", 3)
    found: list[str] = []
    address = "/files?prefix=notes/paged/"
    while address:
        text = client.get(address).text
        found += [key for key in keys if f">{key}</a>" in text]
        rest = text.partition('rel="next"')[0].rpartition('href="')
        address = rest[2].partition('"')[0].replace("&amp;", "&") if 'rel="next"' in text else ""
    assert found == keys


@pytest.fixture
def address(desk: Desk) -> Iterator[str]:
    """The console, served by the command."""
    process = subprocess.Popen(
        [COMMAND, "console", "--local", "--port", "0"],
        env={**os.environ, **desk.variable},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout
        yield process.stdout.readline().split()[0]
    finally:
        process.terminate()
        process.wait()


@pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="needs chromium and chromedriver")
def test_from_the_overview_to_a_failing_file_to_its_trace(
    files: None, address: str, tmp_path: Path
) -> None:
    from selenium import webdriver
    from selenium.webdriver.common.by import By

    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for each in (
        "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
        "--hide-scrollbars", "--window-size=1280,1000", f"--user-data-dir={tmp_path / 'profile'}",
    ):  # fmt: skip
        options.add_argument(each)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    options.set_capability("unhandledPromptBehavior", "ignore")
    browser = webdriver.Chrome(options, webdriver.ChromeService(str(DRIVER)))

    def picture(name: str) -> None:
        if SCREENSHOTS:
            height = browser.execute_script("return document.documentElement.scrollHeight")
            browser.set_window_size(1280, max(700, min(height + 90, 2200)))
            browser.save_screenshot(f"{SCREENSHOTS}/{name}.png")

    def no_alert() -> None:
        with pytest.raises(Exception, match="no such alert"):
            _ = browser.switch_to.alert.text

    def follow(text: str) -> None:
        browser.find_element(By.PARTIAL_LINK_TEXT, text).click()
        no_alert()

    try:
        browser.get(address)
        picture("console-overview")
        follow("SchemaViolationError")
        follow("<script>alert(1)</script>")
        assert browser.find_element(By.TAG_NAME, "h1").text == HOSTILE
        picture("console-file")
        follow("trace")
        states: list[Any] = browser.find_elements(By.CSS_SELECTOR, "svg .state.caught .name")
        assert [each.text for each in states] == ["! Validate Records"]
        picture("console-trace")
        follow("<script>alert(1)</script>")
        browser.get(f"{address}file?key=notes/pages/good.json")
        follow("pages ·")
        assert MARKUP in browser.find_element(By.TAG_NAME, "main").text
        no_alert()
        logged: Any = browser
        messages = [each["message"] for each in logged.get_log("browser")]
        assert [each for each in messages if "favicon" not in each] == []
    finally:
        browser.quit()
