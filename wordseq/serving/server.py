"""Runs the application in uvicorn until a signal ends it."""

import asyncio
import contextlib
import errno
import signal
import socket
from collections.abc import Callable, Generator

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from wordseq.system.errors import UserError
from wordseq.system.signals import END_SIGNALS, handled

CONNECTION_SECONDS = 30
"""A connection that sends no complete request for this time is closed."""

MOST_CONNECTIONS = 500
"""Further connections get status 503. Systems usually allow a process 1,024 open files."""

END_SECONDS = 20
"""Time for requests to finish when the server ends."""


class PatientProtocol(H11Protocol):
    """HTTP with a time limit for a request's headers, which uvicorn lacks: else slow clients take all connections."""

    _waiting: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Called by asyncio."""
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by asyncio."""
        if self._waiting:
            self._waiting.cancel()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        """Called at the end of an answer: the next request may come."""
        super().on_response_complete()
        self._wait()

    def _wait(self) -> None:
        if self._waiting:
            self._waiting.cancel()
        self._waiting = self.loop.call_later(CONNECTION_SECONDS, self._close_if_idle)

    def _close_if_idle(self) -> None:
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()


class Server(uvicorn.Server):
    """A server that SIGTERM, SIGHUP and Ctrl-C end after the running requests, without an error."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Handle signals while the server runs. uvicorn raises them again at the end."""
        with handled(self.handle_exit, signal.SIGINT, *END_SIGNALS):
            yield


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens; port 0: a free one.

    Raises:
        UserError: the port is in use.
        OSError: the address is not one of this machine; the error names it.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return socket.create_server(address[:2], family=family, backlog=1024)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise UserError(f"port {port} of {host} is in use: give another one with --port N") from None
        # An error of the name service has a number of its own.
        raise OSError(error.errno, error.strerror or str(error), f"{host}, port {port}") from None


def address_of(listening: socket.socket) -> str:
    """The URL of a socket."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def run_server(app: ASGIApp, listening: socket.socket, started: Callable[[], None]) -> None:
    """Serve until a signal ends it.

    Args:
        app: the application.
        listening: where requests come from.
        started: called before the first request is taken.
    """
    config = uvicorn.Config(
        app,
        http=PatientProtocol,
        ws="none",
        lifespan="off",
        loop="asyncio",
        log_level="error",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=MOST_CONNECTIONS,
        timeout_keep_alive=CONNECTION_SECONDS,
        timeout_graceful_shutdown=END_SECONDS,
    )
    started()
    Server(config).run(sockets=[listening])
