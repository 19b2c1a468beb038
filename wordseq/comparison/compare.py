"""Runs side by side: scores with intervals and paired tests, cost, and what their seeds do to them.

Every score, interval and p-value is what sacreBLEU's command line gives for the files in the runs' eval/ folders:

    sacrebleu RUN/eval/test.ref* -i RUN/eval/test.hyp -m bleu chrf ter --confidence
    sacrebleu RUN/eval/test.ref* -i FIRST/eval/test.hyp RUN/eval/test.hyp -m bleu chrf ter --paired-bs -f text
"""

import itertools
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from wordseq.comparison.scored_runs import ScoredRun, digest
from wordseq.config.load import config_to_dict
from wordseq.config.schema import Config, TrainConfig
from wordseq.evaluation.metrics import DEFAULT_SEED, Score, bleu, rectangular, score_corpus, with_whole_unk
from wordseq.evaluation.records import level_name
from wordseq.evaluation.significance import PAIRED_DRAWS, PairedScore, paired_tests
from wordseq.evaluation.tables import METRICS
from wordseq.runs.reading import MEMORY_FILE
from wordseq.system.files import read_json
from wordseq.system.platform import commit
from wordseq.text.vocab import coverage

CHANCE = ("seed", "shards", "tensorboard")
"""Settings of `train` in which two samples of the same may differ: the parts of a batch change what is drawn for dropout, and
how sums are rounded."""


def compare(runs: Sequence[ScoredRun], *, command: str = "", seed: int = DEFAULT_SEED) -> dict[str, Any]:
    """Scores, paired tests against the first run, and cost; ready for JSON.

    Args:
        runs: the baseline first; all with the same test split.
        command: what the user typed.
        seed: of resamples and trials; the default is sacreBLEU's.

    Returns:
        `rows`, one a run: `run`, `name`, `level`, `cell`, `beam_size`, `bleu`, `chrf`, `ter` (each as
        `evaluation.Score`, with `difference` to the first run, `p_bootstrap`, `p_randomisation`, None in the first
        row), `different` (sentences translated otherwise than by the first run), `seed_only` (whether it differs from
        the first run in train.seed and in nothing but `CHANCE`), `bleu_whole_unk` (BLEU where an unknown word in the
        output is one token, as it was to the model), and the figures of `cost`;
        `seeds`, groups of runs that differ in `CHANCE` only; `settings` that differ, by key; `test` (`sentences`,
        `references`, `sha256`); `paired_signatures`; `seed`, `commit`, `command`.
    """
    refs = rectangular(runs[0].test.references)
    tokenize = "none" if all(run.config.data.pretokenized for run in runs) else "13a"
    scores = [score_corpus(run.hyps, refs, tokenize=tokenize, seed=seed) for run in runs]
    tests = {
        test: paired_tests(test, [run.hyps for run in runs], refs, tokenize=tokenize, seed=seed) if runs[1:] else []
        for test in PAIRED_DRAWS
    }
    rows = []
    for k, (run, name) in enumerate(zip(runs, names([run.folder for run in runs]), strict=True)):
        paired = {test: found[k - 1] for test, found in tests.items()} if k else {}
        rows.append(
            {
                "run": str(run.folder),
                "name": name,
                "level": level_name(config_to_dict(run.config)["data"]),
                "cell": run.config.model.cell,
                "beam_size": run.evaluation.get("beam_size"),
                **{
                    key: _metric(scores[k][key], {test: results[key] for test, results in paired.items()})
                    for key in METRICS
                },
                "seed_only": run.config.train.seed != runs[0].config.train.seed
                and _without_chance(run.config) == _without_chance(runs[0].config),
                "bleu_whole_unk": bleu(with_whole_unk(run.hyps), run.test.references, tokenize=tokenize),
                "different": sum(a != b for a, b in zip(run.hyps, runs[0].hyps, strict=True)),
                **cost(run),
            }
        )
    signatures = [found[0][key].signature for found in tests.values() if found for key in METRICS]
    return {
        "rows": rows,
        "seeds": _seeds(runs, rows),
        "settings": differing_settings(runs),
        "test": {
            "sentences": len(runs[0].test.sources),
            "references": sum(map(len, runs[0].test.references)),
            "sha256": digest(runs[0].test),
        },
        "paired_signatures": signatures,
        "seed": seed,
        "commit": commit(),
        "command": command,
    }


def names(folders: Sequence[Path]) -> list[str]:
    """The shortest ends of the paths that tell them apart; a folder that is named again gets a number."""
    paths = [folder.resolve().parts for folder in folders]
    distinct = len(set(paths))
    longest = max(map(len, paths))
    size = next((n for n in range(1, longest) if len({parts[-n:] for parts in paths}) == distinct), longest)
    times = [paths[: k + 1].count(parts) for k, parts in enumerate(paths)]
    return ["/".join(parts[-size:]) + (f" ({n})" if n > 1 else "") for parts, n in zip(paths, times, strict=True)]


def _metric(score: Score, paired: Mapping[str, PairedScore]) -> dict[str, Any]:
    return {
        **asdict(score),
        "ci95": list(score.ci95),
        "difference": paired["bs"].difference if paired else None,
        "p_bootstrap": paired["bs"].p_value if paired else None,
        "p_randomisation": paired["ar"].p_value if paired else None,
    }


def cost(run: ScoredRun) -> dict[str, Any]:
    """What a run took and what it sees, beside its scores; what was not measured is None.

    Returns:
        Comparable between token levels: `bits_per_char` of the first references, unknown words spelled out;
        `parameters`; `train_minutes`, with validation; `train_chars_per_second`, target characters;
        `sentences_per_second` of translating; `peak_memory_mb`, MiB; `machine` and `trained_by` (version, commit) of the
        training; `length_ratio`. Of the run's own tokens: `src_vocab`, `tgt_vocab` (ids); `src_tokens`, `tgt_tokens` a
        test sentence, without end marks; `train_tokens_per_second`, target tokens with end marks; `perplexity` a token;
        shares 0-1 `oov_rate` of source tokens, `tgt_oov_rate` of reference tokens, `unk_rate` of output tokens. And
        `step`, updates before the best checkpoint.
    """
    src, tgt = run.codecs
    sentences = len(run.test.sources)
    speed = train_speed(run.log)
    running = sum(map(len, run.tgt_tokens))
    chars = sum(len(references[0]) for references in run.test.references)
    seconds = max((entry.get("seconds", 0.0) for entry in run.log), default=None)
    took = _training_took(run.folder)
    found = run.evaluation.get
    bits = found("bits_per_char")
    if bits is not None and "spelling_bits_per_char" not in run.evaluation:
        # Scored by a version that left out what it takes to spell unknown words.
        bits += tgt.spelling_bits(run.tgt_tokens) / chars
    return {
        "bits_per_char": bits,
        "parameters": run.parameters,
        "train_minutes": None if seconds is None else seconds / 60,
        "train_tokens_per_second": speed,
        "train_chars_per_second": None if speed is None else speed * chars / (running + sentences),
        "sentences_per_second": found("sentences_per_second"),
        "peak_memory_mb": took["peak_bytes"] / 2**20 if isinstance(took.get("peak_bytes"), int) else None,
        "machine": _machine(took.get("machine")),
        "trained_by": str(took["wordseq"]) if "wordseq" in took else None,
        "length_ratio": found("length_ratio"),
        "src_vocab": len(src.vocab),
        "tgt_vocab": len(tgt.vocab),
        "src_tokens": sum(map(len, run.src_tokens)) / sentences,
        "tgt_tokens": running / sentences,
        "perplexity": found("perplexity"),
        "oov_rate": 1 - coverage(src.vocab, run.src_tokens).share,
        "tgt_oov_rate": 1 - coverage(tgt.vocab, run.tgt_tokens).share,
        "unk_rate": found("unk_rate"),
        "step": run.step,
    }


def train_speed(log: Iterable[Mapping[str, Any]]) -> float | None:
    """Target tokens a second of updating, over all log lines but the first, which holds the compiling."""
    windows = [entry for entry in log if entry.get("kind") == "train" and entry.get("tokens_per_second")]
    tokens = [entry["tokens"] - before["tokens"] for before, entry in itertools.pairwise(windows)]
    if not tokens:
        return float(windows[0]["tokens_per_second"]) if windows else None
    seconds = sum(n / entry["tokens_per_second"] for n, entry in zip(tokens, windows[1:], strict=True))
    return sum(tokens) / seconds if seconds else None


def _training_took(folder: Path) -> dict[str, Any]:
    path = folder / MEMORY_FILE
    return read_json(path) if path.is_file() else {}


def _machine(found: object) -> str | None:
    """Processor and cores of a machine."""
    return f"{found.get('cpu')}, {_cores(found.get('cores'))}" if isinstance(found, dict) else None


def _cores(number: object) -> str:
    return "1 core" if number == 1 else f"{number} cores"


def differing_settings(runs: Sequence[ScoredRun]) -> dict[str, list[Any]]:
    """The settings that are not the same in all runs: their values, run by run."""
    found = [config_to_dict(run.config) for run in runs]
    keys = [(section, key) for section, table in found[0].items() for key in table]
    values = {f"{section}.{key}": [table[section][key] for table in found] for section, key in keys}
    return {key: row for key, row in values.items() if any(value != row[0] for value in row)}


def by_settings(
    runs: Sequence[ScoredRun], rows: Sequence[Mapping[str, Any]]
) -> list[tuple[Config, dict[int, Mapping[str, Any]]]]:
    """The rows of runs that differ in `CHANCE` only, together: settings without it, and rows by seed."""
    groups: dict[Config, dict[int, Mapping[str, Any]]] = {}
    for run, row in zip(runs, rows, strict=True):
        # A second copy of a run is no second sample.
        groups.setdefault(_without_chance(run.config), {}).setdefault(run.config.train.seed, row)
    return list(groups.items())


def _without_chance(config: Config) -> Config:
    return replace(config, train=replace(config.train, **{key: getattr(TrainConfig, key) for key in CHANCE}))


def _seeds(runs: Sequence[ScoredRun], rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Mean and standard deviation over the seeds of runs that differ in nothing else."""
    return [_seed_group(members) for _, members in by_settings(runs, rows) if len(members) > 1]


def _seed_group(members: Mapping[int, Mapping[str, Any]]) -> dict[str, Any]:
    rows = list(members.values())
    values = {key: [row[key]["score"] for row in rows] for key in METRICS}
    values |= {key: [row[key] for row in rows] for key in ("bits_per_char", "train_minutes", "sentences_per_second")}
    return {
        "names": [row["name"] for row in rows],
        "seeds": sorted(members),
        "level": rows[0]["level"],
        "cell": rows[0]["cell"],
        **{
            key: {"mean": statistics.mean(found), "deviation": statistics.stdev(found)}
            for key, found in values.items()
            if all(value is not None for value in found)
        },
    }
