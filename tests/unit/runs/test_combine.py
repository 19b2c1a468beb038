import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.fake_runs import decided
from wordseq.config.load import load_config
from wordseq.data.splits import HELD_OUT_FILE
from wordseq.runs.checkpoint import sha256_of
from wordseq.runs.combine import (
    EnsembleFolder,
    combination_note,
    ensemble_beside,
    is_run,
    open_run,
    runs_named,
    write_average,
)
from wordseq.runs.data import check_usable
from wordseq.runs.folder import BEST, LAST, RunFolder
from wordseq.system.errors import UserError
from wordseq.text.tokenizers import WordTokenizer
from wordseq.text.vocab import TextCodec, Vocab

CODEC = TextCodec(WordTokenizer(), Vocab(["a", "b"]))
TEST = {"sources": ["a"], "references": [["b"]]}


def state(step):
    return {"step": step, "epoch": step // 10, "seconds": float(step), "best_score": 1.0}


def made(folder, *settings, step=10, tgt=CODEC, test="one"):
    """A trained run with two weights, drawn by the number of its updates."""
    run = RunFolder(folder)
    files = {
        "split.json": {part: {"sha256": test} for part in ("dev", "test")},
        "data.json": {"tgt_per_src": 1.0 + step / 100, "src_tokens": {"usual": step, "longest": step}},
        HELD_OUT_FILE: {"dev": TEST, "test": TEST},
    }
    run.begin(decided(load_config(None, settings)), CODEC, tgt, files)
    rng = np.random.default_rng(step)
    weights = {name: rng.normal(size=(2, 3)).astype(np.float32) for name in ("seq2seq/a/kernel", "seq2seq/b/kernel")}
    run.save(BEST, weights, state(step))
    run.append_metrics({"kind": "train", "step": step, "seconds": float(step)})
    return run


@pytest.fixture
def pair(tmp_path):
    return made(tmp_path / "one"), made(tmp_path / "two", "train.seed=2", "decode.beam_size=9", step=20)


# --- ensembles


def test_a_saved_ensemble_is_read_again_also_after_it_was_moved_with_its_runs(pair, tmp_path):
    first = pair[0].config.train
    decode = dataclasses.replace(pair[0].config.decode, beam_size=3, ensemble="log_probabilities")
    EnsembleFolder(tmp_path / "both", pair, decode).write_to(tmp_path / "both")
    shutil.copytree(tmp_path, tmp_path / "deep" / "moved", ignore=shutil.ignore_patterns("deep"))
    shutil.rmtree(tmp_path / "one")
    found = open_run(tmp_path / "deep" / "moved" / "both")
    assert [run.folder for run in found.members] == [tmp_path / "deep" / "moved" / name for name in ("one", "two")]
    assert found.config == dataclasses.replace(pair[1].config, decode=decode, train=first)
    assert combination_note(found) == "ensemble of 2 runs: one, two; mean of log-probabilities"
    with pytest.raises(UserError, match="one: no such run folder"):
        open_run(tmp_path / "both")


def test_an_ensemble_has_the_settings_of_its_first_run_and_the_weights_of_all(pair):
    found = open_run(*(run.folder for run in pair))
    assert (found.config, found.tgt_per_src, found.src_lengths) == (pair[0].config, 1.1, (10, 10))
    assert found.held_out("test") == pair[0].held_out("test")
    arrays, progress = found.load(BEST)
    for k, run in enumerate(pair, 1):
        for name, value in run.load(BEST)[0].items():
            np.testing.assert_array_equal(arrays[name.replace("seq2seq", f"seq2seq/{k}")], value)
    header = found.header(BEST)
    assert {name: array.shape for name, array in arrays.items()} == header.shapes
    assert header.parameters == 24
    assert header.state == progress == {"step": 20, "epoch": 2, "seconds": 30.0}
    assert found.train_seconds == 30
    pair[1].save(BEST, pair[0].load(BEST)[0], state(30))
    assert found.header(BEST).sha256 != header.sha256


def test_an_ensemble_that_is_not_saved_writes_nothing(pair, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    found = open_run(*(run.folder for run in pair))
    found.write_json("eval/test.json", {})
    found.write_lines("eval/test.hyp", ["x"])
    assert sorted(tmp_path.rglob("*")) == before


def test_runs_that_do_not_fit_together_are_refused(pair, tmp_path):
    other = TextCodec(WordTokenizer(), Vocab(["a", "c"]))
    for name, run, message in (
        ("words", {"tgt": other}, "words and .*one have different target vocabularies"),
        (
            "kind",
            {"settings": ("model.kind=repeat_vector", "model.attention=none")},
            "kind has model.kind = 'repeat_vector'",
        ),
        ("case", {"settings": ("data.lowercase=true",)}, "case has data.lowercase = True, but .*one has False"),
    ):
        made(tmp_path / name, *run.pop("settings", ()), **run)
        with pytest.raises(UserError, match=message):
            open_run(tmp_path / "one", tmp_path / name)
    made(tmp_path / "test", test="other")
    with pytest.raises(UserError, match=r"test and .*one have different test splits"):
        open_run(tmp_path / "one", tmp_path / "test").held_out("test")


def test_what_an_ensemble_has_not_is_said(pair, tmp_path):
    found = open_run(*(run.folder for run in pair))
    with pytest.raises(UserError, match="an ensemble has the best checkpoints of its runs only"):
        found.load(LAST)
    with pytest.raises(UserError, match="one: exists"):
        found.write_to(tmp_path / "one")
    with pytest.raises(UserError, match=r"no folder .*nowhere"):
        found.write_to(tmp_path / "nowhere" / "both")
    found.write_to(tmp_path / "both")
    with pytest.raises(UserError, match="both: an ensemble, expected a single run"):
        open_run(tmp_path / "one", tmp_path / "both")
    with pytest.raises(UserError, match="both: an ensemble, which cannot be trained itself"):
        check_usable(RunFolder(tmp_path / "both"))
    with pytest.raises(UserError, match="at least 2 runs, got 1 run"):
        EnsembleFolder(tmp_path / "both", pair[:1])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("runs = 3", "damaged: runs = 3, expected a list of run folders"),
        ("runs = ['../one', 4]", "damaged: runs"),
        ("", "damaged: runs = None"),
        ("runs = ['../one', '../two']\nbeam = 3", "unknown key 'beam'; it has runs and the table"),
        ("runs = ['../one', '../two']\n[decode]\nbeam_size = 0", "decode.beam_size = 0 must be at least 1"),
        ("runs = ['../one']", "at least 2 runs"),
        ("runs = [", "ensemble.toml"),
    ],
)
def test_a_damaged_file_of_an_ensemble_is_named(pair, tmp_path, text, message):
    (tmp_path / "both").mkdir()
    (tmp_path / "both" / "ensemble.toml").write_text(text)
    with pytest.raises(UserError, match=message):
        open_run(tmp_path / "both")


def test_only_folders_of_runs_and_ensembles_are_runs(pair, tmp_path):
    open_run(*(run.folder for run in pair)).write_to(tmp_path / "both")
    assert is_run(str(tmp_path / "one"))
    assert is_run(str(tmp_path / "both"))
    for text in (str(tmp_path), "a text", "", "x" * 5000, "a\0b", str(tmp_path / "one" / "config.toml")):
        assert not is_run(text)


def test_runs_that_are_named_together_are_an_ensemble_with_a_folder_beside_the_first(pair, tmp_path):
    names = [str(run.folder) for run in pair]
    said = []
    runs = [RunFolder.open(Path(name)) for name in runs_named("+".join(names))]
    folder = ensemble_beside(runs, said.append)
    assert folder == tmp_path / "one+two"
    assert said == [f"made {folder}: ensemble of 2 runs: one, two; mean of probabilities"]
    # It is found again, and a folder with a plus in its name is one run.
    assert ensemble_beside(runs, pytest.fail) == folder
    assert runs_named(str(folder)) == [str(folder)]
    made(tmp_path / "a+b")
    named = f"{tmp_path / 'a+b'}+{names[0]}"
    assert runs_named(named) == [str(tmp_path / "a+b"), names[0]]
    # Of others, what is no run is what an error names.
    assert runs_named(f"{names[0]}+nix") == [names[0], "nix"]
    assert runs_named("nix+nox") == ["nix+nox"]
    assert runs_named("a++b") == ["a++b"]
    EnsembleFolder(folder, [pair[1], pair[0]]).write_to(tmp_path / "other")
    shutil.rmtree(folder)
    (tmp_path / "other").rename(folder)
    with pytest.raises(UserError, match=r"one\+two: exists and is not the ensemble of these runs"):
        ensemble_beside(runs, pytest.fail)


# --- averages


def test_an_average_has_the_mean_of_the_best_weights(tmp_path):
    runs = [made(tmp_path / f"at{step}", step=step) for step in (10, 20, 30)]
    found = write_average(runs, tmp_path / "mean")
    means, progress = found.load(BEST)
    for name, value in means.items():
        expected = np.mean([run.load(BEST)[0][name].astype(np.float64) for run in runs], 0)
        np.testing.assert_array_equal(value, expected.astype(np.float32))
    assert progress == {"step": 30, "epoch": 3, "seconds": 60.0}
    assert found.train_seconds == 60
    assert found.config == runs[0].config
    assert found.held_out("test") == runs[0].held_out("test")
    assert [codec.sha256 for codec in found.codecs] == [codec.sha256 for codec in runs[0].codecs]
    note = "average of the weights of at10, best, update 10; at20, best, update 20; at30, best, update 30"
    assert combination_note(found) == note
    with pytest.raises(UserError, match="mean: an average of weights, which cannot be trained further"):
        check_usable(found)


def test_the_average_of_a_run_with_itself_has_exactly_its_weights(pair, tmp_path):
    found = write_average([pair[0]] * 3, tmp_path / "mean")
    assert sha256_of(found.load(BEST)[0]) == sha256_of(pair[0].load(BEST)[0])


def test_of_one_run_best_and_last_are_averaged_or_the_averages_that_last_has(pair, tmp_path):
    run = pair[0]
    with pytest.raises(UserError, match=r"last\.safetensors: no such checkpoint"):
        write_average([run], tmp_path / "mean")
    best = run.load(BEST)[0]
    run.save(LAST, {name: value + 2 for name, value in best.items()} | {"seeds/0": np.zeros(2)}, state(30))
    found = write_average([run], tmp_path / "mean")
    assert found.train_seconds == 30
    for name, value in found.load(BEST)[0].items():
        np.testing.assert_allclose(value, best[name] + 1, 1e-6)
    moving = {f"average/{name}": value + 6 for name, value in best.items()}
    run.save(LAST, {name: value + 2 for name, value in best.items()} | moving, state(30))
    for name, value in write_average([run], tmp_path / "moving").load(BEST)[0].items():
        np.testing.assert_allclose(value, best[name] + 3, 1e-6)
    run.save(LAST, best, state(10))
    with pytest.raises(UserError, match="best and last are both of update 10; there is nothing to average"):
        write_average([run], tmp_path / "none")


def test_weights_of_different_trainings_are_not_averaged(pair, tmp_path):
    with pytest.raises(UserError, match=r"two has train\.seed = 2, but .*one has 1: .*`wordseq ensemble` combines"):
        write_average(pair, tmp_path / "mean")
    other = made(tmp_path / "deep", "model.encoder_layers=2")
    with pytest.raises(UserError, match=r"deep has model\.encoder_layers = 2"):
        write_average([pair[0], other], tmp_path / "mean")
    other = made(tmp_path / "rate", "train.learning_rate=0.5")
    other.save(BEST, {"seq2seq/a/kernel": np.zeros((2, 3), np.float32)}, state(1))
    with pytest.raises(UserError, match=r"rate/best\.safetensors: seq2seq/b/kernel is missing"):
        write_average([pair[0], other], tmp_path / "mean")
    assert not (tmp_path / "mean").exists()
