import io
from types import SimpleNamespace

import pytest

from wordseq.config.schema import TrainConfig
from wordseq.evaluation.metrics.names import SENTENCES, WORDS
from wordseq.system import progress as bars
from wordseq.training import progress
from wordseq.training.loop import Progress, Validation
from wordseq.training.progress import TrainingProgress

ENTRY = {"loss": 1.23456, "tokens_per_second": 12345}
FOUND = Validation({"bleu": 12.5}, 2.5, [("a [b]", "c [/d]", "e [red]f")])


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture(params=["pipe", "terminal"])
def shown(request, monkeypatch):
    """A function that gives all that was shown, by lines or on a terminal."""
    stream, said = Terminal() if request.param == "terminal" else io.StringIO(), []
    monkeypatch.setattr(bars, "sys", SimpleNamespace(stderr=stream, modules={}))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("TERM", "xterm")

    def all_of_it():
        return "\n".join(said) + stream.getvalue()

    all_of_it.say, all_of_it.terminal = said.append, request.param == "terminal"
    return all_of_it


def test_a_validation_line_keeps_brackets(shown):
    with TrainingProgress(TrainConfig(), 10, shown.say) as reporter:
        reporter.validation(Progress(step=7, epoch=2, seconds=90), FOUND, best=True)
        reporter.validation(Progress(step=9, epoch=2, best_score=12.5, best_step=7), FOUND, best=False)
    text = shown()
    assert "epoch 2  update 7  dev BLEU 12.50  dev loss 2.500  1.5 min  best so far" in text
    assert "best was 12.50 at update 7" in text
    for line in ("source     a [b]", "reference  c [/d]", "hypothesis e [red]f"):
        assert line in text


@pytest.mark.parametrize(
    ("task", "select_by", "said"),
    [
        (SENTENCES, "ser", "dev SER 7.25  dev BLEU 12.50  dev loss 2.500  0.0 min  best was 6.50 at update 7"),
        (SENTENCES, "loss", "dev loss 2.500  dev BLEU 12.50  0.0 min  best was 6.500 at update 7"),
        (WORDS, "exact", "dev EXACT 1.00  dev SER 7.25  dev loss 2.500  0.0 min"),
        (WORDS, "bleu", "dev BLEU 12.50  dev EXACT 1.00  dev SER 7.25  dev loss 2.500  0.0 min"),
    ],
)
def test_a_validation_line_begins_with_the_score_that_decides_and_has_those_of_the_task(shown, task, select_by, said):
    found = Validation({"bleu": 12.5, "exact": 1.0, "ser": 7.25}, 2.5, [], task)
    with TrainingProgress(TrainConfig(select_by=select_by), 10, shown.say) as reporter:
        reporter.validation(Progress(step=9, best_score=6.5, best_step=7), found, best=False)
    assert f"update 9  {said}" in shown()


@pytest.mark.parametrize(
    ("schedule", "said"), [("plateau", "at update 7; learning rate 0.00025\n"), ("constant", "at update 7\n")]
)
def test_a_validation_line_has_the_learning_rate_once_it_fell(shown, schedule, said):
    state = Progress(step=9, epoch=2, best_score=12.5, best_step=7, decays=2)
    with TrainingProgress(TrainConfig(schedule=schedule, learning_rate=1e-3), 10, shown.say) as reporter:
        reporter.validation(state, FOUND, best=False)
    assert said in shown()


def test_it_prints_that_it_compiles_before_the_first_update(shown):
    with TrainingProgress(TrainConfig(), 10, shown.say) as reporter:
        assert progress.COMPILING in shown()
        reporter.step(Progress(step=1), ENTRY)


def test_of_a_finished_run_nothing_is_said_to_compile(shown):
    with TrainingProgress(TrainConfig(), 10, shown.say, compiles=False):
        pass
    assert shown() == ""


def test_log_entries_become_lines_only_where_there_is_no_bar(shown):
    with TrainingProgress(TrainConfig(max_epochs=2), 10, shown.say) as reporter:
        reporter.step(Progress(step=4, seconds=8.0), None)
        reporter.step(Progress(step=5, seconds=10.0), ENTRY)
    # 15 more updates of 2 seconds.
    line = "epoch 1  update 5  loss 1.235  12,345 tokens/s  at most 0.5 min left"
    assert (line in shown()) is not shown.terminal


@pytest.mark.parametrize(
    ("limits", "left", "updates"),
    [
        ({"max_steps": 35}, 1.0, 35),
        ({"max_steps": 999, "max_epochs": 2}, 0.5, 20),
        ({"max_minutes": 1 / 3, "max_epochs": 9}, 0.2, 90),
    ],
)
def test_the_time_left_is_to_whichever_limit_comes_first(shown, limits, left, updates):
    with TrainingProgress(TrainConfig(**limits), 10, shown.say) as reporter:
        reporter.step(Progress(step=5, seconds=10.0), ENTRY)
    assert (f"5/{updates} updates" if shown.terminal else f"at most {left} min left") in shown()


def test_the_bar_is_gone_after_an_error(shown):
    def fail():
        with TrainingProgress(TrainConfig(), 10, shown.say) as reporter:
            reporter.step(Progress(step=1, seconds=1.0), ENTRY)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
