"""One file over HTTP: time-outs, retries, limits. What arrives is complete, or an error."""

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

# Some servers, www.manythings.org among them, refuse what does not look like a browser.
USER_AGENT = "Mozilla/5.0 (compatible; wordseq)"

_CHUNK_BYTES = 1 << 16

_TRANSIENT_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True)
class Limits:
    """How long to try and how much to accept.

    Attributes:
        timeout: seconds to connect, and between two parts of the data.
        attempts: how often a transient fault (time-out, cut connection, status 5xx) is tried in all.
        wait: seconds before the second attempt; doubled before each further one.
        max_bytes: the largest download accepted, in bytes.
        max_unpacked: the largest file unpacked from it, in bytes.
    """

    timeout: float = 20.0
    attempts: int = 4
    wait: float = 1.0
    max_bytes: int = 256 << 20
    max_unpacked: int = 1 << 30


DEFAULT_LIMITS = Limits()


class _TransientError(Exception):
    """A fault that may be gone at the next attempt."""


def fetch(url: str, say: Say, limits: Limits = DEFAULT_LIMITS) -> bytes:
    """The complete content behind `url`, in memory.

    Progress goes to stderr when that is a terminal; `say` is called with a line before every new attempt.

    Raises:
        UserError: the server refuses, the content is too large, or a transient fault outlasted `limits.attempts`.
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
    raise UserError(
        f"{url}: {fault}; gave up after {limits.attempts} attempts; --mirror FOLDER works without a network"
    )


class _SafeRedirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects, but never from an encrypted connection to a plain one."""

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
    """The exception for a connection that failed: transient, or final where a new attempt is pointless."""
    if isinstance(reason, TimeoutError):
        return _TransientError("no answer in time")
    unknown_host = isinstance(reason, socket.gaierror) and reason.errno != socket.EAI_AGAIN
    if unknown_host or isinstance(reason, (ssl.SSLCertVerificationError, str)):
        return UserError(f"{url}: {reason}; --mirror FOLDER works without a network")
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
            if len(content) > limits.max_bytes:
                raise UserError(f"{url}: more than the {limits.max_bytes:,} bytes allowed")
            bar.update(len(content), size=f"{name}: {len(content) / 1e6:.1f}{of_all} MB")
    if total is not None and len(content) != total:
        raise _TransientError(f"cut off after {len(content):,} of {total:,} bytes")
    return bytes(content)
