"""Trains and scores a recipe: from plain words to the best model, one change after the other.

python -m experiments.recipe captions                # everything; what is finished is not trained again
python -m experiments.recipe tatoeba --jobs 2

Each step keeps the changes of those before it. It is scored on the test split, and compared with the step before by a paired
bootstrap test. The last steps search with a beam, and take several seeds together as an ensemble. The table is printed, and
written to results/recipe_CORPUS.json.
"""

import argparse
import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from experiments.commands import wordseq
from experiments.tables import recipe_table
from wordseq.evaluation.records import RECORD_FORMAT
from wordseq.runs.folder import MEMORY_FILE
from wordseq.system.files import write_json
from wordseq.system.platform import commit, machine

RESULTS = Path(__file__).resolve().parent / "results"

BEAM = 5


@dataclass(frozen=True)
class Step:
    """One change.

    Attributes:
        name: of its runs.
        title: what is changed, for the table.
        settings: what differs from the step before.
        beam: beam size of the search.
        seeds: number of runs that translate together.
    """

    name: str
    title: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    beam: int = 1
    seeds: int = 1


# The same network and budget for all: a GRU of 512 units, 20 epochs, the step size halved when dev BLEU does not rise.
COMMON: Mapping[str, Any] = {
    "model.hidden_size": 512,
    "model.embed_dim": 256,
    "train.batch_size": 64,
    "train.max_epochs": 20,
    "train.patience": 5,
    "train.decay_patience": 1,
    "train.schedule": "plateau",
    "train.shards": 1,
    "data.rare_words": "unk",
    "model.dropout": 0.1,
    "model.embed_scale": 1.0,
    "train.learning_rate": 1e-3,
    "train.label_smoothing": 0,
    "train.average": 0,
}

STEPS = (
    Step("words", "plain words, those seen once are `<unk>`"),
    Step("dropout", "dropout 0.3 instead of 0.1", {"model.dropout": 0.3}),
    Step("smoothing", "label smoothing 0.1", {"train.label_smoothing": 0.1}),
    Step("average", "averaged weights, and steps of 0.002", {"train.average": 0.999, "train.learning_rate": 2e-3}),
    Step("embeddings", "embeddings that start small", {"model.embed_scale": 0.1}),
    Step("spelled", "rare words are spelled", {"data.rare_words": "spell"}),
    Step(
        "subwords",
        "8,000 joint BPE subwords instead of words",
        {"data.level": "bpe", "data.rare_words": "auto", "data.subword_size": 8000, "data.share_vocab": True},
    ),
    Step("sampling", "subword sampling, 0.1", {"train.subword_sampling": 0.1}),
    Step(
        "places",
        "dropout 0.5 before the output, and 0.3 of what attention reads",
        {"model.output_dropout": 0.5, "model.context_dropout": 0.3},
    ),
    Step("beam", f"beam {BEAM} instead of greedy search", beam=BEAM),
    Step("ensemble", "three models together", beam=BEAM, seeds=3),
)

CORPORA: Mapping[str, Mapping[str, Any]] = {
    "captions": {"data.corpus": "multi30k-tok-de-en", "eval.tokenize": "none"},
    "tatoeba": {"data.corpus": "tatoeba-spa-eng", "data.swap": True, "data.max_pairs": 20000},
}


def main() -> int:
    """Train what is missing, score it, print the table and write the record."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("corpus", choices=sorted(CORPORA))
    parser.add_argument("--runs", type=Path, default=Path("runs/recipe"), help="folder of the runs (%(default)s)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="trainings at once (processors)")
    options = parser.parse_args()
    folder = options.runs / options.corpus
    folder.mkdir(parents=True, exist_ok=True)
    steps = list(with_runs(folder, CORPORA[options.corpus]))
    wanted = {run: (settings, seed) for _, settings, runs in steps for seed, run in enumerate(runs, 1)}
    with ThreadPoolExecutor(options.jobs) as pool:
        list(pool.map(lambda run: train(run, *wanted[run]), wanted))
    rows = list(scored(folder, steps))
    record = {
        "format": RECORD_FORMAT,
        "kind": "recipe",
        "experiment": f"recipe_{options.corpus}",
        "rows": rows,
        "command": f"python -m experiments.recipe {options.corpus}",
        "commit": commit(),
        "machine": machine(),
    }
    print(recipe_table(record))
    write_json(RESULTS / f"recipe_{options.corpus}.json", record)
    return 0


def with_runs(folder: Path, corpus: Mapping[str, Any]) -> Iterator[tuple[Step, dict[str, Any], list[Path]]]:
    """Each step, its settings with those of the steps before it, and its runs: those of a step before, if it only searches."""
    settings, name = {**corpus, **COMMON}, STEPS[0].name
    for step in STEPS:
        settings, name = {**settings, **step.settings}, step.name if step.settings else name
        yield step, settings, [folder / f"{name}-{seed}" for seed in range(1, step.seeds + 1)]


def train(run: Path, settings: Mapping[str, Any], seed: int) -> None:
    """Train and score one run, unless that is done; its output goes to a file beside it."""
    if (run / "eval" / "test.json").is_file():
        return
    given = {**settings, "train.seed": seed}
    words = ["train", "--run", str(run)]
    for key, value in given.items():
        words += ["--set", f"{key}={str(value).lower() if isinstance(value, bool) else value}"]
    with run.with_suffix(".log").open("w", encoding="utf-8") as log:
        wordseq(words, log)
    print(f"{run}: trained", file=sys.stderr)


def scored(folder: Path, steps: Sequence[tuple[Step, Any, Sequence[Path]]]) -> Iterator[dict[str, Any]]:
    """Scores of each step, and its difference to the step before, without any text."""
    before = None
    for step, _, runs in steps:
        system = searched(folder, step, runs)
        compared = json.loads(wordseq(["compare", *map(str, filter(None, (before, system))), "--json"]))
        row = compared["rows"][-1]
        memory = json.loads((runs[0] / MEMORY_FILE).read_text(encoding="utf-8"))
        yield {
            "step": step.title,
            "settings": dict(step.settings),
            "runs": [run.name for run in runs],
            "bleu": row["bleu"],
            "parameters": row["parameters"],
            "minutes": row["train_minutes"],
            "trained_by": memory["wordseq"],
        }
        before = system


def searched(folder: Path, step: Step, runs: Sequence[Path]) -> Path:
    """The folder with the translations of a step: of its run, or a copy of it for another search, or an ensemble."""
    if step.beam == 1 and len(runs) == 1:
        return runs[0]
    system = folder / step.name
    if not system.exists():
        if len(runs) == 1:
            shutil.copytree(runs[0], system)
            shutil.rmtree(system / "eval")
        else:
            wordseq(["ensemble", *map(str, runs), "--output", str(system)])
    if not (system / "eval" / "test.json").is_file():
        wordseq(["eval", str(system), "--beam", str(step.beam)])
    return system


if __name__ == "__main__":
    sys.exit(main())
