import asyncio
import contextlib
import socket
import threading
import time

import pytest

pytest.importorskip("uvicorn")
from wordseq.serving import server
from wordseq.serving.server import address_of, listen, run_server
from wordseq.system.errors import UserError


async def app(scope, receive, send):
    """Answers with the path; /slow takes its time, and waits for the body."""
    if scope["path"] == "/slow":
        await asyncio.sleep(0.3)
    if scope["method"] == "POST":
        while (await receive()).get("more_body"):
            pass
    body = scope["path"].encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


@contextlib.contextmanager
def running(monkeypatch, seconds=30.0):
    """A server in a thread; yields a function that connects to it."""
    monkeypatch.setattr(server, "CONNECTION_SECONDS", seconds)
    made, started = [], threading.Event()

    class Noted(server.Server):
        def __init__(self, config):
            super().__init__(config)
            made.append(self)

    monkeypatch.setattr(server, "Server", Noted)
    with listen("127.0.0.1", 0) as listening:
        thread = threading.Thread(target=run_server, args=(app, listening, started.set), daemon=True)
        thread.start()
        assert started.wait(20)
        try:
            yield lambda: socket.create_connection(listening.getsockname(), timeout=5)
        finally:
            made[0].handle_exit(15, None)
            thread.join(20)
        assert not thread.is_alive()


def read_all(connection):
    """What comes until the server closes the connection."""
    with contextlib.suppress(ConnectionError):
        return b"".join(iter(lambda: connection.recv(4096), b""))
    return b""


def test_slow_and_silent_clients_are_cut_off_and_others_are_answered(monkeypatch):
    with running(monkeypatch, 0.4) as connect, contextlib.ExitStack() as stack:
        silent, slow, used = (stack.enter_context(connect()) for _ in range(3))
        began = time.perf_counter()
        slow.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nX-")
        # Its time is over while its request runs, and begins again after the answer.
        time.sleep(0.25)
        used.sendall(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        while not used.recv(4096).endswith(b"/slow"):
            pass
        used.sendall(b"GET /again HTTP/1.1\r\nX")
        assert read_all(silent) == read_all(slow) == read_all(used) == b""
        assert 0.35 < time.perf_counter() - began < 5


def test_the_requests_that_run_are_answered_before_the_end(monkeypatch):
    with running(monkeypatch) as connect:
        connection = connect()
        connection.sendall(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        time.sleep(0.1)
    with connection:
        assert read_all(connection).endswith(b"/slow")


def test_nonsense_is_refused_and_the_server_lives(monkeypatch):
    with running(monkeypatch) as connect:
        for nonsense in (
            b"\x16\x03\x01\x02\x00\x01\x00" * 9,
            b"GET\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        ):
            with connect() as connection:
                connection.sendall(nonsense)
                assert read_all(connection).startswith(b"HTTP/1.1 400")
        with connect() as connection:
            connection.sendall(b"GET /ok HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert read_all(connection).endswith(b"/ok")


def test_an_address_in_use_or_of_another_machine_is_an_error_that_names_it():
    with listen("127.0.0.1", 0) as listening:
        port = listening.getsockname()[1]
        assert address_of(listening) == f"http://127.0.0.1:{port}"
        with pytest.raises(UserError, match=f"port {port} of 127.0.0.1 is in use: give another one with --port N"):
            listen("127.0.0.1", port)
    with pytest.raises(OSError, match=r"192\.0\.2\.1, port 80"):
        listen("192.0.2.1", 80)
    with pytest.raises(OSError, match="no such name"):
        listen("no such name", 80)


def test_addresses_of_both_families():
    with contextlib.suppress(OSError), listen("::1", 0) as listening:
        assert address_of(listening).startswith("http://[::1]:")
