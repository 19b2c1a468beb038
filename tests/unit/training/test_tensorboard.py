"""The event files for TensorBoard."""

import json

import pytest
import tensorflow as tf

from wordseq.runs.folder import RunFolder
from wordseq.training.loop import Progress, Validation
from wordseq.training.tensorboard import FILES, FOLDER, SAMPLES, TAGS, Board, how_to_look, read_events


class Nobody:
    """A reporter that counts its calls."""

    def __init__(self):
        self.told = []

    def step(self, progress, entry):
        self.told.append(progress.step)

    def validation(self, progress, found, best):
        self.told.append((progress.step, found.scores["bleu"]))


def train(run, first, last, killed_after=None):
    """The calls of a training from one update to another: one log entry per update, and a validation after every second one."""
    run.rewind_metrics(first - 1)
    board = Board(run, Nobody())
    for step in range(first, last + 1):
        progress = Progress(step=step, seconds=2.0 * step)
        entry = {"kind": "train", "step": step, "loss": 5.0 / step, "learning_rate": 0.5, "seconds": 2.0 * step}
        run.append_metrics(entry)
        board.step(progress, entry)
        if step % 2 == 0:
            dev = {"kind": "dev", "step": step, "bleu": 10.0 * step, "loss": 6.0 / step, "seconds": 2.0 * step}
            run.append_metrics(dev)
            if step == killed_after:
                return
            samples = [("a|b", "c", f"d {step}")]
            board.validation(progress, Validation({"bleu": 10.0 * step}, 6.0 / step, samples), best=True)


def shown(folder):
    """Tag and update of everything in the event files, in order, with its value."""
    found = []
    for path in sorted((folder / FOLDER).glob(FILES)):
        for event in read_events(path):
            for value in event.summary.value:
                text = value.HasField("tensor") and tf.make_ndarray(value.tensor).item().decode()
                found.append((value.tag, event.step, text or pytest.approx(value.simple_value)))
    return found


def series(folder, tag):
    return [(step, value) for found, step, value in shown(folder) if found == tag]


@pytest.fixture
def run(tmp_path):
    return RunFolder(tmp_path)


def test_all_figures_are_in_the_event_files(run):
    train(run, 1, 6)
    assert series(run.folder, "loss/train") == [(step, 5.0 / step) for step in range(1, 7)]
    assert series(run.folder, "train/learning_rate") == [(step, 0.5) for step in range(1, 7)]
    assert series(run.folder, "bleu/dev") == [(step, 10.0 * step) for step in (2, 4, 6)]
    assert series(run.folder, "loss/dev") == [(step, 6.0 / step) for step in (2, 4, 6)]
    samples = series(run.folder, SAMPLES)
    assert [step for step, _ in samples] == [2, 4, 6]
    assert r"| a\|b | c | d 4 |" in samples[1][1]


def test_every_dev_score_has_its_tag(run):
    Board(run, Nobody()).step(Progress(step=1), None)
    board = Board(run, Nobody())
    board.step(Progress(step=1), None)
    board.validation(Progress(step=2), Validation({"bleu": 1.0, "exact": 2.0, "ser": 3.0}, 4.0, []), best=True)
    found = {tag: value for tag, _, value in shown(run.folder) if "/" in tag}
    assert found == {"bleu/dev": 1.0, "exact/dev": 2.0, "ser/dev": 3.0, "loss/dev": 4.0}


def test_the_other_reporter_gets_every_call(run):
    nobody = Nobody()
    board = Board(run, nobody)
    board.step(Progress(step=1), None)
    board.validation(Progress(step=1), Validation({"bleu": 3.0}, 1.0, []), best=True)
    assert nobody.told == [1, (1, 3.0)]


@pytest.mark.parametrize("checkpoint", [1, 2, 3, 4, 5])
def test_a_resumed_run_shows_every_update_once(run, tmp_path_factory, checkpoint):
    whole = RunFolder(tmp_path_factory.mktemp("whole"))
    train(whole, 1, 8)
    train(run, 1, 6, killed_after=6)
    train(run, checkpoint + 1, 8)
    assert sorted(shown(run.folder), key=str) == sorted(shown(whole.folder), key=str)
    assert len(list((run.folder / FOLDER).iterdir())) == 1


def test_a_kill_within_a_line_loses_nothing(run):
    train(run, 1, 6)
    (path,) = (run.folder / FOLDER).iterdir()
    path.write_bytes(path.read_bytes()[:-7])
    train(run, 7, 8)
    assert [step for step, _ in series(run.folder, "bleu/dev")] == [2, 4, 6, 8]
    assert [step for step, _ in series(run.folder, SAMPLES)] == [2, 4, 8]


def test_switched_on_later_the_figures_before_are_shown_too(run):
    for entry in ({"kind": "train", "step": 1, "loss": 2.5}, {"kind": "dev", "step": 1, "bleu": 1.0, "loss": 2.0}):
        run.append_metrics(entry)
    train(run, 2, 2)
    assert series(run.folder, "loss/train") == [(1, 2.5), (2, 2.5)]
    assert series(run.folder, "bleu/dev") == [(1, 1.0), (2, 20.0)]


def test_every_tag_is_of_a_figure_that_training_logs():
    assert set(TAGS["train"]) >= {"loss", "learning_rate"}
    assert set(TAGS["dev"]) >= {"loss", "bleu"}


def test_tensorboard_itself_reads_them(run):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    train(run, 1, 5)
    train(run, 4, 8)
    found = accumulator.EventAccumulator(str(run.folder / FOLDER))
    found.Reload()
    assert [event.step for event in found.Scalars("loss/train")] == list(range(1, 9))
    assert [event.step for event in found.Tensors(SAMPLES)] == [2, 4, 6, 8]
    assert json.dumps(found.Tags()["scalars"])


def test_how_to_look_names_the_extra_where_it_is_missing(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    line = how_to_look(tmp_path)
    assert f"tensorboard --logdir {tmp_path}" in line
    assert "pip install 'wordseq[tensorboard]'" in line
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    assert "pip" not in how_to_look(tmp_path)
