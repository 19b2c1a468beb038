"""Compares runs: scores with intervals and paired tests, cost, and the variation between seeds.

sacreBLEU's command line gives the same BLEU, chrF and TER, intervals and p-values for the files in the runs' eval/ folders:

    sacrebleu RUN/eval/test.ref* -i RUN/eval/test.hyp -m bleu chrf ter --confidence
    sacrebleu RUN/eval/test.ref* -i FIRST/eval/test.hyp RUN/eval/test.hyp -m bleu chrf ter --paired-bs -f text
"""

import itertools
import json
import shlex
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from wordseq.comparison.scored_runs import ScoredRun, split_digest
from wordseq.config.fields import Changes
from wordseq.config.load import config_to_dict
from wordseq.config.schema import Config, by_key, keys_that_change
from wordseq.evaluation.metrics.bleu import DEFAULT_SEED, bleu, with_whole_unk
from wordseq.evaluation.metrics.corpus import Score, interval_note, score_corpus
from wordseq.evaluation.metrics.names import WORDS, main_metrics, metrics_of
from wordseq.evaluation.metrics.references import rectangular
from wordseq.evaluation.metrics.significance import PAIRED_DRAWS, paired_tests
from wordseq.evaluation.metrics.symbols import Symbols, symbols_of_texts, target_symbols, task_of
from wordseq.evaluation.metrics.tokenizing import bleu_tokenizer, tokenizer_for, tokenizer_note
from wordseq.evaluation.records import level_name
from wordseq.runs.folder import MEMORY_FILE, RunFolder
from wordseq.system.platform import commit
from wordseq.text.vocab import coverage


def compare_runs(runs: Sequence[ScoredRun], *, command: str = "", seed: int = DEFAULT_SEED) -> dict[str, Any]:
    """Scores, paired tests against the first run, and cost; ready for JSON.

    Args:
        runs: the baseline first; all with the same test split.
        command: the command line of the user.
        seed: of resamples and trials; the default is sacreBLEU's.

    Returns:
        `rows`: one per run, see below.
        `seeds`: groups of runs that differ only in train.seed, with `averaged` scores and figures.
        `settings`: the settings that differ, by key; without those that the data of each run decided, unless only these tell
            two runs apart.
        `warnings`: one line for each run that was scored with other settings of the search than the first. Another for each
            run whose best checkpoint was chosen with another tokenizer.
        `tokenize`: sacreBLEU's tokenizer for BLEU of all rows, see `shared_tokenizer`.
        `task`: "words" or "sentences", by the references.
        `notes`: lines on the tokenizer if it is not 13a, and on the interval of the first metric if that is wide.
        `test`: `sentences`, `references`, `sha256`.
        `paired_signatures`, `seed`, `commit`, `command`.

        A row has `run`, `name`, of an ensemble or average `made_of`; `level`, `cell`, `beam_size` and the figures of
        `run_cost`. `bleu` and the other metrics of `score_corpus` have the keys of `Score`, and `difference` to the first
        run, `p_bootstrap`, `p_randomisation`. These are None in the first row. `tokenize` is the run's own tokenizer for
        BLEU, and `select_by` what chose its checkpoint. `different` is the number of sentences with another translation than
        in the first run. `seed_only` tells whether the run differs from the first one only in train.seed. `bleu_whole_unk` is
        BLEU with <unk> as one token.
    """
    test = runs[0].test
    refs = rectangular(test.references)
    tokenize, symbols = shared_tokenizer(runs), shared_symbols(runs)
    task = task_of(symbols, refs)
    paired = {
        kind: paired_tests(kind, [run.hyps for run in runs], refs, tokenize=tokenize, symbols=symbols, seed=seed)
        if runs[1:]
        else []
        for kind in PAIRED_DRAWS
    }

    def metric(k: int, key: str, score: Score) -> dict[str, Any]:
        bootstrap, randomisation = (paired[kind][k - 1][key] if k else None for kind in ("bs", "ar"))
        return {
            **asdict(score),
            "ci95": list(score.ci95),
            "difference": bootstrap.difference if bootstrap else None,
            "p_bootstrap": bootstrap.p_value if bootstrap else None,
            "p_randomisation": randomisation.p_value if randomisation else None,
        }

    rows, notes, names = (
        [],
        [None if task == WORDS else tokenizer_note(tokenize, refs)],
        run_names([run.folder for run in runs]),
    )
    notes += [f"{name}: {run.made_of}" if run.made_of else None for run, name in zip(runs, names, strict=True)]
    for k, (run, name) in enumerate(zip(runs, names, strict=True)):
        scores = score_corpus(run.hyps, refs, tokenize=tokenize, symbols=symbols, seed=seed)
        if k == 0:
            notes.append(interval_note(scores[main_metrics({"task": task, **scores})[0]], len(run.hyps), task))
        rows.append(
            {
                "run": str(run.folder),
                "name": name,
                **({"made_of": run.made_of} if run.made_of else {}),
                "level": level_name(config_to_dict(run.config)["data"]),
                "cell": run.config.model.cell,
                "beam_size": run.evaluation.get("beam_size"),
                "tokenize": bleu_tokenizer(run.config, test.references),
                "select_by": run.config.train.select_by,
                "task": task,
                **{key: metric(k, key, score) for key, score in scores.items()},
                "seed_only": run.config.train.seed != runs[0].config.train.seed
                and run.without_chance == runs[0].without_chance,
                "bleu_whole_unk": bleu(with_whole_unk(run.hyps), test.references, tokenize=tokenize),
                "different": sum(a != b for a, b in zip(run.hyps, runs[0].hyps, strict=True)),
                **run_cost(run),
            }
        )
    return {
        "rows": rows,
        "seeds": _seed_groups(runs, rows),
        "settings": _different_settings(runs),
        "warnings": [
            *search_warnings(runs, names),
            *tokenizer_warnings(rows, tokenize),
            *(symbols_warnings(runs, symbols) if task == WORDS else []),
        ],
        "test": {
            "sentences": len(test.sources),
            "references": sum(map(len, test.references)),
            "sha256": split_digest(test),
        },
        "tokenize": tokenize,
        "task": task,
        "notes": [note for note in notes if note],
        "paired_signatures": [
            found[0][key].signature for found in paired.values() if found for key in metrics_of(rows[0])
        ],
        "seed": seed,
        "commit": commit(),
        "command": command,
    }


def search_warnings(runs: Sequence[ScoredRun], names: Sequence[str]) -> list[str]:
    """Warnings about runs that were scored with other settings of the search than the first, with the command to type."""
    baseline, lines = asdict(runs[0].config.decode), []
    for run, name in zip(runs[1:], names[1:], strict=True):
        found = asdict(run.config.decode)
        # A translation does not depend on batch_size; how an ensemble combines its runs is in the notes.
        differ = [key for key in found if key not in ("batch_size", "ensemble") and found[key] != baseline[key]]
        if not differ:
            continue
        theirs, ours = (
            ", ".join(f"decode.{key} = {json.dumps(values[key])}" for key in differ) for values in (found, baseline)
        )
        command = f"wordseq eval {shlex.quote(str(run.folder))}{''.join(_option(key, baseline[key]) for key in differ)}"
        lines.append(
            f"{name} was scored with {theirs}, but {names[0]} with {ours}: a difference may come from the search alone. "
            f"To score {name} like {names[0]}, type: {command}"
        )
    return lines


def _option(key: str, value: Any) -> str:
    """The option of `wordseq eval` for a setting of the search."""
    if key == "copy_unknown":
        return " --copy-unknown" if value else " --keep-unknown"
    name = "beam" if key == "beam_size" else key.replace("_", "-")
    return f" --{name} {value}"


def shared_tokenizer(runs: Sequence[ScoredRun]) -> str:
    """SacreBLEU's tokenizer for a comparison: that of all runs, or if they differ the one for the script of the references.

    Raises:
        UserError: a run's tokenizer needs a package that is missing.
    """
    refs = runs[0].test.references
    found = {bleu_tokenizer(run.config, refs) for run in runs}
    return found.pop() if len(found) == 1 else tokenizer_for(refs)


def shared_symbols(runs: Sequence[ScoredRun]) -> Symbols:
    """The symbols of a comparison: those of all runs, or if they differ the ones for the references."""
    found = {target_symbols(run.config.data) for run in runs}
    return found.pop() if len(found) == 1 else symbols_of_texts(runs[0].test.references)


def symbols_warnings(runs: Sequence[ScoredRun], symbols: Symbols) -> list[str]:
    """A warning if the runs cut their targets into different symbols, and SER is of one kind."""
    names = {target_symbols(run.config.data).name for run in runs}
    if len(names) == 1:
        return []
    return [f"the runs cut targets into different symbols ({', '.join(sorted(names))}); SER is of {symbols.name} here"]


def tokenizer_warnings(rows: Sequence[Mapping[str, Any]], tokenize: str) -> list[str]:
    """Warnings about runs whose own tokenizer for BLEU is not the one that all rows are scored with."""
    return [
        f"{row['name']} was trained with dev BLEU of the tokenizer {row['tokenize']} (eval.tokenize); here all runs "
        f"are scored with {tokenize}"
        for row in rows
        if row["tokenize"] != tokenize
    ]


def run_names(folders: Sequence[Path]) -> list[str]:
    """The shortest ends of the paths that are distinct; a folder that occurs again gets a number."""
    paths = [folder.resolve().parts for folder in folders]
    distinct = len(set(paths))
    longest = max(map(len, paths))
    size = next((n for n in range(1, longest) if len({parts[-n:] for parts in paths}) == distinct), longest)
    times = [paths[: k + 1].count(parts) for k, parts in enumerate(paths)]
    return ["/".join(parts[-size:]) + (f" ({n})" if n > 1 else "") for parts, n in zip(paths, times, strict=True)]


def run_cost(run: ScoredRun) -> dict[str, Any]:
    """The cost of a run and the coverage of its vocabularies; a figure that was not measured is None.

    Returns:
        Comparable between token levels: `bits_per_char` of the first references, with unknown words spelled out;
        `parameters`; `train_minutes`, with validation; `train_chars_per_second`, target characters; `sentences_per_second`
        of translating; `peak_memory_mb`, in MiB; `machine` and `trained_by` (version, commit) of the training;
        `length_ratio`.
        In the run's own tokens: `src_vocab`, `tgt_vocab`, in ids; `src_tokens`, `tgt_tokens` per test sentence, without EOS;
        `train_tokens_per_second`, target tokens with EOS; `perplexity` per token; the shares (0 to 1) `oov_rate` of source
        tokens, `tgt_oov_rate` of reference tokens, `unk_rate` of output tokens; and of words that are spelled in characters,
        `src_spelled_rate`, `tgt_spelled_rate` of references, `hyp_spelled_rate` of outputs. `unk_replaced`: whether the output
        has words of the source instead of <unk>.
        `step` of the best checkpoint.
    """
    src, tgt = run.codecs
    read, wanted = coverage(src.vocab, run.src_tokens), coverage(tgt.vocab, run.tgt_tokens)
    sentences = len(run.test.sources)
    speed = train_speed(run.log)
    running = sum(map(len, run.tgt_tokens))
    chars = sum(len(references[0]) for references in run.test.references)
    # Training writes the file at its end: a run that was stopped has none.
    took = RunFolder(run.folder).read_json(MEMORY_FILE) if (run.folder / MEMORY_FILE).is_file() else {}
    machine = None
    if isinstance(place := took.get("machine"), dict):
        cores = "core" if place.get("cores") == 1 else "cores"
        machine = f"{place.get('cpu')}, {place.get('cores')} {cores}"
    found = run.evaluation.get
    return {
        "bits_per_char": found("bits_per_char"),
        "parameters": run.parameters,
        "train_minutes": None if run.train_seconds is None else run.train_seconds / 60,
        "train_tokens_per_second": speed,
        # Times the characters per token; the speed counts EOS as a token.
        "train_chars_per_second": None if speed is None else speed * chars / (running + sentences),
        "sentences_per_second": found("sentences_per_second"),
        "peak_memory_mb": took["peak_bytes"] / 2**20 if isinstance(took.get("peak_bytes"), int) else None,
        "machine": machine,
        "trained_by": str(took["wordseq"]) if "wordseq" in took else None,
        "length_ratio": found("length_ratio"),
        "src_vocab": len(src.vocab),
        "tgt_vocab": len(tgt.vocab),
        "src_tokens": sum(map(len, run.src_tokens)) / sentences,
        "tgt_tokens": running / sentences,
        "perplexity": found("perplexity"),
        "oov_rate": 1 - read.share,
        "tgt_oov_rate": 1 - wanted.share,
        "unk_rate": found("unk_rate"),
        "unk_replaced": found("unk_replaced"),
        "src_spelled_rate": read.spelled_share,
        "tgt_spelled_rate": wanted.spelled_share,
        "hyp_spelled_rate": found("hyp_spelled_rate"),
        "step": run.step,
    }


def train_speed(log: Iterable[Mapping[str, Any]]) -> float | None:
    """Target tokens per second of updates, over all log entries but the first, which includes compilation."""
    windows = [entry for entry in log if entry.get("kind") == "train" and entry.get("tokens_per_second")]
    tokens = [entry["tokens"] - before["tokens"] for before, entry in itertools.pairwise(windows)]
    if not tokens:
        return float(windows[0]["tokens_per_second"]) if windows else None
    seconds = sum(n / entry["tokens_per_second"] for n, entry in zip(tokens, windows[1:], strict=True))
    return sum(tokens) / seconds if seconds else None


def by_settings(
    runs: Sequence[ScoredRun], rows: Sequence[Mapping[str, Any]]
) -> list[tuple[Config, dict[int, Mapping[str, Any]]]]:
    """Groups of runs that differ only in train.seed: the other settings, and the rows by seed."""
    groups: dict[tuple[Config, str, str], dict[int, Mapping[str, Any]]] = {}
    for run, row in zip(runs, rows, strict=True):
        # A run that is listed twice is not a second sample.
        groups.setdefault(run.without_chance, {}).setdefault(run.config.train.seed, row)
    return [(config, members) for (config, *_), members in groups.items()]


def averaged(values: Sequence[float | None]) -> dict[str, float | None]:
    """`mean` and standard `deviation`, None if a value was not measured; `deviation` is None for a single value."""
    known = [value for value in values if value is not None]
    # The mean over some of the runs would not be comparable.
    if len(known) < len(values):
        return {"mean": None, "deviation": None}
    return {"mean": statistics.mean(known), "deviation": statistics.stdev(known) if known[1:] else None}


def _different_settings(runs: Sequence[ScoredRun]) -> dict[str, list[Any]]:
    """The settings that tell the runs apart, by key: a value for each run."""
    settings_of_runs = [by_key(run.config) for run in runs]
    # Where the same training pairs are, makes no difference.
    same_data = len({run.train_sha256 for run in runs}) == 1
    places = keys_that_change(Changes.PLACE) if same_data else ()
    rows = {key: [of_run[key] for of_run in settings_of_runs] for key in settings_of_runs[0] if key not in places}
    different = {key: row for key, row in rows.items() if any(value != row[0] for value in row)}
    decided = frozenset.intersection(*(run.decided for run in runs))
    given = {key: row for key, row in different.items() if key not in decided}
    # What the data decided follows from the other settings, except by other rules.
    return given if len(_distinct(given)) == len(_distinct(different)) else different


def _distinct(settings: Mapping[str, Sequence[Any]]) -> set[tuple[Any, ...]]:
    """The different combinations of values."""
    return set(zip(*settings.values(), strict=True))


def _seed_groups(runs: Sequence[ScoredRun], rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Mean and standard deviation over runs that differ only in train.seed."""
    return [
        {
            "names": [row["name"] for row in members.values()],
            "seeds": sorted(members),
            **{key: next(iter(members.values()))[key] for key in ("level", "cell")},
            "task": rows[0]["task"],
            **{key: averaged([row[key]["score"] for row in members.values()]) for key in metrics_of(rows[0])},
            **{
                key: averaged([row[key] for row in members.values()])
                for key in ("bits_per_char", "train_minutes", "sentences_per_second")
            },
        }
        for _, members in by_settings(runs, rows)
        if len(members) > 1
    ]
