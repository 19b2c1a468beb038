"""Complete trainings, scored on decoded held-out sentences: only this shows that a decoder does not see its answer."""

from pathlib import Path

import pytest

from wordseq.config.schema import CELLS

pytestmark = pytest.mark.slow


def train_and_evaluate(folder, preset: str | None, *settings):
    """What `wordseq train` does; the run and its result on the test split."""
    from wordseq.config.load import load_config
    from wordseq.evaluation.evaluate import evaluate_run
    from wordseq.runs.folder import RunFolder
    from wordseq.training.run import train_run

    train_run(load_config(preset, settings), folder)
    run = RunFolder.open(folder)
    return run, evaluate_run(run)


def strings_and_mirror_images(path: Path, seeds: int, longest: int = 12) -> tuple[str, ...]:
    """Settings for strings of 5 to `longest` of 50 symbols, 2,500 of each length for each of `seeds` seeds.

    One seed is too few to learn the rule.
    """
    from wordseq.data.synthetic import reverse

    pairs = dict.fromkeys(
        pair for seed in range(1, seeds + 1) for pair in reverse(seed) if pair.src.count(" ") < longest
    )
    path.write_text("".join(f"{pair.src}\t{pair.tgt}\n" for pair in pairs), encoding="utf-8")
    return f"data.path={path}", "data.min_freq=1", "data.test_size=1000", "train.precision=float32"


def exact_share(run) -> float:
    """The share of outputs for unseen strings that are the mirror image."""

    test = run.held_out("test")
    assert len(test.sources) >= 1000
    hyps = (run.folder / "eval" / "test.hyp").read_text(encoding="utf-8").splitlines()
    right = [hyp == " ".join(reversed(src.split())) for src, hyp in zip(test.sources, hyps, strict=True)]
    return sum(right) / len(right)


@pytest.mark.parametrize(
    "cell", ["gru", *(pytest.param(cell, marks=pytest.mark.long) for cell in sorted({*CELLS} - {"gru"}))]
)
def test_strings_are_reversed(tmp_path, cell):
    """Most of a minute of one core, each."""
    run, result = train_and_evaluate(
        tmp_path / "run",
        None,
        *strings_and_mirror_images(tmp_path / "pairs.tsv", 5, longest=7),
        *(f"model.cell={cell}", "model.attention=general", "model.embed_dim=64", "model.hidden_size=128"),
        *("model.dropout=0", "train.batch_size=64", "train.learning_rate=3e-3"),
        *("train.schedule=exponential", "train.decay=0.4", "train.max_epochs=3", "train.patience=0"),
    )
    assert exact_share(run) >= 0.99
    assert result["bleu"]["score"] > 99


@pytest.mark.long
@pytest.mark.parametrize(("cell", "units", "rate"), [("gru", 512, 1e-3), ("lstm", 384, 2e-3)])
def test_strings_are_reversed_without_attention(tmp_path, cell, units, rate):
    """Without attention, all of a string has to go through the encoder's last state; ten minutes on two free cores, each."""
    run, _ = train_and_evaluate(
        tmp_path / "run",
        None,
        *strings_and_mirror_images(tmp_path / "pairs.tsv", 15),
        *(f"model.cell={cell}", "model.attention=none", "model.bidirectional=false", "model.embed_dim=64"),
        *(f"model.hidden_size={units}", "model.dropout=0", "train.batch_size=128", f"train.learning_rate={rate}"),
        *("train.schedule=exponential", "train.decay=0.5", "train.max_epochs=4", "train.patience=0"),
    )
    assert exact_share(run) >= 0.99


def test_four_of_ten_epochs_of_the_phrasebook_preset_reach_a_bleu_of_90(tmp_path):
    """A minute on two free cores, twice that on busy ones."""
    run, result = train_and_evaluate(tmp_path / "run", "phrasebook", "train.max_epochs=4")
    bleus = [entry["bleu"] for entry in run.metrics() if entry["kind"] == "dev"]
    assert bleus[-1] > bleus[0]
    assert result["bleu"]["score"] >= 90
    assert result["unk_rate"] < 0.01


@pytest.mark.long
def test_strings_are_reversed_by_a_model_trained_without_gold_inputs(tmp_path):
    """Three minutes on two busy cores."""
    run, _ = train_and_evaluate(
        tmp_path / "run",
        None,
        *strings_and_mirror_images(tmp_path / "pairs.tsv", 5),
        *(
            "model.cell=gru",
            "model.attention=general",
            "model.embed_dim=64",
            "model.hidden_size=128",
            "model.dropout=0",
        ),
        *("train.batch_size=64", "train.learning_rate=3e-3", "train.teacher_forcing=0.0"),
        *("train.schedule=exponential", "train.decay=0.5", "train.max_epochs=4", "train.patience=0"),
    )
    assert exact_share(run) >= 0.99


def test_a_model_that_copies_spells_names_it_has_never_seen(tmp_path):
    """Half a minute. Names occur once, so both vocabularies lack them. They have another place in the output."""
    import random

    draw = random.Random(1)

    def pair() -> tuple[str, str]:
        name = "".join(draw.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(6)).title()
        verb, other = draw.choice([("sees", "sieht"), ("knows", "kennt"), ("likes", "mag")])
        return draw.choice(
            [
                (f"today {name} {verb} the green house", f"heute {other} das grüne Haus {name}"),
                (f"{name} {verb} nobody at all", f"niemanden {other} {name}"),
                (f"who {verb} my friend {name}", f"{name} heißt der Freund , den wer {other}"),
            ]
        )

    (tmp_path / "pairs.tsv").write_text("".join("\t".join(pair()) + "\n" for _ in range(3000)))
    run, _ = train_and_evaluate(
        tmp_path / "run",
        None,
        *(f"data.path={tmp_path / 'pairs.tsv'}", "data.test_size=200", "data.dev_size=50", "model.copy=true"),
        "data.rare_words=unk",
        *("model.embed_dim=32", "model.hidden_size=64", "model.dropout=0.1", "train.batch_size=32"),
        *("train.learning_rate=5e-3", "train.max_epochs=6", "train.precision=float32"),
    )
    test = run.held_out("test")
    hyps = (run.folder / "eval" / "test.hyp").read_text(encoding="utf-8").splitlines()
    right = [hyp == references[0] for hyp, references in zip(hyps, test.references, strict=True)]
    assert sum(right) / len(right) > 0.95, list(zip(test.sources, hyps, strict=True))[:3]
