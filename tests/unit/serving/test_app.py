import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlencode

import pytest

from tests.fake_translator import FakeTranslator, backwards
from wordseq.evaluation.about import Languages
from wordseq.serving.app import ROUTES, make_app
from wordseq.serving.directions import MOST_ALTERNATIVES, Direction
from wordseq.serving.queue import BatchQueue
from wordseq.serving.requests import RequestLimits
from wordseq.serving.translation import Service

pytest.importorskip("starlette.testclient")
from starlette.testclient import TestClient

PAIR = {"source": "en", "target": "fr"}
ABOUT = {"name": "a run", "model": "gru", "parameters": 5, "pairs": 7, "scores": None, "made_of": ""}


LIMITS = RequestLimits(most_chars=2500)


class Running:
    """A server without sockets."""

    def __init__(self, pairs=("en:fr",), waiting=10, seconds=20.0, limits=LIMITS):
        self.translators = [FakeTranslator() for _ in pairs]
        self.queue = BatchQueue(waiting)
        directions = [
            Direction(Languages(*pair.split(":")), translator, ABOUT)
            for pair, translator in zip(pairs, self.translators, strict=True)
        ]
        self.client = TestClient(make_app(Service(directions, self.queue), limits, seconds))

    def post(self, path="/translate", **values):
        return self.client.post(path, json=values)

    def translate(self, q, **values):
        return self.post(q=q, **{**PAIR, **values}).json()


@pytest.fixture(scope="module")
def server():
    running = Running(("en:fr", "fr:en", "de:en"))
    with running.client:
        yield running
    running.queue.close()


def error(answer, status):
    """The message of an error in LibreTranslate's form."""
    assert answer.status_code == status
    assert list(answer.json()) == ["error"]
    return answer.json()["error"]


def test_json_forms_and_query_parameters_are_alike(server):
    values, expected = {"q": "I am cold. Really?\nYes!", **PAIR}, {"translatedText": "COLD. AM I REALLY?\nYES!"}
    assert server.client.post("/translate", json=values).json() == expected
    assert server.client.post("/translate", params=values).json() == expected
    assert server.client.post("/translate", data=values).json() == expected
    assert (
        server.client.post("/translate", files={name: (None, value) for name, value in values.items()}).json()
        == expected
    )
    # Browsers end the lines of a form with CR LF.
    lines = {"q": "a \r\n" * 800, **PAIR}
    assert server.client.post("/translate", data=lines).json() == {"translatedText": "A \r\n" * 800}
    assert server.client.post("/translate", params={"q": "other", **PAIR}, json={"q": values["q"]}).json() == expected
    kind = {"content-type": "application/json; charset=utf-8"}
    assert server.client.post("/translate", content=json.dumps(values), headers=kind).json() == expected


FORM = {"content-type": "application/x-www-form-urlencoded"}


def test_several_q_are_a_list(server):
    for given in ({"params": {"q": ["a b", "c"], **PAIR}}, {"data": {"q": ["a b", "c"], **PAIR}}):
        assert server.client.post("/translate", **given).json() == {"translatedText": ["B A", "C"]}
    parts = [("q", (None, text)) for text in ("a b", "c")]
    answer = server.client.post("/translate", params=PAIR, files=parts)
    assert answer.json() == {"translatedText": ["B A", "C"]}
    many = server.client.post("/translate", content="&".join(["q=a"] * 1001), headers=FORM)
    assert error(many, 400) == "Invalid request: the form has more than 1,000 fields"


def test_forms_and_queries_are_utf_8(server):
    answer = server.client.post("/translate", params=PAIR, content="q=où".encode(), headers=FORM)
    assert answer.json() == {"translatedText": "OÙ"}
    for content in (b"q=\xff\xfe", b"q=%ff%fe"):
        answer = server.client.post("/translate", params=PAIR, content=content, headers=FORM)
        assert error(answer, 400) == "Invalid request: the form is not UTF-8"
    part = b"--x\r\nContent-Disposition: form-data; name=q\r\n\r\n\xff\xfe\r\n--x--\r\n"
    kind = {"content-type": "multipart/form-data; boundary=x"}
    answer = server.client.post("/translate", params=PAIR, content=part, headers=kind)
    assert error(answer, 400) == "Invalid request: the form is not UTF-8"
    answer = server.client.post("/translate?q=%ff&source=en&target=fr")
    assert error(answer, 400) == "Invalid request: the query is not UTF-8"


@pytest.mark.parametrize("headers", [FORM, {"content-type": "text/plain"}, {}])
def test_json_without_its_type_is_named(server, headers):
    answer = server.client.post("/translate", content=b' {"q": "a"}', headers=headers)
    assert error(answer, 400).endswith("missing q parameter; JSON needs the header Content-Type: application/json")


def test_a_list_gives_lists(server):
    assert server.translate(["a b", "", "c"]) == {"translatedText": ["B A", "", "C"]}
    found = server.translate(["a b", "c"], source="auto", alternatives=1)
    assert found["translatedText"] == ["B A", "C"]
    assert found["alternatives"] == [["B A?"], ["C?"]]
    assert [list(one) for one in found["detectedLanguage"]] == [["language", "confidence"]] * 2


def test_the_source_language_is_detected(server):
    for text, language, expected in (
        ("The weather is very nice today.", "en", "fr"),
        ("Das Wetter ist heute sehr schön.", "de", "en"),
        ("Il fait très beau aujourd'hui.", "fr", "en"),
    ):
        found = server.translate(text, source="auto", target=expected)
        assert found["translatedText"] == backwards(text)
        assert found["detectedLanguage"]["language"] == language
        assert 50 < found["detectedLanguage"]["confidence"] <= 100
        candidates = server.post("/detect", q=text).json()
        assert candidates[0] == found["detectedLanguage"]
    assert server.post("/detect", q="12 !").json() == [{"language": "en", "confidence": 0.0}]


def test_alternatives_change_one_sentence_each_and_lose_little_first(server):
    found = server.translate("Ab. Bbb cc.", alternatives=3)
    assert found["translatedText"] == "AB. CC. BBB"
    # The fake loses 1 for each character of the sentence.
    assert found["alternatives"] == ["AB.? CC. BBB", "AB.?? CC. BBB", "AB. CC. BBB?"]
    assert server.translate("a b") == {"translatedText": "B A"}
    assert server.translate("a", alternatives="2", format="html") == {"translatedText": "A", "alternatives": []}


def test_html_keeps_its_tags(server):
    text = "<p>a <b>b</b> &amp; c</p><script>x</script>"
    # Without attention, what was in the middle stays there.
    assert server.translate(text, format="html") == {"translatedText": "<p>C <b>&amp;</b> B A</p><script>x</script>"}
    assert server.translate(text)["translatedText"] == backwards(text)


def test_what_clients_ask_first(server):
    assert server.client.get("/languages").json() == [
        {"code": "en", "name": "English", "targets": ["fr"]},
        {"code": "fr", "name": "French", "targets": ["en"]},
        {"code": "de", "name": "German", "targets": ["en"]},
    ]
    assert server.client.get("/health").json() == {"status": "ok"}
    settings = server.client.get("/frontend/settings").json()
    assert settings["charLimit"] == 2500
    assert settings["language"] == {
        "source": {"code": "en", "name": "English"},
        "target": {"code": "fr", "name": "French"},
    }
    assert settings["keyRequired"] is False
    assert server.client.get("/runs").json()[2] == {"source": "de", "target": "en", **ABOUT}


def test_what_the_page_asks(server):
    found = server.post("/inspect", q="One be. See", **PAIR).json()
    assert found["translatedText"] == "BE. ONE SEE"
    assert [one["source"] for one in found["sentences"]] == ["One be.", "See"]
    translations = found["sentences"][1]["translations"]
    assert [one["text"] for one in translations] == ["SEE" + "?" * k for k in range(MOST_ALTERNATIVES + 1)]
    assert [one["score"] for one in translations] == sorted((one["score"] for one in translations), reverse=True)
    assert found["sentences"][0]["attention"] is None


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"source": "en", "target": "fr"}, "Invalid request: missing q parameter"),
        ({"q": "", **PAIR}, "Invalid request: missing q parameter"),
        ({"q": [], **PAIR}, "Invalid request: missing q parameter"),
        ({"q": "a", "target": "fr"}, "Invalid request: missing source parameter"),
        ({"q": "a", "source": "en"}, "Invalid request: missing target parameter"),
        ({"q": "a", "source": "en", "target": "zz"}, "zz is not supported"),
        ({"q": "a", "source": "zz", "target": "en"}, "zz is not supported"),
        (
            {"q": "a", "source": "de", "target": "fr"},
            "French (fr) is not available as a target language from German (de)",
        ),
        ({"q": "a", **PAIR, "format": "pdf"}, "pdf format is not supported"),
        ({"q": "a", **PAIR, "alternatives": "x"}, "Invalid request: alternatives parameter is not a number"),
        ({"q": "a", **PAIR, "alternatives": -1}, "Invalid request: alternatives parameter is not a number"),
        ({"q": "a", **PAIR, "alternatives": 6}, "Invalid request: alternatives parameter must be <= 5"),
        ({"q": "x" * 2501, **PAIR}, "Invalid request: request (2,501) exceeds text limit (2,500)"),
        ({"q": ["x" * 1251] * 2, **PAIR}, "Invalid request: request (2,502) exceeds text limit (2,500)"),
        ({"q": [""] * 2501, **PAIR}, "Invalid request: request (2,501) exceeds text limit (2,500)"),
        ({"q": 5, **PAIR}, "Invalid request: q parameter is not a text or a list of texts"),
        ({"q": ["a", 5], **PAIR}, "Invalid request: q parameter is not a text or a list of texts"),
        ({"q": {"a": 1}, **PAIR}, "Invalid request: q parameter is not a text or a list of texts"),
        ({"q": "a", "source": ["en"], "target": "fr"}, "Invalid request: source parameter is not a text"),
        ({"q": "a", "source": "\ud800", "target": "fr"}, "\ud800 is not supported"),
        ({"q": "a \ud800", **PAIR}, "Invalid request: q parameter has half a character"),
        (
            {"q": "Yes. " + "y" * 2001, **PAIR},
            "a text cannot be translated: a sentence has 2,001 characters, and may have 2,000; end sentences with a full "
            "stop or a new line",
        ),
    ],
)
def test_each_mistake_has_its_message(server, values, message):
    kind = {"content-type": "application/json"}
    answer = server.client.post("/translate", content=json.dumps(values), headers=kind)
    assert error(answer, 400) == message


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[1]", b"null", b"\xff\xfe\xfa", b'{"q": "\xff"}', b"[" * 2400, b'{"q":' * 400, b"9" * 2000, b'"a"'],
)
def test_what_is_no_json_object_is_refused(server, body):
    answer = server.client.post("/translate", content=body, headers={"content-type": "application/json"})
    assert error(answer, 400) == "Invalid JSON format"


@pytest.mark.parametrize(
    "kind", ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "multipart/form-data", "a"]
)
def test_forms_that_are_none_are_an_error(server, kind):
    for body in (
        b"%",
        b"\xff=\xff",
        b"--x\r\n\r\n",
        b"q=%ff%fe",
        b"--x\r\nContent-Disposition: form-data; name=q\r\n\r\na",
    ):
        error(server.client.post("/translate", content=body, headers={"content-type": kind}), 400)


def test_a_large_body_is_refused_before_it_is_read_completely(server):
    read = []

    def chunks():
        for _ in range(1000):
            read.append(1)
            yield b"x" * 10_000

    assert error(server.client.post("/translate", content=b"x" * 1_000_000), 413).startswith(
        "Invalid request: the body exceeds"
    )
    assert server.client.post("/translate", content=chunks()).status_code == 413
    form = urlencode({"q": "\U0001f600" * 2000, **PAIR})
    assert server.client.post(
        "/translate", content=form, headers={"content-type": "application/x-www-form-urlencoded"}
    ).is_success


def test_other_paths_and_methods_are_errors_in_the_same_form(server):
    for path in ("/nope", "/page/../app.py", "/..%2f..%2fetc/passwd", "/languages/"):
        error(server.client.get(path), 404)
    for path, (method, _) in ROUTES.items():
        error(server.client.request("GET" if method == "POST" else "POST", path), 405)
    assert error(server.post("/suggest"), 403) == "Suggestions are disabled on this server."
    assert error(server.post("/translate_file"), 403) == "Files translation are disabled on this server."


def test_a_model_that_fails_is_an_error_without_its_traceback(server, caplog):
    message = error(server.post(q="broken", **PAIR), 500)
    assert message == "internal error; the server's log has it"
    assert "a model can fail" in caplog.text
    assert server.translate("a b") == {"translatedText": "B A"}


def test_any_page_of_the_web_may_ask(server):
    answer = server.client.options(
        "/translate", headers={"origin": "http://x", "access-control-request-method": "POST"}
    )
    assert answer.status_code == 204
    for found in (answer, server.client.get("/health"), server.post(q="broken", **PAIR), server.client.get("/nope")):
        assert found.headers["access-control-allow-origin"] == "*"
        assert found.headers["x-content-type-options"] == "nosniff"
    assert "Content-Type" in answer.headers["access-control-allow-headers"]


def test_a_key_is_required_where_there_is_one():
    running = Running(limits=RequestLimits(api_key="sécret"))
    assert error(running.post(q="a", **PAIR), 400) == "Please contact the server operator to get an API key"
    for wrong in ("secret", "sécre", "sécret1", 5, "\ud800"):
        content = json.dumps({"q": "a", **PAIR, "api_key": wrong})
        answer = running.client.post("/translate", content=content, headers={"content-type": "application/json"})
        assert error(answer, 403) == "Invalid API key"
    assert running.translate("a", api_key="sécret") == {"translatedText": "A"}
    for path in ("/detect", "/inspect"):
        error(running.post(path, q="a", **PAIR), 400)
    assert running.client.get("/frontend/settings").json()["keyRequired"] is True
    assert running.client.get("/languages").is_success
    running.queue.close()


def test_a_full_queue_is_status_429_and_a_long_wait_503():
    running = Running(waiting=1, seconds=0.3)
    running.translators[0].free.clear()
    late = running.post(q="a", **PAIR)
    assert error(late, 503) == "the request took longer than 0.3 seconds"
    with running.client, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(running.post, q="b", **PAIR)
        while not running.queue.figures.waiting:
            time.sleep(0.01)
        full = running.post(q="c", **PAIR)
        assert error(full, 429).startswith("Slowdown:")
        assert full.headers["retry-after"] == "1"
        running.translators[0].free.set()
        waiting.result(20)
    assert running.translate("d") == {"translatedText": "D"}
    running.queue.close()


def test_requests_of_one_moment_are_one_batch():
    running = Running(waiting=100)
    translator = running.translators[0]
    translator.free.clear()
    with running.client, ThreadPoolExecutor(9) as pool:
        first = pool.submit(running.translate, "first")
        while not translator.batches:
            time.sleep(0.01)
        others = [pool.submit(running.translate, f"text {k}.\nSame.") for k in range(8)]
        while running.queue.figures.waiting < 9:
            time.sleep(0.01)
        translator.free.set()
        assert first.result(20) == {"translatedText": "FIRST"}
        assert [one.result(20)["translatedText"] for one in others] == [f"{k}. TEXT\nSAME." for k in range(8)]
    assert sorted(map(len, translator.batches)) == [1, 9]
    running.queue.close()


def test_metrics_count_requests_batches_and_sentences():
    running = Running()
    running.translate("One. Two.")
    running.client.get("/no/such/path/of/a/client")
    text = running.client.get("/metrics").text
    assert 'wordseq_http_requests_total{path="/translate",status="200"} 1.0' in text
    assert 'wordseq_http_requests_total{path="other",status="404"} 1.0' in text
    assert "wordseq_sentences_total 2.0" in text
    assert "wordseq_batches_total 1.0" in text
    assert "such" not in text
    running.queue.close()


def test_the_openapi_document_has_every_path_with_its_method(server):
    found = server.client.get("/spec").json()
    assert {path: [*methods] for path, methods in found["paths"].items()} == {
        path: [method.lower()] for path, (method, _) in ROUTES.items()
    }
    assert found["openapi"].startswith("3.")


def test_the_queue_is_used_from_any_thread(server):
    """As uvicorn's loop is another thread than the model's."""
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda k: server.translate(f"{k} x"), range(20)))
    assert found == [{"translatedText": f"X {k}"} for k in range(20)]
    assert threading.active_count() < 50
