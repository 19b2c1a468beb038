"""The exported program writes the lines that the package writes."""

import contextlib
import dataclasses
import hashlib
import importlib.util
import io
import json
import sys

import pytest

import wordseq
from tests.fake_runs import few_draws
from tests.random_runs import random_run
from tests.runs import some_pairs
from wordseq.cli.main import main
from wordseq.config.schema import DecodeConfig
from wordseq.decoding.translator import Translator
from wordseq.export import translate
from wordseq.export.onnx_folder import export_onnx, program
from wordseq.runs.folder import RunFolder
from wordseq.system.errors import UserError

SENTENCES = [
    *(pair.src for pair in some_pairs()[500:509]),
    "",
    "Zork’s ZORK, zork !",
    "HELLO  你好",
]


@pytest.fixture(autouse=True)
def _few():
    with few_draws():
        yield


SETTINGS = {
    "words": ["model.attention=dot"],
    "copied-and-spelled": ["data.rare_words=spell", "model.copy=true", "decode.length_penalty=0.3"],
    "subwords-to-words": ["data.src_level=bpe", "data.tgt_level=word", "model.cell=lstm", "data.lowercase=true"],
    "characters": ["data.level=char", "data.src_form=NFD", "model.attention=none"],
    "words-to-symbols": ["data.tgt_separator= ", "train.loss=entmax15", "decode.max_len_extra=4"],
    "features": ["data.features_column=3", "model.features=separate", "model.input_feeding=true", "model.copy=true"],
    "same-length": ["model.kind=same_length", "model.attention=none", "decode.max_len_extra=30"],
}

FAST = ("subwords-to-words", "words-to-symbols", "features")


@pytest.mark.usefixtures("uncompiled")
@pytest.mark.parametrize(
    "name", [name if name in FAST else pytest.param(name, marks=pytest.mark.slow) for name in SETTINGS]
)
def test_lines_are_those_of_the_package(tmp_path, name):
    run = random_run(tmp_path / "run", *SETTINGS[name])
    folder = export_onnx(run, say=lambda line: None)
    ours, theirs = translate.OnnxTranslator(folder, threads=1), Translator.load(run)
    texts = [f"{text}\tV; {len(text)};" for text in SENTENCES] if run.config.data.feature_separator else SENTENCES
    decode = run.config.decode
    for beam in (1, 3):
        found = theirs.translate(texts, dataclasses.replace(decode, beam_size=beam))
        wanted = [hypotheses[0].text for hypotheses in found]
        assert ours(texts, beam=beam) == wanted
        assert len(set(wanted)) > 4
    assert ours.check() == ""


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    with few_draws():
        return export_onnx(random_run(tmp_path_factory.mktemp("one") / "run"), say=lambda line: None)


def test_lines_do_not_depend_on_the_batch(exported):
    for int8 in (False, True):
        translator = translate.OnnxTranslator(exported, int8=int8, threads=2)
        texts = [f"{text} {k}" for k in range(5) for text in SENTENCES]
        assert translator(texts, beam=2) == [translator([text], beam=2)[0] for text in texts]


def test_the_manifest_names_files_scores_and_what_is_needed(exported):
    manifest = json.loads((exported / "manifest.json").read_text())
    files = {path.name for path in exported.iterdir()}
    assert set(manifest["sha256"]) == files - {"manifest.json"}
    for name, digest in manifest["sha256"].items():
        assert hashlib.sha256((exported / name).read_bytes()).hexdigest() == digest
    readme = (exported / "README.md").read_text()
    tables = [line for line in readme.splitlines() if line.startswith("|")]
    assert [line.count("|") for line in tables] == [5] * 4
    for model in manifest["models"].values():
        assert f"The signature of BLEU is `{model['scores']['bleu']['signature']}`." in readme
        assert 0 <= model["scores"]["bleu"]["score"] <= 100
        assert "version" in model["scores"]["bleu"]["signature"]
        assert model["bytes"] == sum((exported / model[part]).stat().st_size for part in ("encoder", "decoder"))
    assert (exported / "requirements.txt").read_text().split() == ["numpy", "onnxruntime", "regex"]


def test_the_program_is_one_file_without_the_package(exported):
    text = (exported / "translate.py").read_text()
    assert text == program()
    assert "wordseq.export" not in text
    assert "import tensorflow" not in text
    names = {"__name__": "translate", "__file__": str(exported / "translate.py")}
    exec(compile(text, "translate.py", "exec"), names)
    assert names["OnnxTranslator"]()(SENTENCES) == translate.OnnxTranslator(exported)(SENTENCES)


@pytest.fixture
def program_in(exported, monkeypatch, capsysbinary):
    """Calls the program with bytes as its standard input; gives exit code, output and error."""
    monkeypatch.setattr(translate, "__file__", str(exported / "translate.py"))

    def call(*words, given=b""):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(given))))
        code = translate.main(list(map(str, words)))
        out, err = capsysbinary.readouterr()
        return code, out.decode(), err.decode()

    return call


def test_one_line_is_written_for_each_that_is_read(program_in, exported, tmp_path):
    given = "\ufeffI am cold.\r\n\nYou are cold.\n \nThe end".encode()
    code, out, err = program_in(given=given)
    assert (code, err) == (0, "")
    assert out.split("\n")[:-1] == translate.OnnxTranslator(exported)(
        ["I am cold.", "", "You are cold.", "", "The end"]
    )
    (tmp_path / "in.txt").write_bytes(given)
    assert program_in("--input", tmp_path / "in.txt", "--output", tmp_path / "out.txt", "--threads", 1) == (0, "", "")
    assert (tmp_path / "out.txt").read_text(encoding="utf-8") == out
    assert program_in("--beam", 3, given=given)[1] != out
    assert program_in("--int8", given=given)[1].count("\n") == 5
    assert program_in() == (0, "", "")


def test_lines_before_a_bad_one_are_written(program_in):
    code, out, err = program_in(given=b"I am cold.\nYou\n\xff\nhe\n")
    assert (code, out.count("\n")) == (2, 2)
    assert err == "translate.py: error: standard input, line 3: not UTF-8: invalid start byte at byte 1\n"
    code, out, err = program_in(given=b"I am cold.\n" + b"a " * 50_001)
    assert (code, out.count("\n")) == (2, 1)
    assert err.endswith("line 2: 50,001 tokens, more than the 50,000 that are translated at once\n")


def test_files_that_cannot_be_used_are_named(program_in, tmp_path):
    given = tmp_path / "s.txt"
    assert program_in("--input", given) == (2, "", f"translate.py: error: {given}: not found\n")
    given.write_text("I am cold.\n")
    said = f"translate.py: error: {tmp_path / 'none' / 'out'}: no folder {tmp_path / 'none'}\n"
    assert program_in("--input", given, "--output", tmp_path / "none" / "out") == (2, "", said)
    said = f"translate.py: error: {tmp_path}: Is a directory\n"
    assert program_in("--input", given, "--output", tmp_path) == (2, "", said)


def test_the_input_is_not_overwritten(program_in, tmp_path, monkeypatch):
    given = tmp_path / "s.txt"
    given.write_text("I am cold.\n")
    (tmp_path / "symbolic").symlink_to(given)
    (tmp_path / "hard").hardlink_to(given)
    for name in ("s.txt", "symbolic", "hard"):
        said = f"translate.py: error: {tmp_path / name}: is the input; choose another --output\n"
        assert program_in("--input", given, "--output", tmp_path / name) == (2, "", said)
    assert program_in("--input", "/dev/null", "--output", "/dev/null") == (0, "", "")
    with given.open() as file:
        monkeypatch.setattr(sys, "stdin", file)
        assert translate.main(["--output", str(given)]) == 2
    assert given.read_text() == "I am cold.\n"


@contextlib.contextmanager
def changed(path, content):
    """The file has other content for a while; None: it is missing."""
    before = path.read_bytes()
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    try:
        yield
    finally:
        path.write_bytes(before)


def test_missing_and_damaged_files_are_named_before_they_are_loaded(program_in, exported):
    assert program_in("--check") == (0, "files and model are as exported\n", "")
    damaged = "is damaged: its SHA-256 is not the one in manifest.json"
    for name in ("encoder.onnx", "decoder.onnx", "tgt.vocab.json"):
        for content, fault in ((None, "is missing"), ((exported / name).read_bytes()[:100], damaged)):
            with changed(exported / name, content):
                assert program_in("--check") == (1, f"{name} {fault}\n", "")
                said = f"translate.py: error: {exported}: {name} {fault}\n"
                assert program_in(given=b"I am cold.\n") == (2, "", said)
    # A file that nothing reads, such as the other model, may be missing.
    with changed(exported / "encoder.int8.onnx", None):
        assert program_in("--check") == (1, "encoder.int8.onnx is missing\n", "")
        assert program_in(given=b"I am cold.\n")[0] == 0


def test_a_folder_without_a_manifest_of_this_format_is_refused(program_in, exported, tmp_path):
    with pytest.raises(ValueError, match=f"^{tmp_path}: no exported model: manifest.json is missing$"):
        translate.OnnxTranslator(tmp_path)
    for content, fault in (
        (b'{"format": ', "manifest.json is damaged: Expecting value"),
        (b"\xff", "manifest.json is damaged: 'utf-8' codec"),
        (b"[]", "manifest.json has the format None"),
        (
            b'{"format": ["wordseq-web", 1]}',
            "manifest.json has the format .'wordseq-web', 1., expected .'wordseq-onnx', 1.",
        ),
    ):
        (tmp_path / "manifest.json").write_bytes(content)
        with pytest.raises(ValueError, match=f"^{tmp_path}: {fault}"):
            translate.OnnxTranslator(tmp_path)
        with changed(exported / "manifest.json", content):
            code, out, err = program_in("--check")
            assert (code, out.count("\n"), err) == (1, 1, "")
            assert program_in()[0] == 2


def test_numbers_out_of_range_are_refused(program_in, exported, tmp_path):
    out = tmp_path / "out.txt"
    out.write_text("before")
    (tmp_path / "s.txt").write_text("I am cold.\n")
    translator = translate.OnnxTranslator(exported)
    for beam in (0, -2, 1001, 100_000):
        with pytest.raises(ValueError, match=f"^beam must be from 1 to 1,000, got {beam}$"):
            translator(["I am cold."], beam=beam)
        said = f"translate.py: error: --beam must be from 1 to 1,000, got {beam}\n"
        assert program_in("--input", tmp_path / "s.txt", "--output", out, "--beam", beam) == (2, "", said)
    assert out.read_text() == "before"
    with pytest.raises(ValueError, match=r"^threads must be at least 0, got -1$"):
        translate.OnnxTranslator(exported, threads=-1)
    assert program_in("--threads", -1) == (2, "", "translate.py: error: --threads must be at least 0, got -1\n")


def test_batches_of_a_large_beam_are_small(exported, monkeypatch):
    translator, sizes = translate.OnnxTranslator(exported, threads=1), []
    search = translator._search
    monkeypatch.setattr(translator, "_search", lambda batch, *rest: sizes.append(len(batch)) or search(batch, *rest))
    texts = [f"a {k}" for k in range(30)]
    monkeypatch.setattr(translate, "_MOST_HYPOTHESES", 40)
    found = translator(texts, beam=4)
    assert sizes == [10, 10, 10]
    monkeypatch.setattr(translate, "_MOST_HYPOTHESES", 3)
    assert translator(texts[:2], beam=4) == found[:2]
    assert sizes[3:] == [1, 1]


def test_one_text_is_not_taken_for_a_list_of_letters(exported):
    with pytest.raises(TypeError, match=r"texts must be a list of texts, got one text; put it into a list: \[text\]"):
        translate.OnnxTranslator(exported)("I am cold.")


def test_libraries_that_are_not_installed_are_named(program_in, exported, monkeypatch, capsysbinary):
    install = f"python -m pip install -r {exported / 'requirements.txt'}"
    for name in ("numpy", "onnxruntime", "regex"):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, name, None)
            names = {"__name__": "__main__", "__file__": str(exported / "translate.py")}
            with pytest.raises(SystemExit) as caught:
                exec(compile(program(), "translate.py", "exec"), names)
            said = f"translate.py: error: {name} is not installed: {install}\n"
            assert (caught.value.code, capsysbinary.readouterr().err.decode()) == (2, said)
            with pytest.raises(ModuleNotFoundError):
                exec(compile(program(), "translate.py", "exec"), names | {"__name__": "translate"})

    def fail(*_):
        raise ModuleNotFoundError("No module named 'sentencepiece'", name="sentencepiece")

    # Only models with subwords need it, so it is imported late.
    monkeypatch.setattr(translate, "ExportedSide", fail)
    assert program_in() == (2, "", f"translate.py: error: sentencepiece is not installed: {install}\n")


def test_what_cannot_be_exported_is_refused(exported, tmp_path):
    run = RunFolder.open(exported.parent / "run")
    said = f"^{exported}: exists; choose another --output, or remove it: rm -r -- {exported}$"
    with pytest.raises(UserError, match=said):
        export_onnx(run, exported)
    (tmp_path / "link").symlink_to(exported)
    with pytest.raises(UserError, match=r"exists; choose another --output$"):
        export_onnx(run, tmp_path / "link")
    run.members = (run, run)
    with pytest.raises(UserError, match="an ensemble has several models; export one of its runs"):
        export_onnx(run, tmp_path / "x")


def test_greedy_search_is_the_default_of_such_a_run(exported):
    translator = translate.OnnxTranslator(exported)
    assert DecodeConfig().beam_size == 1
    assert translator(SENTENCES) == translator(SENTENCES, beam=1)


def test_a_missing_library_is_named_with_the_command_that_installs_it(exported, monkeypatch, capsys):
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "onnx" else found(name, *rest))
    assert main(["export", str(exported.parent / "run"), "--output", str(exported.parent / "x")]) == 2
    said = "the format onnx needs onnx, which is not installed: python -m pip install 'wordseq[export]'"
    assert capsys.readouterr().err == f"wordseq: error: {said}\n"


def test_a_run_of_python_is_exported_too(exported, tmp_path, capsys):
    run = wordseq.load(exported.parent / "run")
    assert run.export(tmp_path / "made", verbose=False) == tmp_path / "made"
    assert capsys.readouterr().out == ""
    assert (tmp_path / "made" / "translate.py").read_text() == program()
    with pytest.raises(UserError, match="unknown format 'tflite'; choose from onnx, web, saved_model"):
        run.export(tmp_path / "other", "tflite")


@pytest.mark.parametrize(
    "words", [("--precision", "int8"), ("--mirror", "files"), ("--mirror", "x", "--format", "onnx")]
)
def test_options_of_another_format_are_named_as_they_are_typed(exported, words, capsys):
    assert main(["export", str(exported.parent / "run"), *words]) == 2
    assert capsys.readouterr().err == f"wordseq: error: {words[0]} is for --format web, got --format onnx\n"
