"""The small records of evaluations that git tracks, and their table."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path, PurePath
from typing import Any

from wordseq.config.load import config_to_dict
from wordseq.evaluation.tables import METRICS, _signatures, escape_markdown, markdown_table, number
from wordseq.runs.describe import check_state, describe_run
from wordseq.runs.folder import BEST, Run
from wordseq.system.errors import UserError
from wordseq.system.files import read_json
from wordseq.system.platform import machine

RECORD_FORMAT = 1

# What a record takes over from an evaluation. Examples are left out by not being here.
EVALUATION_KEYS = (
    *METRICS,
    "sentences",
    "references",
    "seconds",
    "sentences_per_second",
    "oov_rate",
    "unk_rate",
    "length_ratio",
    "by_length",
    "perplexity",
    "bits_per_char",
    "spelling_bits_per_char",
    "seed",
)

DESCRIBE_KEYS = ("parameters", "step", "weights_sha256")

RESULTS_HEADER = ("Experiment", "Level", "Cell", "BLEU", "chrF", "TER", "Parameters", "Minutes", "Sentences/s")


def results_table(rows: Iterable[Mapping[str, Any]]) -> str:
    """Records as one Markdown table, in the order given, with the signatures as footnotes.

    Behind ± is half the width of the 95 % bootstrap interval; scores with the same footnote can be compared.
    """
    notes: dict[str, int] = {}
    lines = []
    for row in rows:
        note = "; ".join(f"{name} `{signature}`" for name, signature in _signatures(row))
        lines.append(_result_row(row, notes.setdefault(note, len(notes) + 1)))
    footnotes = [f"<sup>{number}</sup> {note}" for note, number in notes.items()]
    return "\n\n".join([markdown_table(RESULTS_HEADER, lines), *footnotes]) + "\n"


def result_record(
    evaluation: Mapping[str, Any], *, config: Mapping[str, Any], describe: Mapping[str, Any], train: Mapping[str, Any]
) -> dict[str, Any]:
    """The small tracked record of one run: what was measured, at which cost, and what produced it; no sentences.

    Args:
        evaluation: what `evaluate_texts` returned.
        config: the resolved settings, from `config_to_dict`.
        describe: `parameters`, and if known `step` and `weights_sha256`.
        train: `minutes`, any other numbers worth keeping, and `machine` where training ran on another one.

    Returns:
        `format`, `experiment` (name of the run folder), `level`, `cell`, the scores and figures of `EVALUATION_KEYS`,
        `parameters`, `step`, `weights_sha256`, `train`, `settings`, `command`, `commit`, `machine` (this one), `date`
        (UTC, ISO 8601).

    Raises:
        ValueError: `describe` has no `parameters`, or `train` no `minutes`.
    """
    for name, table, key in (("describe", describe, "parameters"), ("train", train, "minutes")):
        if key not in table:
            raise ValueError(f"{name} must have {key!r}, got {', '.join(table) or 'nothing'}")
    numbers = {key: value for key, value in train.items() if isinstance(value, int | float)}
    return {
        "format": RECORD_FORMAT,
        "experiment": PurePath(evaluation["run"]).name,
        "level": level_name(config["data"]),
        "cell": config["model"]["cell"],
        **{key: evaluation[key] for key in EVALUATION_KEYS},
        **{key: describe.get(key) for key in DESCRIBE_KEYS},
        "train": {**numbers, **({"machine": train["machine"]} if "machine" in train else {})},
        "settings": {section: dict(table) for section, table in config.items()},
        "command": evaluation["command"],
        "commit": evaluation["commit"],
        "machine": machine(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def read_records(paths: Iterable[Path]) -> list[dict[str, Any]]:
    """Records from their files, in the order given.

    Raises:
        UserError: a file is missing, not JSON, or not a record of this version.
    """
    return [_read_record(path) for path in paths]


def _result_row(row: Mapping[str, Any], note: int) -> tuple[str, ...]:
    scores = [f"{row[key]['score']:.1f} ± {_half_width(row[key]):.1f}" for key in METRICS]
    return (
        escape_markdown(row["experiment"]),
        escape_markdown(row["level"]),
        escape_markdown(row["cell"]),
        f"{scores[0]}<sup>{note}</sup>",
        *scores[1:],
        f"{row['parameters']:,}",
        f"{row['train']['minutes']:.1f}",
        number(row["sentences_per_second"], ",.0f"),
    )


def _half_width(score: Mapping[str, Any]) -> float:
    low, high = score["ci95"]
    return float(high - low) / 2


def level_name(data: Mapping[str, Any]) -> str:
    """The token level of the settings [data]: "char", or "bpe to char" where the sides differ."""
    source, target = (data.get(f"{side}_level") or data["level"] for side in ("src", "tgt"))
    return str(source) if source == target else f"{source} to {target}"


def _read_record(path: Path) -> dict[str, Any]:
    record = read_json(path)
    if record.get("format") != RECORD_FORMAT:
        raise UserError(f"{path}: format is {record.get('format')!r}, but a result of this version has {RECORD_FORMAT}")
    return record


def record_of(run: Run, result: dict[str, Any]) -> dict[str, Any]:
    """The small record of an evaluation for `experiments/results`: figures and settings, no sentences."""
    progress = run.load(BEST)[1]
    check_state(run, progress)
    times = [entry["seconds"] for entry in run.metrics() if isinstance(entry.get("seconds"), float)]
    seconds = max(times, default=progress["seconds"])
    train_figures = {"minutes": round(seconds / 60, 2), "epochs": progress["epoch"], "dev_bleu": progress["best_bleu"]}
    return result_record(result, config=config_to_dict(run.config), describe=describe_run(run), train=train_figures)
