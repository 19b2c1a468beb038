"""The exported program writes the lines that the package writes."""

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
from wordseq.export.formats import export_run
from wordseq.export.onnx_folder import export_onnx, program
from wordseq.runs.folder import RunFolder
from wordseq.system.errors import UserError

SENTENCES = [
    *sorted((pair.src for pair in some_pairs()[500:530]), key=len)[:9],
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
    for model in manifest["models"].values():
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
    monkeypatch.setitem(translate.OnnxTranslator.__init__.__kwdefaults__, "int8", False)
    monkeypatch.setattr(translate.OnnxTranslator.__init__, "__defaults__", (exported,))

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
    assert program_in("--input", "none.txt")[0] == 2


def test_a_check_finds_damage(program_in, exported, tmp_path):
    assert program_in("--check") == (0, "files and model are as exported\n", "")
    path = exported / "tgt.vocab.json"
    before = path.read_text()
    path.write_text(before + "\n")
    code, out, _ = program_in("--check")
    path.write_text(before)
    assert (code, out) == (1, "tgt.vocab.json is damaged: its SHA-256 is not the one in manifest.json\n")


def test_what_cannot_be_exported_is_refused(exported, tmp_path):
    run = RunFolder.open(exported.parent / "run")
    with pytest.raises(UserError, match="exists"):
        export_onnx(run, exported)
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
    with pytest.raises(UserError, match="precision is for the format web"):
        export_run(RunFolder.open(run.folder), None, "onnx", precision="int8")
