"""The small records of evaluations that git tracks, one file a run, and their table.

They hold settings, scores and cost, and what produced them; never a sentence of the corpus, whose licence may not allow that.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path, PurePath
from typing import Any

from wordseq.config.load import config_to_dict
from wordseq.evaluation.tables import METRICS, escape_markdown, markdown_table, number, signatures
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


def results_table(records: Iterable[Mapping[str, Any]]) -> str:
    """Records as one Markdown table, in the order given, with the signatures as footnotes.

    Behind ± is half the width of the 95 % bootstrap interval; scores with the same footnote can be compared.
    """
    notes: dict[str, int] = {}
    rows = []
    for record in records:
        note = notes.setdefault("; ".join(f"{name} `{found}`" for name, found in signatures(record)), len(notes) + 1)
        scores = [
            f"{score['score']:.1f} ± {(score['ci95'][1] - score['ci95'][0]) / 2:.1f}"
            for score in (record[key] for key in METRICS)
        ]
        rows.append(
            (
                *(escape_markdown(record[key]) for key in ("experiment", "level", "cell")),
                f"{scores[0]}<sup>{note}</sup>",
                *scores[1:],
                f"{record['parameters']:,}",
                f"{record['train']['minutes']:.1f}",
                number(record["sentences_per_second"], ",.0f"),
            )
        )
    footnotes = [f"<sup>{k}</sup> {note}" for note, k in notes.items()]
    return "\n\n".join([markdown_table(RESULTS_HEADER, rows), *footnotes]) + "\n"


def record_of(run: Run, result: Mapping[str, Any]) -> dict[str, Any]:
    """The small record of an evaluation of a run; see `result_record`.

    Raises:
        UserError: the run's best checkpoint is missing or damaged.
    """
    progress = run.header(BEST).state
    check_state(run, progress)
    times = [entry["seconds"] for entry in run.metrics() if isinstance(entry.get("seconds"), float)]
    seconds = max(times, default=progress["seconds"])
    train = {"minutes": round(seconds / 60, 2), "epochs": progress["epoch"], "dev_bleu": progress["best_bleu"]}
    return result_record(result, config=config_to_dict(run.config), describe=describe_run(run), train=train)


def result_record(
    evaluation: Mapping[str, Any], *, config: Mapping[str, Any], describe: Mapping[str, Any], train: Mapping[str, Any]
) -> dict[str, Any]:
    """The small tracked record of one run: what was measured, at which cost, and what produced it; no sentences.

    Args:
        evaluation: what `evaluate_texts` returned.
        config: the resolved settings, from `config_to_dict`.
        describe: what `describe_run` returned.
        train: `minutes` of training, and other numbers worth keeping.

    Returns:
        `format`, `experiment` (name of the run folder), `level`, `cell`, the scores and figures of `EVALUATION_KEYS`,
        `parameters`, `step`, `weights_sha256`, `train`, `settings`, `command`, `commit`, `machine` (this one), `date`
        (UTC, ISO 8601).
    """
    return {
        "format": RECORD_FORMAT,
        "experiment": PurePath(evaluation["run"]).name,
        "level": level_name(config["data"]),
        "cell": config["model"]["cell"],
        **{key: evaluation[key] for key in EVALUATION_KEYS},
        **{key: describe[key] for key in DESCRIBE_KEYS},
        "train": dict(train),
        "settings": dict(config),
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
    records = []
    for path in paths:
        record = read_json(path)
        if record.get("format") != RECORD_FORMAT:
            raise UserError(
                f"{path}: format is {record.get('format')!r}, but a result of this version has {RECORD_FORMAT}"
            )
        records.append(record)
    return records


def level_name(data: Mapping[str, Any]) -> str:
    """The token level of the settings [data]: "char", or "bpe to char" where source and target differ."""
    source, target = (data.get(f"{side}_level") or data["level"] for side in ("src", "tgt"))
    return str(source) if source == target else f"{source} to {target}"
