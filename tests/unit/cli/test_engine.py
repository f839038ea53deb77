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
from typing import Any

import pytest
import typer.main
from botocore.exceptions import EndpointConnectionError

from tablekeeper_cli import engine
from tablekeeper_cli.app import app
from tablekeeper_cli.errors import CommandError
from tablekeeper_cli.stack import LOCAL_VARIABLE, Stack

SCHEMAS = Path(__file__).parents[3] / "schemas"


MORE = {
    "plan": ("--key", "a", "--schemas", str(SCHEMAS)),
    "verify": ("--schemas", str(SCHEMAS)),
    "schemas": (str(SCHEMAS),),
    "reprocess": ("a",),
}
"""What commands need beside their arguments, to get as far as to their stack."""


def held(address: str) -> dict[str, Any]:
    """What stack.json holds of an engine at this address."""
    return {
        "endpoint_url": address,
        "region": "us-east-1",
        "access_key_id": "test",
        "secret_access_key": "test",
        "stack_name": "s",
        "outputs": {"SourceBucketName": "b"},
    }


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


def test_an_engine_that_is_frozen_is_said_within_ten_seconds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Both of the requests that a check makes, and a request that has just been asked.
    assert 2 * engine.ANSWER_SECONDS < 9 > engine.PAUSE_SECONDS + engine.PATIENCE_SECONDS
    monkeypatch.setattr(engine, "ANSWER_SECONDS", 0.2)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises(CommandError, match=r"does not answer within 0\.2 s"):
            engine.check(f"http://127.0.0.1:{silent.getsockname()[1]}", "bucket")


def leaves(command: Any, *names: str) -> Iterator[tuple[str, ...]]:
    """Every command, with a value for each argument that it must have."""
    inner = getattr(command, "commands", {})
    for name, each in inner.items():
        yield from leaves(each, *names, name)
    if not inner or (command.invoke_without_command and names):
        yield (*names, *("a" for each in command.params if each.required and each.nargs == 1))


def test_every_command_says_that_the_engine_is_frozen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").write_text("[]")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(LOCAL_VARIABLE, str(tmp_path / "stack.json"))
    monkeypatch.setattr(engine, "ANSWER_SECONDS", 0.05)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(64)
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        (tmp_path / "stack.json").write_text(json.dumps(held(address)))
        told, command = dict[tuple[str, ...], str](), typer.main.get_command(app)
        for words in leaves(command):
            more = MORE.get(words[0], ())
            with pytest.raises(CommandError) as raised:
                command.main([*words, *more, "--local"], standalone_mode=False)
            told[words] = str(raised.value)
    assert len(told) > 15
    assert {words: each for words, each in told.items() if "does not answer" not in each} == {}


def test_an_engine_that_make_down_ended_is_said(tmp_path: Path) -> None:
    second = tmp_path / "stacks" / "second"
    second.mkdir(parents=True)
    for folder, name in ((tmp_path, ""), (second, " NAME=second")):
        (folder / "kept.json").write_text("{}")
        with pytest.raises(CommandError, match=f"`make down{name}` ended it; `make up{name}`"):
            engine.check("http://127.0.0.1:9", "bucket", folder)
    with (
        answering(b"<html>", 200) as address,
        pytest.raises(CommandError, match="end that program, then `make up NAME=second`"),
    ):
        engine.check(address, "bucket", second)


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


def test_an_engine_that_ends_after_a_command_ends_nothing() -> None:
    code = (
        "import sys, time; from tablekeeper_cli import engine; "
        "engine.guard(sys.argv[1], pause=0.1, patience=0.3).set(); time.sleep(0.5)"
    )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
        subprocess.run([sys.executable, "-c", code, address], check=True, timeout=30)


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
    (tmp_path / "stack.json").write_text(json.dumps(held("http://127.0.0.1:9")))
    monkeypatch.setenv(LOCAL_VARIABLE, str(tmp_path / "stack.json"))
    monkeypatch.setattr(engine, "check", lambda *_: None)
    stack = Stack.on_local_engine()
    begun = time.monotonic()
    with pytest.raises(EndpointConnectionError):
        stack.client("dynamodb").list_tables()
    assert time.monotonic() - begun < 10
