"""The server's addresses: LibreTranslate's API, what the page asks for, and the page."""

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from importlib.resources import files
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from wordseq.serving.directions import DETECT
from wordseq.serving.openapi import openapi_document
from wordseq.serving.queue import QueueFullError
from wordseq.serving.requests import Parameters, RequestLimits
from wordseq.serving.translation import Service, UnknownLanguageError, UnusableTextError
from wordseq.system.platform import installed_version

POLICY = "; ".join(
    (
        "default-src 'none'",
        *(f"{what}-src 'self'" for what in ("script", "style", "connect")),
        "img-src data:",
        *(f"{what} 'none'" for what in ("base-uri", "form-action", "frame-ancestors")),
        "require-trusted-types-for 'script'",
    )
)
"""The page's content security policy: what this server sent, nothing inline, no frames, no markup from strings."""

_CORS = {
    "access-control-allow-origin": "*",
    "access-control-allow-headers": "Authorization, Content-Type",
    "access-control-allow-methods": "GET, POST",
    "access-control-max-age": "86400",
}

_PAGE = {
    "/": ("page.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/ask.js": ("ask.js", "text/javascript"),
    "/page.js": ("page.js", "text/javascript"),
}

_log = logging.getLogger(__name__)

Endpoint = Callable[[Request], Awaitable[Response]]


class Answer(JSONResponse):
    """JSON in UTF-8."""

    def render(self, content: Any) -> bytes:
        """The bytes of a value; half a character in an error message becomes an escape."""
        return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "backslashreplace")


class Monitor:
    """Prometheus metrics of a server."""

    def __init__(self, service: Service) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "wordseq_http_requests", "Requests by path and status.", ["path", "status"], registry=self.registry
        )
        self.seconds = Histogram(
            "wordseq_http_request_seconds",
            "Time from a request's headers to its answer.",
            ["path"],
            registry=self.registry,
        )
        self.running = Gauge(
            "wordseq_http_requests_running", "Requests without an answer so far.", registry=self.registry
        )
        self._service = service
        self.registry.register(self)

    def collect(self) -> Iterable[Metric]:
        """Metrics of the queue, called by the registry."""
        figures = self._service.queue.figures
        yield GaugeMetricFamily("wordseq_queue_waiting", "Requests that wait for the model.", figures.waiting)
        yield CounterMetricFamily("wordseq_batches", "Batches that the model translated.", figures.batches)
        yield CounterMetricFamily("wordseq_sentences", "Sentences that the model translated.", figures.items)


class Guard:
    """Around the application: a time limit for each request, headers, figures, and JSON for every error.

    Args:
        app: the application.
        monitor: gets the figures.
        seconds: longest time from a request's headers to the end of its answer.
    """

    def __init__(self, app: ASGIApp, monitor: Monitor, seconds: float) -> None:
        self._app, self._monitor, self._seconds = app, monitor, seconds
        self._paths = frozenset(ROUTES) | _PAGE.keys()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = time.perf_counter(), 0

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers.update(_CORS)
                headers.update({"x-content-type-options": "nosniff", "referrer-policy": "no-referrer"})
                if headers.get("content-type", "").startswith("text/html"):
                    headers["content-security-policy"] = POLICY
            await send(message)

        with self._monitor.running.track_inprogress():
            try:
                async with asyncio.timeout(self._seconds):
                    await self._answer(scope, receive, sending)
            except TimeoutError:
                if status:
                    return  # uvicorn closes the connection: the answer is not complete.
                late = f"the request took longer than {self._seconds:g} seconds"
                await error_answer(503, late, {"retry-after": "1"})(scope, receive, sending)
            except ClientDisconnect:
                status = 499
            except Exception:
                # Starlette has answered, see `_on_error`.
                _log.exception("%s %s failed", scope["method"], scope["path"])
        # Other paths as one: clients must not make new series.
        path = scope["path"] if scope["path"] in self._paths else "other"
        self._monitor.requests.labels(path, str(status)).inc()
        self._monitor.seconds.labels(path).observe(time.perf_counter() - started)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] == "OPTIONS":
            await Response(status_code=204)(scope, receive, send)
            return
        await self._app(scope, receive, send)


def error_answer(status: int, message: str, headers: dict[str, str] | None = None) -> Answer:
    """An error in the form of LibreTranslate."""
    return Answer({"error": message}, status, headers)


async def _translate(request: Request) -> Response:
    service, parameters = await _read(request)
    texts, listed = parameters.texts()
    source, target = parameters.text("source"), parameters.text("target")
    html, alternatives = parameters.is_html(), parameters.alternatives()
    detected = service.detect(texts)[0] if source.casefold() == DETECT else None
    direction = service.direction(detected.language if detected else source, target)
    if html:
        found = await service.translate_html(direction, texts)
    else:
        found = await service.translate(direction, texts, alternatives)
    answer: dict[str, Any] = {"translatedText": [one.text for one in found]}
    if detected:
        answer["detectedLanguage"] = [detected._asdict()] * len(found)
    if alternatives:
        answer["alternatives"] = [one.alternatives for one in found]
    return Answer(answer if listed else {name: values[0] for name, values in answer.items()})


async def _inspect(request: Request) -> Response:
    service, parameters = await _read(request)
    texts, _ = parameters.texts()
    direction = service.direction(parameters.text("source"), parameters.text("target"))
    text, found = await service.inspect(direction, texts[0])
    sentences = [
        {
            "source": one.source,
            "translations": [{"text": hyp.text, "score": round(hyp.score, 4)} for hyp in one.hypotheses],
            "attention": one.attention
            and {
                "source": one.attention.src_tokens,
                "target": one.attention.tgt_tokens,
                "weights": [[round(weight, 3) for weight in row] for row in one.attention.weights],
            },
        }
        for one in found
    ]
    return Answer({"translatedText": text, "sentences": sentences})


async def _detect(request: Request) -> Response:
    service, parameters = await _read(request)
    return Answer([detected._asdict() for detected in service.detect(parameters.texts()[0])])


async def _languages(request: Request) -> Response:
    return Answer(request.app.state.service.languages())


async def _health(request: Request) -> Response:
    del request
    return Answer({"status": "ok"})


async def _settings(request: Request) -> Response:
    service, limits = request.app.state.service, request.app.state.limits
    first = service.directions[0].languages
    language = {side: {"code": code, "name": service.names[code]} for side, code in first._asdict().items()}
    return Answer(
        {
            "charLimit": limits.most_chars,
            "frontendTimeout": 500,
            "apiKeys": bool(limits.api_key),
            "keyRequired": bool(limits.api_key),
            "suggestions": False,
            "filesTranslation": False,
            "supportedFilesFormat": [],
            "language": language,
        }
    )


async def _runs(request: Request) -> Response:
    service = request.app.state.service
    return Answer([{**one.languages._asdict(), **one.about} for one in service.directions])


async def _spec(request: Request) -> Response:
    return Answer(openapi_document(installed_version("wordseq") or "unknown", request.app.state.limits.most_chars))


async def _metrics(request: Request) -> Response:
    return Response(generate_latest(request.app.state.monitor.registry), media_type=CONTENT_TYPE_LATEST)


async def _no_suggestions(request: Request) -> Response:
    del request
    return error_answer(403, "Suggestions are disabled on this server.")


async def _no_files(request: Request) -> Response:
    del request
    return error_answer(403, "Files translation are disabled on this server.")


ROUTES: dict[str, tuple[str, Endpoint]] = {
    "/translate": ("POST", _translate),
    "/detect": ("POST", _detect),
    "/languages": ("GET", _languages),
    "/health": ("GET", _health),
    "/frontend/settings": ("GET", _settings),
    "/spec": ("GET", _spec),
    "/suggest": ("POST", _no_suggestions),
    "/translate_file": ("POST", _no_files),
    "/inspect": ("POST", _inspect),
    "/runs": ("GET", _runs),
    "/metrics": ("GET", _metrics),
}
"""Method and answer by path. The last three are ours, the others LibreTranslate's."""


async def _read(request: Request) -> tuple[Service, Parameters]:
    return request.app.state.service, await Parameters.read(request, request.app.state.limits)


def _page_file(name: str, kind: str) -> Endpoint:
    content = (files("wordseq.serving") / "page" / name).read_bytes()

    async def answer(request: Request) -> Response:
        del request
        return Response(content, media_type=kind, headers={"cache-control": "no-cache"})

    return answer


async def _on_error(request: Request, error: Exception) -> Response:
    del request
    if isinstance(error, HTTPException):
        return error_answer(error.status_code, str(error.detail), dict(error.headers or {}))
    if isinstance(error, QueueFullError):
        return error_answer(429, "Slowdown: too many requests wait", {"retry-after": "1"})
    if isinstance(error, UnknownLanguageError | UnusableTextError):
        return error_answer(400, str(error))
    # `Guard` logs it.
    return error_answer(500, "internal error; the server's log has it")


def make_app(service: Service, limits: RequestLimits, seconds: float) -> ASGIApp:
    """The application.

    Args:
        service: answers the requests.
        limits: of a request.
        seconds: longest time for a request.
    """
    routes = [Route(path, endpoint, methods=[method]) for path, (method, endpoint) in ROUTES.items()]
    routes += [Route(path, _page_file(*found)) for path, found in _PAGE.items()]
    kinds = (HTTPException, QueueFullError, UnknownLanguageError, UnusableTextError, Exception)
    app = Starlette(routes=routes, exception_handlers=dict.fromkeys(kinds, _on_error))
    app.router.redirect_slashes = False
    app.state.service, app.state.limits, app.state.monitor = service, limits, Monitor(service)
    return Guard(app, app.state.monitor, seconds)
