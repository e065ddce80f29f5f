"""/health and /metrics of every long-running command, on one address of the user's choice.

A service says how it is through a function; numbers are counted with prometheus_client where they arise and served
here. `/health` answers 200 when the service can do its work and 503 when it cannot, with the reasons as JSON.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import click
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from sunshave.telling import why

Health = Callable[[], dict[str, Any]]
"""Must have `ready` (bool) and `live` (bool); everything else is shown as it is."""


class CannotListen(click.ClickException):
    """An address that is taken, or is none of this machine's: told to the user, with status 1."""

    def __init__(self, address: tuple[str, int], problem: OSError) -> None:
        super().__init__(f"cannot listen on {address[0]}:{address[1]}: {why(problem)}")


@contextmanager
def served_health(address: tuple[str, int] | None, health: Health) -> Iterator[int | None]:
    """Serve until the block ends; gives the port, or None when no address was asked for. Raises CannotListen."""
    if address is None:
        yield None
        return
    try:
        server = ThreadingHTTPServer(address, _handler(health))
    except OSError as problem:
        raise CannotListen(address, problem) from None
    thread = threading.Thread(target=server.serve_forever, name="health", daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(health: Health) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/metrics":
                self._answer(200, CONTENT_TYPE_LATEST, generate_latest())
            elif self.path in ("/health", "/health/live", "/health/ready"):
                state = health()
                good = state["live"] and (state["ready"] or self.path.endswith("live"))
                self._answer(200 if good else 503, "application/json", json.dumps(state).encode())
            else:
                self._answer(404, "text/plain", b"here are /health and /metrics\n")

        def _answer(self, status: int, kind: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the library's name
            """Scrapes every few seconds are no news."""

    return Handler
