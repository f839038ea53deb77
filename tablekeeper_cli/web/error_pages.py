"""Pages for what went wrong: what it is, and where to go on."""

from __future__ import annotations

from collections.abc import Callable

from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from flask import Flask, request
from werkzeug.exceptions import HTTPException

from tablekeeper_cli import engine
from tablekeeper_cli.errors import CommandError, UnknownError
from tablekeeper_cli.stack import Stack

RETRIED_AFTER = 5
"""Seconds after which such a page is asked for again."""


def add_to(app: Flask, stack: Stack, shown: Callable[..., str]) -> None:
    """Adds the pages to a console."""

    def page(code: int, title: str, text: str, every: float = RETRIED_AFTER) -> tuple[str, int]:
        key = request.args.get("key", "") if request.endpoint == "one_file" else ""
        return shown(
            "error.html",
            every,
            title=title,
            text=text,
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
        where = "The local engine does not answer" if stack.endpoint_url else "AWS does not answer"
        return page(
            502,
            where if error.exit_code == CommandError.exit_code else "That is no address",
            str(error),
        )

    @app.errorhandler(BotoCoreError)
    @app.errorhandler(ClientError)
    def failed(error: Exception) -> tuple[str, int]:
        """What AWS refuses, and what does not answer; of a local engine, what is wrong with it."""
        try:
            if stack.endpoint_url:
                engine.check(stack.endpoint_url, stack.bucket)
        except CommandError as found:
            return unanswered(found)
        if isinstance(error, HTTPClientError):
            return page(502, f"{stack.name} does not answer", f"{error}. The page asks again.")
        return page(502, "A service refused what the page asks for", str(error))
