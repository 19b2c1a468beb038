"""Chromium for the tests of pages, and a web server for folders."""

import contextlib
import functools
import http.server
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


@contextlib.contextmanager
def chromium() -> Iterator[Any]:
    """Debian's Chromium, or whichever is found."""
    api = pytest.importorskip("playwright.sync_api")
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        pytest.skip("no chromium found: apt-get install chromium")
    with api.sync_playwright() as playwright:
        # Without a sandbox of its own, which root and containers do not have, and without calls home.
        quiet = ("gpu", "background-networking", "component-update", "sync")
        args = ["--no-sandbox", *(f"--disable-{what}" for what in quiet)]
        opened = playwright.chromium.launch(executable_path=path, args=args)
        yield opened
        opened.close()


def watch(tab: Any) -> Any:
    """A tab that notes what goes wrong in it, in `problems`, and where its requests go, in `requests`."""
    tab.problems, tab.requests = [], []
    tab.on("console", lambda message: tab.problems.append(message.text))
    tab.on("pageerror", lambda error: tab.problems.append(str(error)))
    tab.on("request", lambda request: tab.requests.append(request.url))
    return tab


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments: Any) -> None:
        """Log nothing."""


@contextlib.contextmanager
def web_server(folder: Path) -> Iterator[http.server.ThreadingHTTPServer]:
    """A server of the files of a folder."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()
