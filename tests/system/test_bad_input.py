"""Mistakes of users: one clear line, exit code 2, no partial file, and good files stay as they were."""

import errno
import importlib
import io
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.runs import files_of, settings, train_arguments, without_notes, wordseq
from wordseq.batches.prepare import PREPARED_FOLDER
from wordseq.cli.main import main
from wordseq.evaluation.metrics import tokenizing
from wordseq.runs.folder import RunFolder
from wordseq.training import run as training_run

pytestmark = pytest.mark.usefixtures("uncompiled")


@pytest.fixture
def place(tiny_run, tmp_path, monkeypatch):
    """A new folder with a copy of a good run and of its data, and some texts."""
    monkeypatch.chdir(tmp_path)
    for path in (tiny_run.folder, tiny_run.folder.with_name(PREPARED_FOLDER)):
        shutil.copytree(path, tmp_path / path.name, ignore=shutil.ignore_patterns("eval"))
    shutil.copy2(tiny_run.pairs, tmp_path)
    config = tmp_path / "run" / "config.toml"
    config.write_text(config.read_text(encoding="utf-8").replace(str(tiny_run.pairs), "pairs.tsv"), encoding="utf-8")
    (tmp_path / "text.txt").write_text("Hello.\nYes.\n")
    return tmp_path


@pytest.fixture
def complaint(capsys):
    """Runs a command that must fail: its one line on standard error."""

    def run(*arguments):
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as end:  # of argparse
            code = end.code
        err = capsys.readouterr().err
        assert code == 2, err
        assert "Traceback" not in err
        return err

    return run


def train(*more, path=None, folder="new"):
    return train_arguments(Path(folder), settings(Path(path or "pairs.tsv"), *more))


def assert_one_line(err, *parts):
    err = without_notes(err)
    assert err.startswith("wordseq: error: ")
    assert err.count("\n") == 1
    for part in parts:
        assert part in err
    return err


# --- data


DATA = {
    "no such file": (None, (), ["data.tsv: no such file"]),
    "not UTF-8": (b"caf\xe9\tcoffee\n", (), ["data.tsv:1: not UTF-8", "1 of 1 line", "probably cp1252"]),
    "not UTF-16": ("a\tb\n".encode("utf-16")[:-1], (), ["data.tsv: not utf-16-le near byte 8"]),
    "one column": (b"a\tb\na\tb\nonly one\n", (), ["data.tsv:3: 1 column, expected 2"]),
    "sentences": (b"One.\nTwo.\n", (), ["data.tsv: TSV with one column, e.g. 'One.'", "SRC,TGT"]),
    "no such column": (
        b"a\tb\n",
        ("data.src_column=3", "data.tgt_column=1"),
        ["data.src_column = '3': no such column"],
    ),
    "a workbook": (b"PK\3\4 [Content_Types].xml", (), ["data.tsv: an Office document; save the table as CSV"]),
    "empty file": (b"", (), ["data.tsv: the file is empty"]),
    "blank lines only": (b"\n \n\t\n", (), ["data.tsv: all 3 lines were dropped"]),
    "empty test split": (
        b"a\tb\nc\td\ne\tf\ng\th\n",
        ("data.dev_size=1", "data.test_size=0.1"),
        ["data.test_size = 0.1"],
    ),
    "larger splits than data": (b"a\tb\nc\td\ne\tf\n", (), ["data.test_size = 20", "3 distinct sources"]),
    "one pair": (b"a\tb\n", (), ["1 distinct source;"]),
    "all sentences the same": (b"a b\tc d\n" * 100, (), ["1 distinct source;"]),
    "a folder": ("folder", (), ["data.tsv: no pair of files is recognised in it"]),
    "all pairs too long": (b"a a a\tb\nc c c\td\n", ("data.max_chars=2",), ["all 2 lines were dropped", "max_chars"]),
    "not a .gz": (b"a\tb\n", ("data.train=data.gz",), ["data.gz", "damaged, or not a .gz file"]),
}


@pytest.mark.parametrize("name", DATA)
def test_data_that_cannot_be_used(place, complaint, name):
    content, sets, parts = DATA[name]
    for path in (place / "data.tsv", place / "data.gz"):
        if content == "folder":
            path.mkdir()
        elif content is not None:
            path.write_bytes(content)
    before = files_of(place)
    assert_one_line(complaint(*train(*sets, path="data.tsv")), *parts)
    assert files_of(place) == before
    assert not (place / "new").exists()


# --- settings


SETS = {
    "unknown key": ("model.hiden_size=3", ["unknown key model.hiden_size", "'model.hidden_size'"]),
    "unknown section": ("modl.cell=gru", ["modl", "'model'"]),
    "impossible value": ("model.cell=transformer", ["model.cell = 'transformer'", "'gru', 'lstm', 'rnn'"]),
    "wrong type": ("model.hidden_size=big", ["model.hidden_size", "whole number", "'big'"]),
    "out of range": ("model.dropout=1.5", ["model.dropout = 1.5", "at most 0.95"]),
    "below zero": ("train.max_epochs=0", ["train.max_epochs = 0", "at least 1"]),
    "not a number": ("train.learning_rate=nan", ["train.learning_rate = nan", "at least 0"]),
    "infinite": ("train.learning_rate=inf", ["train.learning_rate", "inf"]),
    "no value": ("model.cell", ["--set 'model.cell'", "section.key=value"]),
    "no section": ("cell=gru", ["--set 'cell=gru'", "section.key=value"]),
    "odd hidden size": ("model.hidden_size=15", ["model.hidden_size = 15 must be even"]),
    "no way for the source": ("model.bridge=zero", ["model.attention", "model.bridge"]),
    "two sources of data": ("data.corpus=copy", ["data.corpus and data.train exclude each other"]),
    "unknown corpus": ("data.corpus=phrasebok", ["phrasebok", "'phrasebook'"]),
    "tied sizes": ("model.tie_embeddings=true", ["model.embed_dim = model.hidden_size", "8 and 16"]),
    "words for pretokenized": ("data.pretokenized=true", ["data.pretokenized", "data.level"]),
    "too few subwords": ("data.subword_size=5", ["data.subword_size = 5", "at least 300"]),
}


@pytest.mark.parametrize("name", SETS)
def test_invalid_settings(place, complaint, name):
    text, parts = SETS[name]
    more = {"no way for the source": ["model.attention=none"], "words for pretokenized": ["data.level=bpe"]}
    more |= {"unknown corpus": ["data.train="], "odd hidden size": ["model.bidirectional=true"]}
    before = files_of(place)
    assert_one_line(complaint(*train(*more.get(name, []), text)), *parts)
    assert files_of(place) == before


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        (None, ["mine.toml: no such file"]),
        (b"[model\n", ["mine.toml: not valid TOML", "line 1"]),
        (b"[model]\ncell = gru\n", ["mine.toml: not valid TOML", "line 2"]),
        (b"\xff\xfe", ["mine.toml", "UTF-8"]),
        (b"[model]\nlayers = 3\n", ["mine.toml: unknown key model.layers"]),
        (b"[model]\ncell = 3\n", ["mine.toml: model.cell = '3'; choose from"]),
        (b"model = 3\n", ["mine.toml: model must be a table"]),
    ],
)
def test_invalid_settings_files(place, complaint, content, parts):
    if content is not None:
        (place / "mine.toml").write_bytes(content)
    assert_one_line(complaint("train", "mine.toml", "--run", "new"), *parts)
    assert not (place / "new").exists()


@pytest.mark.parametrize("words", [["train", "phrasebok", "--run", "new"], ["sweep", "phrasebok", "--folder", "new"]])
def test_an_unknown_preset_is_named_with_all_presets(place, complaint, words):
    err = complaint(*words)
    assert_one_line(
        err,
        "data 'phrasebok': neither a file nor a corpus; did you mean 'phrasebook'?",
        "the corpora are phrasebook, copy",
    )
    assert err.count("did you mean") == 1
    assert "; did you mean the preset 'segmentation'?" in complaint(words[0], "segmentaton", *words[2:])
    assert not (place / "new").exists()


# --- arguments


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["translate", "run", "--beam", "0"], ["--beam", "'0' must be a whole number from 1"]),
        (["export", "run", "--output", ""], ["--output", "must not be empty"]),
        (["train", "phrasebook", "--run", ""], ["--run", "must not be empty"]),
        (["translate", "run", "--output", ""], ["--output", "must not be empty"]),
        (["embed", "run", "--output", ""], ["--output", "must not be empty"]),
        (["pack", "run", "--output", " "], ["--output", "must not be empty"]),
        (["average", "run", "--output", ""], ["--output", "must not be empty"]),
        (["eval", "run", "--record", ""], ["--record", "must not be empty"]),
        (["compare", "run", "--record", ""], ["--record", "must not be empty"]),
        (["report", "run", "--html", ""], ["--html", "must not be empty"]),
        (["sweep", "phrasebook", "--folder", ""], ["--folder", "must not be empty"]),
        (["describe", "run", "--svg", ""], ["--svg", "must not be empty"]),
        (["bench", "--record", ""], ["--record", "must not be empty"]),
        (["serve", "run", "--api-key", ""], ["--api-key", "must not be empty"]),
        (["serve", "run", "--host", ""], ["--host", "must not be empty"]),
        (["translate", "run", "--beam", "many"], ["--beam", "'many' must be a whole number"]),
        (["translate", "run", "--nbest", "-1"], ["--nbest", "from 1"]),
        (["translate", "run", "--length-penalty", "-0.1"], ["--length-penalty", "'-0.1' must be a number from 0"]),
        (["translate", "run", "--length-penalty", "inf"], ["--length-penalty", "'inf' must be a number from 0"]),
        (["eval", "run", "--max-len-ratio", "1001"], ["--max-len-ratio", "must be a number from 0 to 1000"]),
        (["eval", "run", "--max-len-extra", "0"], ["--max-len-extra", "must be a whole number from 1 to 100000"]),
        (["translate", "run", "--top-k", str(2**40)], ["--top-k", "to 2147483647"]),
        (["translate", "run", "--seed", str(2**40)], ["--seed", "to 2147483647"]),
        (["translate", "run", "--temperature", "0"], ["--temperature", "from 0.001"]),
        (["translate", "run", "--temperature", "nan"], ["--temperature", "'nan' must be a number"]),
        (["translate", "run", "--top-p", "1.1"], ["--top-p", "to 1"]),
        (["eval", "run", "--tokenize", "spaces"], ["--tokenize", "'spaces'", "13a"]),
        (["trian"], ["'trian'", "train"]),
        ([], ["COMMAND"]),
        (["eval"], ["RUN"]),
        (["train", "--ru", "x"], ["--ru"]),
    ],
)
def test_arguments_that_argparse_refuses(complaint, arguments, parts):
    err = complaint(*arguments)
    last = err.splitlines()[-1]
    assert re.match(r"wordseq(?: \w+)*: error: ", last)
    for part in parts:
        assert part in last
    assert "invalid _" not in err


@pytest.mark.parametrize("instead", [["--grow", "hidden"], ["--parts"]])
@pytest.mark.parametrize("option", [["--run", "nowhere"], ["--torch", "python"], ["--systems", "keras"]])
def test_options_of_bench_without_effect_are_refused(complaint, instead, option):
    assert_one_line(complaint("bench", *instead, *option), f"{option[0]} cannot be used with --grow or --parts")


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["translate", "run", "--nbest", "3", "--sample"], ["--nbest and --sample exclude each other"]),
        (["translate", "run", "--input", "nope"], ["nope: No such file"]),
        (["translate", "run", "--input", "run"], ["run: Is a directory"]),
        (["translate", "run", "--input", "latin1"], ["latin1, line 2: not UTF-8", "byte 4"]),
        (["translate", "run", "--input", "text.txt", "--output", "text.txt"], ["text.txt: is the input"]),
        (["translate", "run", "--input", "text.txt", "--resume"], ["--resume needs --output FILE"]),
        (
            ["translate", "run", "--input", "text.txt", "--output", "pairs.tsv", "--resume"],
            ["pairs.tsv: has 200 translations, but text.txt has only 2 lines"],
        ),
        (["translate", "run", "--input", "text.txt", "--output", "run"], ["run: is a folder, expected a file"]),
        (["translate", "run", "--input", "text.txt", "--output", "no/out"], ["no/out: No such file"]),
        (["translate", "run", "--input", "text.txt", "--output", "pairs.tsv/out"], ["pairs.tsv/out: Not a directory"]),
        (["translate", "run", "--input", "nope", "--output", "out"], ["nope: No such file"]),
        (["translate", "nowhere"], ["nowhere: no such run folder"]),
        (["translate", "pairs.tsv"], ["pairs.tsv: a file, expected a run folder"]),
        (["translate", "."], [".: not a run folder", "config.toml"]),
        (["describe", "nowhere"], ["nowhere: no such run folder"]),
        (["eval", "nowhere"], ["nowhere: no such run folder"]),
        (["eval", "run", "--src", "text.txt"], ["--src and --ref must be given together"]),
        (["eval", "run", "--src", "text.txt", "--ref", "nope"], ["nope: no such file"]),
        (["eval", "run", "--src", "text.txt", "--ref", "pairs.tsv"], ["pairs.tsv has 200 lines, but text.txt has 2"]),
        (["eval", "run", "--src", "blank", "--ref", "blank"], ["blank: all lines are empty"]),
        (["eval", "run", "--src", "text.txt", "--ref", "text.txt", "--ref", "blank"], ["blank: all lines are empty"]),
        (["data", "get", "phrasebok"], ["unknown corpus 'phrasebok'"]),
    ],
)
def test_invalid_arguments(place, complaint, arguments, parts):
    (place / "latin1").write_bytes(b"Yes.\ncaf\xe9\n")
    (place / "blank").write_bytes(b"\n\n")
    before = files_of(place)
    assert_one_line(complaint(*arguments), *parts)
    assert files_of(place) == before


def test_a_bad_line_ends_a_translation_after_the_lines_before_it(place, complaint):
    (place / "latin1").write_bytes(b"Yes.\nHello.\ncaf\xe9\nNo.\n")
    (place / "long").write_bytes(b"Yes.\n" + b"a " * 60_000 + b"\nNo.\n")
    (place / "huge").write_bytes(b"Yes.\n" + b"a" * 10_000_000 + b"\nNo.\n")
    for name, lines, reason in (
        ("latin1", 2, "latin1, line 3: not UTF-8"),
        ("long", 1, "long, line 2: 60,000 tokens, more than the 50,000"),
        ("huge", 1, "huge, line 2: longer than 1,048,576 bytes"),
    ):
        assert_one_line(complaint("translate", "run", "--input", name, "--output", f"{name}.out"), reason)
        assert (place / f"{name}.out").read_bytes().count(b"\n") == lines


def test_standard_input_that_is_not_utf8_is_named(place, complaint, monkeypatch):
    given = io.TextIOWrapper(io.BytesIO(b"Yes.\ncaf\xe9\n"), encoding="utf-8")
    monkeypatch.setattr(sys, "stdin", given)
    assert_one_line(complaint("translate", "run"), "standard input, line 2: not UTF-8")


def test_a_record_that_cannot_be_written_is_named(place, complaint):
    err = complaint("eval", "run", "--record", "no/record.json")
    assert_one_line(err, "no/record.json: No such file")


@pytest.mark.parametrize(
    ("arguments", "where"),
    [
        (["eval", "run", "--tokenize", "ja-mecab"], "--tokenize = 'ja-mecab'"),
        (["train", "--run", "new", "--set", "eval.tokenize=ja-mecab"], "eval.tokenize = 'ja-mecab'"),
    ],
)
def test_a_tokenizer_whose_package_is_missing_is_refused_at_once(place, complaint, monkeypatch, arguments, where):
    monkeypatch.setattr(tokenizing, "missing_modules", lambda name: ["MeCab"] * (name == "ja-mecab"))
    for command in ("eval", "train"):
        module = importlib.import_module(f"wordseq.cli.commands.{command}")
        monkeypatch.setattr(module, "import_tensorflow", lambda **_: pytest.fail("TensorFlow was asked for first"))
    assert_one_line(complaint(*arguments), where, "pip install 'sacrebleu[ja]'")


def test_the_scores_of_a_run_that_may_not_be_written_are_printed_all_the_same(place, capsys, monkeypatch):
    def refuse(run, name):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(run.folder / name))

    monkeypatch.setattr(RunFolder, "_place", refuse)
    before = files_of(place)
    assert main(["eval", "run"]) == 0
    shown = capsys.readouterr()
    assert "BLEU" in shown.out
    assert shown.err.endswith("run/eval/test.json: Read-only file system: the scores were not saved\n")
    assert files_of(place) == before
    for words in (["translate", "run", "--input", "text.txt"], ["describe", "run"]):
        assert main(words) == 0
    assert files_of(place) == before


# --- run folders


@pytest.mark.parametrize(
    ("folder", "parts"),
    [
        ("pairs.tsv", ["pairs.tsv: is a file; choose another run folder"]),
        ("pairs.tsv/run", ["pairs.tsv/run: Not a directory"]),
        ("other", ["other: holds other files", "choose another run folder"]),
        ("run", ["run: was started with model.cell = 'rnn', now it is 'lstm'"]),
    ],
)
def test_a_folder_that_cannot_be_trained_into(place, complaint, folder, parts):
    (place / "other").mkdir()
    (place / "other" / "thesis.txt").write_text("precious")
    before = files_of(place)
    assert_one_line(complaint(*train("model.cell=lstm", folder=folder)), *parts)
    assert files_of(place) == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_named(place, complaint):
    (place / "locked").mkdir(mode=0o500)
    assert_one_line(complaint(*train(folder="locked/run")), "locked/run", "Permission denied")


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path):
    path.write_bytes(b"")


def remove(path):
    path.unlink()


def garble(path):
    path.write_bytes(b"\xff\x00{" * 100)


def list_instead(path):
    path.write_text("[]\n")


def table_instead(path):
    path.write_text("{}\n")


def array_of_objects(path):
    with path.open("wb") as file:
        np.savez(file, x=np.array([{}], dtype=object))


DAMAGE = [
    *(("best.safetensors", how) for how in (truncate, empty, remove, garble, list_instead, array_of_objects)),
    *(
        (f"{side}.{kind}.json", how)
        for side, kind in (("src", "vocab"), ("tgt", "tokenizer"))
        for how in (truncate, empty, remove, garble, list_instead, table_instead)
    ),
    *(("config.toml", how) for how in (truncate, empty, remove, garble, table_instead)),
    *(("data.json", how) for how in (truncate, empty, remove, garble, list_instead, table_instead)),
]


@pytest.mark.parametrize(("name", "how"), DAMAGE, ids=[f"{name}-{how.__name__}" for name, how in DAMAGE])
def test_a_damaged_run_is_refused_with_the_name_of_the_file(place, complaint, name, how):
    how(place / "run" / name)
    before = files_of(place)
    err = assert_one_line(complaint("translate", "run", "--input", "text.txt"), str(Path("run")), name)
    assert "allow_pickle=True" not in err
    assert files_of(place) == before


@pytest.mark.parametrize("how", [truncate, empty, garble, remove, list_instead, table_instead])
def test_a_damaged_test_split_is_named(place, complaint, how):
    how(place / "run" / "held_out.json")
    assert_one_line(complaint("eval", "run"), "run/held_out.json")


@pytest.mark.parametrize(
    ("names", "how"),
    [
        (["previous.safetensors", "last.safetensors"], truncate),
        (["previous.safetensors", "last.safetensors"], garble),
        (["split.json"], truncate),
    ],
)
def test_a_run_with_a_damaged_last_checkpoint_keeps_its_best(place, complaint, capsys, names, how):
    for name in names:
        how(place / "run" / name)
    best = (place / "run" / "best.safetensors").read_bytes()
    assert_one_line(complaint(*train("train.max_steps=6", folder="run")), f"run/{names[0]}", *names[1:])
    assert (place / "run" / "best.safetensors").read_bytes() == best
    assert main(["translate", "run", "--input", "text.txt"]) == 0
    assert capsys.readouterr().out.count("\n") == 2


@pytest.mark.parametrize("content", ["{}", "[]", '{"coverage": {"src": 3}}'])
def test_damaged_data_figures_are_named_when_a_run_resumes(place, complaint, content):
    (place / "run" / "data.json").write_text(content)
    assert_one_line(complaint(*train("train.max_steps=6", folder="run")), "run/data.json: damaged")


def test_an_untrained_run_is_refused(place, complaint):
    for name in ("best.safetensors", "last.safetensors"):
        (place / "run" / name).unlink()
    for words in (["translate", "run", "--input", "text.txt"], ["eval", "run"], ["describe", "run"]):
        assert_one_line(complaint(*words), "run/best.safetensors: no such checkpoint; has the run been trained?")


# --- hard disks, memory


@pytest.mark.parametrize("when", ["beginning", "training"])
def test_a_full_disk_is_named_and_leaves_what_was_good(place, complaint, capsys, monkeypatch, when):
    """fsync stands for the file system: this is where a full one complains at the latest."""

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    folder = "run" if when == "training" else "new"
    before = files_of(place / "run")
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        assert_one_line(
            complaint(*train("train.max_steps=6", folder=folder)), f"{folder}/", "No space left", "same command"
        )
    assert {name: files_of(place / "run")[name] for name in before} == before
    assert not [path for path in place.rglob(".*") if path.is_file() and path.name != ".begun"]
    assert main(["translate", "run", "--input", "text.txt"]) == 0
    assert capsys.readouterr().out.count("\n") == 2


@pytest.fixture
def tiny_disk(tmp_path):
    """A file system of 200 kB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(disk)]
    try:
        subprocess.run(words, check=True, capture_output=True, timeout=60)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no file system can be mounted here: {error}")
    yield disk
    subprocess.run(["umount", str(disk)], check=True, timeout=60)


@pytest.mark.slow
def test_a_disk_that_fills_up_while_training_can_be_freed_and_training_resumes(place, tiny_disk, complaint, capsys):
    """Room for the fixed part and the best checkpoint, not for the last one beside them."""
    err = complaint(*train("train.max_steps=2", folder=tiny_disk / "run"))
    assert_one_line(
        err, str(tiny_disk / "run"), "No space left on device; free some space and run the same command again"
    )
    left = {path.name for path in (tiny_disk / "run").iterdir()}
    assert not [name for name in left if name.startswith(".") and name != ".begun"]
    subprocess.run(["mount", "-o", "remount,size=4m", str(tiny_disk)], check=True, timeout=60)
    assert main(train("train.max_steps=2", folder=tiny_disk / "run")) == 0
    assert "held-out test BLEU" in capsys.readouterr().out


def test_out_of_memory_is_one_line(place, complaint, monkeypatch):
    import tensorflow as tf

    for error in (MemoryError(), tf.errors.ResourceExhaustedError(None, None, "OOM when allocating")):

        def fail(*_, error=error, **__):
            raise error

        monkeypatch.setattr(training_run, "model_for", fail)
        assert_one_line(complaint(*train()), "out of memory", "model.hidden_size")


# --- odd, but no mistakes


@pytest.mark.slow
@pytest.mark.parametrize(
    "sets",
    [
        ["data.min_freq=100000"],
        ["data.max_pairs=1", "decode.max_len_ratio=0", "decode.max_len_extra=1"],
    ],
    ids=lambda sets: sets[0],
)
def test_a_minimal_corpus_gives_a_run(place, capsys, sets):
    assert main(train("train.max_steps=1", *sets)) == 0
    assert "held-out test BLEU" in capsys.readouterr().out


# --- as processes


def test_a_process_prints_one_line_and_exits_with_2(place):
    done = wordseq(*train("model.cell=transformer"), cwd=place)
    assert (done.returncode, done.stdout) == (2, "")
    assert_one_line(done.stderr, "model.cell = 'transformer'")
