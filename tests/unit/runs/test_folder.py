import errno
import json
import os
import pickle
import re
import shutil
import signal
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.faults import TAKING, at_call, die, fail, in_child
from tests.runs import files_of
from wordseq.config.load import load_config
from wordseq.config.schema import CELLS, Config, ModelConfig
from wordseq.models.seq2seq import Seq2Seq
from wordseq.runs import checkpoint, weights
from wordseq.runs import folder as folder_module
from wordseq.runs.checkpoint import sha256_of
from wordseq.runs.folder import BEST, LAST, PREVIOUS, Run
from wordseq.runs.weights import arrays_of, assign, by_path, load_model
from wordseq.system.errors import UserError
from wordseq.text.tokenizers import WordTokenizer
from wordseq.text.vocab import TextCodec, Vocab

ARRAYS = {
    "a/kernel": np.random.default_rng(1).normal(size=(3, 4)).astype(np.float32),
    "a/bias": np.array([0.0, -0.0, np.inf, np.nan, 1e-40], np.float32),
    "seeds/0": np.array([2**40, 7]),
    "scalar": np.array(3, np.int64),
}
STATE = {"step": 12, "best_bleu": 0.1 + 0.2, "finished": "", "epoch": 3}
CODEC = TextCodec(WordTokenizer(), Vocab(["a", "b"]))
CONFIG = Config(model=ModelConfig(embed_dim=4, hidden_size=6))


@pytest.fixture
def run(tmp_path):
    run = Run(tmp_path / "run")
    run.begin(CONFIG, CODEC, CODEC, {"data.json": {"tgt_per_src": 1.25}, "split.json": {"train": 1}})
    return run


# --- arrays


def test_a_checkpoint_comes_back_bit_for_bit(run):
    run.save(BEST, ARRAYS, STATE)
    arrays, state = run.load(BEST)
    assert state == STATE
    assert arrays.keys() == ARRAYS.keys()
    for name, value in ARRAYS.items():
        assert arrays[name].dtype == value.dtype
        assert arrays[name].shape == value.shape
        assert arrays[name].tobytes() == value.tobytes()


def test_best_and_last_are_apart(run):
    run.save(LAST, ARRAYS, STATE)
    assert run.has(LAST)
    assert not run.has(BEST)
    with pytest.raises(
        UserError, match=r"best\.npz: no such checkpoint; the run was stopped before its first validation"
    ):
        run.load(BEST)


def test_what_is_not_there_has_perhaps_not_been_trained(run):
    with pytest.raises(UserError, match=r"best\.npz: no such checkpoint; has the run been trained\?"):
        run.load(BEST)


class Trap:
    """Acts when it is unpickled."""

    def __reduce__(self):
        return (os.mkdir, ("unpickled",))


def test_no_pickle_is_ever_executed(run, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    path = run.folder / "best.npz"
    state = np.frombuffer(b"{}", np.uint8)
    objects = np.array([Trap()], dtype=object)
    np.savez(path, **{"a": objects, "state.json": state})
    with pytest.raises(UserError, match=r"best\.npz: damaged checkpoint: .*allow_pickle"):
        run.load(BEST)
    path.write_bytes(pickle.dumps(Trap()))
    with pytest.raises(UserError, match=r"best\.npz: damaged checkpoint"):
        run.load(BEST)
    with path.open("wb") as file:
        np.save(file, objects)
    with pytest.raises(UserError, match=r"best\.npz: damaged checkpoint"):
        run.load(BEST)
    assert not (tmp_path / "unpickled").exists()


@pytest.mark.parametrize("state", [b"", b"[1]", b"3", b"{", b"\xff"])
def test_a_state_that_is_no_table_is_refused(run, state):
    np.savez(run.folder / "best.npz", **{"state.json": np.frombuffer(state, np.uint8)})
    with pytest.raises(UserError, match=r"best\.npz: damaged checkpoint"):
        run.load(BEST)


def test_an_archive_without_state_or_of_one_array_is_refused(run):
    np.savez(run.folder / "best.npz", a=np.zeros(3))
    with pytest.raises(UserError, match=r"best\.npz: damaged checkpoint"):
        run.load(BEST)
    with (run.folder / "best.npz").open("wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(UserError, match=r"best\.npz: damaged checkpoint"):
        run.load(BEST)


def test_an_archive_that_would_fill_the_memory_is_refused_before_it_does(run, monkeypatch):
    path = run.folder / "best.npz"
    run.save(BEST, {"kernel": np.zeros(1000)}, STATE)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    # Nothing may get as far as NumPy, which would take the memory first.
    monkeypatch.setattr(np, "load", None)
    for kind, changed in (
        (zipfile.ZIP_DEFLATED, {}),
        (zipfile.ZIP_STORED, {"kernel.npy": members["kernel.npy"].replace(b"(1000,)", b"(9999999999999,)")}),
        (zipfile.ZIP_STORED, {"kernel.npy": members["kernel.npy"].replace(b"(1000,)", b"(-1,)")}),
        (zipfile.ZIP_STORED, {"kernel.npy": members["kernel.npy"][:-8]}),
    ):
        with zipfile.ZipFile(path, "w", kind) as archive:
            for name, content in (members | changed).items():
                archive.writestr(name, content)
        with pytest.raises(UserError, match=r"best\.npz: damaged checkpoint: (it is packed|.*does not fit|.*header)"):
            run.load(BEST)


def test_a_run_whose_settings_ask_for_more_weights_than_it_has_is_refused_before_memory_is_taken(run, monkeypatch):
    monkeypatch.setattr(weights, "make_model", None)
    run.save(BEST, {"kernel": np.zeros(50)}, STATE)
    with pytest.raises(UserError, match=r"best\.npz: has 50 weights, but the settings .* ask for at least "):
        load_model(run)


@pytest.mark.parametrize("attention", ["none", "general"])
@pytest.mark.parametrize("cell", CELLS)
def test_no_run_is_said_to_have_too_few_weights(tmp_path, cell, attention):
    # The smallest embedding, so that square matrices count.
    settings = {"cell": cell, "attention": attention, "embed_dim": 1, "hidden_size": 64, "decoder_layers": 2}
    config = Config(model=ModelConfig(**settings))
    run = Run(tmp_path)
    run.begin(config, CODEC, CODEC, {})
    model = Seq2Seq(config.model, len(CODEC.vocab), len(CODEC.vocab))
    run.save(BEST, arrays_of(by_path(model.weights)), STATE)
    assert load_model(run)[1] == STATE


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    run = Run(tmp_path_factory.mktemp("saved"))
    run.save(BEST, {"kernel": np.arange(12.0).reshape(3, 4), "bias": np.arange(3)}, {"step": 3})
    return (run.folder / "best.npz").read_bytes()


@given(data=st.data())
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damage_is_found_or_harmless(saved, tmp_path, data):
    """No flipped byte and no cut gives other numbers, or another exception than UserError."""
    damaged = bytearray(saved)
    place = data.draw(st.integers(0, len(saved) - 1))
    if data.draw(st.booleans()):
        damaged[place] ^= data.draw(st.integers(1, 255))
    else:
        del damaged[place:]
    (tmp_path / "best.npz").write_bytes(bytes(damaged))
    try:
        arrays, state = Run(tmp_path).load(BEST)
    except UserError as error:
        found = str(error)
    else:
        found = ""
    if found:
        assert re.search(r"best\.npz: damaged checkpoint: .*\Z", found)
        return
    assert state == {"step": 3}
    for name, value in arrays.items():
        expected = {"kernel": np.arange(12.0).reshape(3, 4), "bias": np.arange(3)}[name]
        np.testing.assert_array_equal(value, expected)


def test_the_digest_depends_on_names_shapes_and_values_alone():
    base = {"a": np.zeros((2, 3), np.float32), "b": np.ones(2, np.float32)}
    assert sha256_of(base) == sha256_of(dict(reversed(base.items())))
    assert sha256_of(base) == sha256_of({"a": np.zeros((3, 2), np.float32).T, "b": base["b"]})
    others = [
        {"a": base["a"].reshape(3, 2), "b": base["b"]},
        {"a": base["a"], "c": base["b"]},
        {"a": base["a"], "b": np.array([1, np.nextafter(np.float32(1), np.float32(2))], np.float32)},
        {"a": base["a"].astype(np.float64), "b": base["b"]},
    ]
    assert len({sha256_of(arrays) for arrays in [base, *others]}) == 5


def test_assign_refuses_what_is_missing_or_of_another_shape(tmp_path):
    variable = SimpleNamespace(path="x/kernel", shape=(2, 3), assign=lambda value: None)
    for arrays, got in (({}, "nothing"), ({"x/kernel": np.zeros((3, 2))}, r"shape \(3, 2\)")):
        with pytest.raises(UserError, match=rf"best\.npz: x/kernel should have shape \(2, 3\), got {got}"):
            assign(by_path([variable]), arrays, tmp_path / "best.npz")


def test_the_model_is_that_of_the_checkpoint_whatever_was_made_before(run):
    model = Seq2Seq(CONFIG.model, 6, 6, seed=5)
    run.save(BEST, arrays_of(by_path(model.weights)), STATE)
    loaded, state = load_model(run)
    assert state == STATE
    assert sha256_of(arrays_of(by_path(loaded.weights))) == sha256_of(arrays_of(by_path(model.weights)))


# --- the folder


def test_a_begun_run_can_be_opened_with_the_same_settings_and_codecs(run):
    assert run.begun
    assert not run.unfinished
    opened = Run.open(run.folder)
    assert opened.config.model == CONFIG.model
    assert opened.codecs[0].vocab.tokens == ("a", "b")
    assert opened.tgt_per_src == 1.25
    assert load_config(run.folder / "config.toml") == opened.config


def test_a_run_cut_short_while_it_was_begun_is_known_as_such(tmp_path, monkeypatch):
    run = Run(tmp_path / "run")

    monkeypatch.setattr(run, "write_config", lambda _: die())
    assert in_child(lambda: run.begin(CONFIG, CODEC, CODEC, {})) == signal.SIGKILL
    assert not run.begun
    assert run.unfinished


def test_what_is_no_run_is_refused_by_name(tmp_path):
    with pytest.raises(UserError, match="nowhere: no such run folder"):
        Run.open(tmp_path / "nowhere")
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError, match="file: no such run folder"):
        Run.open(tmp_path / "file")
    with pytest.raises(UserError, match=r"not a run folder: it has no config\.toml"):
        Run.open(tmp_path)


@pytest.mark.parametrize("section", ["data", "model", "train", "decode"])
def test_a_config_cut_off_at_a_section_is_not_filled_up_with_defaults(run, section):
    path = run.folder / "config.toml"
    path.write_text(path.read_text().partition(f"[{section}]")[0])
    with pytest.raises(UserError, match=rf"config\.toml: damaged: it has no section \[{section}\]"):
        _ = run.config


@pytest.mark.parametrize("content", ["[]", "{}", '{"tgt_per_src": "x"}', "3", "null"])
def test_a_data_file_without_its_figure_is_refused(run, content):
    (run.folder / "data.json").write_text(content)
    with pytest.raises(UserError, match=r"data\.json: damaged: tgt_per_src"):
        _ = run.tgt_per_src


def test_read_json_names_what_is_missing_or_damaged(run):
    with pytest.raises(UserError, match=r"nope\.json: no such file"):
        run.read_json("nope.json")
    (run.folder / "x.json").write_text('{"a": 1')
    with pytest.raises(UserError, match=r"x\.json: damaged"):
        run.read_json("x.json")
    run.write_json("sub/y.json", {"é": 1})
    assert run.read_json("sub/y.json") == {"é": 1}


# --- metrics


def test_metrics_are_rewound_to_an_update_and_mended(run):
    for step in (1, 2, 3):
        run.append_metrics({"kind": "train", "step": step, "loss": 1 / 3})
    with (run.folder / "metrics.jsonl").open("ab") as file:
        file.write(b'3\n[1]\n{"step": "x"}\n{}\n\xff\n{"kind": "train", "ste')
    assert [entry["step"] for entry in run.metrics()] == [1, 2, 3]
    run.rewind_metrics(2)
    lines = (run.folder / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [{"kind": "train", "step": s, "loss": 1 / 3} for s in (1, 2)]


def test_without_metrics_there_is_nothing_to_rewind(run):
    run.rewind_metrics(3)
    assert list(run.metrics()) == []
    assert not (run.folder / "metrics.jsonl").exists()


def test_what_a_killed_process_left_aside_can_be_removed(run):
    run.save(BEST, ARRAYS, STATE)
    before = files_of(run.folder)
    for name in (".best.npz.x8_zq0ab", ".last.npz.abcdefgh", ".metrics.jsonl.12345678", ".data.json.abcdefgh"):
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
        with pytest.raises(OSError, match=r"best\.npz"):
            run.save(BEST, ARRAYS, {**STATE, "step": 13})
    assert files_of(run.folder) == before
    assert run.load(BEST)[1] == STATE


def test_a_moved_folder_is_the_same_run(run, tmp_path):
    run.save(BEST, ARRAYS, STATE)
    shutil.move(run.folder, tmp_path / "elsewhere")
    moved = Run.open(tmp_path / "elsewhere")
    assert moved.load(BEST)[1] == STATE
    assert moved.config.model == CONFIG.model


def test_a_checkpoint_is_a_plain_archive_of_arrays_and_json(run):
    run.save(BEST, ARRAYS, STATE)
    with zipfile.ZipFile(run.folder / "best.npz") as archive:
        assert set(archive.namelist()) == {f"{name}.npy" for name in (*ARRAYS, "state.json")}
        assert archive.testzip() is None


# --- damage, and the checkpoint before the last


def changed_within(path):
    """Other numbers, with a good CRC."""
    with zipfile.ZipFile(path) as archive:
        comment, members = archive.comment, {name: archive.read(name) for name in archive.namelist()}
    members["a/kernel.npy"] = members["a/kernel.npy"][:-1] + b"\x7f"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
        archive.comment = comment


def cut(path):
    path.write_bytes(path.read_bytes()[:-30])


def empty(path):
    path.write_bytes(b"")


def zeros(path):
    path.write_bytes(bytes(path.stat().st_size))


DAMAGES = (changed_within, cut, empty, zeros)


def test_numbers_that_are_not_those_saved_are_found_by_their_digest(run):
    run.save(BEST, ARRAYS, STATE)
    changed_within(run.folder / "best.npz")
    with pytest.raises(UserError, match=r"best\.npz: damaged checkpoint: .*SHA-256\Z"):
        run.load(BEST)


def test_checkpoints_of_the_first_runs_have_no_digest_and_load(run):
    np.savez(run.folder / "best.npz", **ARRAYS, **{"state.json": np.frombuffer(json.dumps(STATE).encode(), np.uint8)})
    assert run.load(BEST)[1] == STATE
    assert run.load(BEST)[0].keys() == ARRAYS.keys()


@pytest.mark.parametrize("damage", [*DAMAGES, os.unlink])
def test_the_one_before_takes_the_place_of_a_damaged_last(run, damage):
    notes = []
    assert run.load_newest(notes.append) is None
    for step in (1, 2):
        run.save(LAST, {**ARRAYS, "step": np.array(step)}, {"step": step})
    before = files_of(run.folder)
    assert run.load_newest(notes.append)[1] == {"step": 2}
    assert (notes, files_of(run.folder)) == ([], before)
    damage(run.folder / "last.npz")
    damaged = files_of(run.folder).get("last.npz")
    assert run.load_newest(notes.append)[1] == {"step": 1}
    assert re.search(r"last\.npz: .*; going on from the checkpoint before it, of update 1\Z", notes[0])
    after = files_of(run.folder)
    assert after["last.npz"] == before["previous.npz"]
    assert after.get("damaged.npz") == damaged
    assert not run.has(PREVIOUS)
    assert run.load_newest(notes.append)[1] == {"step": 1}
    assert len(notes) == 1


@pytest.mark.parametrize("damage", DAMAGES)
def test_if_both_are_damaged_both_stay_and_both_are_named(run, damage):
    for _ in range(2):
        run.save(LAST, ARRAYS, STATE)
    for name in ("last.npz", "previous.npz"):
        damage(run.folder / name)
    before = files_of(run.folder)
    with pytest.raises(
        UserError, match=r"previous\.npz: damaged checkpoint: .*; last\.npz is damaged too: .*from the beginn"
    ):
        run.load_newest(pytest.fail)
    assert files_of(run.folder) == before


def test_a_damaged_best_says_what_can_be_done(run):
    for name in (BEST, LAST):
        run.save(name, ARRAYS, STATE)
        cut(run.folder / f"{name}.npz")
    with pytest.raises(
        UserError, match=r"best\.npz: damaged checkpoint: .*; put a copy of it back, or delete it and give the tr"
    ):
        run.load(BEST)
    with pytest.raises(
        UserError, match=r"last\.npz: damaged checkpoint: .*; put a copy of it back, or delete it to train from"
    ):
        run.load_newest(pytest.fail)


def test_a_file_that_may_not_be_read_is_not_damaged(run, monkeypatch):
    for _ in range(2):
        run.save(LAST, ARRAYS, STATE)
    before = files_of(run.folder)

    def refuse(path):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    with monkeypatch.context() as patched:
        patched.setattr(folder_module, "read_arrays", refuse)
        with pytest.raises(PermissionError):
            run.load_newest(pytest.fail)
    assert files_of(run.folder) == before


def test_who_reads_while_another_saves_gets_one_of_the_two(run, monkeypatch):
    run.save(BEST, ARRAYS, STATE)
    check = checkpoint._check_sizes

    def save_between(*arguments):
        run.save(BEST, {"other": np.zeros(3)}, {"step": 99})
        check(*arguments)

    monkeypatch.setattr(checkpoint, "_check_sizes", save_between)
    assert run.load(BEST)[1] == STATE


def test_a_beginning_that_fails_leaves_nothing(tmp_path):
    files = {"data.json": {}, "split.json": {}}

    def begin():
        Run(tmp_path / "run").begin(CONFIG, CODEC, CODEC, files)

    with at_call(0, die, TAKING) as calls:
        begin()
    shutil.rmtree(tmp_path / "run")
    assert calls.number > 30
    for number in range(1, calls.number + 1):
        with at_call(number, fail(errno.ENOSPC), TAKING), pytest.raises(OSError, match="No space") as raised:
            begin()
        assert raised.value.filename.startswith(str(tmp_path / "run"))
        assert files_of(tmp_path / "run") == {}, number


def test_what_kills_left_aside_goes_and_in_eval_what_is_old(run):
    (run.folder / "eval").mkdir()
    for name in ("test.json", ".test.json.12345678", ".test.json.abcdefgh", ".mine"):
        (run.folder / "eval" / name).touch()
    os.utime(run.folder / "eval" / ".test.json.abcdefgh", (1e9, 1e9))
    run.remove_leftovers()
    assert {path.name for path in (run.folder / "eval").iterdir()} == {"test.json", ".test.json.12345678", ".mine"}
