"""Records of evaluations for version control: small JSON files, one for each run.

A record has settings, scores, cost, and the command and commit that produced them. It has no sentence of the corpus, whose
licence may forbid copies.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import PurePath
from typing import Any

from wordseq.config.load import config_to_dict
from wordseq.evaluation.metrics.names import metrics_of
from wordseq.runs.describe import check_state, describe_run
from wordseq.runs.folder import BEST, RunFolder
from wordseq.system.platform import machine

RECORD_FORMAT = 1

# Keys that a record copies from an evaluation, beside its scores. A list of what is allowed: a new key cannot leak sentences.
EVALUATION_KEYS = (
    "task",
    "sentences",
    "references",
    "seconds",
    "sentences_per_second",
    "oov_rate",
    "unk_rate",
    "unk_replaced",
    "src_spelled_rate",
    "hyp_spelled_rate",
    "length_ratio",
    "by_length",
    "perplexity",
    "bits_per_char",
    "spelling_bits_per_char",
    "seed",
)

# Those of the search; the search of scored texts is not known.
SEARCH_KEYS = ("beam_size", "length_penalty")

DESCRIBE_KEYS = ("parameters", "step", "weights_sha256")


def record_of(run: RunFolder, result: Mapping[str, Any]) -> dict[str, Any]:
    """The record of an evaluation of a run; see `result_record`.

    Raises:
        UserError: the run's best checkpoint is missing or damaged.
    """
    progress = run.header(BEST).state
    check_state(run, progress)
    # The best checkpoint is older than the end of the training; the log has the time up to its last entry.
    seconds = run.train_seconds or progress["seconds"]
    train = {
        "minutes": round(seconds / 60, 2),
        "epochs": progress["epoch"],
        "select_by": run.config.train.select_by,
        "dev_score": progress.get("best_score"),
    }
    return result_record(result, config=config_to_dict(run.config), describe=describe_run(run), train=train)


def result_record(
    evaluation: Mapping[str, Any], *, config: Mapping[str, Any], describe: Mapping[str, Any], train: Mapping[str, Any]
) -> dict[str, Any]:
    """The record of one run, for JSON: scores, cost, settings and origin; no sentences.

    Args:
        evaluation: result of `evaluate_texts`.
        config: resolved settings, from `config_to_dict`.
        describe: result of `describe_run`.
        train: `minutes` of training, and further figures of it.

    Returns:
        `format`, `experiment` (name of the run folder), `level` and `cell`; the scores and figures of `EVALUATION_KEYS`;
        `beam_size` and `length_penalty` of the search, or None; `parameters`, `step` and `weights_sha256`; `train`, `settings`,
        `command`, `commit`, `machine` (this machine) and `date` (UTC, ISO 8601).
    """
    return {
        "format": RECORD_FORMAT,
        "experiment": PurePath(evaluation["run"]).name,
        "level": level_name(config["data"]),
        "cell": config["model"]["cell"],
        **{key: evaluation[key] for key in (*metrics_of(evaluation), *EVALUATION_KEYS)},
        **{key: evaluation.get(key) for key in SEARCH_KEYS},
        **{key: describe[key] for key in DESCRIBE_KEYS},
        "train": dict(train),
        "settings": dict(config),
        "command": evaluation["command"],
        "commit": evaluation["commit"],
        "machine": machine(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def level_name(data: Mapping[str, Any]) -> str:
    """The token level of the settings [data]: "char", or "char to symbols" if source and target differ."""
    source, target = (
        "symbols" if data.get(f"{side}_separator") else data.get(f"{side}_level") or data["level"]
        for side in ("src", "tgt")
    )
    return str(source) if source == target else f"{source} to {target}"
