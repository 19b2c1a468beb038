"""Every option of every command does what its help promises: the real command in this process, with and without the option.

An option without a law fails `test_every_option_has_a_law` by name. The laws ask the parser, not the modules behind it.
"""

import argparse
import dataclasses
import hashlib
import io
import itertools
import json
import re
import shutil
import socket
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

import numpy as np
import pytest

from tests.closeness import close
from tests.fake_runs import few_draws
from tests.laws.conftest import sharpen, tiny_pairs, write_tsv
from wordseq.cli.main import main
from wordseq.comparison.page import plots
from wordseq.config.fields import usual_value
from wordseq.config.load import load_config
from wordseq.config.schema import SECTIONS
from wordseq.runs.combine import open_run
from wordseq.runs.folder import BEST, LAST, RunFolder

SETTINGS = (
    *("data.train=pairs.tsv", "data.dev_size=4", "data.test_size=6", "data.min_freq=1", "data.rare_words=unk"),
    *("model.cell=rnn", "model.embed_dim=4", "model.hidden_size=4", "model.attention=dot", "model.bidirectional=false"),
    *("train.batch_size=80", "train.max_steps=1", "train.log_steps=1", "train.precision=float32", "train.shards=1"),
    *("decode.max_len_ratio=0", "decode.max_len_extra=4"),
)
TEXTS = ["alpha two three", "eight", "Zork four nine seven", "five five two", "", "six one"]
LAWS: set[str] = set()
EVAL_KEYS = {
    *("bleu", "chrf", "ter", "sentences", "references", "seconds", "sentences_per_second", "oov_rate", "unk_rate"),
    *("length_ratio", "by_length", "commit", "run"),
}


def law(*options: str):
    """Marks the test of some options."""
    LAWS.update(options)
    return lambda test: test


class Caught(Exception):
    """Carries the parser."""


def parser_of_all() -> argparse.ArgumentParser:
    """The parser that `main` makes."""

    def catch(parser, *_):
        raise Caught(parser)

    with patch.object(argparse.ArgumentParser, "parse_args", catch), pytest.raises(Caught) as caught:
        main([])
    return caught.value.args[0]


def options_of(parser: argparse.ArgumentParser, command: str = "") -> Iterator[str]:
    """Every option and argument, after its command."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, below in action.choices.items():
                yield from options_of(below, f"{command}{name} ")
        elif not isinstance(action, argparse._HelpAction):
            yield command + (action.option_strings[-1] if action.option_strings else action.dest)


OPTIONS = frozenset(options_of(parser_of_all()))


def test_every_option_has_a_law():
    assert set() == OPTIONS - LAWS, "write a law for each of these options"
    assert len(OPTIONS) > 60


@pytest.fixture(scope="module", autouse=True)
def runs(tmp_path_factory, loaded_once):
    """The working directory, with a run trained by the command and a copy; in each, best and last weights differ."""
    folder = tmp_path_factory.mktemp("options")
    with few_draws(), pytest.MonkeyPatch.context() as patched:
        patched.chdir(folder)
        patched.delenv("WORDSEQ_MIRROR", raising=False)
        write_tsv(Path("pairs.tsv"), tiny_pairs())
        Path("in.txt").write_text("".join(f"{text}\n" for text in TEXTS))
        assert main(["train", "--run", "alpha", *sets(*SETTINGS)]) == 0
        shutil.copytree("alpha", "beta")
        for name, seed in (("alpha", 3), ("beta", 7)):
            for checkpoint in (LAST, BEST):
                sharpen(RunFolder(Path(name)), checkpoint, seed + (checkpoint == LAST))
        yield folder


def sets(*settings: str) -> list[str]:
    return [word for setting in settings for word in ("--set", setting)]


@pytest.fixture
def call(capsys):
    """Runs a command and gives its standard output."""

    def run(*words, code=0):
        capsys.readouterr()
        assert main([str(word) for word in words]) == code
        return capsys.readouterr().out

    return run


GREEDY: dict[tuple[str | bytes, ...], list[str]] = {}
"""By run and its settings, what it translates without options: many laws compare with it."""


@pytest.fixture
def translate(call):
    def lines(*words, run="alpha"):
        key = (str(run), *(path.read_bytes() for path in Path(run).glob("*.toml")))
        if not words and key in GREEDY:
            return GREEDY[key]
        found = call("translate", run, "--input", "in.txt", *words).split("\n")[:-1]
        return found if words else GREEDY.setdefault(key, found)

    return lines


@law("--version")
def test_version(capsys):
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out.startswith("wordseq ")


# --- translate


@law("translate run")
def test_a_translation_uses_the_best_weights_of_the_given_run(translate):
    ours, theirs = translate(), translate(run="beta")
    assert len(ours) == len(TEXTS)
    assert ours[4] == ""
    assert ours != theirs
    shutil.copytree("alpha", "turned")
    for name, other in ((BEST, LAST), (LAST, BEST)):
        RunFolder(Path("turned")).save(name, *RunFolder(Path("alpha")).load(other))
    assert translate(run="turned") != ours


@law("translate --input", "translate --output")
def test_lines_come_from_input_or_standard_input_and_go_to_output_or_standard_output(call, translate, monkeypatch):
    printed, before = translate(), {path: path.stat().st_mtime_ns for path in Path().rglob("*")}
    assert call("translate", "alpha", "--input", "in.txt", "--output", "out.txt") == ""
    after = {path: path.stat().st_mtime_ns for path in Path().rglob("*")}
    assert after.items() - before.items() == {(Path("out.txt"), after[Path("out.txt")])}, "another file was written"
    assert Path("out.txt").read_text().split("\n")[:-1] == printed
    typed = io.TextIOWrapper(io.BytesIO("".join(f"{text}\n" for text in TEXTS[:2]).encode()))
    monkeypatch.setattr(sys, "stdin", typed)
    assert call("translate", "alpha").split("\n")[:-1] == printed[:2]


@law("translate text")
def test_texts_of_the_command_line_are_translated_like_lines(call, translate, tmp_path):
    assert call("translate", "alpha", *TEXTS).split("\n")[:-1] == translate()
    assert call("translate", "alpha", *TEXTS, "--output", tmp_path / "out") == ""
    assert (tmp_path / "out").read_text().split("\n")[:-1] == translate()
    first, *others = TEXTS
    assert call("translate", "alpha", "--beam", "1", first, "--no-split", *others).split("\n")[:-1] == translate()
    call("translate", "alpha", "a text", "--input", "in.txt", code=2)
    with pytest.raises(SystemExit):
        call("translate", "alpha", "a text", "--unknown")


@law("translate --ensemble")
def test_runs_before_the_texts_are_an_ensemble_and_after_two_dashes_they_are_texts(call, translate, capsys):
    one, other = TEXTS[0], TEXTS[2]
    assert call("translate", "alpha", "alpha", one, "--nbest", "2") == call("translate", "alpha", one, "--nbest", "2")
    call("translate", "alpha", one, "beta", other)
    assert main(["translate", "alpha", "--beam", "1", "beta", one, other]) == 0
    both = capsys.readouterr()
    assert "ensemble of 2 runs: alpha, beta; mean of probabilities\n" in both.err
    assert len(both.out.splitlines()) == 2
    scores = [
        call("translate", "alpha", "beta", one, "--nbest", "2", "--ensemble", mean)
        for mean in ("probabilities", "log_probabilities")
    ]
    assert scores[0] != scores[1]
    # Nobody's run, but texts.
    for words in (
        ["alpha", "--", "beta", one],
        ["alpha", one, "--", "beta"],
        ["alpha", "--beam", "1", "--", one, "beta"],
    ):
        assert main(["translate", *words]) == 0
        found = capsys.readouterr()
        assert "ensemble" not in found.err
        assert len(found.out.splitlines()) == 2
    call("translate", "alpha", "--ensemble", "probabilities", one, code=2)
    assert main(["translate", "alpha", "./gamma"]) == 0
    assert "note: './gamma' is translated as a text; it is not the folder of a run\n" in capsys.readouterr().err


@law("translate --no-split")
def test_sentences_are_split_for_texts_but_not_in_files_unless_asked(call, translate):
    one, two = "alpha two three.", "Zork four nine seven."
    Path("two.txt").write_text(f"{one} {two}\n{one}\n")
    whole, first, second = call("translate", "alpha", f"{one} {two}", one, two, "--no-split").split("\n")[:-1]
    assert whole != f"{first} {second}"
    assert call("translate", "alpha", f"{one} {two}") == f"{first} {second}\n"
    lines = ("translate", "alpha", "--input", "two.txt")
    assert call(*lines) == call(*lines, "--no-split") == f"{whole}\n{first}\n"
    assert call(*lines, "--split") == f"{first} {second}\n{first}\n"
    call(*lines, "--split", "--nbest", "2", code=2)
    groups = call("translate", "alpha", f"{one} {two}", "--nbest", "2").split("\n\n")
    assert [group.split("\n")[0] for group in groups[:-1]] == [one, two]
    assert all(re.search(r"\n1 +-[\d.]+  .*\n2 ", group) for group in groups[:-1])


@law("translate --resume")
def test_resume_keeps_the_lines_that_are_there(call, translate):
    printed = translate()
    words = ("translate", "alpha", "--input", "in.txt", "--output", "half.txt")
    Path("half.txt").write_text("kept\nkept too\n")
    call(*words, "--resume")
    assert Path("half.txt").read_text().split("\n")[:-1] == ["kept", "kept too", *printed[2:]]
    call(*words)
    assert Path("half.txt").read_text().split("\n")[:-1] == printed


@law("translate --beam", "translate --nbest")
def test_a_beam_changes_translations_and_nbest_prints_n_lines(translate):
    greedy, beam = translate(), translate("--beam", "4")
    assert translate("--beam", "1") == greedy != beam
    for number in (2, 4):
        lines = [line.split("\t") for line in translate("--nbest", number, "--beam", "4")]
        assert len(lines) == number * len(TEXTS)
        assert [text for _, text in lines[::number]] == beam
        assert all(float(score) <= 0 for score, _ in lines)
    assert len(translate("--nbest", "3")) == 3 * len(TEXTS)


def test_a_file_gets_nbest_lists_in_one_form_wherever_the_texts_come_from(call, translate):
    lists = ("translate", "alpha", *TEXTS, "--nbest", "2", "--output", "lists.txt")
    assert call(*lists) == ""
    assert Path("lists.txt").read_text().split("\n")[:-1] == translate("--nbest", "2")
    call(*lists, "--split", code=2)


@law("translate --copy-unknown", "translate --keep-unknown")
def test_unknown_words_are_copied_or_kept(translate):
    kept, copied = translate("--keep-unknown"), translate()
    assert any("<unk>" in line for line in kept)
    assert not any("<unk>" in line for line in copied)
    assert [len(line.split()) for line in copied] == [len(line.split()) for line in kept]
    config = Path("alpha/config.toml")
    before = config.read_text()
    config.write_text(before.replace("copy_unknown = true", "copy_unknown = false"))
    assert (translate(), translate("--copy-unknown")) == (kept, copied)
    config.write_text(before)


@law("translate --precision")
def test_precision_changes_scores_a_little(translate):
    found = [
        np.array([float(line.split("\t")[0]) for line in translate("--nbest", "2", "--precision", precision)])
        for precision in ("float32", "bfloat16")
    ]
    plain = np.array([float(line.split("\t")[0]) for line in translate("--nbest", "2")])
    assert np.array_equal(plain, found[0])
    assert not np.array_equal(*found)


@law(
    "translate --length-penalty",
    "translate --max-len-ratio",
    "translate --max-len-extra",
    "eval --length-penalty",
    "eval --max-len-ratio",
    "eval --max-len-extra",
)
def test_limits_and_length_penalty_reach_the_search(evaluate, translate):
    # Weights that hardly ever end a sentence: it continues to the limit, which counts EOS.
    for ratio, extra in ((0, 2), (0, 6), (1, 6)):
        lines = translate("--max-len-ratio", ratio, "--max-len-extra", extra)
        assert [len(line.split()) for line in lines] == [
            len(text.split()) * ratio + extra - 1 if text else 0 for text in TEXTS
        ]
    plain, longer = (
        float(translate("--nbest", "2", "--length-penalty", penalty)[0].partition("\t")[0]) for penalty in (0, 3)
    )
    assert plain < longer < 0
    for penalty, ratio, extra in ((0, 3, 2), (3, 0, 9)):
        found = evaluate("--length-penalty", penalty, "--max-len-ratio", ratio, "--max-len-extra", extra)
        assert (found["length_penalty"], found["max_len_ratio"], found["max_len_extra"]) == (penalty, ratio, extra)


@law(
    "translate --sample",
    "translate --temperature",
    "translate --top-k",
    "translate --top-p",
    "translate --seed",
)
def test_samples_depend_on_seed_temperature_top_k_and_top_p(translate):
    def draw(*more):
        return translate("--sample", *more)

    greedy, plain = translate(), draw()
    assert plain != greedy
    assert draw("--seed", "1", "--temperature", "1", "--top-p", "1") == plain
    assert draw("--seed", "2") != plain
    hot = draw("--temperature", "5")
    assert hot != plain
    assert draw("--temperature", "0.001") == greedy
    for none, some, option in (("1", "3", "--top-k"), ("0.000001", "0.7", "--top-p")):
        assert draw(option, none) == greedy
        assert draw(option, some, "--temperature", "5") not in (greedy, hot)


# --- eval


@pytest.fixture
def evaluate(call):
    return lambda *words, run="alpha": json.loads(call("eval", run, "--json", *words))


@law("eval run", "eval --json")
def test_an_evaluation_is_of_the_given_run_and_can_be_json(call, evaluate):
    found, other = evaluate(), evaluate(run="beta")
    assert (found["run"], other["run"]) == ("alpha", "beta")
    assert found["perplexity"] != other["perplexity"]
    assert found.keys() >= EVAL_KEYS
    assert (found["sentences"], found["references"]) == (6, 12)
    for metric in ("bleu", "chrf", "ter"):
        low, high = found[metric]["ci95"]
        assert low <= found[metric]["score"] <= high
    table = call("eval", "alpha")
    assert table.startswith("metric")
    assert re.search(r"^BLEU +\d", table, re.MULTILINE)
    assert "sentences per second" in table
    with pytest.raises(json.JSONDecodeError):
        json.loads(table)


@law("eval --src", "eval --ref")
def test_given_files_replace_the_test_split_and_all_references_count(evaluate, translate):
    hyps = translate()
    Path("wrong.txt").write_text("".join("x y\n" for _ in TEXTS))
    Path("right.txt").write_text("".join(f"{hyp or '-'}\n" for hyp in hyps))
    both = evaluate("--src", "in.txt", "--ref", "wrong.txt", "--ref", "right.txt")
    assert (both["sentences"], both["references"]) == (6, 12)
    assert both["chrf"]["score"] > 90
    assert evaluate("--src", "in.txt", "--ref", "wrong.txt")["chrf"]["score"] < 20
    assert Path("alpha/eval/in.txt.src").read_text() == Path("in.txt").read_text()
    Path("more.txt").write_text("one two\n" * 9)
    Path("un.txt").write_text("un deux\n" * 9)
    assert evaluate("--src", "more.txt", "--ref", "un.txt")["sentences"] == 9


@law("eval --pairs")
def test_pairs_of_a_file_replace_the_test_split(call, evaluate):
    write_tsv(Path("scored.tsv"), [("one two", "un deux"), ("one two", "deux"), ("six", "six")])
    found = evaluate("--pairs", "scored.tsv")
    # As in a test file that is given for training: nothing is merged.
    assert (found["sentences"], found["references"]) == (3, 3)
    assert Path("alpha/eval/scored.tsv.src").read_text() == "one two\none two\nsix\n"
    assert Path("alpha/eval/scored.tsv.ref0").read_text() == "un deux\ndeux\nsix\n"
    call("eval", "alpha", "--pairs", "scored.tsv", "--src", "in.txt", "--ref", "in.txt", code=2)


@law("eval --beam", "eval --copy-unknown", "eval --keep-unknown", "eval --precision")
def test_an_evaluation_uses_the_given_decode_options(evaluate):
    def hyps():
        return Path("alpha/eval/test.hyp").read_text()

    plain, greedy = evaluate(), hyps()
    assert (plain["beam_size"], plain["copy_unknown"], plain["precision"]) == (1, True, "float32")
    assert plain["unk_replaced"]
    assert evaluate("--beam", "4")["beam_size"] == 4
    assert hyps() != greedy
    assert "<unk>" not in greedy
    kept = evaluate("--keep-unknown")
    assert (kept["copy_unknown"], kept["unk_replaced"], kept["unk_rate"]) == (False, False, plain["unk_rate"])
    assert "<unk>" in hyps()
    assert "kept in what is scored" in Path("alpha/eval/test.txt").read_text()
    assert evaluate("--copy-unknown")["copy_unknown"]
    assert hyps() == greedy
    assert "each replaced by a word of the source before scoring" in Path("alpha/eval/test.txt").read_text()
    assert evaluate("--precision", "bfloat16")["perplexity"] != plain["perplexity"]


@law("eval --tokenize", "eval --lowercase")
def test_scores_use_the_given_tokenizer_and_case(evaluate, translate):
    # With lines of several words without their full stop.
    longer = ("--max-len-extra", "6")
    hyps = translate(*longer)
    Path("upper.txt").write_text("".join(f"{hyp.upper() or '-'}.\n" for hyp in hyps))
    files = ("--src", "in.txt", "--ref", "upper.txt", *longer)
    plain = evaluate(*files)["bleu"]
    assert "tok:13a" in plain["signature"]
    assert "case:mixed" in plain["signature"]
    lower, none = evaluate(*files, "--lowercase")["bleu"], evaluate(*files, "--tokenize", "none", "--lowercase")["bleu"]
    assert "case:lc" in lower["signature"]
    assert "tok:none" in none["signature"]
    assert plain["score"] < none["score"] < lower["score"]


@law("eval --record")
def test_a_record_of_an_evaluation_has_its_figures(evaluate):
    found = evaluate("--record", "record.json", "--beam", "2")
    record = json.loads(Path("record.json").read_text())
    both = record.keys() & found.keys()
    assert both > {"bleu", "chrf", "ter", "command", "sentences_per_second", "length_ratio"}
    assert {key: record[key] for key in both} == {key: found[key] for key in both}
    assert found["command"].startswith("wordseq eval ")
    assert record["experiment"] == "alpha"
    assert record["step"] == 3


# --- embed, describe


@law("embed run", "embed --input", "embed --output")
def test_vectors_are_of_the_given_run_and_lines(call, monkeypatch):
    printed = call("embed", "alpha", "--input", "in.txt")
    found = np.loadtxt(printed.splitlines(), dtype=np.float32)
    assert call("embed", "alpha", "--input", "in.txt", "--output", "v.npy") == ""
    vectors = np.load("v.npy", allow_pickle=False)
    assert (vectors.shape, vectors.dtype) == ((len(TEXTS), 4), np.float32)
    assert np.array_equal(vectors, found)
    call("embed", "alpha", "--input", "in.txt", "--output", "v.txt", code=2)
    assert not Path("v.txt").exists()
    assert call("embed", "beta", "--input", "in.txt") != printed
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(f"{TEXTS[0]}\n".encode())))
    close(np.loadtxt([call("embed", "alpha")]), found[0])


@law("describe run", "describe --json", "describe --svg")
def test_a_description_is_of_the_best_weights_of_the_run(call):
    found, other = (json.loads(call("describe", name, "--json")) for name in ("alpha", "beta"))
    assert (found["step"], other["step"]) == (3, 7)
    assert found["weights_sha256"] != other["weights_sha256"]
    table = call("describe", "alpha", "--svg", "model.svg")
    assert found["weights_sha256"] in table
    assert not table.startswith("{")
    assert Path("model.svg").read_text().startswith("<svg ")


# --- export


@law("export run", "export --format", "export --output")
def test_an_exported_run_translates_like_the_run(call, translate, tmp_path, request):
    import tensorflow as tf

    from wordseq.export.translate import OnnxTranslator

    assert re.match(r"alpha-onnx: float32: [\d.]+ MB, held-out BLEU [\d.]+\n", call("export", "alpha"))
    call("export", "alpha", "--format", "onnx", "--output", tmp_path / "made")
    for folder in ("alpha-onnx", tmp_path / "made"):
        translator = OnnxTranslator(folder)
        assert translator(TEXTS) == translate()
        assert translator(TEXTS, beam=3) == translate("--beam", "3")
    call("export", "alpha", code=2)
    place, wanted = tmp_path / "saved", translate()
    request.getfixturevalue("compiled")
    assert call("export", "alpha", "--format", "saved_model", "--output", place).startswith(
        f"{place}: serving_default: "
    )
    serve = tf.saved_model.load(str(place)).signatures["serving_default"]
    assert [line.decode() for line in serve(texts=tf.constant(TEXTS))["translations"].numpy()] == wanted


@law("export --precision", "export --mirror")
def test_an_export_for_browsers_has_the_graphs_and_the_runtime_that_are_asked_for(call, tmp_path, monkeypatch):
    from wordseq.export.browser import runtime

    content = {"onnxruntime.js": b"script", "onnxruntime.wasm": b"code"}
    files = {name: (name, hashlib.sha256(part).hexdigest()) for name, part in content.items()}
    monkeypatch.setattr(runtime, "_FILES", files)
    with tarfile.open(tmp_path / f"{runtime.RUNTIME}.tgz", "w:gz") as archive:
        for name, part in content.items():
            (tmp_path / name).write_bytes(part)
            archive.add(tmp_path / name, name)
    sizes = {}
    for precision in ("int8", "float32"):
        asked = () if precision == "int8" else ("--precision", precision)
        said = call("export", "alpha", "--format", "web", *asked, "--mirror", tmp_path, "--output", precision)
        assert re.search(rf"{precision}: {precision}: [\d.]+ MB, held-out BLEU [\d.]+\n", said)
        assert {name: Path(precision, name).read_bytes() for name in content} == content
        sizes[precision] = Path(precision, "decoder.onnx").stat().st_size
    assert sizes["int8"] != sizes["float32"]
    call("export", "alpha", "--precision", "int8", "--output", "other", code=2)
    call("export", "alpha", "--mirror", tmp_path, "--output", "other", code=2)


# --- pack


@law("pack run", "pack --output", "pack --with-test")
def test_a_pack_translates_and_embeds_like_its_run_and_has_its_test_split_on_request(call, translate, tmp_path):
    said = call("pack", "alpha")
    assert re.match(r"packed alpha into alpha-packed: [\d.]+ of [\d.]+ MB\n", said)
    call("pack", "alpha", "--output", tmp_path / "full", "--with-test")
    call("pack", "alpha", "--output", tmp_path / "a.zip")
    zipfile.ZipFile(tmp_path / "a.zip").extractall(tmp_path)
    lists, vectors, described = (
        translate("--nbest", "2"),
        call("embed", "alpha", "--input", "in.txt"),
        call("describe", "alpha"),
    )
    for packed in ("alpha-packed", tmp_path / "full", tmp_path / "alpha-packed"):
        assert translate("--nbest", "2", run=packed) == lists
        assert call("embed", packed, "--input", "in.txt") == vectors
        assert call("describe", packed) == described
    call("pack", "alpha", code=2)
    call("train", "--run", "alpha-packed", code=2)
    call("eval", "alpha-packed", code=2)
    assert "BLEU" in call("eval", "alpha-packed", "--src", "in.txt", "--ref", "in.txt")
    ours, theirs = (json.loads(call("eval", run, "--json")) for run in (tmp_path / "full", "alpha"))
    assert (ours["bleu"], ours["perplexity"]) == (theirs["bleu"], theirs["perplexity"])


# --- ensemble, average


@law(
    *("eval --ensemble", "ensemble run", "ensemble --output", "ensemble --beam", "ensemble --length-penalty"),
    *("ensemble --max-len-ratio", "ensemble --max-len-extra", "ensemble --copy-unknown", "ensemble --precision"),
    "ensemble --keep-unknown",
    "ensemble --ensemble",
)
def test_an_ensemble_is_used_like_a_run_and_has_the_given_settings_of_the_search(call, evaluate, translate):
    before = {path: path.stat().st_mtime_ns for path in Path().rglob("*")}
    live = json.loads(call("eval", "alpha", "beta", "--json", "--ensemble", "log_probabilities"))
    assert {path: path.stat().st_mtime_ns for path in Path().rglob("*")} == before, "a file was written"
    assert (live["runs"], live["ensemble"], live["run"]) == (["alpha", "beta"], "log_probabilities", "alpha + beta")
    assert "ensemble of 2 runs: alpha, beta; mean of log-probabilities" in live["notes"]
    call("eval", "alpha", "--ensemble", "probabilities", code=2)
    said = call("ensemble", "alpha", "beta", "--output", "both", "--ensemble", "log_probabilities")
    assert said == "both: ensemble of 2 runs: alpha, beta; mean of log-probabilities\n"
    saved = evaluate(run="both")
    assert (saved["bleu"], saved["perplexity"]) == (live["bleu"], live["perplexity"])
    mean = evaluate("--ensemble", "probabilities", run="both")
    assert saved["perplexity"] != mean["perplexity"]
    row = json.loads(call("compare", "alpha", "alpha+beta", "--json"))["rows"][1]
    assert (row["name"], row["perplexity"]) == ("alpha+beta", mean["perplexity"])
    assert row["made_of"] == "ensemble of 2 runs: alpha, beta; mean of probabilities"
    call("ensemble", "alpha", "beta", "--output", "both", code=2)
    options = {"beam": 3, "length-penalty": 2.0, "max-len-ratio": 1.0, "max-len-extra": 4, "precision": "bfloat16"}
    words = [word for name, value in options.items() for word in (f"--{name}", value)]
    call("ensemble", "alpha", "beta", "--output", "set", *words, "--keep-unknown")
    decode = open_run(Path("set")).config.decode
    assert [getattr(decode, name.replace("-", "_").replace("beam", "beam_size")) for name in options] == [
        *options.values()
    ]
    assert not decode.copy_unknown
    with pytest.raises(SystemExit):
        call("ensemble", "alpha", "beta", "--output", "again", "--copy-unknown", "--keep-unknown")
    call("ensemble", "alpha", "beta", "--output", "copies", "--copy-unknown")
    assert open_run(Path("copies")).config.decode.copy_unknown
    described = json.loads(call("describe", "both", "--json"))
    assert described["parameters"] == 2 * json.loads(call("describe", "alpha", "--json"))["parameters"]
    assert translate("--ensemble", "probabilities", run="both") == translate("beta")
    for words in (
        ("pack", "both"),
        ("embed", "both"),
        ("describe", "both", "--svg", "x.svg"),
        ("train", "--run", "both"),
    ):
        call(*words, code=2)


@law("average run", "average --output")
def test_an_average_is_used_like_a_run(call, translate):
    assert call("average", "alpha", "--output", "mean").startswith(
        "mean: average of the weights of alpha, best, update 3; "
    )
    assert len(set(map(tuple, (translate(run="mean"), translate(), translate(run="beta"))))) == 3
    assert "average of the weights of alpha, best" in call("describe", "mean")
    call("average", "alpha", "beta", "--output", "mean", code=2)
    call("average", "alpha", "alpha", "--output", "same")
    assert translate(run="same") == translate()
    call("train", "--run", "mean", code=2)
    assert "average of the weights of alpha" in call("eval", "mean")


# --- compare, report


@pytest.fixture
def no_charts(monkeypatch):
    """Pages have a word in place of each chart: to draw them takes most of the time."""
    monkeypatch.setattr(plots, "svg", lambda chart, prefix: "chart")


@pytest.mark.usefixtures("no_charts")
@law("compare run", "compare --json", "compare --record", "compare --html", "report run", "report --html")
def test_a_comparison_is_of_the_runs_in_their_order_as_table_json_record_and_page(call):
    # Before the tables may stand a warning: other laws score alpha with other settings of the search.
    table = call("compare", "alpha", "beta").partition("Scores with 95 % intervals")[2]
    assert table.index("alpha") < table.index("beta")
    assert not Path("r.json").exists()
    found = json.loads(call("compare", "beta", "alpha", "--json", "--record", "r.json", "--html", "c.html"))
    assert [row["run"] for row in found["rows"]] == ["beta", "alpha"]
    record = json.loads(Path("r.json").read_text())
    assert "rows" in record or "runs" in record
    assert call("report", "beta", "alpha", "--html", "p.html") == ""
    for page in ("c.html", "p.html"):
        text = Path(page).read_text()
        assert "<html" in text
        assert "beta" in text


# --- data


@pytest.fixture(scope="module")
def mirror():
    """A mirror folder with one public corpus, in a language that nobody speaks."""
    Path("mirror/tatoeba").mkdir(parents=True)
    with zipfile.ZipFile("mirror/tatoeba/qqq-eng.zip", "w") as archive:
        archive.writestr("qqq.txt", Path("pairs.tsv").read_text())
    return "mirror"


@law("data show config", "data show --set", "data show --json", "data show --mirror")
def test_what_would_be_read_is_shown(call, mirror, tmp_path, monkeypatch):
    plain = call("data", "show", "pairs.tsv", *sets("data.dev_size=4"))
    assert "pairs.tsv: TSV; source: column 1, target: column 2" in plain
    assert "dev 4 sources" in plain
    found = json.loads(call("data", "show", "pairs.tsv", "--json"))
    first = [line.split("\t") for line in Path("pairs.tsv").read_text().splitlines()[:5]]
    assert (found["format"], found["pairs"], found["first"]) == ("TSV", len(tiny_pairs()), first)
    assert found["columns"] == {"source": "column 1", "target": "column 2", "unused": [], "header": False}
    assert found["warnings"] == []
    swapped = json.loads(call("data", "show", "pairs.tsv", "--json", *sets("data.src_column=2", "data.tgt_column=1")))
    assert swapped["first"] == [pair[::-1] for pair in first]
    mirror = Path(mirror).absolute()
    monkeypatch.chdir(tmp_path)
    assert "licence" in call("data", "show", "tatoeba-qqq-eng", "--mirror", mirror)
    call("data", "show", "none.tsv", code=2)


@law("data get name", "data get --mirror", "train --mirror")
def test_public_corpora_come_from_the_mirror(call, mirror, tmp_path, monkeypatch):
    mirror = Path(mirror).absolute()
    monkeypatch.chdir(tmp_path)
    call("data", "get", "tatoeba-qqq-eng", "--mirror", tmp_path, code=2)
    assert "data/tatoeba-qqq-eng/qqq.txt" in call("data", "get", "tatoeba-qqq-eng", "--mirror", mirror)
    assert "nothing to download" in call("data", "get", "phrasebook")
    shutil.rmtree("data")
    without_path = [text for text in SETTINGS if not text.startswith("data.train=")]
    words = ("train", "--run", "run", *sets(*without_path, "data.corpus=tatoeba-qqq-eng"))
    call(*words, "--mirror", tmp_path, code=2)
    call(*words, "--mirror", mirror)
    assert RunFolder(Path("run")).config.data.corpus == "tatoeba-qqq-eng"


# --- train


@law("train file", "sweep file")
def test_a_file_after_settings_is_what_is_trained_on_with_them(call, children, capsys):
    Path("other.toml").write_text(Path("alpha/config.toml").read_text().replace("embed_dim = 4", "embed_dim = 5"))
    call("train", "other.toml", "pairs.tsv", "--run", "of-file", *sets("train.max_steps=1"))
    found = RunFolder(Path("of-file")).config
    assert (found.model.embed_dim, found.data.train) == (5, "pairs.tsv")
    children.fail = True
    call("sweep", "other.toml", "pairs.tsv", code=2)
    (command,) = children.commands
    assert command[:2] == ["train", "other.toml"]
    assert 'data.train="pairs.tsv"' in command
    assert main(["train", "pairs.tsv", "other.tsv"]) == 2
    assert "pairs.tsv is no preset and no .toml file" in capsys.readouterr().err


@law("train config", "train --run", "train --set", "train --list-settings")
def test_a_run_is_trained_into_its_folder_with_the_files_settings_and_those_that_are_set(call):
    text = Path("alpha/config.toml").read_text().replace("embed_dim = 4", "embed_dim = 5")
    Path("settings.toml").write_text(text)
    call("train", "settings.toml", "--run", "new", *sets("model.hidden_size=6", "train.seed=9"))
    found = RunFolder(Path("new")).config
    assert (found.model.embed_dim, found.model.hidden_size, found.train.seed) == (5, 6, 9)
    assert RunFolder(Path("new")).load(BEST)[0]["seq2seq/output/kernel"].shape[0] == 6
    listed = call("train", "--list-settings", "all")
    for section, kind in SECTIONS.items():
        for field in dataclasses.fields(kind):
            # Without data the phrasebook would be used.
            value = "phrasebook" if field.name == "corpus" else usual_value(field)
            assert f"{section}.{field.name} = {json.dumps(value)}" in listed


def test_listed_settings_are_those_that_would_be_used(call):
    listed = call("train", "g2p", "--list-settings", *sets("train.seed=7"))
    for line in ('model.cell = "lstm"  (default: "gru")', "train.seed = 7  (default: 1)", 'data.corpus = ""'):
        assert f"{line}\n" in listed
    assert 'train.select_by = "exact"  (default: "auto")\n' in listed
    assert '\nmodel.embed_dim = 4  (default: "auto")\n' in call("train", "--run", "alpha", "--list-settings")


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["pairs.tsv"], "pairs"),
        (["own.src,own.tgt"], "own"),
        (["settings.toml"], "settings"),
        (["phrasebook"], "phrasebook"),
        (["copy"], "copy"),
        (["."], "here"),
    ],
)
def test_a_run_without_a_name_is_called_by_its_data_or_settings(call, tmp_path, monkeypatch, words, name):
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    write_tsv(Path("pairs.tsv"), tiny_pairs())
    if words != ["."]:
        Path("own.src").write_text("a\n")
        Path("own.tgt").write_text("b\n")
        Path("settings.toml").write_text("")
    made = []
    # Nothing is prepared or trained: the name is settled before.
    stop = patch("wordseq.runs.data.prepare_run", lambda config, run, *rest: made.append(run.folder) or {}["stop"])
    with stop, pytest.raises(KeyError):
        call("train", *words)
    assert made == [Path("runs") / name]


@law("train --tensorboard")
def test_tensorboard_writes_event_files(call):
    assert not Path("alpha/tensorboard").exists()
    call("train", "--run", "board", "--tensorboard", *sets(*SETTINGS))
    assert list(Path("board/tensorboard").iterdir())
    assert RunFolder(Path("board")).config == RunFolder(Path("alpha")).config


# --- sweep


@pytest.fixture
def children(monkeypatch):
    """The trainings that a sweep starts: their commands, each run in this process, or not at all where `fail` is set."""
    found = SimpleNamespace(commands=[], fail=False)

    process = subprocess.Popen

    def start(words, *more, **options):
        if "train" not in words:
            return process(words, *more, **options)
        found.commands.append(list(map(str, words[words.index("train") :])))
        code = 1 if found.fail else main(found.commands[-1])
        return SimpleNamespace(returncode=code, poll=lambda: code, wait=lambda *_: code)

    monkeypatch.setattr(subprocess, "Popen", start)
    return found


def folders(children):
    return [words[words.index("--run") + 1] for words in children.commands]


@law(
    *("sweep config", "sweep --folder", "sweep --name", "sweep --levels", "sweep --cells", "sweep --vary"),
    *("sweep --seeds", "sweep --set", "sweep --mirror"),
)
def test_a_sweep_trains_the_runs_of_its_options(call, children):
    children.fail = True
    Path("sweep.toml").write_text(Path("alpha/config.toml").read_text())

    def planned(*more):
        children.commands.clear()
        call("sweep", *more, code=2)
        return children.commands

    (plain,) = planned("sweep.toml")
    assert plain[:2] == ["train", "sweep.toml"]
    assert folders(children) == ["runs/compare/pairs-word-rnn-1"]
    assert "--mirror" not in plain
    for more, names in (
        (("--folder", "here"), ["here/pairs-word-rnn-1"]),
        (("--name", "mine"), ["runs/compare/mine-word-rnn-1"]),
        (("--levels", "char word"), ["runs/compare/pairs-char-rnn-1", "runs/compare/pairs-word-rnn-1"]),
        (("--cells", "gru,sru"), ["runs/compare/pairs-word-gru-1", "runs/compare/pairs-word-sru-1"]),
        (("--seeds", "2"), ["runs/compare/pairs-word-rnn-1", "runs/compare/pairs-word-rnn-2"]),
        (("--vary", "model.peek=true"), ["runs/compare/pairs-word-rnn-true-1"]),
        (("--set", "train.seed=5"), ["runs/compare/pairs-word-rnn-5"]),
    ):
        planned("sweep.toml", *more)
        assert folders(children) == names
        for words, name in zip(children.commands, names, strict=True):
            values = [value for option, value in itertools.pairwise(words) if option == "--set"]
            config = load_config(Path("sweep.toml"), values)
            level, cell, *_, seed = Path(name).name.split("-")[1:]
            assert (config.data.level, config.model.cell, config.train.seed) == (level, cell, int(seed))
            assert config.model.peek == ("true" in name)
    (words,) = planned("sweep.toml", "--mirror", "mirror")
    assert words[-2:] == ["--mirror", "mirror"]
    (words,) = planned(*sets("data.corpus=addition"))
    assert words[1] == "--run"


@pytest.mark.usefixtures("no_charts")
@law("sweep --json", "sweep --record", "sweep --html")
def test_a_sweep_ends_with_the_comparison_of_its_runs(call, children):
    words = ("sweep", "alpha/config.toml", "--folder", "swept", "--seeds", "2")
    found = call(*words)
    assert len(children.commands) == 2
    result = json.loads(call(*words, "--json", "--record", "swept.json", "--html", "swept.html").split("\n", 0)[-1])
    assert len(children.commands) == 2
    assert [row["run"] for row in result["rows"]] == folders(children)
    assert all(name in found for name in folders(children))
    assert json.loads(Path("swept.json").read_text())
    assert "<html" in Path("swept.html").read_text()
    # A third run fails: the comparison is of the two that there are, and a record of a part is not written.
    children.fail = True
    part = call(*words[:-1], "3", "--json", "--record", "part.json", code=1)
    assert [row["run"] for row in json.loads(part)["rows"]] == [row["run"] for row in result["rows"]]
    assert not Path("part.json").exists()


# --- bench


@pytest.fixture
def measured(monkeypatch):
    """What reaches the functions that measure, in place of minutes of measuring: name, arguments."""
    from wordseq.benchmark import measure, tables, workload

    found = []

    def replace(original, fake):
        for module in [module for name, module in sys.modules.items() if name.startswith("wordseq")]:
            for name, value in list(vars(module).items()):
                if value is original:
                    monkeypatch.setattr(module, name, fake)

    def fake_of(name):
        def measuring(*arguments, **_):
            settings = next(
                value for value in arguments if dataclasses.is_dataclass(value) and hasattr(value, "blocks")
            )
            found.append((name, arguments[0], settings))
            return {"what": name}

        return measuring

    for name, table in (("speed", "bench"), ("growth", "grow"), ("parts", "parts")):
        replace(getattr(measure, f"measure_{name}"), fake_of(name))
        replace(getattr(tables, f"{table}_table"), lambda result: f"a table of {result['what']}\n")
    replace(workload.reference_task, lambda mirror, *_: SimpleNamespace(mirror=mirror))
    return found


@law(
    *("bench --cells", "bench --precisions", "bench --systems", "bench --torch", "bench --run", "bench --blocks"),
    *("bench --steps", "bench --threads", "bench --quick", "bench --grow", "bench --parts", "bench --json"),
    *("bench --record", "bench --mirror"),
)
def test_options_of_bench_reach_the_measurement(call, measured):
    def asked(*more):
        call("bench", *more)
        return measured[-1]

    name, task, usual = asked()
    assert (name, task.mirror) == ("speed", None)
    for option, words, value in (
        ("cells", ["gru", "rnn"], ("gru", "rnn")),
        ("precisions", ["float32"], ("float32",)),
        ("systems", ["keras"], ("keras",)),
        ("torch", ["python9"], "python9"),
        ("run", ["alpha"], Path("alpha")),
        ("blocks", ["2"], 2),
        ("steps", ["7"], 7),
        ("threads", ["1"], 1),
    ):
        name, _, settings = asked(f"--{option}", *words)
        assert getattr(usual, option) != value
        assert settings == dataclasses.replace(usual, **{option: value})
    quick = asked("--quick")[2]
    assert (quick.blocks, quick.sentences) < (usual.blocks, usual.sentences)
    assert asked("--quick", "--blocks", "4")[2] == dataclasses.replace(quick, blocks=4)
    assert str(asked("--mirror", "mirror")[1].mirror) == "mirror"
    assert asked("--grow", "hidden")[:2] == ("growth", "hidden")
    assert asked("--parts")[0] == "parts"
    assert call("bench") == "a table of speed\n"
    found = json.loads(call("bench", "--json", "--record", "bench.json"))
    assert found["what"] == "speed"
    assert json.loads(Path("bench.json").read_text()) | {"command": ""} == found | {"command": ""}


# --- serve


@pytest.fixture
def serve(monkeypatch, capsys):
    """Runs `wordseq serve` without a socket that anybody uses: the call asks in place of the server, and it ends."""
    from starlette.testclient import TestClient

    from wordseq.serving import directions, server

    monkeypatch.setattr(directions, "warm_up", lambda direction: None)

    def run(ask, *words):
        found = []

        def in_place_of_the_server(app, listening, started):
            started()
            with TestClient(app) as client:
                found.append(ask(client, listening.getsockname()))

        monkeypatch.setattr(server, "run_server", in_place_of_the_server)
        assert main(["serve", *words]) == 0
        return found[0]

    return run


def asks(**values):
    """A request for a translation, with status and answer as the result."""

    def ask(client, address):
        del address
        answer = client.post("/translate", json={"q": TEXTS[0], "source": "src", "target": "tgt", **values})
        return answer.status_code, answer.json()

    return ask


@law("serve run", "serve --as")
def test_runs_are_served_as_directions_and_answer_as_translate_does(serve, translate):
    text = "\n".join(TEXTS)
    assert serve(asks(q=text), "alpha", "--port", "0") == (200, {"translatedText": "\n".join(translate())})
    both = ("alpha", "beta", "--port", "0", "--as", "en:fr", "--as", "fr:en")
    assert serve(asks(q=text, source="fr", target="en"), *both)[1] == {
        "translatedText": "\n".join(translate(run="beta"))
    }
    assert main(["serve", "alpha", "beta"]) == 2
    assert main(["serve", "alpha", "--as", "en"]) == 2
    assert main(["serve", "gamma"]) == 2


@pytest.fixture
def fake(monkeypatch):
    """The runs are served by a translator without a model."""
    from tests.fake_translator import FakeTranslator
    from wordseq.serving import directions

    translator = FakeTranslator()
    monkeypatch.setattr(
        directions,
        "open_directions",
        lambda runs, languages: [directions.Direction(codes, translator, {}) for codes in languages],
    )
    return translator


@law("serve --host", "serve --port")
def test_the_server_listens_where_it_is_told(serve, fake, free_port):
    def where(client, address):
        del client
        return address[:2]

    assert serve(where, "alpha", "--port", str(free_port)) == ("127.0.0.1", free_port)
    host, port = serve(where, "alpha", "--port", "0", "--host", "0.0.0.0")
    assert (host, port > 0) == ("0.0.0.0", True)


@pytest.fixture
def free_port():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


@law("serve --api-key", "serve --max-chars", "serve --timeout", "serve --max-waiting")
def test_what_a_request_may_ask_for(serve, fake):
    usual = ("alpha", "--port", "0")
    assert serve(asks(), *usual)[0] == 200
    keyed = (*usual, "--api-key", "secret")
    assert [serve(asks(**more), *keyed)[0] for more in ({}, {"api_key": "x"}, {"api_key": "secret"})] == [400, 403, 200]
    assert serve(asks(q="123456"), *usual, "--max-chars", "5")[0] == 400
    assert serve(asks(q="12345"), *usual, "--max-chars", "5")[0] == 200
    fake.free.clear()

    def two_at_once(client, address):
        with ThreadPoolExecutor(1) as pool:
            before = len(fake.batches)
            first = pool.submit(asks(), client, address)
            while len(fake.batches) == before:
                time.sleep(0.01)
            second = asks()(client, address)[0]
            fake.free.set()
            first.result(20)
            fake.free.clear()
            return second

    late = ("--timeout", "0.2")
    assert serve(two_at_once, *usual, *late, "--max-waiting", "1") == 429
    assert serve(two_at_once, *usual, *late, "--max-waiting", "2") == 503
    fake.free.set()
