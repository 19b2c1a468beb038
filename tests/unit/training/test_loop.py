import contextlib
import dataclasses
import errno
import itertools
import json
import math
import os
import signal
import threading
from types import SimpleNamespace

import numpy as np
import pytest

from tests.eager import eagerly
from tests.faults import TAKING, at_call, die, fail, in_child
from tests.runs import TIMES, entries
from wordseq.batches.epochs import EpochPairs
from wordseq.batches.id_store import IdStore
from wordseq.config.schema import CELLS, Config, DecodeConfig, ModelConfig, TrainConfig
from wordseq.decoding.translator import Translator
from wordseq.models.seq2seq import Seq2Seq
from wordseq.runs.folder import BEST, LAST, RunFolder
from wordseq.runs.weights import arrays_of, by_path
from wordseq.system.errors import UserError
from wordseq.text.tokenizers import WordTokenizer
from wordseq.text.vocab import TextCodec, Vocab
from wordseq.training import loop
from wordseq.training.loop import Progress, Stopped, Validation, train_model

PAIRS = 20
SRC = IdStore.of([[4 + i % 5] * (1 + i % 2) for i in range(PAIRS)])
TGT = IdStore.of([[4 + i % 3] * (1 + i % 2) for i in range(PAIRS)])
BATCHES = 5
PLAN = TrainConfig(batch_size=PAIRS // BATCHES, log_steps=1, max_epochs=3, patience=0, precision="float32", shards=1)


class Silent:
    """A reporter that records its calls."""

    def __init__(self):
        self.steps, self.validations, self.notes = [], [], []

    def step(self, progress, entry):
        self.steps.append((progress.step, entry))

    def validation(self, progress, found, best):
        self.validations.append((progress.step, found.scores["bleu"], best))

    def note(self, text):
        self.notes.append(text)


class Scripted:
    """A validate function that gives the scores of a list, BLEU or another, then the last one for ever."""

    def __init__(self, *scores, loss=1.0, key="bleu"):
        self.scores, self.loss, self.calls, self.key = scores or (0.0,), loss, 0, key

    def __call__(self):
        self.calls += 1
        score = self.scores[min(self.calls, len(self.scores)) - 1]
        loss = score if self.key == "loss" else self.loss
        return Validation({"bleu": 50.0, self.key: score} if self.key != "loss" else {"bleu": 50.0}, loss, [])


@pytest.fixture
def counting(monkeypatch):
    """A trainer that counts updates instead of learning: its one weight is their number. `at` may act in an update."""
    told = SimpleNamespace(at=lambda step: None, nats=lambda step: 2.0 * step, norm=lambda step: 1.0, rates=[])

    class Counting:
        def __init__(self, model, config):
            self.model, self.config = model, config
            self.updater = SimpleNamespace(set_learning_rate=told.rates.append)

        def update(self, src_ids_bs, tgt_ids_bt):
            step = int(self.model.weights[0].value) + 1
            self.model.weights[0].value = np.array(step)
            told.at(step)
            return told.nats(step), 4.0, told.norm(step)

        def arrays(self):
            return arrays_of(by_path(self.model.weights))

        best_arrays, averaged = arrays, contextlib.nullcontext

        def restore(self, run, arrays):
            self.model.weights[0].value = arrays["updates"]

    monkeypatch.setattr(loop, "Trainer", Counting)
    return told


def count(folder, config=PLAN, validate=None, reporter=None):
    """Train with the `counting` trainer, in a new model as a new process would."""
    folder.mkdir(exist_ok=True)
    model = SimpleNamespace(weights=[SimpleNamespace(path="updates", value=np.array(0))])
    return train_model(
        RunFolder(folder), model, EpochPairs((SRC, TGT)), config, validate or Scripted(), reporter or Silent()
    )


def saved_at(folder, name):
    return int(RunFolder(folder).load(name)[0]["updates"])


def replace(**changes):
    return dataclasses.replace(PLAN, **changes)


def dev_steps(folder):
    return [entry["step"] for entry in entries(folder) if entry["kind"] == "dev"]


# --- when to validate, when to stop


def test_validates_after_every_epoch_and_stops_after_the_last(tmp_path, counting):
    progress = count(tmp_path)
    assert dev_steps(tmp_path) == [5, 10, 15]
    assert progress.step == 15
    assert "train.max_epochs" in progress.finished


def test_validates_every_n_updates_and_at_the_end(tmp_path, counting):
    count(tmp_path, replace(validate_steps=4))
    assert dev_steps(tmp_path) == [4, 8, 12, 15]


def test_max_steps_stops_in_the_middle_of_an_epoch_after_a_validation(tmp_path, counting):
    progress = count(tmp_path, replace(max_steps=7))
    assert dev_steps(tmp_path) == [5, 7]
    assert (progress.step, progress.epoch, progress.batch) == (7, 2, 2)
    assert "train.max_steps" in progress.finished
    assert saved_at(tmp_path, LAST) == 7


@pytest.mark.parametrize("limit", [{"max_steps": 7}, {"max_epochs": 1}])
def test_a_run_that_ended_before_its_last_save_is_finished_by_the_same_command(tmp_path, counting, monkeypatch, limit):
    save = loop._save

    def killed(run, trainer, progress):
        save(run, trainer, dataclasses.replace(progress, finished=""))
        if progress.finished:
            raise KeyboardInterrupt

    monkeypatch.setattr(loop, "_save", killed)
    with pytest.raises(KeyboardInterrupt):
        count(tmp_path, replace(**limit))
    monkeypatch.setattr(loop, "_save", save)
    progress = count(tmp_path, replace(**limit))
    assert RunFolder(tmp_path).load(LAST)[1]["finished"] == progress.finished != ""


def test_a_validation_at_a_limit_lowers_no_learning_rate(tmp_path, counting):
    # Stopped at 7, between the validations at 5 and 10, and resumed.
    for steps in (7, 12):
        progress = count(tmp_path / "parted", replace(max_steps=steps, decay_patience=2), Scripted(9, 8, 7, 6))
    assert dev_steps(tmp_path / "parted") == [5, 7, 10, 12]
    whole = count(tmp_path / "whole", replace(max_steps=12, decay_patience=2), Scripted(9, 8, 7, 6))
    assert (progress.waits, progress.decay_waits, progress.decays) == (whole.waits, whole.decay_waits, whole.decays)


def test_max_minutes_stops_after_a_validation(tmp_path, counting):
    progress = count(tmp_path, replace(max_minutes=1e-9))
    assert progress.step == 1
    assert dev_steps(tmp_path) == [1]
    assert "train.max_minutes" in progress.finished


def test_early_stopping_counts_validations_since_the_best(tmp_path, counting):
    # The best one comes after two that are not better: they count no more.
    validate = Scripted(10, 9, 8, 12, 11, 12, 9, 50)
    progress = count(tmp_path, replace(max_epochs=50, patience=3), validate)
    assert validate.calls == 7
    assert (progress.best_score, progress.best_step) == (12, 20)
    assert "train.patience" in progress.finished


def test_patience_0_never_stops(tmp_path, counting):
    assert count(tmp_path, replace(max_epochs=9), Scripted(5, 4)).step == 45


def test_best_is_never_overwritten_by_a_worse_or_an_equal_one(tmp_path, counting):
    reporter = Silent()
    count(tmp_path, replace(max_epochs=6), Scripted(10, 30, 20, 30, 29.9, 1), reporter)
    assert saved_at(tmp_path, BEST) == 10
    assert saved_at(tmp_path, LAST) == 30
    assert [best for _, _, best in reporter.validations] == [True, True, False, False, False, False]
    assert RunFolder(tmp_path).load(BEST)[1]["best_score"] == 30


@pytest.mark.parametrize(
    ("key", "name", "found"),
    [
        ("exact", "EXACT", (10, 30, 20, 30, 29.9)),
        ("chrf", "chrF2", (10, 30, 20, 30, 29.9)),
        ("ser", "SER", (90, 70, 80, 70, 70.1)),
        ("cer", "CER", (190, 170, 180, 170, 170.1)),
        ("f1", "F1", (10, 30, 20, 30, 29.9)),
        ("loss", "loss", (3.0, 1.5, 2.0, 1.5, 1.6)),
    ],
)
def test_another_score_decides_best_patience_and_plateau(tmp_path, counting, key, name, found):
    config = replace(max_epochs=50, patience=3, decay_patience=2, schedule="plateau", select_by=key)
    validate = Scripted(*found, key=key)
    progress = count(tmp_path, config, validate)
    assert validate.calls == 5
    assert (progress.best_score, progress.best_step, progress.decays) == (found[1], 10, 1)
    assert saved_at(tmp_path, BEST) == 10
    assert progress.finished == f"no better dev {name} in 3 validations (train.patience)"
    logged = [entry for entry in entries(tmp_path) if entry["kind"] == "dev"]
    assert [entry[key] for entry in logged] == list(found)
    assert [entry["best"] for entry in logged] == [True, True, False, False, False]


def test_equal_scores_are_decided_by_the_dev_loss(tmp_path, counting):
    losses = iter([2.0, 1.0, 1.5, 0.5])

    def validate():
        return Validation({"bleu": 0.0, "ser": 40.0}, next(losses), [])

    count(tmp_path, replace(max_epochs=4, select_by="ser"), validate)
    assert [entry["best"] for entry in entries(tmp_path) if entry["kind"] == "dev"] == [True, True, False, True]


def test_the_first_validation_is_the_best_however_bad(tmp_path, counting):
    count(tmp_path, replace(max_epochs=1, select_by="ser"), Scripted(900.0, key="ser"))
    assert RunFolder(tmp_path).load(BEST)[1]["best_score"] == 900


def test_a_kill_between_the_first_best_and_its_last_changes_nothing(tmp_path, counting):
    config = replace(max_epochs=2, select_by="ser")
    count(tmp_path, config, Scripted(900.0, 901.0, key="ser"))
    whole = entries(tmp_path)
    for name in ("last", "previous"):
        (tmp_path / f"{name}.safetensors").unlink()
    progress = count(tmp_path, config, Scripted(900.0, 901.0, key="ser"))
    assert entries(tmp_path) == whole
    assert (progress.best_score, progress.best_step, progress.waits) == (900, 5, 1)


def test_all_processes_get_the_scores_of_the_chief():
    sent = []

    def from_chief(value):
        sent.append(value)
        return json.loads(json.dumps(sent[0]))

    chief, other = (SimpleNamespace(processes=2, chief=chief, from_chief=from_chief) for chief in (True, False))
    found = Validation({"bleu": 0.1 + 0.2, "ser": 7.0}, 1 / 3, ["sample"], "words")
    assert loop._validated_by_chief(lambda: found, chief)() == found
    assert loop._validated_by_chief(pytest.fail, other)() == found._replace(samples=[])


def test_a_bleu_of_0_is_kept_too(tmp_path, counting):
    count(tmp_path, replace(max_epochs=1), Scripted(0.0))
    assert saved_at(tmp_path, BEST) == 5


def test_plateau_lowers_the_learning_rate_and_waits_again(tmp_path, counting):
    config = replace(max_epochs=8, schedule="plateau", decay=0.1, decay_patience=2, learning_rate=1.0)
    count(tmp_path, config, Scripted(10, 9, 9, 9, 11, 9, 9, 9))
    by_epoch = [counting.rates[epoch * BATCHES] for epoch in range(8)]
    assert by_epoch == pytest.approx([1, 1, 1, 0.1, 0.1, 0.1, 0.1, 0.01])


# --- the log


def test_a_log_line_is_the_mean_over_its_updates(tmp_path, counting):
    count(tmp_path, replace(log_steps=2, max_epochs=1))
    lines = [entry for entry in entries(tmp_path) if entry["kind"] == "train"]
    assert [line["step"] for line in lines] == [2, 4]
    # 2 and 4 nats, then 6 and 8, over 4 tokens per update.
    assert [line["loss"] for line in lines] == [6 / 8, 14 / 8]
    assert [line["tokens"] for line in lines] == [8, 16]


def test_the_speed_is_that_of_the_updates_of_the_line(tmp_path, counting, monkeypatch):
    clock = iter(range(10_000))
    monkeypatch.setattr(loop.time, "perf_counter", lambda: float(next(clock)))  # every update takes a second
    count(tmp_path, replace(log_steps=2, max_epochs=1))
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["tokens_per_second"] for line in lines if line["kind"] == "train"] == [4, 4]
    assert [line["seconds"] for line in lines if line["kind"] == "train"] == [2, 4]


def test_the_time_of_training_has_that_of_validations(tmp_path, counting, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(loop.time, "perf_counter", lambda: now[0])

    def takes(seconds):
        now[0] += seconds

    def validate():
        takes(100)
        return Validation({"bleu": 0.0}, 1.0, [])

    counting.at = lambda step: takes(1)
    progress = count(tmp_path / "epoch", replace(validate_steps=2, max_epochs=1), validate)
    logged = {"train": [], "dev": []}
    for entry in RunFolder(tmp_path / "epoch").metrics():
        logged[entry["kind"]].append((entry["step"], entry["seconds"]))
    assert logged["train"] == [(1, 1), (2, 2), (3, 103), (4, 104), (5, 205)]
    assert logged["dev"] == [(2, 102), (4, 204), (5, 305)]
    assert progress.seconds == 305
    # The third validation ends after five minutes; without their time it would be the hundredth.
    assert count(tmp_path / "minutes", replace(validate_steps=1, max_minutes=5), validate).step == 3


def test_the_reporter_is_called_for_every_update_and_validation(tmp_path, counting):
    reporter = Silent()
    count(tmp_path, replace(log_steps=4, max_epochs=1), Scripted(3), reporter)
    assert [step for step, _ in reporter.steps] == [1, 2, 3, 4, 5]
    assert [step for step, entry in reporter.steps if entry] == [4]
    assert reporter.validations == [(5, 3, True)]


# --- what is not a number


@pytest.mark.parametrize(("nats", "norm"), [(math.nan, 1.0), (math.inf, 1.0), (1.0, math.nan), (1.0, math.inf)])
def test_a_loss_or_gradient_that_is_not_finite_stops_and_keeps_the_last_good_checkpoint(tmp_path, counting, nats, norm):
    counting.nats = lambda step: nats if step == 8 else 1.0
    counting.norm = lambda step: norm if step == 8 else 1.0
    with pytest.raises(UserError, match=r"at update 8: .*(nan|inf).*train\.learning_rate"):
        count(tmp_path)
    assert saved_at(tmp_path, LAST) == saved_at(tmp_path, BEST) == 5
    assert [entry["step"] for entry in entries(tmp_path) if entry["kind"] == "train"] == [1, 2, 3, 4, 5, 6, 7]
    assert "NaN" not in (tmp_path / "metrics.jsonl").read_text()


def test_a_dev_loss_that_is_not_finite_stops_before_anything_is_saved(tmp_path, counting):
    with pytest.raises(UserError, match=r"at update 5: the dev loss is nan"):
        count(tmp_path, validate=Scripted(99, loss=math.nan))
    assert not RunFolder(tmp_path).has(BEST)
    assert not RunFolder(tmp_path).has(LAST)


# --- interrupted and continued


def interrupt(step):
    return lambda now: os.kill(os.getpid(), signal.SIGINT) if now == step else None


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_finishes_the_update_saves_and_gives_the_handlers_back(tmp_path, counting, monkeypatch, number):
    before, left = signal.getsignal(number), []
    monkeypatch.setattr(loop, "leave_terminal", lambda: left.append(number))
    counting.at = lambda now: os.kill(os.getpid(), number) if now == 3 else None
    with pytest.raises(Stopped):
        count(tmp_path)
    assert saved_at(tmp_path, LAST) == 3
    assert RunFolder(tmp_path).load(LAST)[1]["batch"] == 3
    assert signal.getsignal(number) is before
    # After a hang-up nothing may be written to the terminal: that would fail before the run is saved.
    assert left == [number] * (number == signal.SIGHUP)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_a_signal_that_is_ignored_does_not_stop_training(tmp_path, counting, number):
    before = signal.signal(number, signal.SIG_IGN)
    try:
        counting.at = lambda now: os.kill(os.getpid(), number) if now == 3 else None
        count(tmp_path, replace(max_epochs=1))
    finally:
        signal.signal(number, before)
    assert saved_at(tmp_path, LAST) > 3


def test_a_second_ctrl_c_stops_at_once(tmp_path, counting):
    def twice(step):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    counting.at = twice
    with pytest.raises(KeyboardInterrupt):
        count(tmp_path)
    assert not RunFolder(tmp_path).has(LAST)


def test_in_another_thread_signals_are_left_alone(tmp_path, counting):
    done = []
    thread = threading.Thread(target=lambda: done.append(count(tmp_path)))
    thread.start()
    thread.join(60)
    assert done[0].step == 15


BUMPY = (5, 9, 3, 9, 8, 12, 1, 1, 1, 1)
"""Dev BLEU by the number of the validation."""


class ByStep:
    """A validate function that depends on the progress of training, like one that uses the weights."""

    def __init__(self, counting, every):
        self.counting, self.every = counting, every

    def __call__(self):
        score = BUMPY[self.counting.updates // self.every - 1]
        return Validation({"bleu": score, "ser": 100.0 - score}, 1.0, [])


@pytest.mark.parametrize("stop", range(1, 15))
@pytest.mark.parametrize(("validate_steps", "select_by"), [(3, "bleu"), (0, "ser")])
def test_interrupted_anywhere_and_continued_equals_uninterrupted(tmp_path, counting, stop, validate_steps, select_by):
    config = replace(validate_steps=validate_steps, patience=4, decay_patience=1, log_steps=2, select_by=select_by)

    def look():
        return ByStep(counting, validate_steps or BATCHES)

    def at(now):
        counting.updates = now
        interrupt(stop)(now) if counting.stops else None

    counting.at, counting.stops = at, False
    whole = count(tmp_path / "whole", config, look())
    whole_rates = list(counting.rates)
    counting.stops = True
    counting.rates.clear()
    with pytest.raises(Stopped):
        count(tmp_path / "parts", config, look())
    counting.stops = False
    parts = count(tmp_path / "parts", config, look())

    assert counting.rates == whole_rates
    assert without_times(parts) == without_times(whole)
    assert entries(tmp_path / "parts") == entries(tmp_path / "whole")
    for name in (BEST, LAST):
        assert saved_at(tmp_path / "parts", name) == saved_at(tmp_path / "whole", name)
        states = [RunFolder(tmp_path / part).load(name)[1] for part in ("parts", "whole")]
        assert without_times(Progress(**states[0])) == without_times(Progress(**states[1]))


def without_times(progress):
    return {key: value for key, value in dataclasses.asdict(progress).items() if key not in TIMES}


def test_killed_between_two_checkpoints_it_resumes_from_the_last_one(tmp_path, counting):
    class Killed(BaseException):
        pass

    def kill(step):
        if step == 8:
            raise Killed

    counting.at = kill
    with pytest.raises(Killed):
        count(tmp_path / "parts")
    # What a crash may leave at the end of the log.
    with (tmp_path / "parts" / "metrics.jsonl").open("a") as file:
        file.write('{"kind": "train", "st')
    counting.at = lambda step: None
    count(tmp_path / "parts")
    count(tmp_path / "whole")
    assert entries(tmp_path / "parts") == entries(tmp_path / "whole")


@pytest.mark.parametrize("config", [replace(max_steps=7), PLAN, replace(patience=2, max_epochs=9)])
def test_a_finished_run_given_again_changes_nothing(tmp_path, counting, config):
    first = count(tmp_path, config, Scripted(5))
    before = {name: (tmp_path / name).read_bytes() for name in ("best.safetensors", "metrics.jsonl")}
    validate = Scripted(99)
    again = count(tmp_path, config, validate)
    assert validate.calls == 0
    assert again == first
    assert {name: (tmp_path / name).read_bytes() for name in before} == before


def test_a_finished_run_given_a_lower_limit_reports_what_it_did(tmp_path, counting):
    count(tmp_path, replace(max_epochs=3), Scripted(1, 2, 3))
    assert count(tmp_path, replace(max_epochs=2), Scripted()).finished == "3 epochs done (train.max_epochs)"
    assert count(tmp_path / "one", replace(max_epochs=1), Scripted(1)).finished == "1 epoch done (train.max_epochs)"


def test_a_run_resumed_with_a_higher_limit_equals_one_that_had_it(tmp_path, counting):
    count(tmp_path / "parts", replace(max_steps=9, validate_steps=3), Scripted(1, 2, 3))
    parts = count(tmp_path / "parts", replace(max_steps=14, validate_steps=3), Scripted(4, 5, 6))
    whole = count(tmp_path / "whole", replace(max_steps=14, validate_steps=3), Scripted(1, 2, 3, 4, 5, 6))
    assert without_times(parts) == without_times(whole)
    assert entries(tmp_path / "parts") == entries(tmp_path / "whole")


def test_a_limit_lowered_below_the_progress_stops_at_once_after_a_first_validation(tmp_path, counting):
    counting.at = interrupt(4)
    with pytest.raises(Stopped):
        count(tmp_path)
    counting.at = lambda step: None
    progress = count(tmp_path, replace(max_steps=2), Scripted(7))
    assert (progress.step, progress.best_score) == (4, 7)
    assert saved_at(tmp_path, BEST) == 4


def test_a_checkpoint_of_something_else_is_refused(tmp_path, counting):
    count(tmp_path, replace(max_steps=2))
    RunFolder(tmp_path).save(LAST, {"updates": np.array(1)}, {"step": 1, "colour": "red"})
    with pytest.raises(UserError, match=r"last\.safetensors: damaged checkpoint"):
        count(tmp_path)


# --- with a real model

TEXTS = ["a b c", "b a", "c c d a", "d", "a d b c b"]
TARGETS = ["w x", "x y z w", "z", "y w x", "w w z y x"]
WORDS = [TextCodec(WordTokenizer(), Vocab(words)) for words in ("abcd", "wxyz")]
SMALL = ModelConfig(embed_dim=8, hidden_size=16, dropout=0.0)


@pytest.mark.parametrize("cell", ["gru", pytest.param("lstm", marks=pytest.mark.slow)])
def test_one_batch_can_be_overfitted(tmp_path, cell):
    # Few updates are soonest done uncompiled.
    few = cell == "gru"
    config = ModelConfig(cell=cell, embed_dim=16, hidden_size=32, dropout=0.0, bidirectional=not few)
    model = Seq2Seq(config, 8, 8)
    updates, rate = (16, 0.06) if few else (150, 0.02)
    src, tgt = (
        IdStore.of([codec.to_ids(text) for text in texts]) for codec, texts in zip(WORDS, (TEXTS, TARGETS), strict=True)
    )
    plan = TrainConfig(shards=1, max_epochs=updates, learning_rate=rate, patience=0, schedule="constant")
    plan = dataclasses.replace(plan, log_steps=updates, validate_steps=updates)
    with eagerly() if few else contextlib.nullcontext():
        train_model(RunFolder(tmp_path), model, EpochPairs((src, tgt)), plan, Scripted(), Silent())
    translator = Translator(model, *WORDS, Config(model=config, decode=DecodeConfig()), 1.0)
    with eagerly():
        assert float(translator.scorer.nats(src, tgt).sum()) < 0.2
        assert translator(TEXTS) == TARGETS


@pytest.fixture(scope="module")
def real_runs(tmp_path_factory):
    """Folders of an uninterrupted run, of one stopped in the middle of an epoch and resumed, and of one with another seed.

    The first two have averages of the weights, a fourth has none; and with what weights the first was validated.

    Nothing is compiled here: `test_continued_equals_uninterrupted_for_each_cell` and tests/system do that.
    """
    folder = tmp_path_factory.mktemp("real")
    rates = {"dropout": 0.3, "recurrent_dropout": 0.2, "word_dropout": 0.2, "context_dropout": 0.1}
    model = dataclasses.replace(SMALL, cell="rnn", bridge="dense", **rates)

    validated = []

    def once(name, seed, steps, average=0.0):
        (folder / name).mkdir(exist_ok=True)
        config = replace(
            seed=seed, max_steps=steps, max_epochs=99, batch_size=PAIRS // 2, validate_steps=3, schedule="plateau"
        )
        config = dataclasses.replace(config, average=average)
        weights = Seq2Seq(model, 9, 7, seed=seed)
        validate = Scripted(1.0)

        def watched():
            validated.append(arrays_of(by_path(weights.weights)))
            return validate()

        train_model(RunFolder(folder / name), weights, EpochPairs((SRC, TGT)), config, watched, Silent())

    with eagerly():
        once("plain", 1, 4)
        once("other", 2, 2)
        validated.clear()
        once("whole", 1, 4, average=0.9)
        ours = list(validated)
        once("parts", 1, 3, average=0.9)
        first = entries(folder / "parts")
        once("parts", 1, 4, average=0.9)
    return SimpleNamespace(folder=folder, first=first, validated=ours)


def test_the_same_seed_gives_the_same_losses(real_runs):
    assert real_runs.first == entries(real_runs.folder / "whole")[: len(real_runs.first)]
    assert [entry["step"] for entry in real_runs.first] == [1, 2, 3, 3]


def test_another_seed_gives_other_losses(real_runs):
    ours, others = (entries(real_runs.folder / name) for name in ("plain", "other"))
    assert [a["loss"] != b["loss"] for a, b in zip(ours[:2], others[:2], strict=True)] == [True] * 2


def test_continued_with_dropout_in_the_same_process_equals_uninterrupted(real_runs):
    assert entries(real_runs.folder / "parts") == entries(real_runs.folder / "whole")
    for name in (BEST, LAST):
        parts, whole = (RunFolder(real_runs.folder / which).load(name)[0] for which in ("parts", "whole"))
        assert parts.keys() == whole.keys()
        for key in whole:
            np.testing.assert_array_equal(parts[key], whole[key], err_msg=key)


@pytest.mark.slow
@pytest.mark.long  # Of the default cell, tests/system/test_resume.py does the same.
@pytest.mark.parametrize("cell", CELLS)
def test_continued_equals_uninterrupted_for_each_cell(tmp_path, cell):
    model = dataclasses.replace(SMALL, cell=cell, dropout=0.3, encoder_layers=2, decoder_layers=2, residual=True)
    for name, limits in (("whole", [9]), ("parts", [4, 9])):
        for steps in limits:
            (tmp_path / name).mkdir(exist_ok=True)
            config = replace(max_steps=steps, max_epochs=99, validate_steps=3)
            train_model(
                RunFolder(tmp_path / name),
                Seq2Seq(model, 9, 7, seed=1),
                EpochPairs((SRC, TGT)),
                config,
                Scripted(1.0),
                Silent(),
            )
    assert entries(tmp_path / "parts")[-1]["loss"] == entries(tmp_path / "whole")[-1]["loss"]
    parts, whole = (RunFolder(tmp_path / name).load(LAST)[0] for name in ("parts", "whole"))
    assert parts.keys() == whole.keys()
    for key in whole:
        np.testing.assert_array_equal(parts[key], whole[key], err_msg=key)


def test_a_checkpoint_holds_weights_seeds_and_optimizer(real_runs):
    arrays = RunFolder(real_runs.folder / "plain").load(LAST)[0]
    weights = {name for name in arrays if name.startswith("seq2seq/")}
    moments = {name for name in arrays if name.startswith("optimizer/") and name.endswith(("momentum", "velocity"))}
    assert sum(name.startswith("seeds/") for name in arrays) >= 6
    assert len(moments) == 2 * len(weights)
    assert int(arrays["optimizer/0/iteration"]) == int(arrays["optimizer/1/iteration"]) == 4
    assert RunFolder(real_runs.folder / "plain").load(BEST)[0].keys() == weights


def test_averages_are_validated_and_best_while_training_continues_with_the_weights_themselves(real_runs):
    plain, averaged = (RunFolder(real_runs.folder / which).load(LAST)[0] for which in ("plain", "whole"))
    for name, values in plain.items():
        np.testing.assert_array_equal(averaged[name], values, name)
    best = RunFolder(real_runs.folder / "whole").load(BEST)[0]
    assert averaged.keys() == plain.keys() | {f"average/{name}" for name in best}
    # Validated after updates 3 and 4.
    for name, values in best.items():
        np.testing.assert_array_equal(real_runs.validated[0][name], values, name)
        np.testing.assert_array_equal(real_runs.validated[1][name], averaged[f"average/{name}"], name)
    assert any((best[name] != plain[name]).any() for name in best)


# --- saving by the clock, kills and faults while saving


OFTEN = replace(max_epochs=1, batch_size=7, save_minutes=1e-9, validate_steps=2)
"""Saves after every update."""


def assert_equal_runs(one, other):
    assert entries(one) == entries(other)
    assert {path.name for path in one.iterdir()} == {path.name for path in other.iterdir()}
    for name in (BEST, LAST):
        assert saved_at(one, name) == saved_at(other, name)
        states = [RunFolder(folder).load(name)[1] for folder in (one, other)]
        assert without_times(Progress(**states[0])) == without_times(Progress(**states[1]))


@pytest.mark.parametrize(("minutes", "steps"), [(0, []), (1, [3, 6, 9, 12]), (2.5, [8]), (0.01, list(range(1, 15)))])
def test_saves_every_n_minutes_of_training(tmp_path, counting, monkeypatch, minutes, steps):
    # An update takes 20 seconds: the clock is read before and after it.
    clock = itertools.count(0, 20)
    monkeypatch.setattr(loop.time, "perf_counter", lambda: next(clock))
    saved = []
    monkeypatch.setattr(loop, "_save", lambda run, trainer, progress: saved.append(progress.step))
    count(tmp_path, replace(max_epochs=1, batch_size=1, validate_steps=15, max_steps=15, save_minutes=minutes))
    assert saved[: len(steps)] == steps
    assert set(saved[len(steps) :]) == {15}


def test_how_often_it_saves_changes_nothing(tmp_path, counting):
    for name, minutes in (("never", 0.0), ("often", 1e-9)):
        count(tmp_path / name, dataclasses.replace(OFTEN, save_minutes=minutes))
    assert_equal_runs(tmp_path / "often", tmp_path / "never")


@pytest.mark.slow
def test_killed_at_any_write_it_equals_an_uninterrupted_run(tmp_path, counting):
    with at_call(0, die) as calls:
        count(tmp_path / "whole", OFTEN)
    assert calls.number > 30
    for number in range(1, calls.number + 1):
        folder = tmp_path / str(number)

        def killed(folder=folder, number=number):
            with at_call(number, die):
                count(folder, OFTEN)

        assert in_child(killed) == signal.SIGKILL
        count(folder, OFTEN)
        assert_equal_runs(folder, tmp_path / "whole")


def test_any_failed_write_while_saving_is_named_and_the_same_command_resumes(tmp_path, counting):
    with at_call(0, die, TAKING) as calls:
        count(tmp_path / "whole", OFTEN)
    for number in range(1, calls.number + 1):
        folder, error = tmp_path / str(number), (errno.ENOSPC, errno.EIO, errno.EROFS)[number % 3]
        with at_call(number, fail(error), TAKING), pytest.raises(OSError, match=os.strerror(error)) as raised:
            count(folder, OFTEN)
        assert raised.value.filename.startswith(str(folder))
        assert not [path for path in folder.iterdir() if path.name.startswith(".")]
        for path in folder.glob("*.safetensors"):
            RunFolder(folder).load(path.stem)
        count(folder, OFTEN)
        assert_equal_runs(folder, tmp_path / "whole")


def test_resuming_from_the_checkpoint_before_a_damaged_one_ends_the_same(tmp_path, counting):
    count(tmp_path / "whole", OFTEN)
    counting.at = interrupt(2)
    with pytest.raises(Stopped):
        count(tmp_path / "parts", OFTEN)
    counting.at = lambda now: None
    (tmp_path / "parts" / "last.safetensors").write_bytes(b"damage")
    reporter = Silent()
    count(tmp_path / "parts", OFTEN, reporter=reporter)
    assert reporter.steps[0][0] in (2, 3)
    assert [note.partition(" ")[0] for note in reporter.notes] == ["warning:", "resuming"]
    (tmp_path / "parts" / "damaged.safetensors").unlink()
    assert_equal_runs(tmp_path / "parts", tmp_path / "whole")


def test_a_deleted_best_is_replaced_by_the_newest(tmp_path, counting):
    count(tmp_path, replace(max_epochs=3), Scripted(9, 8, 7))
    (tmp_path / "best.safetensors").unlink()
    count(tmp_path, replace(max_epochs=3), Scripted(7))
    assert saved_at(tmp_path, BEST) == 15
