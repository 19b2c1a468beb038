"""`wordseq serve` as a process: clients as people install them, hostile ones, a browser, and its end."""

import asyncio
import json
import random
import shutil
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request

import pytest

from tests.browser import chromium, watch
from tests.system.load import Served, load
from wordseq.cli.main import main
from wordseq.runs.folder import RunFolder

pytestmark = pytest.mark.slow

SCRIPT = "<script>document.title = 'hit'</script> <img src=x onerror=\"document.title='hit'\"> &lt;b&gt;"
NPM_CLIENT = "libretranslate@1.0.1"


@pytest.fixture(scope="module")
def served(tiny_run, tmp_path_factory):
    """Two directions; at the end, SIGTERM ends the server without an error and without a traceback before."""
    other = tmp_path_factory.mktemp("other") / "other"
    shutil.copytree(tiny_run.folder, other)
    served = Served(tiny_run.folder, other)
    yield served
    assert served.end() == 0
    assert "Traceback" not in served.said
    assert served.said.endswith("wordseq: ended\n")


@pytest.fixture(scope="module")
def pairs(tiny_run, tmp_path_factory):
    """Sources with what `wordseq translate` prints for them."""
    folder = tmp_path_factory.mktemp("lines")
    sources = RunFolder(tiny_run.folder).held_out("test").sources
    (folder / "in").write_text("".join(f"{source}\n" for source in sources), encoding="utf-8")
    words = ["translate", tiny_run.folder, "--split", "--input", folder / "in", "--output", folder / "out"]
    assert main(list(map(str, words))) == 0
    return list(zip(sources, (folder / "out").read_text(encoding="utf-8").split("\n"), strict=False))


def post(served, path="/translate", body=None, timeout=30, **values):
    """Status and answer of a request in JSON, or with `body`."""
    headers = {"Content-Type": "application/json"}
    data = json.dumps(values).encode() if body is None else body
    try:
        with urllib.request.urlopen(
            urllib.request.Request(served.url + path, data, headers), timeout=timeout
        ) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_libretranslatepy(served, pairs):
    client = pytest.importorskip("libretranslatepy").LibreTranslateAPI(served.url)
    for source, expected in pairs[:3]:
        assert client.translate(source, "en", "fr") == expected
    assert [language["code"] for language in client.languages()] == ["en", "fr"]
    assert client.detect("Where is the station, please?")[0]["language"] == "en"
    with pytest.raises(urllib.error.HTTPError) as refused:
        client.translate("a", "en", "xx")
    assert (refused.value.code, json.load(refused.value)) == (400, {"error": "xx is not supported"})


def test_deep_translator(served, pairs):
    deep = pytest.importorskip("deep_translator")
    client = deep.LibreTranslator(source="en", target="fr", api_key="any", custom_url=f"{served.url}/")
    texts = [source for source, _ in pairs[:3]]
    assert client.translate_batch(texts) == [expected for _, expected in pairs[:3]]
    with pytest.raises(deep.exceptions.ServerException):
        deep.LibreTranslator(source="de", target="fr", api_key="any", custom_url=f"{served.url}/").translate("Hallo")


def test_the_client_of_npm(served, pairs, tmp_path):
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            pytest.skip(f"no {program} found: apt-get install nodejs npm")
    # The archive alone: its dependencies are the compiler that made it.
    subprocess.run(["npm", "pack", "--silent", NPM_CLIENT], cwd=tmp_path, check=True, capture_output=True, timeout=120)
    (archive,) = tmp_path.glob("*.tgz")
    shutil.unpack_archive(archive, tmp_path)
    query = {"query": pairs[0][0], "source": "en", "target": "fr", "apiurl": served.url, "apiKey": ""}
    script = f"require('./package').translate({json.dumps(query)}).then(text => process.stdout.write(text))"
    ran = subprocess.run(["node", "-e", script], cwd=tmp_path, check=True, capture_output=True, text=True, timeout=60)
    assert ran.stdout == pairs[0][1]


def test_many_clients_at_once_get_what_the_command_prints(served, pairs):
    outcome = asyncio.run(load(served.port, pairs, 16, 2.0))
    assert outcome.wrong == []
    assert set(outcome.statuses) == {200}


def raw(served, content, timeout=30):
    """What the server answers to bytes, until it closes the connection or is silent."""
    with socket.create_connection(("127.0.0.1", served.port), timeout=timeout) as connection:
        try:
            connection.sendall(content)
            connection.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: connection.recv(65536), b""))
        except ConnectionError:
            return b""


def test_hostile_requests_get_an_error_or_a_translation(served):
    head = b"POST /translate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    assert raw(served, head + b"Content-Length: 100000000\r\n\r\nx").startswith(b"HTTP/1.1 413")
    chunks = b"".join([b"100000\r\n", b"x" * 2**20, b"\r\n"]) * 100
    assert raw(served, head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n")[:12] in (
        b"HTTP/1.1 413",
        b"",
    )
    for body in (b"[" * 100_000, b'{"q":' * 20_000, b"\xff\xfe", b'{"q": "\xc3"}', b"9" * 100_000):
        status, answer = post(served, body=body)
        assert (status, answer) == (400, {"error": "Invalid JSON format"})
    for path in (
        b"/../../../etc/passwd",
        b"/page.js/../../x",
        b"/%2e%2e/%2e%2e/etc/passwd",
        b"/\x00",
        b"/" + b"x" * 5000,
    ):
        answer = raw(served, b"GET " + path + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert answer.startswith((b"HTTP/1.1 404", b"HTTP/1.1 400"))
        assert b"root:" not in answer
    pair = {"source": "en", "target": "fr"}
    assert post(served, q="x" * 9000, **pair)[0] == 400
    status, answer = post(served, q="\n".join(["a"] * 5000), **pair)
    assert (status, answer["translatedText"].count("\n")) == (200, 4999)
    assert post(served, q="a. " * 10_000, **pair)[0] == 400
    status, answer = post(served, q=f"<p>I {SCRIPT} am</p>", format="html", **pair)
    assert status == 200
    assert answer["translatedText"].count("<script") == 1
    assert "<b>" not in answer["translatedText"]
    status, answer = post(served, q=["x" * 1900, "\u202e\u0000\u0301" * 99, "👩‍👩‍👧"], **pair)
    assert status == 200
    draw = random.Random(1)
    for _ in range(30):
        assert raw(served, draw.randbytes(draw.randint(1, 300)) + b"\r\n\r\n").startswith((b"HTTP/1.1 400", b""))
    assert post(served, q="a", **pair)[0] == 200


def test_slow_clients_keep_nobody_from_an_answer(served):
    slow = [socket.create_connection(("127.0.0.1", served.port)) for _ in range(100)]
    for connection in slow:
        connection.sendall(
            b"POST /translate HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\nContent-Type: application/json\r\n"
        )
    for connection in slow[::2]:
        connection.sendall(b"\r\n{")
    began = time.monotonic()
    assert post(served, q="a", source="en", target="fr")[0] == 200
    assert time.monotonic() - began < 10
    for connection in slow:
        connection.close()


def test_memory_does_not_grow_with_hostile_bodies(served):
    before = served.megabytes
    chunks = b"".join([b"100000\r\n", b"x" * 2**20, b"\r\n"]) * 50
    head = (
        b"POST /translate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    threads = [threading.Thread(target=raw, args=(served, head + chunks)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert served.megabytes < before + 60


# --- the page, in a browser


@pytest.fixture(scope="module")
def tab(served):
    """One tab that notes what goes wrong in it, and where its requests go."""
    with chromium() as browser:
        tab = watch(browser.new_context(permissions=["clipboard-read", "clipboard-write"]).new_page())
        tab.goto(served.url)
        yield tab


def translation_of(tab, text):
    """Type a text and wait for its translation."""
    tab.fill("#text", text)
    with tab.expect_response("**/inspect") as answer:
        pass
    tab.wait_for_selector("#translation:not(.old)")
    assert answer.value.ok
    return tab.text_content("#translation")


def test_the_page_translates_while_one_types(tab, served, pairs):
    (one, first), (two, second) = pairs[:2]
    assert translation_of(tab, f"{one}\n{two}") == f"{first}\n{second}"
    assert tab.locator("#sentences button").all_text_contents() == [one, two]
    assert tab.text_content("#alternatives tr:first-child td") == first
    tab.locator("#sentences button").nth(1).press("Enter")
    assert tab.text_content("#alternatives tr:first-child td") == second
    assert tab.locator("#alternatives tr").count() > 1
    shares = tab.locator("#map tbody tr:first-child td").all_text_contents()
    assert 97 <= sum(int(share.removesuffix(" %")) for share in shares) <= 103
    assert len(shares) == tab.locator("#map thead th").count()
    assert "Held-out sources" in tab.text_content("#about")
    assert tab.problems == []
    assert all(url.startswith((f"{served.url}/", "data:")) for url in tab.requests)


def test_the_page_copies_clears_and_exchanges_the_languages(tab, pairs):
    source, expected = pairs[0]
    translation_of(tab, source)
    tab.click("#copy")
    tab.wait_for_selector("#copy:text('Copied')")
    assert tab.evaluate("navigator.clipboard.readText()") == expected
    with tab.expect_response("**/inspect") as answer:
        tab.click("#swap")
    assert answer.value.request.post_data_json == {"q": expected, "source": "fr", "target": "en"}
    assert [tab.get_attribute(box, "lang") for box in ("#text", "#translation")] == ["fr", "en"]
    tab.click("#swap")
    tab.click("#clear")
    tab.wait_for_selector("#details", state="hidden")
    assert tab.text_content("#translation") == ""
    assert tab.evaluate("document.activeElement.id") == "text"


def test_message_and_copied_translation_belong_to_the_text(tab, pairs):
    translation_of(tab, pairs[0][0])
    assert tab.text_content("#status").endswith(" ms")
    held = []

    def hold(route):
        held.append(route)

    tab.route("**/inspect", hold)
    tab.fill("#text", pairs[1][0])
    assert tab.text_content("#status") in ("", "Translating…")
    assert tab.is_disabled("#copy")
    tab.wait_for_selector("#status[role=status]:text-is('Translating…')")
    held.pop().continue_()
    tab.wait_for_selector("#translation:not(.old)")
    assert tab.text_content("#status").endswith(" ms")
    assert tab.is_enabled("#copy")
    tab.unroute("**/inspect")
    tab.fill("#text", "x" * 10_001)
    tab.wait_for_selector("#status.wrong")
    assert tab.is_disabled("#copy")
    tab.problems.clear()
    tab.route("**/inspect", hold)
    tab.fill("#text", pairs[0][0])
    assert tab.locator("#status.wrong").count() == 0
    tab.click("#swap")  # Not with the translation of another text.
    assert tab.input_value("#text") == pairs[0][0]
    tab.click("#swap")
    tab.unroute("**/inspect")


def test_hostile_text_is_text_and_the_policy_allows_no_script(tab):
    translation_of(tab, SCRIPT)
    assert tab.title() == "Translate – wordseq"
    assert tab.locator("main img, main script").count() == 0
    tab.problems.clear()
    blocked = tab.evaluate("""async () => {
        const said = new Promise(resolve => document.addEventListener(
            'securitypolicyviolation', event => resolve(event.effectiveDirective)));
        const script = document.createElement('p');
        try { script.innerHTML = '<img src=x>'; return 'allowed'; } catch { return (await said); }
    }""")
    assert blocked == "require-trusted-types-for"
    tab.problems.clear()


def test_the_page_fits_a_phone_and_both_schemes_can_be_read(tab, pairs):
    # The attention of a long sentence scrolls in its box.
    for words, width in ((100, 1200), (27, 390), (27, 360)):
        translation_of(tab, " ".join(["station"] * words))
        tab.set_viewport_size({"width": width, "height": 740})
        assert tab.locator("#map thead th").count() > words
        assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth"), (words, width)
    translation_of(tab, " ".join(source for source, _ in pairs[:4]))
    assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
    # Many sentences scroll in their box, for the keyboard too.
    translation_of(tab, "\n".join(["station"] * 60))
    tab.wait_for_selector("#sentences li:nth-child(60)")
    tab.locator("#sentences button").last.focus()
    height, scrolled, above, below = tab.evaluate("""() => {
        const list = document.getElementById('sentences');
        const [box, last] = [list, document.activeElement].map(element => element.getBoundingClientRect());
        return [box.height, list.scrollTop, last.top - box.top, box.bottom - last.bottom];
    }""")
    assert height < 300 < scrolled
    assert min(above, below) > -1
    for scheme in ("light", "dark"):
        tab.emulate_media(color_scheme=scheme)
        for element in ("body", ".note", "#translation"):
            assert tab.evaluate(CONTRAST, element) >= 4.5, (scheme, element)
    tab.set_viewport_size({"width": 1280, "height": 800})


CONTRAST = """name => {
  const light = colour => {
    const parts = colour.match(/[0-9.]+/g).slice(0, 3).map(part => part / 255)
      .map(part => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2];
  };
  const [text, page] = [document.querySelector(name), document.body].map(element => getComputedStyle(element));
  const found = [text.color, page.backgroundColor].map(light);
  return (Math.max(...found) + 0.05) / (Math.min(...found) + 0.05);
}"""
"""The contrast of an element's text with the page, as WCAG 2 counts it."""


def test_the_keyboard_reaches_everything_and_everything_has_a_name(tab, pairs):
    translation_of(tab, pairs[0][0])
    tab.focus("#source")
    reached = []
    for _ in range(12):
        reached.append(tab.evaluate("document.activeElement.id || document.activeElement.className"))
        tab.keyboard.press("Tab")
    wanted = ["source", "swap", "text", "clear", "translation", "copy", "scroll"]
    assert [name for name in dict.fromkeys(reached) if name in wanted] == wanted
    nameless = tab.evaluate("""[...document.querySelectorAll('button, select, textarea, input')].filter(element =>
        !element.textContent.trim() && !(element.labels && element.labels.length)).map(element => element.id)""")
    assert nameless == []
