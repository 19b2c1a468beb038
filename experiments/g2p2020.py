"""Trains and scores the 15 languages of SIGMORPHON's shared task of 2020 on grapheme-to-phoneme conversion.

python -m experiments.g2p2020 FOLDER                     # everything; what is finished is not trained again
python -m experiments.g2p2020 FOLDER --languages dut ice --seeds 2

FOLDER has LANG_train.tsv, LANG_dev.tsv and LANG_test.tsv: word, TAB, phones separated by spaces. The settings are those of
g2p2020.toml. For each language several runs are trained that differ in the seed, `--jobs` of them at once. They are scored on
the test words: alone, and all together as an ensemble. The table is printed, and written to results/g2p2020.json, which has no
word of the data.
"""

import argparse
import json
import os
import statistics
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from experiments.commands import wordseq
from experiments.tables import PUBLISHED, pronunciation_averages, pronunciation_table
from wordseq.evaluation.records import RECORD_FORMAT
from wordseq.runs.folder import MEMORY_FILE
from wordseq.system.files import write_json
from wordseq.system.platform import commit, machine

HERE = Path(__file__).resolve().parent
SETTINGS = HERE / "g2p2020.toml"
RECORD = HERE / "results" / "g2p2020.json"

# Hangul syllables are letters put together: taken apart, each letter is a symbol.
OWN_SETTINGS: Mapping[str, Sequence[str]] = {"kor": ("data.src_form=NFD",)}


def main() -> int:
    """Train what is missing, score it, print the table and write the record."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("folder", type=Path, help="folder with LANG_train.tsv, LANG_dev.tsv and LANG_test.tsv")
    parser.add_argument("--runs", type=Path, default=Path("runs/g2p2020"), help="folder of the runs (%(default)s)")
    parser.add_argument("--languages", nargs="+", choices=sorted(PUBLISHED), default=sorted(PUBLISHED), metavar="LANG")
    parser.add_argument("--seeds", type=int, default=3, help="runs of each language (%(default)s)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="trainings at once (processors)")
    options = parser.parse_args()
    seeds = range(1, options.seeds + 1)
    options.runs.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(options.jobs) as pool:
        list(
            pool.map(
                lambda task: train(options.folder, options.runs, *task),
                [(language, seed) for seed in seeds for language in options.languages],
            )
        )
    rows = [scored(options.runs, language, seeds) for language in options.languages]
    print(pronunciation_table(rows))
    if options.languages == sorted(PUBLISHED):
        write_json(RECORD, record(rows, options.seeds))
        print(f"written to {RECORD.relative_to(HERE.parent)}", file=sys.stderr)
    return 0


def run_of(runs: Path, language: str, seed: int) -> Path:
    """The folder of one run."""
    return runs / f"{language}-{seed}"


def train(data: Path, runs: Path, language: str, seed: int) -> None:
    """Train and score one run, unless that is done; its output goes to a file beside it."""
    run = run_of(runs, language, seed)
    if (run / "eval" / "test.json").is_file():
        return
    settings = [f"data.{part}={data / f'{language}_{part}.tsv'}" for part in ("train", "dev", "test")]
    settings += [f"train.seed={seed}", *OWN_SETTINGS.get(language, ())]
    words = ["train", str(SETTINGS), "--run", str(run), *(word for one in settings for word in ("--set", one))]
    with run.with_suffix(".log").open("w", encoding="utf-8") as log:
        wordseq(words, log)
    print(f"{run}: trained", file=sys.stderr)


def scored(runs: Path, language: str, seeds: Sequence[int]) -> dict[str, Any]:
    """Scores of the runs of a language and of their ensemble, in percent, without any text."""
    folders = [run_of(runs, language, seed) for seed in seeds]
    singles = [json.loads((folder / "eval" / "test.json").read_text(encoding="utf-8")) for folder in folders]
    found = {
        "language": language,
        "runs": [scores_of(one) for one in singles],
        "minutes": minutes_of(folders),
        "trained_by": sorted(
            {json.loads((folder / MEMORY_FILE).read_text(encoding="utf-8"))["wordseq"] for folder in folders}
        ),
    }
    if len(folders) == 1:
        return found
    both = runs / f"{language}-ensemble"
    if not both.exists():
        wordseq(["ensemble", *map(str, folders), "--output", str(both)])
    if not (both / "eval" / "test.json").is_file():
        wordseq(["eval", str(both)])
    return found | {"ensemble": scores_of(json.loads((both / "eval" / "test.json").read_text(encoding="utf-8")))}


def scores_of(evaluation: Mapping[str, Any]) -> dict[str, Any]:
    """WER of the task, which counts words that are not right, and PER, each with its 95 % interval."""
    exact, ser = evaluation["exact"], evaluation["ser"]
    return {
        "wer": 100 - exact["score"],
        "wer_ci95": [100 - end for end in reversed(exact["ci95"])],
        "per": ser["score"],
        "per_ci95": ser["ci95"],
        "signatures": [exact["signature"], ser["signature"]],
    }


def minutes_of(folders: Sequence[Path]) -> float:
    """Mean minutes of a training, with validation."""
    logs = [(folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines() for folder in folders]
    return statistics.mean(json.loads(lines[-1])["seconds"] / 60 for lines in logs)


def record(rows: Sequence[Mapping[str, Any]], seeds: int) -> dict[str, Any]:
    """All figures, for version control."""
    return {
        "format": RECORD_FORMAT,
        "kind": "g2p2020",
        "experiment": "g2p2020",
        "seeds": seeds,
        "macro": pronunciation_averages(rows),
        "rows": list(rows),
        "trained_by": sorted({version for row in rows for version in row["trained_by"]}),
        "commit": commit(),
        "machine": machine(),
    }


if __name__ == "__main__":
    sys.exit(main())
