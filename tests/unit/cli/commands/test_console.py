"""The port that the console takes."""

from __future__ import annotations

import socket

import pytest

from tablekeeper_cli.commands import console
from tablekeeper_cli.errors import CommandError


def test_a_port_that_is_taken_is_an_error_only_for_whoever_names_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        monkeypatch.setattr(console, "PORT", port)
        with console._listener(None) as other:
            assert other.getsockname()[1] != port
        with pytest.raises(CommandError, match=rf"port {port}: .*; choose another by --port"):
            console._listener(port)
    with console._listener(None) as free:
        assert free.getsockname()[1] == port


def test_two_consoles_that_start_at_once_have_ports_of_their_own() -> None:
    with console._listener(0) as first, console._listener(0) as second:
        assert first.getsockname() != second.getsockname()
