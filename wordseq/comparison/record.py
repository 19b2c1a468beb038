"""A comparison as a record that git tracks, its seeds averaged, and the table of one.

The record has what `compare` gives for every run and no sentence of the corpus.
"""

import statistics
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from wordseq.comparison.compare import CHANCE, averaged, by_settings
from wordseq.comparison.scored_runs import ScoredRun
from wordseq.comparison.tables import WHOLE_UNK, has_unk, spread
from wordseq.config.load import config_to_dict
from wordseq.config.schema import Config
from wordseq.evaluation.records import RECORD_FORMAT
from wordseq.evaluation.tables import METRICS, escape_markdown, markdown_table, number
from wordseq.system.platform import machine

COMPARISON = "comparison"
"""`kind` of such a record; that of a single run has none."""

FIGURES = (
    *("bits_per_char", "parameters", "train_minutes", "train_tokens_per_second", "train_chars_per_second"),
    *("bleu_whole_unk", "sentences_per_second", "peak_memory_mb", "perplexity", "length_ratio", "unk_rate", "step"),
)
"""What is averaged over seeds beside the scores: figures of a row of `compare.compare`."""

USUAL_KEYS = ("data.level", "model.cell")
"""What tells rows apart where no setting differs."""

# Title, and the cell of a combination.
_Column = tuple[str, Callable[[Mapping[str, Any]], str]]

TITLES = {"data.level": "Level", "model.cell": "Cell"}


def comparison_record(runs: Sequence[ScoredRun], result: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The record of a comparison.

    Args:
        runs: what was compared.
        result: what `compare` returned for them.
        name: of the experiment.

    Returns:
        `format`, `kind`, `experiment`; `varied`, the settings that differ, without `CHANCE`; `combinations`, one for
        all runs that differ in `CHANCE` only: `values` of those settings, `seeds`, `runs`, and of each score and of
        each of `FIGURES` `mean` and standard `deviation` (None for one seed), of scores also `ci95`, the runs'
        bootstrap bounds averaged; `settings` of the first run; and `rows` (without `run`), `test`, `seed`, `command`,
        `commit` of the comparison, `machine` (this one), `date` (UTC, ISO 8601).
    """
    varied = [key for key in result["settings"] if key.removeprefix("train.") not in CHANCE]
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
    settings = config_to_dict(config)
    scores = {
        key: {
            **averaged([row[key]["score"] for row in rows]),
            "ci95": [statistics.mean(bounds) for bounds in zip(*(row[key]["ci95"] for row in rows), strict=True)],
            "signature": rows[0][key]["signature"],
        }
        for key in METRICS
    }
    return {
        "values": {key: settings[key.partition(".")[0]][key.partition(".")[2]] for key in keys},
        "seeds": sorted(members),
        "runs": [row["name"] for row in rows],
        **scores,
        **{key: averaged([row[key] for row in rows]) for key in FIGURES},
    }


def combinations_table(record: Mapping[str, Any]) -> str:
    """A comparison's record as Markdown: one row a combination, seeds averaged, and what a reader must know."""
    columns = _columns(record)
    rows = [[cell(row) for _, cell in columns] for row in record["combinations"]]
    return f"{markdown_table([title for title, _ in columns], rows)}\n\n{' '.join(_notes(record))}\n"


def _columns(record: Mapping[str, Any]) -> list[_Column]:
    combinations, rows = record["combinations"], record["rows"]
    scores = {row["name"]: row["bleu"]["score"] for row in rows}
    columns: list[_Column] = [
        *(
            (TITLES.get(key, f"`{key}`"), lambda row, key=key: _setting(row["values"][key]))
            for key in combinations[0]["values"]
        ),
        _mean("BLEU", "bleu", ".1f"),
    ]
    if any(len(row["runs"]) > 1 for row in combinations):
        columns.append(("BLEU by seed", lambda row: ", ".join(f"{scores[name]:.1f}" for name in row["runs"])))
    columns.append(("95 % interval, sentences", lambda row: "{:.1f} to {:.1f}".format(*row["bleu"]["ci95"])))
    if has_unk(rows):
        columns.append(_mean(escape_markdown(WHOLE_UNK), "bleu_whole_unk", ".1f"))
    # Tokens of one level are not those of another.
    levels = any(key.endswith("level") for key in record["varied"])
    if levels:
        columns += [
            _mean("chrF2", "chrf", ".1f"),
            _mean("TER", "ter", ".1f"),
            _mean("Bits/char", "bits_per_char", ".3f"),
        ]
    unit, speed = ("chars", "characters") if levels else ("tokens", "tokens")
    return [
        *columns,
        ("Parameters", lambda row: number(row["parameters"]["mean"], ",.0f")),
        _mean(f"Training {speed}/s", f"train_{unit}_per_second", ",.0f"),
        _mean("Translating sentences/s", "sentences_per_second", ",.0f"),
        _mean("Training minutes", "train_minutes", ".1f"),
    ]


def _mean(title: str, key: str, form: str) -> _Column:
    return title, lambda row: spread(row[key], form)


def _setting(value: Any) -> str:
    return escape_markdown(str(value).lower() if isinstance(value, bool) else str(value))


def _notes(record: Mapping[str, Any]) -> list[str]:
    seeds = sorted({len(row["seeds"]) for row in record["combinations"]})
    lines = [f"Mean ± standard deviation over {' or '.join(map(str, seeds))} seeds."] if seeds[-1] > 1 else []
    averages = ", the runs' bounds averaged; what a seed does is not in them" if seeds[-1] > 1 else ""
    found = dict.fromkeys(row["bleu"]["signature"] for row in record["combinations"])
    places, versions = (dict.fromkeys(row[key] for row in record["rows"]) for key in ("machine", "trained_by"))
    machine, compared = record["machine"], f"by wordseq {record['commit']}"
    if None in places:
        where = f"Compared on {machine['cpu']}, {machine['cores']} cores, {compared}"
    else:
        by = "" if None in versions else f" by wordseq {' and '.join(versions)}"
        where = f"Trained on {' and '.join(places)}{by}; compared {compared}"
    return [
        *lines,
        f"Intervals: 95 %, bootstrap over the {record['test']['sentences']:,} test sentences{averages};",
        f"BLEU {', '.join(f'`{signature}`' for signature in found)}.",
        f"{escape_markdown(where)};",
        f"`{record['command']}`",
    ]
