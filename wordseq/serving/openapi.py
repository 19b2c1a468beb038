"""The OpenAPI document of the server."""

from typing import Any

from wordseq.serving.directions import MOST_ALTERNATIVES

_TEXT = {"type": "string"}

_NUMBER = {"type": "number"}


def openapi_document(version: str, most_chars: int) -> dict[str, Any]:
    """A description of every address, in OpenAPI 3.1.

    Args:
        version: of wordseq.
        most_chars: characters that a request may have.
    """
    translated = {
        "translatedText": _one_or_more(_TEXT),
        "alternatives": _one_or_more(_list(_TEXT)),
        "detectedLanguage": _one_or_more(_object(language=_TEXT, confidence=_NUMBER)),
    }
    inspected = _object(
        source=_TEXT,
        translations=_list(_object(text=_TEXT, score=_NUMBER)),
        attention={
            **_object(source=_list(_TEXT), target=_list(_TEXT), weights=_list(_list(_NUMBER))),
            "type": ["object", "null"],
        },
    )
    language = _object(code=_TEXT, name=_TEXT)
    q = _one_or_more(_TEXT) | {"description": f"text, or list of texts; at most {most_chars:,} characters together"}
    source, target = (
        {**_TEXT, "description": f"language code of the {side}"} for side in ("source, or auto", "target")
    )
    kind = {**_TEXT, "enum": ["text", "html"], "default": "text"}
    number = {"type": "integer", "minimum": 0, "maximum": MOST_ALTERNATIVES, "default": 0}
    pair = {"q": q, "source": source, "target": target}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "wordseq",
            "version": version,
            "description": "Translates with trained runs. The paths but /inspect, /runs and /metrics are LibreTranslate's.",
        },
        "paths": {
            "/translate": _post(
                "translate texts",
                {**pair, "format": kind, "alternatives": number},
                pair,
                {"type": "object", "properties": translated},
            ),
            "/detect": _post(
                "detect the language of a text", {"q": q}, ["q"], _list(_object(language=_TEXT, confidence=_NUMBER))
            ),
            "/inspect": _post(
                "translate a text, with alternatives, scores and attention of each sentence",
                {**pair, "q": {**_TEXT, "description": "text"}},
                pair,
                _object(translatedText=_TEXT, sentences=_list(inspected)),
            ),
            "/suggest": _post("refused: there are no suggestions", {}, [], _object()),
            "/translate_file": _post("refused: files are not translated", {}, [], _object()),
            "/languages": _get("languages", _list(_object(code=_TEXT, name=_TEXT, targets=_list(_TEXT)))),
            "/health": _get("whether the server answers", _object(status=_TEXT)),
            "/frontend/settings": _get(
                "settings for pages and clients",
                _object(
                    charLimit={"type": "integer"},
                    frontendTimeout={"type": "integer"},
                    language=_object(source=language, target=language),
                ),
            ),
            "/runs": _get(
                "the runs, with their held-out scores", _list(_object(source=_TEXT, target=_TEXT, name=_TEXT))
            ),
            "/spec": _get("this document", {"type": "object"}),
            "/metrics": {
                "get": {
                    "summary": "metrics for Prometheus",
                    "responses": {"200": {"description": "text", "content": {"text/plain": {}}}},
                }
            },
        },
    }


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _list(items: Any) -> dict[str, Any]:
    return {"type": "array", "items": items}


def _one_or_more(kind: dict[str, Any]) -> dict[str, Any]:
    """One value for one text, a list for a list of texts."""
    return {"oneOf": [kind, _list(kind)]}


def _get(summary: str, found: dict[str, Any]) -> dict[str, Any]:
    return {"get": {"summary": summary, "responses": _responses(found, {})}}


def _post(summary: str, properties: dict[str, Any], required: Any, found: dict[str, Any]) -> dict[str, Any]:
    body = {
        "type": "object",
        "properties": {**properties, "api_key": {**_TEXT, "description": "needed if the server has a key"}},
        "required": list(required),
    }
    kinds = ("application/json", "application/x-www-form-urlencoded", "multipart/form-data")
    errors = {
        "400": "a parameter is missing, wrong or too long",
        "403": "a wrong key, or something that the server does not do",
        "413": "the body is too large",
        "429": "too many requests wait",
        "503": "the request took too long",
    }
    return {
        "post": {
            "summary": summary,
            "requestBody": {"content": {kind: {"schema": body} for kind in kinds}},
            "responses": _responses(found, errors),
        }
    }


def _responses(found: dict[str, Any], errors: dict[str, str]) -> dict[str, Any]:
    failed = {"application/json": {"schema": _object(error=_TEXT)}}
    return {
        "200": {"description": "the answer", "content": {"application/json": {"schema": found}}},
        **{status: {"description": why, "content": failed} for status, why in errors.items()},
    }
