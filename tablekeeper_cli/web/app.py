"""The pages: an overview, the files, one file, one execution. They read, and never write."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable
from itertools import islice
from socket import socket
from threading import Lock
from typing import Any

from flask import Flask, Response, abort, render_template, request
from werkzeug.exceptions import HTTPException

from tablekeeper_cli.errors import CommandError, UnknownError
from tablekeeper_cli.executions import bucket_runs, running, traces, visits
from tablekeeper_cli.ledger import files, items, problems
from tablekeeper_cli.ledger import history as ledger_history
from tablekeeper_cli.stack import Stack
from tablekeeper_cli.terminal.showing import when
from tablekeeper_cli.web import pages
from tablekeeper_cli.web.recent import Recent, chart

PAGE = 100
"""Files and failures of one page."""
SHOWN_EVENTS, SHOWN_ITEMS = 50, 50
KEPT_TRACES = 100
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
"""No script, no other host, no frame; a key in an address is told to nobody."""
LOCAL_HOSTS = ("127.0.0.1", "localhost", "[::1]")


def create_app(stack: Stack) -> Flask:
    """The console of a stack, as a WSGI application."""
    app = Flask(__name__, template_folder=str(pages.TEMPLATES), static_folder=None)
    app.jinja_env.globals.update(
        **pages.shared(),
        chart=chart,
        when=when,
        run_sentence=bucket_runs.sentence,
        is_bad_run=bucket_runs.is_bad,
        stack=stack,
        page_size=PAGE,
        problem_statuses=problems.PROBLEMS,
    )
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    recent, ended = Recent(stack), _Kept(KEPT_TRACES)

    @app.before_request
    def only_for_this_machine() -> None:
        # A page of another site may let a browser ask under a name that it points to 127.0.0.1.
        if request.host.rsplit(":", 1)[0] not in LOCAL_HOSTS:
            abort(403, "the console answers to 127.0.0.1 and localhost alone")

    @app.after_request
    def add_headers(response: Response) -> Response:
        response.headers.update(HEADERS)
        return response

    @app.get("/")
    def overview() -> str:
        counts = files.counts(stack)
        totals: Counter[str] = Counter()
        for (status, _), count in counts.items():
            totals[status] += count
        errors: Counter[tuple[str, str, str]] = Counter()
        newest: list[problems.Failure] = []
        for status in problems.PROBLEMS:
            for number, each in enumerate(
                problems.failures(stack, problems.ProblemFilter(status=status))
            ):
                errors[each.status, each.error, each.dataset] += 1
                if number < 10:
                    newest.append(each)
        return render_template(
            "overview.html",
            totals=totals,
            datasets=sorted({dataset for _, dataset in counts}),
            statuses=[each for each in pages.ORDER if totals[each]],
            counts=counts,
            errors=errors.most_common(),
            newest=sorted(newest, key=lambda each: each.at, reverse=True)[:10],
            work=running.work(stack),
            run=bucket_runs.last(stack),
            recent=recent.read(),
        )

    @app.get("/files")
    def list_of_files() -> str:
        wanted = {
            name: request.args.get(name, "").strip() for name in ("prefix", "status", "dataset")
        }
        after = request.args.get("after") or None
        listed = files.list_files(
            stack,
            prefix=wanted["prefix"],
            statuses=[wanted["status"]] if wanted["status"] else (),
            dataset=wanted["dataset"] or None,
            after=after,
        )
        found = list(islice(listed, PAGE + 1))
        more = found[PAGE - 1].key if len(found) > PAGE else None
        return render_template(
            "files.html", files=found[:PAGE], more=more, after=after, statuses=pages.ORDER, **wanted
        )

    @app.get("/failures")
    def list_of_failures() -> str:
        wanted = {
            name: request.args.get(name, "").strip() for name in ("status", "error", "dataset")
        }
        at_most = PAGE * max(1, request.args.get("pages", 1, type=int))
        asked = problems.ProblemFilter(
            wanted["status"] or None, wanted["error"] or None, wanted["dataset"] or None
        )
        found = list(islice(problems.failures(stack, asked), at_most + 1))
        return render_template(
            "failures.html",
            failures=found[:at_most],
            more=len(found) > at_most,
            pages=at_most // PAGE + 1,
            **wanted,
        )

    @app.get("/file")
    def one_file() -> str:
        key = request.args.get("key", "")
        found = files.file(stack, key)
        history = list(ledger_history.history(stack, key, SHOWN_EVENTS + 1))
        return render_template(
            "file.html",
            file=found,
            history=history[:SHOWN_EVENTS],
            older=len(history) > SHOWN_EVENTS,
            items=list(items.item_keys(stack, key, SHOWN_ITEMS + 1)),
            shown_items=SHOWN_ITEMS,
            advice=problems.advice,
        )

    @app.get("/item")
    def one_item() -> str:
        found = items.item(stack, request.args.get("pk", ""), request.args.get("sk"))
        return render_template("item.html", item=found)

    @app.get("/execution")
    def one_execution() -> str:
        name = request.args.get("name", "")
        return render_template("execution.html", **pages.trace_parts(ended.trace(stack, name)))

    @app.errorhandler(HTTPException)
    def refused(error: HTTPException) -> tuple[str, int]:
        return render_template("error.html", title=error.name, text=error.description), (
            error.code or 500
        )

    @app.errorhandler(CommandError)
    def unanswered(error: CommandError) -> tuple[str, int]:
        unknown = isinstance(error, UnknownError)
        title = "Nothing is known of it" if unknown else "The stack did not answer"
        return render_template("error.html", title=title, text=str(error)), 404 if unknown else 502

    return app


class _Kept:
    """Traces of executions that have ended: their histories do not change any more."""

    def __init__(self, most: int) -> None:
        self.most, self.lock = most, Lock()
        self.traces: OrderedDict[str, traces.Trace] = OrderedDict()

    def trace(self, stack: Stack, name: str) -> traces.Trace:
        with self.lock:
            if name in self.traces:
                return self.traces[name]
        found = traces.read(stack, name)
        if found.status != visits.RUNNING:
            with self.lock:
                self.traces[name] = found
                while len(self.traces) > self.most:
                    self.traces.popitem(last=False)
        return found


def serve(stack: Stack, listener: socket, told: Callable[[str], None]) -> None:
    """Serves on a socket that listens, until Ctrl-C; tells the address."""
    from waitress.server import create_server

    server: Any = create_server(create_app(stack), sockets=[listener], threads=8)
    told(f"http://127.0.0.1:{listener.getsockname()[1]}/")
    try:
        server.run()
    finally:
        server.close()
