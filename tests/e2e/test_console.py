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

from tests.e2e.desk import COMMAND, Desk
from tests.support.project import ROOT

pytestmark = pytest.mark.xdist_group("commands")

HOSTILE = "notes/pages/<script>alert(1)</script>.json"
MARKUP = '</pre></style><script>alert(2)</script><img src=x onerror="alert(3)">'
CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
WIDTHS = {"": 1280, "-narrow": 390}
HIGHEST = 1250
"""Of a screenshot: what is below is cut off, for the sake of the repository's size."""
SCREENSHOTS = os.environ.get("CONSOLE_SCREENSHOTS")
"""A folder to keep screenshots in: `docs/images` for those of the documents."""

in_a_browser = pytest.mark.skipif(
    not (CHROMIUM and DRIVER), reason="needs chromium and chromedriver"
)


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
    # Its outcome is recorded before its end.
    desk.until(lambda: desk.ask("trace", HOSTILE)["status"] == "FAILED")


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


def test_a_trace_page_is_whole_and_harmless(desk: Desk, files: None, tmp_path: Path) -> None:
    page = tmp_path / "trace.html"
    desk.run("trace", HOSTILE, "--html", str(page), "--data")
    text = page.read_text()
    assert "<script" not in text
    assert "<img" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "http" not in text.replace("http-equiv", "")


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


class Browser:
    """A browser, in which nothing may run off a page to the right."""

    def __init__(self, profile: Path) -> None:
        from selenium import webdriver

        options = webdriver.ChromeOptions()
        options.binary_location = str(CHROMIUM)
        for each in (
            "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            "--hide-scrollbars", f"--user-data-dir={profile}",
        ):  # fmt: skip
            options.add_argument(each)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        options.set_capability("unhandledPromptBehavior", "ignore")
        self.driver: Any = webdriver.Chrome(options, webdriver.ChromeService(str(DRIVER)))
        self.driver.implicitly_wait(5)

    def resize(self, width: int, height: int = 900) -> None:
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)

    def show(self, address: str) -> None:
        self.driver.get(address)
        for width in WIDTHS.values():
            self.resize(width)
            assert self.run("return document.documentElement.scrollWidth") <= width, address
        with pytest.raises(Exception, match="no such alert"):
            _ = self.driver.switch_to.alert.text

    def follow(self, text: str) -> None:
        self.show(self.driver.find_element("partial link text", text).get_attribute("href"))

    def run(self, script: str) -> Any:
        return self.driver.execute_script(script)

    def texts(self, selector: str) -> list[str]:
        return [each.text for each in self.driver.find_elements("css selector", selector)]

    def picture(self, name: str) -> None:
        """Screenshots at both widths."""
        for suffix, width in WIDTHS.items():
            self.resize(width)
            self.driver.refresh()
            height = self.run("return document.documentElement.scrollHeight")
            self.resize(width, min(height, HIGHEST))
            file = f"{SCREENSHOTS}/{name}{suffix}.png"
            self.driver.save_screenshot(file)
            if smaller := shutil.which("pngquant"):
                subprocess.run([smaller, "--force", "--output", file, "64", file], check=True)


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    found = Browser(tmp_path / "profile")
    yield found
    found.driver.quit()


@in_a_browser
def test_from_the_overview_to_a_failing_file_to_its_trace(
    desk: Desk, files: None, address: str, browser: Browser
) -> None:
    browser.show(address)
    browser.follow("SchemaViolationError")
    browser.follow("<script>alert(1)</script>")
    assert browser.texts("h1") == [HOSTILE]
    browser.run("document.getElementById('recorded').open = true")
    desk.put(HOSTILE, [{"pk": "pages", "sk": "1", "stars": 8, MARKUP: MARKUP}])
    desk.settled(HOSTILE, "SYNCED", "INVALID", "INVALID")
    browser.run("return refresh()")
    assert browser.texts("tbody .badge") == ["✗ INVALID", "✗ INVALID", "✓ SYNCED"]
    assert browser.run("return document.getElementById('recorded').open"), "what is open stays"
    browser.follow("trace")
    assert browser.texts("svg .state.caught .name") == ["! Validate Records"]
    browser.driver.find_element("css selector", "svg .state.caught").click()
    assert browser.texts("details[open] .state-name") == ["! Validate Records"]
    browser.show(f"{address}file?key=notes/pages/good.json")
    browser.follow("pages ·")
    assert MARKUP in json.loads(browser.texts("pre.item")[0]).values()
    messages = [each["message"] for each in browser.driver.get_log("browser")]
    assert messages == []


if SCREENSHOTS:

    @in_a_browser
    def test_screenshots_of_an_ordinary_failure(desk: Desk, address: str, browser: Browser) -> None:
        """Run it by itself, so that no other test's files are in the pictures."""
        samples = ROOT / "samples"
        for each in sorted(samples.glob("*/**/*.json*")):
            if each.relative_to(samples).parts[0] != "bad":
                desk.put(str(each.relative_to(samples)), each.read_bytes())
        key, bad = "weather/seattle/2012-03.json", samples / "bad/weather/seattle"
        content = (bad / "2012-03-trace-of-rain.json").read_bytes()
        desk.put(key, content.replace(b'"T"', b"0.0"))
        desk.settled(key, "SYNCED")
        desk.put(key, content)
        desk.settled(key, "SYNCED", "INVALID")
        desk.until(lambda: not desk.ask("status")["running_executions"])
        browser.show(address)
        browser.picture("console-overview")
        browser.follow("SchemaViolationError")
        browser.follow(key)
        browser.picture("console-file")
        browser.follow("trace")
        browser.picture("console-trace")
