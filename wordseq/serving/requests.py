"""Reads what clients send: JSON, forms and query parameters alike, checked and within limits."""

import dataclasses
import hmac
import json
import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qsl

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import Message

from wordseq.serving.directions import MOST_ALTERNATIVES

_HALF = re.compile("[\ud800-\udfff]")

BYTES_PER_CHARACTER = 12
"""A form or JSON writes a character outside the basic plane in 12 bytes: `%F0%9F%98%80`, `\\ud83d\\ude00`."""

OTHER_BYTES = 16_384
"""Room in a body for what is not text."""

MOST_FIELDS = 1_000
"""Fields of a form or query."""


@dataclasses.dataclass(frozen=True)
class RequestLimits:
    """What a request may ask for."""

    most_chars: int = 10_000
    """Characters of all its texts together."""
    api_key: str = ""
    """Key that it must have; empty: none."""

    @property
    def most_bytes(self) -> int:
        """Size of a body."""
        return BYTES_PER_CHARACTER * self.most_chars + OTHER_BYTES


class Parameters:
    """The parameters of a request.

    Args:
        values: by name; those of the body hide those of the query.
        limits: of the server.
    """

    def __init__(self, values: dict[str, Any], limits: RequestLimits) -> None:
        self._values, self._limits = values, limits

    @classmethod
    async def read(cls, request: Request, limits: RequestLimits) -> "Parameters":
        """The parameters of a request; the client must have the key.

        Raises:
            HTTPException: 400, 403 or 413; the detail names the fault.
        """
        values = _values(_fields(request.scope["query_string"], "query"))
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind == "application/json" or kind.endswith("+json"):
            values |= _json(await _body(request, limits.most_bytes))
        else:
            body = await _body(request, limits.most_bytes)
            if kind == "application/x-www-form-urlencoded":
                values |= _values(_fields(body, "form"))
            elif kind == "multipart/form-data":
                # Starlette reads other bytes as Latin-1.
                _utf8(body, "form")
                again = _with_body(request, body)
                async with again.form(max_files=0, max_fields=MOST_FIELDS, max_part_size=limits.most_bytes) as form:
                    values |= _values((name, value) for name, value in form.multi_items() if isinstance(value, str))
            if "q" not in values and body.lstrip().startswith(b"{"):
                raise HTTPException(
                    400, "Invalid request: missing q parameter; JSON needs the header Content-Type: application/json"
                )
        parameters = cls(values, limits)
        parameters._check_key()
        return parameters

    def _check_key(self) -> None:
        given, key = self._values.get("api_key"), self._limits.api_key
        if not key:
            return
        if not given:
            raise HTTPException(400, "Please contact the server operator to get an API key")
        if not isinstance(given, str) or not hmac.compare_digest(given.encode("utf-8", "replace"), key.encode()):
            raise HTTPException(403, "Invalid API key")

    def texts(self) -> tuple[list[str], bool]:
        """The texts `q`, and whether they were given as a list."""
        value = self._values.get("q")
        if not value:
            raise HTTPException(400, "Invalid request: missing q parameter")
        texts = value if isinstance(value, list) else [value]
        if not all(isinstance(text, str) for text in texts):
            raise HTTPException(400, "Invalid request: q parameter is not a text or a list of texts")
        if any(map(_HALF.search, texts)):
            raise HTTPException(400, "Invalid request: q parameter has half a character")
        # Browsers end the lines of a form with CR LF, which counts as one character. Empty texts cost something too.
        size = max(sum(len(text) - text.count("\r\n") for text in texts), len(texts))
        most = self._limits.most_chars
        if size > most:
            raise HTTPException(400, f"Invalid request: request ({size:,}) exceeds text limit ({most:,})")
        return texts, isinstance(value, list)

    def text(self, name: str) -> str:
        """A text that must be there."""
        value = self._values.get(name)
        if not value:
            raise HTTPException(400, f"Invalid request: missing {name} parameter")
        if not isinstance(value, str):
            raise HTTPException(400, f"Invalid request: {name} parameter is not a text")
        return value

    def is_html(self) -> bool:
        """Whether the texts are HTML."""
        value = self._values.get("format") or "text"
        if value not in ("text", "html"):
            raise HTTPException(400, f"{_short(value)} format is not supported")
        return bool(value == "html")

    def alternatives(self) -> int:
        """How many alternatives are wanted."""
        value = self._values.get("alternatives") or 0
        try:
            number = int(value) if isinstance(value, int | str) else -1
        except ValueError:
            number = -1
        if number < 0:
            raise HTTPException(400, "Invalid request: alternatives parameter is not a number")
        if number > MOST_ALTERNATIVES:
            raise HTTPException(400, f"Invalid request: alternatives parameter must be <= {MOST_ALTERNATIVES}")
        return number


async def _body(request: Request, most: int) -> bytes:
    """The body of a request.

    Raises:
        HTTPException: 413 if it is too large; no more than `most` bytes are kept.
    """
    too_large = HTTPException(413, f"Invalid request: the body exceeds {most:,} bytes")
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length[:20]) > most:
        raise too_large
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > most:
            raise too_large
        chunks.append(chunk)
    return b"".join(chunks)


def _with_body(request: Request, body: bytes) -> Request:
    """A request whose body was read, to be read once more."""

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    return Request(request.scope, receive)


def _json(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise HTTPException(400, "Invalid JSON format")
    return found


def _utf8(content: bytes, what: str) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise HTTPException(400, f"Invalid request: the {what} is not UTF-8") from None


def _fields(content: bytes, what: str) -> list[tuple[str, str]]:
    """The fields of a query or a form in UTF-8."""
    text = _utf8(content, what)
    try:
        return parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=MOST_FIELDS)
    except UnicodeDecodeError:
        raise HTTPException(400, f"Invalid request: the {what} is not UTF-8") from None
    except ValueError:
        raise HTTPException(400, f"Invalid request: the {what} has more than {MOST_FIELDS:,} fields") from None


def _values(fields: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """The parameters in fields: several `q` are a list, of others the last counts."""
    given = list(fields)
    values: dict[str, Any] = dict(given)
    texts = [value for name, value in given if name == "q"]
    return values | ({"q": texts} if len(texts) > 1 else {})


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 40 else f"{text[:40]}..."
