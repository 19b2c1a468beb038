"""A run in the browser: the folder of `wordseq export --format web`, the real onnxruntime-web, Chromium without a network."""

import dataclasses
import json
import re

import pytest

from tests.browser import chromium, watch, web_server
from tests.fake_runs import few_draws
from tests.random_runs import random_run
from tests.runs import some_pairs
from wordseq.cli.main import main
from wordseq.decoding.translator import Translator
from wordseq.export.browser.folder import write_site
from wordseq.export.translate import OnnxTranslator

pytestmark = pytest.mark.slow

LEVELS = {
    "word": ["model.attention=dot", "data.rare_words=spell"],
    "char": ["data.level=char", "model.cell=lstm"],
    "bpe": ["data.level=bpe", "model.copy=true"],
    "unigram": ["data.level=unigram", "model.attention=none"],
}
SENTENCES = [*dict.fromkeys(pair.src for pair in some_pairs()[400:])][:98] + ["ZORK’s, zork!", ""]
BEAMS = "Beam size: type a whole number from 1 to 20"
KEPT = "It works without a network from now on."
LOAD = """async (names) => {
  const {Translator} = await import("./translator.js");
  self.translators = {};
  for (const name of names) translators[name] = await Translator.load(new URL(`../../${name}/web/`, location));
}"""
TRANSLATE = "({name, lines, beam}) => translators[name].translate(lines, beam)"


@pytest.fixture(scope="module")
def browser():
    with chromium() as opened:
        yield opened


def exported(tmp_path, name, precision):
    """A run, and its folder for web servers. The command stores onnxruntime-web in the data folder of the checkout."""
    run = random_run(tmp_path / "run", "decode.beam_size=2", *LEVELS[name])
    folder = tmp_path / "web"
    words = ["export", run.folder, "--format", "web", "--precision", precision, "--output", folder]
    with few_draws():
        assert main([str(word) for word in words]) == 0
    return run, folder


@pytest.mark.usefixtures("uncompiled")
def test_without_a_network_lines_are_those_of_the_runs(tmp_path, browser):
    runs = {}
    for name in LEVELS:
        (tmp_path / name).mkdir()
        runs[name], _ = exported(tmp_path / name, name, "float32")
    context = browser.new_context()
    tab = watch(context.new_page())
    with web_server(tmp_path) as server:
        tab.goto(f"http://127.0.0.1:{server.server_port}/word/web/")
        tab.wait_for_selector("#about dd")
        tab.evaluate(LOAD, list(LEVELS))
        other = context.new_page()
        other.goto(f"http://127.0.0.1:{server.server_port}/unigram/web/")
        other.fill("#text", SENTENCES[0])
        other.wait_for_selector("#no-attention:text-is('This model has no attention.')")
        assert other.is_hidden("#look")
        assert other.is_hidden("#details-title")
        other.close()
    context.set_offline(True)
    for name, run in runs.items():
        theirs = Translator.load(run)
        for beam in (1, 3):
            decode = dataclasses.replace(run.config.decode, beam_size=beam)
            wanted = [found[0].text for found in theirs.translate(SENTENCES, decode)]
            assert tab.evaluate(TRANSLATE, {"name": name, "lines": SENTENCES, "beam": beam}) == wanted
            assert len(set(wanted)) > 20
    assert tab.problems == []
    context.close()


def test_the_page_translates_with_8_bits_what_the_program_translates(tmp_path, browser):
    run, folder = exported(tmp_path, "word", "int8")
    with few_draws():
        assert main(["export", str(run.folder), "--output", str(tmp_path / "onnx")]) == 0
    program = OnnxTranslator(tmp_path / "onnx", int8=True, threads=1)
    context = browser.new_context()
    tab = watch(context.new_page())
    with web_server(folder) as server:
        tab.goto(f"http://127.0.0.1:{server.server_port}/")
        tab.wait_for_selector("#about dd")
        assert tab.text_content("#kept") == KEPT
    # A visit without a network.
    context.set_offline(True)
    tab.reload()
    tab.wait_for_selector("#about dd")
    lines = [text for text in SENTENCES if re.fullmatch(r"[^.!?]+[.!?]", text)][:60]
    assert len(lines) > 30
    tab.fill("#text", "\n".join(lines))
    tab.wait_for_selector(f"#sentences li:nth-child({len(lines)})")
    tab.wait_for_selector("#translation:not(.old)")
    assert tab.text_content("#translation").split("\n") == program(lines)
    assert tab.locator("#alternatives tr").count() > 1
    shares = tab.locator("#map tbody tr:first-child td").all_text_contents()
    assert 97 <= sum(int(share.removesuffix(" %")) for share in shares) <= 103
    tab.fill("#beam", "1")
    tab.wait_for_selector("#translation.old", state="attached")
    tab.wait_for_selector("#translation:not(.old)")
    assert tab.text_content("#translation").split("\n") == program(lines, beam=1) != program(lines)
    for beam in ("0", "-1", "21", "1.5", ""):
        tab.fill("#beam", beam)
        tab.wait_for_selector("#status.wrong")
        assert tab.text_content("#status") == tab.text_content("#beam-message") == BEAMS
        assert tab.get_attribute("#beam", "aria-invalid") == "true"
        assert tab.get_attribute("#translation", "class") == "old"
        assert tab.is_disabled("#copy")
    tab.fill("#text", lines[0])
    tab.fill("#beam", "20")
    tab.wait_for_selector("#translation:not(.old)")
    assert tab.text_content("#translation") == program(lines[:1], beam=20)[0]
    assert tab.get_attribute("#beam", "aria-invalid") == "false"
    assert tab.is_hidden("#beam-message")
    tab.fill("#text", "x" * 5001)
    tab.wait_for_selector("#status.wrong")
    assert tab.text_content("#status") == "5,001 characters; a text may have 5,000"
    assert tab.is_disabled("#copy")
    tab.fill("#text", " ".join(["station"] * 27))
    assert tab.text_content("#status") in ("", "Translating…")
    tab.wait_for_selector("#map thead th:nth-child(28)")
    tab.set_viewport_size({"width": 360, "height": 740})
    assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert tab.problems == []
    assert len({url.split("/")[2] for url in tab.requests if not url.startswith("data:")}) == 1
    context.close()


def test_a_page_whose_graph_is_missing_or_damaged_shows_this_reason_only(tmp_path, browser):
    _, folder = exported(tmp_path, "word", "int8")
    graph = folder / "decoder.onnx"
    for content, reason in (
        (graph.read_bytes()[:99], "The model failed: decoder.onnx is damaged; export the run again."),
        (None, "The model failed: decoder.onnx: status 404"),
    ):
        graph.unlink()
        if content is not None:
            graph.write_bytes(content)
        context = browser.new_context()
        tab = context.new_page()
        with web_server(folder) as server:
            tab.goto(f"http://127.0.0.1:{server.server_port}/")
            tab.wait_for_selector("#status.wrong")
            tab.fill("#text", "I am cold.")
            tab.wait_for_timeout(1000)
            assert tab.text_content("#status").startswith(reason)
            assert tab.text_content("#count") == tab.text_content("#kept") == ""
        context.close()


def test_a_damaged_file_is_not_kept_and_a_new_version_is_used_from_the_next_visit_on(tmp_path, browser):
    _, folder = exported(tmp_path, "word", "int8")
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    vocabulary = folder / "tgt.vocab.json"
    before = vocabulary.read_bytes()
    vocabulary.write_bytes(before + b"\n")
    context = browser.new_context()
    name = "async () => (await (await fetch('manifest.json')).json()).about.name"
    waits = "async () => Boolean((await navigator.serviceWorker.getRegistration()).waiting)"
    with web_server(folder) as server:

        def visit():
            tab = context.new_page()
            tab.goto(f"http://127.0.0.1:{server.server_port}/")
            tab.wait_for_selector("#kept:not(:empty)", state="attached")
            return tab, tab.text_content("#kept")

        tab, kept = visit()
        assert "did not keep the files" in kept
        vocabulary.write_bytes(before)
        tab.close()
        tab, kept = visit()
        assert kept == KEPT
        manifest["about"]["name"] = "the new one"
        (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
        write_site(folder, manifest)
        tab.reload()
        while not tab.evaluate(waits):
            tab.wait_for_timeout(50)
        assert tab.evaluate(name) == "run"
        tab.close()
        for _ in range(50):
            tab, kept = visit()
            if tab.evaluate(name) != "run":
                break
            tab.close()
        assert tab.evaluate(name) == "the new one"
        assert len(tab.evaluate("() => caches.keys()")) == 1
    context.close()
