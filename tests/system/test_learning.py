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
    """About a minute and a half on two busy cores, each; one layer of the simplest cells gets 96 to 98 %."""
    from wordseq.jobs import read_held_out

    layers = 2 if cell in {*ELEMENTWISE_CELLS, "atr"} else 1
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
        *("train.batch_size=64", "train.learning_rate=3e-3", "train.schedule=exponential", "train.decay=0.8"),
        *("train.max_epochs=16", "train.patience=0", "train.precision=float32"),
    )
    test = read_held_out(run, "test")
    hyps = (run.folder / "eval" / "test.hyp").read_text(encoding="utf-8").splitlines()
    exact = sum(hyp == " ".join(reversed(src.split())) for src, hyp in zip(test.sources, hyps, strict=True))
    train_strings = {pair.src for pair in reverse_pairs()} - set(test.sources)
    assert len(test.sources) == 1000
    assert len(train_strings) == 19_000
    assert exact / len(test.sources) == exact_share(run) >= 0.99
    assert result["bleu"]["score"] > 99


def reverse_pairs(seed=1):
    from wordseq.synthetic import reverse

    return reverse(seed)


def exact_share(run):
    """Of the outputs for the test split, how many equal their reference."""
    folder = run.folder / "eval"
    hyps, refs = ((folder / f"test.{name}").read_text(encoding="utf-8").splitlines() for name in ("hyp", "ref0"))
    return sum(hyp == ref for hyp, ref in zip(hyps, refs, strict=True)) / len(refs)


def test_the_phrasebook_experiment_reaches_its_score(tmp_path):
    """The settings of experiments/phrasebook.toml as they are: two minutes on two free cores, twice that on busy ones."""
    run, result = train_and_evaluate(tmp_path / "run", ROOT / "experiments" / "phrasebook.toml")
    bleus = [entry["bleu"] for entry in run.metrics() if entry["kind"] == "dev"]
    assert bleus[-1] > bleus[0]
    assert result["bleu"]["score"] >= 90
    assert result["unk_rate"] < 0.01


@pytest.mark.long
@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_strings_are_turned_back_to_front_through_one_state_alone(tmp_path, cell):
    """Without attention, all of a string has to go through the encoder's last state; ten minutes on two busy cores, each.

    20,000 strings are too few to learn that from: dev BLEU stays below 91.
    """
    pairs = dict.fromkeys(pair for seed in range(1, 6) for pair in reverse_pairs(seed))
    corpus = tmp_path / "pairs.tsv"
    corpus.write_text("".join(f"{pair.src}\t{pair.tgt}\n" for pair in pairs), encoding="utf-8")
    run, _ = train_and_evaluate(
        tmp_path / "run",
        None,
        *(f"data.path={corpus}", "data.min_freq=1"),
        *(f"model.cell={cell}", "model.attention=none", "model.bidirectional=false", "model.embed_dim=64"),
        *("model.hidden_size=384", "model.dropout=0", "train.batch_size=128", "train.learning_rate=2e-3"),
        *("train.schedule=exponential", "train.decay=0.75", "train.max_epochs=12", "train.patience=0"),
        "train.precision=float32",
    )
    assert exact_share(run) >= 0.99


REVERSE = (
    *("data.corpus=reverse", "data.min_freq=1"),
    *("model.cell=gru", "model.attention=general", "model.embed_dim=64", "model.hidden_size=128", "model.dropout=0"),
    *("train.batch_size=64", "train.learning_rate=3e-3", "train.precision=float32"),
)


@pytest.mark.long
def test_strings_are_turned_back_to_front_by_a_model_that_was_never_fed_a_gold_token(tmp_path):
    """About three minutes on two busy cores."""
    run, _ = train_and_evaluate(tmp_path / "run", None, *REVERSE, "train.teacher_forcing=0.0", "train.max_epochs=16")
    assert exact_share(run) >= 0.97
