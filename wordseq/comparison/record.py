"""The record of a comparison, a JSON file for git, averaged over seeds.

The record has the figures of every run, and no sentence of the corpus.
"""

import statistics
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from wordseq.comparison.compare import averaged, by_settings
from wordseq.comparison.scored_runs import ScoredRun
from wordseq.config.fields import Changes
from wordseq.config.load import config_to_dict
from wordseq.config.schema import Config, by_key, keys_that_change
from wordseq.evaluation.metrics.names import metrics_of
from wordseq.evaluation.records import RECORD_FORMAT
from wordseq.system.platform import machine

COMPARISON = "comparison"
"""`kind` of such a record; the record of a single run has no `kind`."""

FIGURES = (
    *("bits_per_char", "parameters", "train_minutes", "train_tokens_per_second", "train_chars_per_second"),
    *("bleu_whole_unk", "sentences_per_second", "peak_memory_mb", "perplexity", "length_ratio", "unk_rate", "step"),
)
"""Figures of a row of `compare_runs` that are averaged over seeds, in addition to the scores."""

USUAL_KEYS = ("data.level", "model.cell")
"""Settings that label the rows if no setting differs."""


def comparison_record(runs: Sequence[ScoredRun], result: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The record of a comparison.

    Args:
        runs: the compared runs.
        result: what `compare_runs` returned for them.
        name: of the experiment.

    Returns:
        `format`, `kind`, `experiment`.
        `varied`: the settings that differ, without train.seed.
        `combinations`: one for all runs that differ only in train.seed, see below.
        `settings` of the first run.
        `rows` (without `run`), `test`, `seed`, `command`, `commit` of the comparison.
        `machine`: this one. `date`: UTC, ISO 8601.

        A combination has `values` of the varied settings, `seeds` and `runs`, of an ensemble or average `made_of`. It has
        `mean` and standard `deviation` (None for one seed) of each score and each of `FIGURES`. A score also has `ci95`, the
        mean of the runs' bootstrap bounds.
    """
    varied = [key for key in result["settings"] if key not in keys_that_change(Changes.CHANCE)]
    found = by_settings(runs, result["rows"])
    return {
        "format": RECORD_FORMAT,
        "kind": COMPARISON,
        "experiment": name,
        "varied": varied,
        "combinations": [_combination(varied or USUAL_KEYS, config, rows) for config, rows in found],
        # Records are published, so they have no paths of this machine.
        "rows": [{key: value for key, value in row.items() if key != "run"} for row in result["rows"]],
        "settings": config_to_dict(runs[0].config),
        **{key: result[key] for key in ("test", "seed", "command", "commit")},
        "machine": machine(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _combination(keys: Sequence[str], config: Config, members: Mapping[int, Mapping[str, Any]]) -> dict[str, Any]:
    rows = [members[seed] for seed in sorted(members)]
    settings = by_key(config)
    scores = {
        key: {
            **averaged([row[key]["score"] for row in rows]),
            "ci95": [statistics.mean(bounds) for bounds in zip(*(row[key]["ci95"] for row in rows), strict=True)],
            "signature": rows[0][key]["signature"],
        }
        for key in metrics_of(rows[0])
    }
    return {
        "values": {key: settings[key] for key in keys},
        "seeds": sorted(members),
        "runs": [row["name"] for row in rows],
        **{key: rows[0][key] for key in ("made_of",) if key in rows[0]},
        **scores,
        **{key: averaged([row[key] for row in rows]) for key in FIGURES},
    }
