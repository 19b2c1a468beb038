"""Runs side by side: scores with intervals and paired tests, cost, and what their seeds do to them.

Every score, interval and p-value is what sacreBLEU's command line gives for the files in the runs' eval/ folders:

    sacrebleu RUN/eval/test.ref* -i RUN/eval/test.hyp -m bleu chrf ter --confidence
    sacrebleu RUN/eval/test.ref* -i FIRST/eval/test.hyp RUN/eval/test.hyp -m bleu chrf ter --paired-bs

Nothing here needs TensorFlow: runs are read from their folders.
"""

import hashlib
import itertools
import json
import statistics
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from wordseq.config import Config, config_from_dict, config_to_dict, read_toml
from wordseq.corpus import HeldOut
from wordseq.errors import UserError
from wordseq.evaluation import (
    DEFAULT_SEED,
    PAIRED_DRAWS,
    PairedScore,
    Score,
    paired_tests,
    rectangular,
    score_corpus,
)
from wordseq.provenance import commit
from wordseq.report import METRICS, NOTHING, escape_markdown, level_name, markdown_table, number
from wordseq.vocab import TextCodec, coverage

MEMORY_FILE = "memory.json"
"""In a run: `peak_bytes`, the most memory that its training held."""
FEW_DIFFERENCES = 10
"""Below so many differing sentences the randomisation test of sacreBLEU gives p-values that are too small."""
_SHOWN = 60


@dataclass(frozen=True)
class ScoredRun:
    """A run folder with the scored translations of its test split.

    Attributes:
        folder: as the user named it.
        config: its settings.
        test: its test split.
        hyps: translations, one a source.
        evaluation: what `wordseq eval` saved.
        log: entries of metrics.jsonl.
        parameters: numbers in the best checkpoint.
        step: updates before it.
    """

    folder: Path
    config: Config
    test: HeldOut
    hyps: list[str]
    evaluation: Mapping[str, Any]
    log: list[dict[str, Any]]
    parameters: int
    step: int

    @cached_property
    def codecs(self) -> tuple[TextCodec, TextCodec]:
        """Source and target tokenizer with vocabulary."""
        return TextCodec.load(self.folder, "src"), TextCodec.load(self.folder, "tgt")

    @cached_property
    def src_tokens(self) -> list[list[str]]:
        """The tokens of each source of the test split."""
        return [self.codecs[0].tokenizer.tokenize(source) for source in self.test.sources]

    @cached_property
    def tgt_tokens(self) -> list[list[str]]:
        """The tokens of the first reference of each source."""
        return [self.codecs[1].tokenizer.tokenize(references[0]) for references in self.test.references]


# --- reading run folders


def read_test(folder: Path) -> HeldOut:
    """The test split of a run folder.

    Raises:
        UserError: not a run folder, or a damaged one.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such run folder")
    path = folder / "held_out.json"
    if not path.is_file():
        raise UserError(f"{folder}: not a run folder: it has no {path.name}")
    try:
        return HeldOut(**_read_json(path)["test"])
    except (KeyError, TypeError):
        raise UserError(f"{path}: damaged: no test split in it") from None


def is_scored(folder: Path) -> bool:
    """Whether eval/ holds the scores of the run's best checkpoint on its test split, and nothing else."""
    result, best = folder / "eval" / "test.json", folder / "best.npz"
    if not best.is_file() or not result.is_file() or result.stat().st_mtime < best.stat().st_mtime:
        return False
    test = read_test(folder)
    columns = zip(*rectangular(test.references), strict=True)
    expected = {"test.src": test.sources} | {f"test.ref{k}": list(column) for k, column in enumerate(columns)}
    saved = {path.name for path in result.parent.glob("test.ref*")}
    return (
        saved == {name for name in expected if name != "test.src"}
        and all(_read_lines(result.parent / name) == lines for name, lines in expected.items())
        and len(_read_lines(result.parent / "test.hyp")) == len(test.sources)
    )


def read_run(folder: Path) -> ScoredRun:
    """A run whose test split was translated and scored; see `is_scored`.

    Raises:
        UserError: a file is missing or damaged.
    """
    test = read_test(folder)
    hyps = [line.rstrip() for line in _read_lines(folder / "eval" / "test.hyp")]
    if len(hyps) != len(test.sources):
        raise UserError(f"{folder / 'eval' / 'test.hyp'}: {len(hyps):,} lines, expected {len(test.sources):,}")
    evaluation = _read_json(folder / "eval" / "test.json")
    if not isinstance(evaluation, dict):
        raise UserError(f"{folder / 'eval' / 'test.json'}: damaged: expected a table")
    config = config_from_dict(read_toml(folder / "config.toml"), str(folder / "config.toml"))
    return ScoredRun(folder, config, test, hyps, evaluation, read_log(folder), *_checkpoint(folder / "best.npz"))


def read_log(folder: Path) -> list[dict[str, Any]]:
    """The entries of metrics.jsonl; what is not an entry, or not whole, is passed over."""
    path = folder / "metrics.jsonl"
    entries = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []:
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict) and isinstance(entry.get("step"), int):
            entries.append(entry)
    return entries


def read_state(path: Path) -> dict[str, Any]:
    """The state in a checkpoint.

    Raises:
        UserError: it is missing or damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            return dict(json.loads(file["state.json"].tobytes()))
    except FileNotFoundError:
        raise UserError(f"{path}: no such checkpoint; has the run been trained?") from None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"{path}: damaged checkpoint: {error}") from None


def _checkpoint(path: Path) -> tuple[int, int]:
    """Parameters, and updates, of a checkpoint."""
    state = read_state(path)
    with np.load(path, allow_pickle=False) as file:
        return sum(int(file[name].size) for name in file.files if name != "state.json"), int(state.get("step", 0))


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except ValueError as error:
        raise UserError(f"{path}: damaged: {error}") from None


def _read_lines(path: Path) -> list[str]:
    """The lines of a text file; none where it is missing."""
    # Not splitlines, which splits at characters that are part of a text.
    return path.read_text(encoding="utf-8", errors="replace").split("\n")[:-1] if path.is_file() else []


# --- what is compared


def digest(test: HeldOut) -> str:
    """A sha256 of sources and references."""
    return hashlib.sha256(json.dumps([test.sources, test.references]).encode()).hexdigest()


def check_same_test(folders: Sequence[Path]) -> None:
    """Runs can be compared only where they translated the same sentences, and were scored against the same ones.

    Raises:
        UserError: the test splits differ; the message says between which runs, and how.
    """
    first = read_test(folders[0])
    for folder in folders[1:]:
        test = read_test(folder)
        if digest(test) != digest(first):
            raise UserError(
                "runs with different test sets cannot be compared: "
                f"{_describe(folders[0], first)}, {_describe(folder, test)}; {_first_difference(first, test)}"
            )


def _describe(folder: Path, test: HeldOut) -> str:
    references = sum(map(len, test.references))
    return f"{folder} has {len(test.sources):,} sentences with {references:,} references (sha256 {digest(test)[:12]})"


def _first_difference(one: HeldOut, other: HeldOut) -> str:
    for name, ours, theirs in (
        ("source", one.sources, other.sources),
        ("references", one.references, other.references),
    ):
        for line, (a, b) in enumerate(zip(ours, theirs, strict=False), 1):
            if a != b:
                return f"the first {name} that differ{'s' * (name == 'source')}: line {line}, {_cut(a)} and {_cut(b)}"
    return f"they differ first in line {min(len(one.sources), len(other.sources)) + 1}, which only one of them has"


def _cut(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."


def scored_runs(folders: Sequence[Path], score: Callable[[Path], None]) -> list[ScoredRun]:
    """Read runs for a comparison; those that have no scores of their best checkpoint are scored first.

    Args:
        folders: run folders, the baseline first.
        score: scores a run and saves that in its eval/ folder.

    Raises:
        UserError: a run cannot be used, or their test sets differ.
    """
    check_same_test(folders)
    for folder in dict.fromkeys(folders):
        if not is_scored(folder):
            score(folder)
    return [read_run(folder) for folder in folders]


# --- comparing


def compare(runs: Sequence[ScoredRun], *, command: str = "", seed: int = DEFAULT_SEED) -> dict[str, Any]:
    """Scores, paired tests against the first run, and cost; ready for JSON.

    Args:
        runs: the baseline first; all with the same test split.
        command: what the user typed.
        seed: of resamples and trials; the default is sacreBLEU's.

    Returns:
        `rows`, one a run: `run`, `name`, `level`, `cell`, `beam_size`, `bleu`, `chrf`, `ter` (each as
        `evaluation.Score`, with `difference` to the first run, `p_bootstrap`, `p_randomisation`, None in the first
        row), `different` (sentences translated otherwise than by the first run), and the figures of `cost`;
        `seeds`, groups of runs that differ in train.seed only; `settings` that differ, by key; `test` (`sentences`,
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
    """The shortest ends of the paths that tell them apart."""
    paths = [folder.resolve().parts for folder in folders]
    distinct = len(set(paths))
    longest = max(map(len, paths))
    size = next((n for n in range(1, longest) if len({parts[-n:] for parts in paths}) == distinct), longest)
    return ["/".join(parts[-size:]) for parts in paths]


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
        Comparable between token levels: `bits_per_char` of the first references; `parameters`; `train_minutes`, with
        validation; `train_chars_per_second`, target characters; `sentences_per_second` of translating;
        `peak_memory_mb`, MiB; `length_ratio`. Of the run's own tokens: `src_vocab`, `tgt_vocab` (ids);
        `src_tokens`, `tgt_tokens` a test sentence, without end marks; `train_tokens_per_second`, target tokens with
        end marks; `perplexity` a token; shares 0-1 `oov_rate` of source tokens, `tgt_oov_rate` of reference tokens,
        `unk_rate` of output tokens. And `step`, updates before the best checkpoint.
    """
    src, tgt = run.codecs
    sentences = len(run.test.sources)
    speed = train_speed(run.log)
    running = sum(map(len, run.tgt_tokens))
    chars = sum(len(references[0]) for references in run.test.references)
    seconds = max((entry.get("seconds", 0.0) for entry in run.log), default=None)
    found = run.evaluation.get
    return {
        "bits_per_char": found("bits_per_char"),
        "parameters": run.parameters,
        "train_minutes": None if seconds is None else seconds / 60,
        "train_tokens_per_second": speed,
        "train_chars_per_second": None if speed is None else speed * chars / (running + sentences),
        "sentences_per_second": found("sentences_per_second"),
        "peak_memory_mb": _peak_memory(run.folder),
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


def _peak_memory(folder: Path) -> float | None:
    path = folder / MEMORY_FILE
    found = _read_json(path) if path.is_file() else {}
    peak = found.get("peak_bytes") if isinstance(found, dict) else None
    return peak / 2**20 if isinstance(peak, int) else None


def differing_settings(runs: Sequence[ScoredRun]) -> dict[str, list[Any]]:
    """The settings that are not the same in all runs: their values, run by run."""
    found = [config_to_dict(run.config) for run in runs]
    keys = [(section, key) for section, table in found[0].items() for key in table]
    values = {f"{section}.{key}": [table[section][key] for table in found] for section, key in keys}
    return {key: row for key, row in values.items() if any(value != row[0] for value in row)}


def by_settings(
    runs: Sequence[ScoredRun], rows: Sequence[Mapping[str, Any]]
) -> list[tuple[Config, dict[int, Mapping[str, Any]]]]:
    """The rows of runs that differ in their seed only, together: settings with the seed 0, and rows by seed."""
    groups: dict[Config, dict[int, Mapping[str, Any]]] = {}
    for run, row in zip(runs, rows, strict=True):
        config = replace(run.config, train=replace(run.config.train, seed=0))
        # A second copy of a run is no second sample.
        groups.setdefault(config, {}).setdefault(run.config.train.seed, row)
    return list(groups.items())


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


# --- as Markdown


def comparison_table(result: Mapping[str, Any]) -> str:
    """What `compare` returned, as Markdown."""
    parts = []
    for title, header, rows in tables(result):
        parts += [f"### {escape_markdown(title)}", markdown_table(escaped(header), map(escaped, rows))]
    lines = [escape_markdown(note) for note in notes(result)]
    lines += [f"{name}: `{signature}`" for name, signature in signatures(result)]
    return "\n\n".join([*parts, "\n".join(f"- {line}" for line in lines)]) + "\n"


def escaped(row: Iterable[str]) -> list[str]:
    """Cells as Markdown."""
    return [escape_markdown(cell) for cell in row]


Table = tuple[str, tuple[str, ...], list[tuple[str, ...]]]


def tables(result: Mapping[str, Any]) -> list[Table]:
    """The tables of a comparison: title, header, rows of text that is not escaped. Only those that have rows."""
    rows = result["rows"]
    found = [_scores_table(rows), _tests_table(rows), _cost_table(rows), _tokens_table(rows), _seeds_table(result)]
    found.append(_settings_table(result))
    return [table for table in found if table[2]]


def _scores_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    header = ("Run", *(rows[0][key]["name"] for key in METRICS), "Bits/char")
    return (
        "Scores with 95 % intervals",
        header,
        [
            (row["name"], *(_with_interval(row[key]) for key in METRICS), number(row["bits_per_char"], ".3f"))
            for row in rows
        ],
    )


def _with_interval(score: Mapping[str, Any]) -> str:
    low, high = score["ci95"]
    return f"{score['score']:.1f} ({low:.1f} to {high:.1f})"


def _tests_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    header = ["Run"]
    for key in METRICS:
        header += [f"{rows[0][key]['name']} difference", "p bootstrap", "p randomisation"]
    lines = [
        (row["name"], *(cell for key in METRICS for cell in _difference(row[key])), f"{row['different']:,}")
        for row in rows[1:]
    ]
    return f"Difference to {rows[0]['name']}", (*header, "Sentences that differ"), lines


def _difference(score: Mapping[str, Any]) -> tuple[str, str, str]:
    difference = f"{score['difference']:+.1f}" if score["difference"] else "0"
    return difference, f"{score['p_bootstrap']:.4f}", f"{score['p_randomisation']:.4f}"


def _cost_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    header = (
        *("Run", "Level", "Cell", "Parameters", "Training minutes", "Training characters/s", "Peak memory, MB"),
        *("Beam", "Translating sentences/s"),
    )
    return (
        "Cost, the same units at every token level",
        header,
        [
            (
                row["name"],
                row["level"],
                row["cell"],
                f"{row['parameters']:,}",
                number(row["train_minutes"], ".1f"),
                number(row["train_chars_per_second"], ",.0f"),
                number(row["peak_memory_mb"], ",.0f"),
                number(row["beam_size"], "d"),
                number(row["sentences_per_second"], ",.0f"),
            )
            for row in rows
        ],
    )


def _tokens_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    header = (
        *("Run", "Source ids", "Target ids", "Source tokens/sentence", "Target tokens/sentence"),
        *("Training tokens/s", "Perplexity/token", "Unknown in source", "Unknown in reference", "<unk> in output"),
    )
    return (
        "Tokens, each run's own: not comparable between levels",
        header,
        [
            (
                row["name"],
                f"{row['src_vocab']:,}",
                f"{row['tgt_vocab']:,}",
                f"{row['src_tokens']:.1f}",
                f"{row['tgt_tokens']:.1f}",
                number(row["train_tokens_per_second"], ",.0f"),
                number(row["perplexity"], ".2f"),
                number(row["oov_rate"], ".2%"),
                number(row["tgt_oov_rate"], ".2%"),
                number(row["unk_rate"], ".2%"),
            )
            for row in rows
        ],
    )


def _seeds_table(result: Mapping[str, Any]) -> Table:
    header = ("Runs", "Level", "Cell", "Seeds", "BLEU", "chrF2", "TER", "Bits/char", "Training minutes")
    forms = {"bleu": ".2f", "chrf": ".2f", "ter": ".2f", "bits_per_char": ".3f", "train_minutes": ".1f"}
    return (
        "Over seeds: mean ± standard deviation",
        header,
        [
            (
                ", ".join(group["names"]),
                group["level"],
                group["cell"],
                ", ".join(map(str, group["seeds"])),
                *(_spread(group.get(key), form) for key, form in forms.items()),
            )
            for group in result["seeds"]
        ],
    )


def _spread(found: Mapping[str, float] | None, form: str) -> str:
    return f"{found['mean']:{form}} ± {found['deviation']:{form}}" if found else NOTHING


def _settings_table(result: Mapping[str, Any]) -> Table:
    header = ("Setting", *(row["name"] for row in result["rows"]))
    rows = [
        (key, *(json.dumps(value, ensure_ascii=False) for value in values))
        for key, values in result["settings"].items()
    ]
    return "Settings that differ", header, rows


def notes(result: Mapping[str, Any]) -> list[str]:
    """What a reader must know of the figures: lines of text that is not escaped."""
    test, rows = result["test"], result["rows"]
    lines = [
        f"Test set: {test['sentences']:,} sentences, {test['references']:,} references, sha256 {test['sha256'][:12]}."
    ]
    if rows[1:]:
        lines.append(
            "p: probability of a difference as large between systems that are equally good, by sacreBLEU's paired "
            f"bootstrap ({PAIRED_DRAWS['bs']:,} resamples) and paired approximate randomisation "
            f"({PAIRED_DRAWS['ar']:,} trials), seed {result['seed']}; not corrected for the number of runs compared."
        )
    few = [row for row in rows[1:] if 0 < row["different"] < FEW_DIFFERENCES]
    lines += [
        f"{row['name']} differs from {rows[0]['name']} in {row['different']} sentences only: sacreBLEU's randomisation "
        f"test counts larger differences alone; an exact one gives p of at least {2.0 ** (1 - row['different']):.3f}."
        for row in few
    ]
    return [*lines, f"wordseq {result['commit']}; command: {result['command']}"]


def signatures(result: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Name and sacreBLEU signature of each metric."""
    return [(result["rows"][0][key]["name"], result["rows"][0][key]["signature"]) for key in METRICS]
