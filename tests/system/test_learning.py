"""Whole trainings, scored on held-out sentences after decoding: what alone shows that a decoder does not see its answer."""

from pathlib import Path

import pytest

from tests.runs import ROOT
from wordseq.config import CELLS, ELEMENTWISE_CELLS

pytestmark = pytest.mark.slow


def train_and_evaluate(folder, path: Path | None, *settings):
    """What `wordseq train` does; the run and its result on the test split."""
    from wordseq.checkpoint import Run
    from wordseq.config import load_config
    from wordseq.jobs import evaluate_run, train_run

    train_run(load_config(path, settings), folder)
    run = Run.open(folder)
    return run, evaluate_run(run)


@pytest.mark.parametrize(
    "cell", ["gru", *(pytest.param(cell, marks=pytest.mark.long) for cell in sorted({*CELLS} - {"gru"}))]
)
def test_strings_are_turned_back_to_front(tmp_path, cell):
    """About a minute and a half on two busy cores, each; one layer of a cell without a recurrent product gets 96 %."""
    from wordseq.jobs import read_held_out

    layers, epochs = (2, 20) if cell in ELEMENTWISE_CELLS else (1, 12)
    run, result = train_and_evaluate(
        tmp_path / "run",
        None,
        *("data.corpus=reverse", "data.min_freq=1"),
        *(
            f"model.cell={cell}",
            "model.attention=general",
            "model.embed_dim=64",
            "model.hidden_size=128",
            "model.dropout=0",
            f"model.encoder_layers={layers}",
            f"model.decoder_layers={layers}",
        ),
        *("train.batch_size=64", "train.learning_rate=3e-3", f"train.max_epochs={epochs}", "train.precision=float32"),
    )
    test = read_held_out(run, "test")
    hyps = (run.folder / "eval" / "test.hyp").read_text(encoding="utf-8").splitlines()
    exact = sum(hyp == " ".join(reversed(src.split())) for src, hyp in zip(test.sources, hyps, strict=True))
    train_strings = {pair.src for pair in reverse_pairs()} - set(test.sources)
    assert len(test.sources) == 1000
    assert len(train_strings) == 19_000
    assert exact / len(test.sources) >= 0.99
    assert result["bleu"]["score"] > 99


def reverse_pairs():
    from wordseq.synthetic import reverse

    return reverse()


def test_the_phrasebook_experiment_reaches_its_score(tmp_path):
    """The settings of experiments/phrasebook.toml as they are: two minutes on two free cores, twice that on busy ones."""
    run, result = train_and_evaluate(tmp_path / "run", ROOT / "experiments" / "phrasebook.toml")
    bleus = [entry["bleu"] for entry in run.metrics() if entry["kind"] == "dev"]
    assert bleus[-1] > bleus[0]
    assert result["bleu"]["score"] >= 90
    assert result["unk_rate"] < 0.01


REVERSE = (
    *("data.corpus=reverse", "data.min_freq=1"),
    *("model.cell=gru", "model.attention=general", "model.embed_dim=64", "model.hidden_size=128", "model.dropout=0"),
    *("train.batch_size=64", "train.learning_rate=3e-3", "train.precision=float32"),
)


@pytest.mark.long
def test_strings_are_turned_back_to_front_by_a_model_that_was_never_fed_a_gold_token(tmp_path):
    """About three minutes on two busy cores."""
    run, _ = train_and_evaluate(tmp_path / "run", None, *REVERSE, "train.teacher_forcing=0.0", "train.max_epochs=16")
    hyps, refs = (
        (run.folder / "eval" / f"test.{name}").read_text(encoding="utf-8").splitlines() for name in ("hyp", "ref0")
    )
    assert sum(hyp == ref for hyp, ref in zip(hyps, refs, strict=True)) / len(refs) >= 0.97
