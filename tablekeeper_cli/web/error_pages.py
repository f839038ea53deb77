"""Pages for what went wrong: what it is, and where to go on."""

from __future__ import annotations

from collections.abc import Callable

from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from flask import Flask, request
from markupsafe import Markup, escape
from werkzeug.exceptions import HTTPException

from tablekeeper_cli import engine
from tablekeeper_cli.errors import CommandError, UnknownError
from tablekeeper_cli.stack import LOCAL_FILE, Stack
from tablekeeper_cli.terminal.text import clean

RETRIED_AFTER = 5
"""Seconds after which such a page is asked for again."""


class DeadEngineError(CommandError):
    """Raised when the local engine of a stack has ended, is silent, or is another program."""


def check_engine(stack: Stack) -> None:
    """Looks whether the engine of a local stack answers. Raises DeadEngineError."""
    if not stack.endpoint_url:
        return
    try:
        state_dir = (stack.local_file or LOCAL_FILE).parent
        engine.check(stack.endpoint_url, stack.bucket, state_dir)
    except CommandError as error:
        raise DeadEngineError(str(error)) from None


def _marked(text: str) -> Markup:
    """Text whose commands, between backticks, are marked as such."""
    parts = clean(text[:1].upper() + text[1:]).split("`")
    marked = (
        Markup("<code>{}</code>").format(each) if place % 2 else escape(each)
        for place, each in enumerate(parts)
    )
    return Markup().join(marked) if len(parts) % 2 else escape("`".join(parts))


def add_to(app: Flask, stack: Stack, shown: Callable[..., str]) -> None:
    def page(code: int, title: str, text: str, every: float = RETRIED_AFTER) -> tuple[str, int]:
        key = request.args.get("key", "") if request.endpoint == "one_file" else ""
        return shown(
            "error.html",
            every,
            title=title,
            text=_marked(text),
            code=code,
            key=stack.key(stack.uri(key)) if key else "",
        ), code

    @app.errorhandler(HTTPException)
    def refused(error: HTTPException) -> tuple[str, int]:
        code = error.code or 500
        text = error.description or error.name
        if code == 404:
            return page(code, "There is no such page", "The links below lead on.", 0)
        if code >= 500:
            text = "This is an error of the console itself; it has printed where it came from."
            return page(code, "The console failed", text)
        return page(code, error.name, text, 0)

    @app.errorhandler(UnknownError)
    def unknown(error: UnknownError) -> tuple[str, int]:
        return page(404, "Nothing is known of it", str(error))

    @app.errorhandler(CommandError)
    def unanswered(error: CommandError) -> tuple[str, int]:
        """What cannot be shown, such as the trace of an Express execution."""
        return page(400, "That cannot be shown", str(error), 0)

    @app.errorhandler(DeadEngineError)
    def dead(error: DeadEngineError) -> tuple[str, int]:
        return page(502, "The local engine cannot be reached", str(error))

    @app.errorhandler(BotoCoreError)
    @app.errorhandler(ClientError)
    def failed(error: Exception) -> tuple[str, int]:
        """What AWS refuses, and what does not answer; of a local engine, what is wrong with it."""
        try:
            check_engine(stack)
        except DeadEngineError as reason:
            return dead(reason)
        if isinstance(error, HTTPClientError):
            return page(502, f"{stack.name} does not answer", f"{error}.")
        return page(502, "A service refused what the page asks for", str(error))
