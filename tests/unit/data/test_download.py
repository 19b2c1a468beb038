"""Faults of a network, played by a server on this machine."""

import dataclasses
import http.server
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from wordseq.data.download import USER_AGENT, Limits, fetch
from wordseq.data.public import Dataset, RemoteFile, get
from wordseq.system.errors import UserError

QUICK = Limits(timeout=60, attempts=3, wait=0.01, max_bytes=10_000, max_unpacked=20_000)
IMPATIENT = dataclasses.replace(QUICK, timeout=1, attempts=2)
BODY = b"a line of text\n" * 20

Act = Callable[[http.server.BaseHTTPRequestHandler], None]


class FaultyServer:
    """Answers one request after the other as told; repeats the last act."""

    def __init__(self) -> None:
        self.acts: list[Act] = []
        self.agents: list[str] = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.agents.append(self.headers["User-Agent"])
                act = outer.acts.pop(0) if len(outer.acts) > 1 else outer.acts[0]
                act(self)

            def log_message(self, *args: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/text.txt"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyServer]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.delenv("WORDSEQ_MIRROR", raising=False)
    SERVER_ENDS.clear()
    faulty = FaultyServer()
    thread = threading.Thread(target=faulty.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield faulty
    SERVER_ENDS.set()
    faulty.server.shutdown()
    faulty.server.server_close()


def whole(body: bytes = BODY) -> Act:
    return cut(body, len(body))


def cut(body: bytes, announced: int) -> Act:
    def act(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(announced))
        handler.end_headers()
        handler.wfile.write(body)

    return act


def endless(handler: http.server.BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    handler.wfile.write(b"x" * (QUICK.max_bytes + 1))


def status(code: int) -> Act:
    return lambda handler: handler.send_error(code)


SERVER_ENDS = threading.Event()


def silent(handler: http.server.BaseHTTPRequestHandler) -> None:
    SERVER_ENDS.wait()


def hang_up(handler: http.server.BaseHTTPRequestHandler) -> None:
    handler.connection.close()


def redirect(address: str) -> Act:
    def act(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.send_response(302)
        handler.send_header("Location", address)
        handler.end_headers()

    return act


def test_a_file_is_downloaded_at_once_and_the_client_looks_like_a_browser(server: FaultyServer) -> None:
    server.acts = [whole()]
    assert fetch(server.url, pytest.fail, QUICK) == BODY
    assert server.agents == [USER_AGENT]
    assert USER_AGENT.startswith("Mozilla/5.0")


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (status(500), "500"),
        (status(503), "503"),
        (status(429), "429"),
        (cut(BODY[:100], len(BODY)), "cut off after 100 of 300 bytes"),
        (silent, "no answer in time"),
        (hang_up, "connection"),
    ],
    ids=["500", "503", "429", "cut", "silent", "hang up"],
)
def test_a_transient_fault_is_tried_again_then_reported(server: FaultyServer, fault: Act, said: str) -> None:
    heard: list[str] = []
    limits = IMPATIENT if fault is silent else QUICK
    server.acts = [fault, whole()]
    assert fetch(server.url, heard.append, limits) == BODY
    assert len(heard) == 1
    assert said in heard[0].lower() or said in heard[0]

    server.acts, server.agents = [fault], []
    with pytest.raises(UserError, match=f"gave up after {limits.attempts} attempts") as error:
        fetch(server.url, heard.append, limits)
    assert server.url in str(error.value)
    assert len(server.agents) == limits.attempts


@pytest.mark.parametrize("code", [403, 404, 410])
def test_a_refusal_is_final(server: FaultyServer, code: int) -> None:
    server.acts = [status(code)]
    with pytest.raises(UserError, match=f"answers {code}"):
        fetch(server.url, pytest.fail, QUICK)
    assert len(server.agents) == 1


@pytest.mark.parametrize("act", [cut(b"x", QUICK.max_bytes + 1), endless], ids=["announced", "not announced"])
def test_too_large_a_file_is_refused(server: FaultyServer, act: Act) -> None:
    server.acts = [act]
    with pytest.raises(UserError, match="10,000"):
        fetch(server.url, pytest.fail, QUICK)


def test_redirects_are_followed(server: FaultyServer) -> None:
    server.acts = [redirect(server.url), whole()]
    assert fetch(server.url, pytest.fail, QUICK) == BODY


def test_without_a_server_the_error_names_the_mirror() -> None:
    with pytest.raises(UserError, match="--mirror"):
        fetch("http://127.0.0.1:9/x.zip", lambda _: None, QUICK)


def test_progress_is_shown_on_a_terminal_only(
    server: FaultyServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    server.acts = [whole()]
    fetch(server.url, pytest.fail, QUICK)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    fetch(server.url, pytest.fail, QUICK)
    assert "text.txt" in capsys.readouterr().err


@pytest.mark.parametrize("interruption", [OSError("disk full"), KeyboardInterrupt()], ids=["disk full", "Ctrl-C"])
def test_no_partial_file_is_left_of_a_corpus(
    server: FaultyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, interruption: BaseException
) -> None:
    file = RemoteFile("train", "text.txt", server.url, "text.txt")
    dataset = Dataset("made-up", ("en", "fr"), "made-up sentences", "CC0", "nobody", "http://127.0.0.1", (file,))
    server.acts = [whole()]

    def fail(_: int) -> None:
        raise interruption

    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", fail)
        with pytest.raises(type(interruption)):
            get(dataset, tmp_path, None, lambda _: None, QUICK)
    assert not list((tmp_path / "made-up").iterdir())
    server.acts = [whole()]
    assert get(dataset, tmp_path, None, lambda _: None, QUICK)["train"][0][0].read_bytes() == BODY


def test_a_downloaded_corpus_is_complete_or_absent(server: FaultyServer, tmp_path: Path) -> None:
    file = RemoteFile("train", "text.txt", server.url, "text.txt")
    dataset = Dataset("made-up", ("en", "fr"), "made-up sentences", "CC0", "nobody", "http://127.0.0.1", (file,))
    server.acts = [cut(BODY[:100], len(BODY))]
    with pytest.raises(UserError, match="cut off"):
        get(dataset, tmp_path, None, lambda _: None, QUICK)
    assert not list(tmp_path.rglob("*"))

    server.acts = [whole()]
    files = get(dataset, tmp_path, None, lambda _: None, QUICK)
    assert files["train"][0][0].read_bytes() == BODY
