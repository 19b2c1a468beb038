"""A comparison as a record that git tracks, its seeds averaged.

The record has what `compare` gives for every run and no sentence of the corpus.
"""

import statistics
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from wordseq.comparison.compare import averaged, by_settings
from wordseq.comparison.scored_runs import ScoredRun
from wordseq.config.load import config_to_dict
from wordseq.config.schema import Changes, Config, by_key, keys_that_change
from wordseq.evaluation.records import RECORD_FORMAT
from wordseq.evaluation.tables import METRICS
from wordseq.system.platform import machine

COMPARISON = "comparison"
"""`kind` of such a record; that of a single run has none."""

FIGURES = (
    *("bits_per_char", "parameters", "train_minutes", "train_tokens_per_second", "train_chars_per_second"),
    *("bleu_whole_unk", "sentences_per_second", "peak_memory_mb", "perplexity", "length_ratio", "unk_rate", "step"),
)
"""What is averaged over seeds beside the scores: figures of a row of `compare_runs`."""

USUAL_KEYS = ("data.level", "model.cell")
"""What tells rows apart where no setting differs."""


def comparison_record(runs: Sequence[ScoredRun], result: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The record of a comparison.

    Args:
        runs: what was compared.
        result: what `compare` returned for them.
        name: of the experiment.

    Returns:
        `format`, `kind`, `experiment`; `varied`, the settings that differ, without those of chance; `combinations`, one for
        all runs that differ by chance only: `values` of those settings, `seeds`, `runs`, and of each score and of
        each of `FIGURES` `mean` and standard `deviation` (None for one seed), of scores also `ci95`, the runs'
        bootstrap bounds averaged; `settings` of the first run; and `rows` (without `run`), `test`, `seed`, `command`,
        `commit` of the comparison, `machine` (this one), `date` (UTC, ISO 8601).
    """
    varied = [key for key in result["settings"] if key not in keys_that_change(Changes.CHANCE)]
    found = by_settings(runs, result["rows"])
    return {
        "format": RECORD_FORMAT,
        "kind": COMPARISON,
        "experiment": name,
        "varied": varied,
        "combinations": [_combination(varied or USUAL_KEYS, config, rows) for config, rows in found],
        # The paths of folders on this machine stay out of what is published.
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
        for key in METRICS
    }
    return {
        "values": {key: settings[key] for key in keys},
        "seeds": sorted(members),
        "runs": [row["name"] for row in rows],
        **scores,
        **{key: averaged([row[key] for row in rows]) for key in FIGURES},
    }
