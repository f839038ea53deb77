"""Pages of an engine that is gone, silent, or another program, and values that pages share."""

from __future__ import annotations

import http.server
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from boto3.session import Session

from tablekeeper_cli import engine
from tablekeeper_cli.stack import Stack
from tablekeeper_cli.web import app
from tablekeeper_cli.web.cache import Cached
from tests.unit.cli.web.conftest import OUTPUTS

LONGEST = max(
    engine.ANSWER_SECONDS,
    *(app.READ_SECONDS[local] * app.ATTEMPTS[local] for local in (True, False)),
)
"""Seconds until a page gives up, before a test has less patience."""
BUSY_SECONDS = 60
"""As long as a client waits that was not told to be impatient."""
PAGES = ("/", "/files", "/failures", "/file?key=a", "/item?pk=a&sk=b", "/execution?name=a")


@contextmanager
def server(health: bytes) -> Iterator[str]:
    """A server that answers to a look at its health, and to nothing else."""
    ended = threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(health)))
            self.end_headers()
            self.wfile.write(health)

        def do_HEAD(self) -> None:
            self.send_response(200)
            self.end_headers()

        def do_POST(self) -> None:
            ended.wait()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as made:
        threading.Thread(target=made.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{made.server_port}"
        ended.set()
        made.shutdown()


def pages_of(endpoint_url: str) -> list[str]:
    """Each page, all asked for at once."""
    session = Session("test", "test", region_name="us-east-1")
    stack = Stack("tablekeeper", "us-east-1", OUTPUTS, endpoint_url, session=session)
    console = app.create_app(stack)

    def ask(page: str) -> tuple[int, str]:
        answer = console.test_client().get(page)
        return answer.status_code, answer.text

    with ThreadPoolExecutor(len(PAGES)) as pool:
        answers = list(pool.map(ask, PAGES))
    assert [code for code, _ in answers] == [502] * len(PAGES)
    for _, text in answers:
        assert "The local engine cannot be reached" in text
        assert "make up" in text
        assert "every 5 s" in text
    return [text for _, text in answers]


@pytest.fixture(autouse=True)
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tenth of the patience: what takes five seconds here takes half of one."""
    monkeypatch.setattr(engine, "ANSWER_SECONDS", 0.5)
    monkeypatch.setattr(app, "READ_SECONDS", {True: 0.8, False: 0.4})


@pytest.fixture
def healthy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Patience with an engine that answers to a look at its health, on a busy machine, too."""
    monkeypatch.setattr(engine, "ANSWER_SECONDS", BUSY_SECONDS)


def test_an_engine_that_has_ended_is_said_on_every_page() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert all("nothing listens" in text for text in pages_of(f"http://127.0.0.1:{port}"))


def test_an_engine_that_is_frozen_is_said_on_every_page_in_time() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(32)
        begun = time.monotonic()
        told = pages_of(f"http://127.0.0.1:{silent.getsockname()[1]}")
        assert time.monotonic() - begun < BUSY_SECONDS
    assert all("does not answer within" in text for text in told)


def test_another_program_on_the_port_is_said_on_every_page(healthy: None) -> None:
    with server(b"<html>") as address:
        assert all("Another program answers" in text for text in pages_of(address))


def test_an_engine_that_freezes_while_a_page_is_read_is_said_in_time(healthy: None) -> None:
    with server(b'{"services": {}}') as address:
        session = Session("test", "test", region_name="us-east-1")
        stack = Stack("tablekeeper", "us-east-1", OUTPUTS, address, session=session)
        begun = time.monotonic()
        answer = app.create_app(stack).test_client().get("/")
        assert time.monotonic() - begun < BUSY_SECONDS
    assert answer.status_code == 502
    assert "tablekeeper does not answer" in answer.text


def test_a_page_gives_up_within_ten_seconds() -> None:
    assert LONGEST < 9


def test_a_value_is_kept_for_many_times_its_read(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    reads: list[float] = []

    def read() -> int:
        reads.append(clock[0])
        clock[0] += 2
        return len(reads)

    value = Cached(read, 3)
    assert (value.get().value, value.get().took) == (1, 2)
    clock[0] += 19
    assert value.get().value == 1
    clock[0] += 2
    assert value.get().value == 2


def test_whoever_waits_for_a_read_that_fails_does_not_wait_again() -> None:
    begun, reads = threading.Event(), []

    def read() -> int:
        reads.append(1)
        begun.set()
        time.sleep(0.2)
        raise ConnectionError

    value = Cached(read, 3)

    def ask() -> bool:
        with pytest.raises(ConnectionError):
            value.get()
        return True

    with ThreadPoolExecutor(6) as pool:
        first = pool.submit(ask)
        begun.wait()
        assert all([*pool.map(lambda _: ask(), range(5)), first.result()])
    assert len(reads) == 1
    ask()
    assert len(reads) == 2, "the next one asks anew"
