import errno
import json
import os
import re
import shutil
import signal

import numpy as np
import pytest

from tests.faults import TAKING, at_call, die, fail, in_child
from tests.runs import files_of
from wordseq.config.load import load_config
from wordseq.config.schema import Config, ModelConfig
from wordseq.runs import folder as folder_module
from wordseq.runs.checkpoint import sha256_of
from wordseq.runs.folder import BEST, LAST, PREVIOUS, RunFolder
from wordseq.system.errors import UserError
from wordseq.text.tokenizers import WordTokenizer
from wordseq.text.vocab import TextCodec, Vocab

ARRAYS = {
    "a/kernel": np.random.default_rng(1).normal(size=(3, 4)).astype(np.float32),
    "a/bias": np.array([0.0, -0.0, np.inf, np.nan, 1e-40], np.float32),
    "seeds/0": np.array([2**40, 7]),
    "scalar": np.array(3, np.int64),
}
STATE = {"step": 12, "best_score": 0.1 + 0.2, "finished": "", "epoch": 3}
CODEC = TextCodec(WordTokenizer(), Vocab(["a", "b"]))
CONFIG = Config(model=ModelConfig(embed_dim=4, hidden_size=6))


@pytest.fixture
def run(tmp_path):
    run = RunFolder(tmp_path / "run")
    run.begin(CONFIG, CODEC, CODEC, {"data.json": {"tgt_per_src": 1.25}, "split.json": {"train": 1}})
    return run


# --- checkpoints


def test_a_checkpoint_is_loaded_as_it_was_saved(run):
    run.save(BEST, ARRAYS, STATE)
    arrays, state = run.load(BEST)
    assert state == run.header(BEST).state == STATE
    assert sha256_of(arrays) == sha256_of(ARRAYS)


def test_best_and_last_are_separate(run):
    run.save(LAST, ARRAYS, STATE)
    assert run.has(LAST)
    assert not run.has(BEST)
    with pytest.raises(
        UserError, match=r"best\.safetensors: no such checkpoint; the run was stopped before its first validation"
    ):
        run.load(BEST)


def test_a_missing_checkpoint_is_an_error_that_mentions_training(run):
    for read in (run.load, run.header):
        with pytest.raises(UserError, match=r"best\.safetensors: no such checkpoint; has the run been trained\?"):
            read(BEST)


def test_a_damaged_header_is_named(run):
    run.save(BEST, ARRAYS, STATE)
    cut(run.folder / "best.safetensors")
    with pytest.raises(UserError, match=r"best\.safetensors: damaged checkpoint"):
        run.header(BEST)


# --- the folder


def test_a_started_run_can_be_opened_with_the_same_settings_and_codecs(run):
    assert run.begun
    assert not run.unfinished
    opened = RunFolder.open(run.folder)
    assert opened.config.model == CONFIG.model
    assert opened.codecs[0].vocab.tokens == ("a", "b")
    assert opened.tgt_per_src == 1.25
    assert load_config(run.folder / "config.toml") == opened.config


def test_a_run_killed_while_its_folder_was_written_is_recognised(tmp_path, monkeypatch):
    run = RunFolder(tmp_path / "run")

    monkeypatch.setattr(run, "write_config", lambda _: die())
    assert in_child(lambda: run.begin(CONFIG, CODEC, CODEC, {})) == signal.SIGKILL
    assert not run.begun
    assert run.unfinished


def test_a_folder_without_a_run_is_refused_by_name(tmp_path):
    with pytest.raises(UserError, match="nowhere: no such run folder"):
        RunFolder.open(tmp_path / "nowhere")
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError, match="file: a file, expected a run folder"):
        RunFolder.open(tmp_path / "file")
    with pytest.raises(UserError, match=r"not a run folder: it has no config\.toml"):
        RunFolder.open(tmp_path)


@pytest.mark.parametrize("section", ["data", "model", "train", "decode"])
def test_a_config_cut_off_at_a_section_is_not_filled_up_with_defaults(run, section):
    path = run.folder / "config.toml"
    path.write_text(path.read_text().partition(f"[{section}]")[0])
    with pytest.raises(UserError, match=rf"config\.toml: damaged: it has no section \[{section}\]"):
        _ = run.config


@pytest.mark.parametrize("content", ["[]", "{}", '{"tgt_per_src": "x"}', "3", "null"])
def test_a_data_file_without_its_figure_is_refused(run, content):
    (run.folder / "data.json").write_text(content)
    with pytest.raises(UserError, match=r"data\.json: damaged: (tgt_per_src|expected an object)"):
        _ = run.tgt_per_src


def test_files_written_into_a_run_can_be_read(run):
    run.write_json("sub/y.json", {"é": 1})
    assert run.read_json("sub/y.json") == {"é": 1}
    lines = ["a\u2028b", "", "é "]
    run.write_lines("sub/lines", lines)
    assert run.read_lines("sub/lines") == lines
    assert run.read_lines("sub/none") == []


# --- metrics


def test_metrics_are_rewound_to_an_update_and_repaired(run):
    for step in (1, 2, 3):
        run.append_metrics({"kind": "train", "step": step, "loss": 1 / 3})
    with (run.folder / "metrics.jsonl").open("ab") as file:
        file.write(b'3\n[1]\n{"step": "x"}\n{}\n\xff\n{"step": 3, "loss": "x"}\n{"kind": "train", "ste')
    assert [entry["step"] for entry in run.metrics()] == [1, 2, 3]
    run.rewind_metrics(2)
    lines = (run.folder / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [{"kind": "train", "step": s, "loss": 1 / 3} for s in (1, 2)]


def test_without_metrics_there_is_nothing_to_rewind(run):
    run.rewind_metrics(3)
    assert list(run.metrics()) == []
    assert not (run.folder / "metrics.jsonl").exists()


def test_temporary_files_of_a_killed_process_can_be_removed(run):
    run.save(BEST, ARRAYS, STATE)
    before = files_of(run.folder)
    for name in (
        ".best.safetensors.x8_zq0ab",
        ".last.safetensors.abcdefgh",
        ".metrics.jsonl.12345678",
        ".data.json.abcdefgh",
    ):
        (run.folder / name).write_text("half")
    run.remove_leftovers()
    assert files_of(run.folder) == before


def test_a_checkpoint_that_fails_leaves_the_one_before(run, monkeypatch):
    run.save(BEST, ARRAYS, STATE)
    before = files_of(run.folder)

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(OSError, match=r"best\.safetensors"):
            run.save(BEST, ARRAYS, {**STATE, "step": 13})
    assert files_of(run.folder) == before
    assert run.load(BEST)[1] == STATE


def test_a_moved_folder_is_the_same_run(run, tmp_path):
    run.save(BEST, ARRAYS, STATE)
    shutil.move(run.folder, tmp_path / "elsewhere")
    moved = RunFolder.open(tmp_path / "elsewhere")
    assert moved.load(BEST)[1] == STATE
    assert moved.config.model == CONFIG.model


# --- damage, and the checkpoint before the last


def changed_within(path):
    """Other numbers in a good file."""
    path.write_bytes(path.read_bytes()[:-1] + b"\x7f")


def cut(path):
    path.write_bytes(path.read_bytes()[:-30])


def empty(path):
    path.write_bytes(b"")


def zeros(path):
    path.write_bytes(bytes(path.stat().st_size))


DAMAGES = (changed_within, cut, empty, zeros)


@pytest.mark.parametrize("damage", [*DAMAGES, os.unlink])
def test_the_previous_checkpoint_replaces_a_damaged_last(run, damage):
    notes = []
    assert run.load_newest(notes.append) is None
    for step in (1, 2):
        run.save(LAST, {**ARRAYS, "step": np.array(step)}, {"step": step})
    before = files_of(run.folder)
    assert run.load_newest(notes.append)[1] == {"step": 2}
    assert (notes, files_of(run.folder)) == ([], before)
    damage(run.folder / "last.safetensors")
    damaged = files_of(run.folder).get("last.safetensors")
    assert run.load_newest(notes.append)[1] == {"step": 1}
    assert re.search(r"last\.safetensors: .*; resuming from the previous checkpoint, of update 1\Z", notes[0])
    after = files_of(run.folder)
    assert after["last.safetensors"] == before["previous.safetensors"]
    assert after.get("damaged.safetensors") == damaged
    assert not run.has(PREVIOUS)
    assert run.load_newest(notes.append)[1] == {"step": 1}
    assert len(notes) == 1


@pytest.mark.parametrize("damage", DAMAGES)
def test_if_last_and_previous_are_damaged_both_stay_and_are_named(run, damage):
    for _ in range(2):
        run.save(LAST, ARRAYS, STATE)
    for name in ("last.safetensors", "previous.safetensors"):
        damage(run.folder / name)
    before = files_of(run.folder)
    with pytest.raises(
        UserError,
        match=r"previous\.safetensors: damaged checkpoint: .*; last\.safetensors is damaged too: .*from the start",
    ):
        run.load_newest(pytest.fail)
    assert files_of(run.folder) == before


def test_the_error_for_a_damaged_best_tells_what_to_do(run):
    for name in (BEST, LAST):
        run.save(name, ARRAYS, STATE)
        cut(run.folder / f"{name}.safetensors")
    with pytest.raises(
        UserError,
        match=r"best\.safetensors: damaged checkpoint: .*; restore a copy, or delete it and run the tr",
    ):
        run.load(BEST)
    with pytest.raises(
        UserError, match=r"last\.safetensors: damaged checkpoint: .*; restore a copy, or delete it to train from"
    ):
        run.load_newest(pytest.fail)


def test_a_file_that_may_not_be_read_is_not_damaged(run, monkeypatch):
    for _ in range(2):
        run.save(LAST, ARRAYS, STATE)
    before = files_of(run.folder)

    def refuse(path):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    with monkeypatch.context() as patched:
        patched.setattr(folder_module, "read_checkpoint", refuse)
        with pytest.raises(PermissionError):
            run.load_newest(pytest.fail)
    assert files_of(run.folder) == before


def test_a_failed_start_leaves_no_files(tmp_path):
    files = {"data.json": {}, "split.json": {}}

    def begin():
        RunFolder(tmp_path / "run").begin(CONFIG, CODEC, CODEC, files)

    with at_call(0, die, TAKING) as calls:
        begin()
    shutil.rmtree(tmp_path / "run")
    assert calls.number > 30
    for number in range(1, calls.number + 1):
        with at_call(number, fail(errno.ENOSPC), TAKING), pytest.raises(OSError, match="No space") as raised:
            begin()
        assert raised.value.filename.startswith(str(tmp_path / "run"))
        assert files_of(tmp_path / "run") == {}, number


def test_temporary_files_of_killed_processes_are_removed_and_old_ones_in_eval(run):
    (run.folder / "eval").mkdir()
    for name in ("test.json", ".test.json.12345678", ".test.json.abcdefgh", ".mine"):
        (run.folder / "eval" / name).touch()
    os.utime(run.folder / "eval" / ".test.json.abcdefgh", (1e9, 1e9))
    run.remove_leftovers()
    assert {path.name for path in (run.folder / "eval").iterdir()} == {"test.json", ".test.json.12345678", ".mine"}


def test_lengths_of_the_training_sources(tmp_path):
    run = RunFolder(tmp_path)
    run.write_json("data.json", {})
    assert run.src_lengths is None
    run.write_json("data.json", {"src_tokens": {"usual": 3, "longest": 9}})
    assert run.src_lengths == (3, 9)
    for wrong in ([3, 9], {"usual": 3}, {"usual": "3", "longest": 9}, {"usual": -1, "longest": 9}):
        run.write_json("data.json", {"src_tokens": wrong})
        with pytest.raises(UserError, match=r"data\.json: damaged: src_tokens"):
            _ = run.src_lengths
