"""An engine that keeps what it holds, and one that cannot."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path

import pytest

from local.__main__ import _engine
from local.engine_process import (
    free_port,
    has_kept_state,
    resume_engine,
    save_engine,
    start_engine,
    stop_engine,
)
from local.errors import LocalStackError
from local.processes import engine_process
from local.stack import Stack
from tests.e2e.observer import until


def test_an_engine_goes_on_with_what_it_held_unless_it_was_killed(tmp_path: Path) -> None:
    port = start_engine(tmp_path, keeps_state=True)
    try:
        s3 = Stack.on(port, tmp_path).client("s3")
        s3.create_bucket(Bucket="kept")
        s3.put_object(Bucket="kept", Key="a", Body=b"1")
        pid, _ = engine_process(tmp_path) or (0, 0)
        os.kill(pid, signal.SIGSTOP)  # It is no reason to lose what it holds.
        assert save_engine(tmp_path) is True
        assert engine_process(tmp_path) is None
        with socket.socket() as taken:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            taken.bind(("127.0.0.1", port))
            taken.listen()
            with pytest.raises(LocalStackError, match=f"another program has port {port}"):
                resume_engine(tmp_path)
        assert resume_engine(tmp_path) == port
        assert s3.get_object(Bucket="kept", Key="a")["Body"].read() == b"1"
        pid, _ = engine_process(tmp_path) or (0, 0)
        os.killpg(pid, signal.SIGKILL)
        until(lambda: not engine_process(tmp_path), "the engine has not ended")
        assert not has_kept_state(tmp_path)
        assert save_engine(tmp_path) is None
    finally:
        stop_engine(tmp_path)
    assert not (tmp_path / "kept").exists()


def test_an_engine_that_does_not_answer_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("local.__main__.engine_process", lambda _: (1, free_port()))
    with pytest.raises(LocalStackError, match="does not answer: it is stopped or overloaded"):
        _engine(tmp_path)
