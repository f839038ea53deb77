"""A local engine that is not there, silent, or another program."""

from __future__ import annotations

import http.server
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from botocore.exceptions import EndpointConnectionError

from tablekeeper_cli import engine
from tablekeeper_cli.errors import CommandError
from tablekeeper_cli.stack import LOCAL_VARIABLE, Stack


@contextmanager
def answering(health: bytes, bucket_status: int) -> Iterator[str]:
    """A server that answers so."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(200, health)

        def do_HEAD(self) -> None:
            self._answer(bucket_status, b"")

        def _answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_an_engine_that_answers_is_fine() -> None:
    with answering(b'{"services": {}}', 403) as address:
        engine.check(address, "bucket")


def test_an_engine_that_has_ended_is_said() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(CommandError, match="has ended: nothing listens"):
        engine.check(f"http://127.0.0.1:{port}", "bucket")


def test_an_engine_that_is_frozen_is_said_within_ten_seconds() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        begun = time.monotonic()
        with pytest.raises(CommandError, match="does not answer within 4 s"):
            engine.check(f"http://127.0.0.1:{silent.getsockname()[1]}", "bucket")
        assert time.monotonic() - begun < 10


def test_an_engine_that_make_down_ended_is_said(tmp_path: Path) -> None:
    second = tmp_path / "stacks" / "second"
    second.mkdir(parents=True)
    for folder, name in ((tmp_path, ""), (second, " NAME=second")):
        (folder / "kept.json").write_text("{}")
        with pytest.raises(CommandError, match=f"`make down{name}` ended it; `make up{name}`"):
            engine.check("http://127.0.0.1:9", "bucket", folder)


def test_an_engine_that_freezes_or_ends_while_a_command_runs_ends_it_with_a_sentence() -> None:
    code = (
        "import sys, time; from tablekeeper_cli import engine; "
        "engine.guard(sys.argv[1], pause=0.1, patience=0.3); time.sleep(60)"
    )
    with socket.socket() as silent, socket.socket() as free:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        free.bind(("127.0.0.1", 0))
        said = {silent: "does not answer within 0.3 s", free: "has ended: nothing listens"}
        for place, sentence in said.items():
            address = f"http://127.0.0.1:{place.getsockname()[1]}"
            ran = subprocess.run(
                [sys.executable, "-c", code, address],
                capture_output=True, text=True, check=False, timeout=30,
            )  # fmt: skip
            assert (ran.returncode, ran.stdout) == (4, "")
            assert ran.stderr.startswith("tablekeeper: the local engine")
            assert sentence in ran.stderr


@pytest.mark.parametrize("health", [b"<html>", b"[]"], ids=["page", "other-json"])
def test_another_program_on_the_port_is_said(health: bytes) -> None:
    with (
        answering(health, 200) as address,
        pytest.raises(CommandError, match="another program answers"),
    ):
        engine.check(address, "bucket")


def test_an_engine_without_the_stack_is_said() -> None:
    with (
        answering(b'{"services": {}}', 404) as address,
        pytest.raises(CommandError, match="has no bucket gone"),
    ):
        engine.check(address, "gone")


def test_an_engine_that_ends_while_a_command_runs_is_said_within_ten_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = {
        "endpoint_url": "http://127.0.0.1:9",
        "region": "us-east-1",
        "access_key_id": "test",
        "secret_access_key": "test",
        "stack_name": "s",
        "outputs": {"SourceBucketName": "b"},
    }
    (tmp_path / "stack.json").write_text(json.dumps(held))
    monkeypatch.setenv(LOCAL_VARIABLE, str(tmp_path / "stack.json"))
    monkeypatch.setattr(engine, "check", lambda *_: None)
    stack = Stack.on_local_engine()
    begun = time.monotonic()
    with pytest.raises(EndpointConnectionError):
        stack.client("dynamodb").list_tables()
    assert time.monotonic() - begun < 10
