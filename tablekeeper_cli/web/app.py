"""The pages: an overview, the files, one file, one execution. They read, and never write."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from itertools import islice
from socket import socket
from typing import Any

from flask import Flask, Response, abort, g, render_template, request
from tablekeeper.model.times import now

from tablekeeper_cli.engine import further_name
from tablekeeper_cli.executions import bucket_runs, running, visits
from tablekeeper_cli.ledger import files, history, items, problems
from tablekeeper_cli.stack import Stack
from tablekeeper_cli.terminal import showing
from tablekeeper_cli.web import error_pages, file_list, looks, pages, plain_json, shell_commands
from tablekeeper_cli.web.cache import PAUSE, Cached, T
from tablekeeper_cli.web.now import progress
from tablekeeper_cli.web.reading import Reader

SHOWN_EVENTS, SHOWN_ITEMS, SHOWN_RUNNING = 50, 50, 10
SOON, OFTEN, SELDOM = 3, 10, 30
"""Seconds after which a page refreshes itself: while something on it runs, and otherwise."""
READ_SECONDS, ATTEMPTS = {True: 8, False: 2.5}, {True: 1, False: 3}
"""How long a page waits for an answer, of a local engine and of AWS, and how often it asks: what is
wrong is said within ten seconds.
"""
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; script-src 'self'; "
    "connect-src 'self'; img-src data:; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
"""One script, which is a file; no other host, no frame; a key in an address goes nowhere else."""
LOCAL_HOSTS = ("127.0.0.1", "localhost", "[::1]")


def create_app(stack: Stack) -> Flask:
    """The console of a stack, as a WSGI application."""
    local = stack.endpoint_url is not None
    further = further_name(stack.local_file.parent) if stack.local_file else ""
    stack = stack.impatient(READ_SECONDS[local], attempts=ATTEMPTS[local])
    app = Flask(__name__, template_folder=str(pages.TEMPLATES), static_folder=None)
    app.jinja_env.globals.update(
        **pages.shared() | {"at": pages.ago},
        when=showing.when,
        utc=showing.utc,
        run_sentence=bucket_runs.sentence,
        is_bad_run=bucket_runs.is_bad,
        stack=stack,
        further=further,
        command=lambda *words: shell_commands.command(stack, *words),
        quoted=shell_commands.quoted,
        upload=shell_commands.upload(stack),
        problem_statuses=(*problems.PROBLEMS, problems.INCOMPLETE),
        ordered=looks.ordered,
        origin=history.origin,
        waits_for=problems.waits_for,
    )
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    error_pages.add_to(app, stack, shown)
    _Views(stack).add_to(app)

    @app.before_request
    def only_for_this_machine() -> None:
        # A page of another site may let a browser ask under a name that it points to 127.0.0.1.
        if request.host.rsplit(":", 1)[0] not in LOCAL_HOSTS:
            abort(403, "the console answers to 127.0.0.1 and localhost alone")
        g.readings = []
        if request.endpoint != "script":
            error_pages.check_engine(stack)

    @app.after_request
    def add_headers(response: Response) -> Response:
        response.headers.update(HEADERS)
        return response

    @app.get("/console.js")
    def script() -> Response:
        text = (pages.TEMPLATES / "console.js").read_text()
        return Response(text, mimetype="text/javascript")

    return app


def shown(template: str, every: float, **values: Any) -> str:
    """A page that says as of when it is, and when it refreshes itself: the seldomer the longer it
    takes to read. 0 is never.
    """
    readings = g.get("readings", [])
    as_of = min((each.at for each in readings), default=now())
    longest = max((each.took for each in readings), default=0)
    pace = math.ceil(max(every, PAUSE * longest)) if every else 0
    paused = request.args.get("refresh") == "off"
    return render_template(
        template, as_of=as_of, pace=0 if paused else pace, paused=paused and pace, **values
    )


def _of(cached: Cached[T]) -> T:
    """A cached value; the page is as of its time."""
    reading = cached.get()
    g.readings.append(reading)
    return reading.value


class _Views:
    def __init__(self, stack: Stack) -> None:
        self.stack, self.reader = stack, Reader(stack)

    def add_to(self, app: Flask) -> None:
        for rule, view in (
            ("/", self.overview),
            ("/files", self.list_of_files),
            ("/failures", self.list_of_failures),
            ("/file", self.one_file),
            ("/item", self.one_item),
            ("/execution", self.one_execution),
        ):
            app.add_url_rule(rule, view_func=view)

    def overview(self) -> str:
        reader = self.reader
        counts, now = _of(reader.counts), _of(reader.now)
        oldest = now.running[: -SHOWN_RUNNING - 1 : -1]
        return shown(
            "overview.html",
            SOON if now.work.running else OFTEN,
            totals=counts.by_status(),
            files=counts.files(),
            counts=counts.by_kind,
            datasets=sorted(counts.by_dataset()),
            problems=_of(reader.problems),
            work=now.work,
            now=self._progress(oldest),
            runs=_of(reader.runs),
            hour=_of(reader.hour),
        )

    def _progress(self, which: Iterable[running.Running]) -> list[Any]:
        """Executions with how far they are."""
        asked = list(which)
        return list(zip(asked, progress(self.stack, asked), strict=True))

    def list_of_files(self) -> str:
        choice = file_list.Choice.of(request.args)
        counts, now = _of(self.reader.counts), _of(self.reader.now)
        page = file_list.page(self.stack, choice, now)
        under_way = [each for row in page.rows for each in row.running[:1]]
        totals = counts.by_status(choice.dataset)
        totals[visits.RUNNING] = len(now.keys(choice.prefix))
        known = counts.files(choice.status, choice.dataset)
        return shown(
            "files.html",
            SOON if under_way else OFTEN,
            page=page,
            choice=choice,
            totals=totals,
            datasets=counts.by_dataset(),
            known=None if choice.prefix or choice.status == visits.RUNNING else known,
            orders={name: label for name, (label, _, _) in file_list.ORDERS.items()},
            sorted=file_list.SORTED,
            page_size=file_list.PAGE,
            now={each.key: far for each, far in self._progress(under_way[:SHOWN_RUNNING])},
        )

    def list_of_failures(self) -> str:
        wanted = {
            name: request.args.get(name, "").strip() for name in ("status", "error", "dataset")
        }
        at_most = file_list.PAGE * min(max(1, request.args.get("pages", 1, type=int)), 100)
        asked = problems.ProblemFilter(
            wanted["status"] or None, wanted["error"] or None, wanted["dataset"] or None
        )
        known = _of(self.reader.problems)
        failures = list(islice(problems.failures(self.stack, asked), at_most + 1))
        return shown(
            "failures.html",
            OFTEN,
            failures=failures[:at_most],
            more=len(failures) > at_most,
            pages=at_most // file_list.PAGE + 1,
            known=known,
            count=known.files_like(*wanted.values()),
            running=_of(self.reader.now).keys(),
            **wanted,
        )

    def one_file(self) -> str:
        key = self.stack.key(self.stack.uri(request.args.get("key", "")))
        now = self._progress(_of(self.reader.now).of_file(key)[:SHOWN_RUNNING])
        file = files.file(self.stack, key, runs=bool(now))
        events = list(history.history(self.stack, key, SHOWN_EVENTS + 1))
        return shown(
            "file.html",
            SOON if now else OFTEN,
            file=file,
            now=now,
            history=events[:SHOWN_EVENTS],
            older=len(events) > SHOWN_EVENTS,
            items=list(items.item_keys(self.stack, key, SHOWN_ITEMS + 1)),
            shown_items=SHOWN_ITEMS,
        )

    def one_item(self) -> str:
        item = items.item(self.stack, request.args.get("pk", ""), request.args.get("sk"))
        return shown("item.html", SELDOM, item=item, attributes=plain_json.of_item(item.attributes))

    def one_execution(self) -> str:
        trace = self.reader.trace(request.args.get("name", ""))
        every = SOON if trace.status == visits.RUNNING else 0
        return shown("execution.html", every, **pages.trace_parts(trace))


def serve(stack: Stack, listener: socket, show: Callable[[str], None]) -> None:
    """Serves on a socket that listens, until Ctrl-C; shows the address first."""
    from waitress.server import create_server

    server: Any = create_server(create_app(stack), sockets=[listener], threads=8)
    show(f"http://127.0.0.1:{listener.getsockname()[1]}/")
    try:
        server.run()
    finally:
        server.close()
