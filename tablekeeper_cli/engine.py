"""Whether the local engine is there, found out in seconds and said in a sentence."""

from __future__ import annotations

from tablekeeper_cli.errors import CommandError

ANSWER_SECONDS = 4
HEALTH = "/_ministack/health"


def check(endpoint_url: str, bucket: str) -> None:
    """Asks the engine for its health, and for the bucket of the stack.

    Raises CommandError: nothing listens, nothing answers, or something else does.
    """
    from http.client import HTTPException

    try:
        health, text = _ask(endpoint_url, "GET", HEALTH)
        found, _ = _ask(endpoint_url, "HEAD", f"/{bucket}")
    except ConnectionRefusedError:
        raise CommandError(
            f"the local engine has ended: nothing listens at {endpoint_url}; "
            "`make up` starts it, .local/engine.log says why it ended"
        ) from None
    except TimeoutError:
        raise CommandError(
            f"the local engine at {endpoint_url} does not answer within {ANSWER_SECONDS} s: it "
            "is stopped or overloaded; `make down` and `make up` start it anew"
        ) from None
    except (OSError, HTTPException):
        health = 0
    if health != 200 or not _is_health(text):
        raise CommandError(
            f"another program answers at {endpoint_url}, the address of the local engine: "
            "`make up` starts the engine on a free port"
        )
    if found == 404:
        raise CommandError(
            f"the engine at {endpoint_url} has no bucket {bucket}: it is another one, or was "
            "started anew; `make up` deploys to it"
        )


def _ask(endpoint_url: str, method: str, path: str) -> tuple[int, bytes]:
    """The status and the body of an answer. Raises OSError and HTTPException."""
    from http.client import HTTPConnection
    from urllib.parse import urlsplit

    place = urlsplit(endpoint_url)
    connection = HTTPConnection(place.hostname or "", place.port, timeout=ANSWER_SECONDS)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def _is_health(text: bytes) -> bool:
    import json

    try:
        return "services" in json.loads(text)
    except (ValueError, TypeError):
        return False
