"""Download of one file over HTTP, with time-outs, retries and limits; an incomplete download is an error."""

import http.client
import socket
import ssl
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from email.message import Message
from typing import IO

from wordseq.system.errors import UserError
from wordseq.system.progress import BAR, ProgressBar, Say

# Some servers, for example www.manythings.org, refuse clients that are not browsers.
USER_AGENT = "Mozilla/5.0 (compatible; wordseq)"

_CHUNK_BYTES = 1 << 16

# Time-out, too early, too many requests, and faults of a server or gateway (RFC 9110, 8470 and 6585).
_TRANSIENT_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True)
class Limits:
    """Limits of a download.

    Attributes:
        timeout: longest wait for a connection, and between two chunks of data, in seconds.
        attempts: number of attempts in all; only transient faults (time-out, lost connection, status 5xx) are retried.
        wait: seconds before the second attempt; doubled before each further attempt.
        max_bytes: largest accepted download, in bytes.
        max_unpacked: largest file unpacked from it, in bytes.
    """

    timeout: float = 20.0
    attempts: int = 4
    wait: float = 1.0
    max_bytes: int = 256 << 20
    max_unpacked: int = 1 << 30


DEFAULT_LIMITS = Limits()


class _TransientError(Exception):
    """A fault that a retry may cure."""


def fetch(url: str, say: Say, limits: Limits = DEFAULT_LIMITS) -> bytes:
    """The complete content of `url`, in memory.

    A progress bar is drawn if standard error is a terminal. `say` is called with one line before each retry.

    Raises:
        UserError: the server refuses, the content is too large, or all `limits.attempts` attempts failed.
    """
    for attempt in range(1, limits.attempts + 1):
        try:
            return _attempt(url, limits)
        except _TransientError as error:
            fault = str(error)
        if attempt < limits.attempts:
            wait = limits.wait * 2 ** (attempt - 1)
            say(f"{url}: {fault}; trying again in {wait:g} s")
            time.sleep(wait)
    raise UserError(f"{url}: {fault}; gave up after {limits.attempts} attempts; without a network, use --mirror FOLDER")


class _SafeRedirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects, but never from an encrypted connection to an unencrypted one."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> urllib.request.Request | None:
        if req.full_url.startswith("https:") and not newurl.startswith("https:"):
            raise UserError(f"{req.full_url}: redirects to an unencrypted address, {newurl}; not followed")
        return super().redirect_request(req, fp, code, msg, headers, newurl)  # type: ignore[arg-type]


_OPENER = urllib.request.build_opener(_SafeRedirects)


def _attempt(url: str, limits: Limits) -> bytes:
    request = urllib.request.Request(url, headers={"User-Agent": USER_AGENT, "Accept": "*/*"})
    try:
        with _OPENER.open(request, timeout=limits.timeout) as response:
            return _body(url, response, limits)
    # HTTPError first: it is a URLError, which is an OSError.
    except urllib.error.HTTPError as error:
        error.close()
        if error.code in _TRANSIENT_STATUS:
            raise _TransientError(f"the server answers {error.code} {error.reason}") from None
        raise UserError(f"{url}: the server answers {error.code} {error.reason}") from None
    except urllib.error.URLError as error:
        raise _fault(url, error.reason) from None
    except (OSError, http.client.HTTPException) as error:
        raise _fault(url, error) from None


def _fault(url: str, reason: object) -> Exception:
    """The exception for a failed connection: transient, or final if a retry is pointless."""
    if isinstance(reason, TimeoutError):
        return _TransientError("no answer in time")
    # EAI_AGAIN is a name server that did not answer; every other resolver error is a wrong name.
    # A string is urllib's own complaint about the address, such as an unknown scheme.
    unknown_host = isinstance(reason, socket.gaierror) and reason.errno != socket.EAI_AGAIN
    if unknown_host or isinstance(reason, (ssl.SSLCertVerificationError, str)):
        return UserError(f"{url}: {reason}; without a network, use --mirror FOLDER")
    if isinstance(reason, http.client.IncompleteRead):
        return _TransientError(f"cut off after {len(reason.partial):,} bytes")
    return _TransientError(f"connection failed: {reason}")


def _body(url: str, response: http.client.HTTPResponse, limits: Limits) -> bytes:
    announced = response.headers.get("Content-Length", "")
    total = int(announced) if announced.isdecimal() else None
    if total is not None and total > limits.max_bytes:
        raise UserError(f"{url}: {total:,} bytes, more than the {limits.max_bytes:,} allowed")
    content = bytearray()
    name, of_all = url.rpartition("/")[2], f" of {total / 1e6:.1f}" if total else ""
    with ProgressBar(("{task.fields[size]}", BAR), total, size=name) as bar:
        while chunk := response.read(_CHUNK_BYTES):
            content += chunk
            # Again, because a server need not send Content-Length, or may send a wrong one.
            if len(content) > limits.max_bytes:
                raise UserError(f"{url}: more than the {limits.max_bytes:,} bytes allowed")
            bar.update(len(content), size=f"{name}: {len(content) / 1e6:.1f}{of_all} MB")
    if total is not None and len(content) != total:
        raise _TransientError(f"cut off after {len(content):,} of {total:,} bytes")
    return bytes(content)
