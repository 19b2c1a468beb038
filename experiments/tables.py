"""Writes the tables of README.md and docs/results from the records in experiments.

python experiments/tables.py            # rewrite the tables
python experiments/tables.py --check    # exit with 1 if a table differs from its record

Two marks with the name of a table enclose its place. `results` is the table of all single runs in results/*.json, `headline`
README's excerpt of one comparison. Other tables have the names of files: results/*.json, written by `wordseq sweep --record`
or `wordseq compare --record`, and speed/*.json, written by `wordseq bench --record`. A table without a record is empty. A
record without marks is an error.
"""

import argparse
import json
import re
import statistics
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from wordseq.benchmark.tables import bench_table, grow_table, parts_table
from wordseq.comparison.record import COMPARISON
from wordseq.comparison.tables import WHOLE_UNK, has_unk, spread
from wordseq.evaluation.records import RECORD_FORMAT
from wordseq.evaluation.tables import escape_markdown, markdown_table, number, signatures
from wordseq.system.errors import UserError
from wordseq.system.files import read_json

HERE = Path(__file__).resolve().parent
PAGES = (HERE.parent / "README.md", *sorted((HERE.parent / "docs" / "results").glob("*.md")))
MARKS = re.compile(r"(<!-- (\w+): written by experiments/tables\.py -->\n).*?(<!-- end of \2 -->)", re.DOTALL)

RESULTS_HEADER = (
    "Experiment",
    "Level",
    "Cell",
    "Beam",
    "BLEU",
    "chrF",
    "TER",
    "Parameters",
    "Minutes",
    "Sentences/s",
    "Commit",
)

SCORES = ("bleu", "chrf", "ter")
"""Keys of the scores in `RESULTS_HEADER`."""

# WER and PER in percent of the task's LSTM baseline, Gorman et al. 2020, table 3.
PUBLISHED: Mapping[str, tuple[float, float]] = {
    "ady": (28.00, 6.53),
    "arm": (14.67, 3.49),
    "bul": (31.11, 5.94),
    "dut": (16.44, 2.94),
    "fre": (6.22, 1.32),
    "geo": (26.44, 5.14),
    "gre": (18.89, 3.30),
    "hin": (6.67, 1.47),
    "hun": (5.33, 1.18),
    "ice": (10.00, 2.36),
    "jpn": (7.56, 1.79),
    "kor": (46.89, 16.78),
    "lit": (19.11, 3.55),
    "rum": (10.67, 2.53),
    "vie": (4.67, 1.52),
}

# The title of a column, and the function that gives its cell for a combination.
_Column = tuple[str, Callable[[Mapping[str, Any]], str]]

TITLES = {"data.level": "Level", "model.cell": "Cell"}

HEADLINE, HEADLINE_TITLES = "minutes", ("Level", "Cell", "BLEU", "chrF2", "TER", "Parameters")
"""The comparison that README shows, and which of its columns."""


def tables_of(records: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """The tables in Markdown, by name."""
    runs = [record for record in records if "kind" not in record]
    runs.sort(key=lambda record: (record["experiment"], record["beam_size"]))
    found = {record["experiment"]: combinations_table(record) for record in records if record.get("kind") == COMPARISON}
    headline = [combinations_table(record, HEADLINE_TITLES) for record in records if record["experiment"] == HEADLINE]
    # Of SIGMORPHON's task in pronunciation.
    found |= {record["kind"]: pronunciation_notes(record) for record in records if record.get("kind") == "g2p2020"}
    found |= {record["experiment"]: recipe_table(record) for record in records if record.get("kind") == "recipe"}
    return {**found, "headline": "".join(headline), "results": results_table(runs)}


def speed_tables(paths: Sequence[Path]) -> dict[str, str]:
    """The output of `wordseq bench`, by the name of its record."""
    tables = {}
    for path in paths:
        record = json.loads(path.read_text(encoding="utf-8"))
        show = grow_table if "grow" in record else bench_table if "ratios" in record else parts_table
        tables[path.stem] = f"```\n$ {record['command']}\n{show(record)}```\n"
    return tables


def with_tables(page: str, tables: Mapping[str, str]) -> str:
    """The page with each table between its marks.

    Raises:
        ValueError: the page has no marks.
    """
    if not MARKS.search(page):
        raise ValueError("no marks of a table in the page")

    def written(match: re.Match[str]) -> str:
        table = tables.get(match[2], "")
        return match[1] + (f"\n{table}\n" if table else "") + match[3]

    return MARKS.sub(written, page)


def read_records(paths: Iterable[Path]) -> list[dict[str, Any]]:
    """Read records, in the given order.

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


def results_table(records: Sequence[Mapping[str, Any]]) -> str:
    """Records as one Markdown table, in the given order, with the signatures as footnotes.

    ± is half the width of the 95 % bootstrap interval. Scores with the same footnote can be compared.
    """
    notes: dict[str, int] = {}
    rows = []
    for record in records:
        signed = "; ".join(f"{name} `{found}`" for name, found in signatures(record, SCORES))
        note = notes.setdefault(signed, len(notes) + 1)
        scores = [
            f"{score['score']:.1f} ± {(score['ci95'][1] - score['ci95'][0]) / 2:.1f}"
            for score in (record[key] for key in SCORES)
        ]
        rows.append(
            (
                *(escape_markdown(record[key]) for key in ("experiment", "level", "cell")),
                number(record["beam_size"], "d"),
                f"{scores[0]}<sup>{note}</sup>",
                *scores[1:],
                f"{record['parameters']:,}",
                f"{record['train']['minutes']:.1f}",
                number(record["sentences_per_second"], ",.0f"),
                record["commit"].rpartition(" ")[2],
            )
        )
    footnotes = [f"<sup>{k}</sup> {note}" for note, k in notes.items()]
    machines = dict.fromkeys(f"{record['machine']['cpu']}, {record['machine']['cores']} cores" for record in records)
    trained = [f"Trained on {escape_markdown(' and '.join(machines))}."] if machines else []
    return "\n\n".join([markdown_table(RESULTS_HEADER, rows), *footnotes, *trained]) + "\n"


def combinations_table(record: Mapping[str, Any], titles: Sequence[str] = ()) -> str:
    """The record of a comparison as Markdown: one row per combination, averaged over seeds, and notes.

    Args:
        record: of the comparison.
        titles: of the columns to show; empty: all columns.
    """
    columns = [column for column in _columns(record) if not titles or column[0] in titles]
    rows = [[cell(row) for _, cell in columns] for row in record["combinations"]]
    return f"{markdown_table([title for title, _ in columns], rows)}\n\n{' '.join(_notes(record, columns))}\n"


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
    # Tokens of different levels are different units: only characters can be compared.
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


def _notes(record: Mapping[str, Any], columns: Sequence[_Column]) -> list[str]:
    seeds = sorted({len(row["seeds"]) for row in record["combinations"]})
    lines = [f"Mean ± standard deviation over {' or '.join(map(str, seeds))} seeds."] if seeds[-1] > 1 else []
    averages = ", averaged over the runs; they do not cover the choice of the seed" if seeds[-1] > 1 else ""
    found = dict.fromkeys(row["bleu"]["signature"] for row in record["combinations"])
    places, versions = (dict.fromkeys(row[key] for row in record["rows"]) for key in ("machine", "trained_by"))
    machine, compared = record["machine"], f"by wordseq {record['commit']}"
    if None in places:
        where = f"Compared on {machine['cpu']}, {machine['cores']} cores, {compared}"
    else:
        by = "" if None in versions else f" by wordseq {' and '.join(versions)}"
        where = f"Trained on {' and '.join(places)}{by}, compared {compared}"
    intervals = f"Intervals: 95 %, bootstrap over the {record['test']['sentences']:,} test sentences{averages}."
    return [
        *lines,
        *([intervals] if any("interval" in title for title, _ in columns) else []),
        f"BLEU {', '.join(f'`{signature}`' for signature in found)}.",
        f"{escape_markdown(where)}: `{record['command']}`",
    ]


def pronunciation_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """The table in Markdown, with the macro average below."""
    header = ("Language", "WER, one model", "PER", "WER, ensemble", "PER", "Minutes", "WER, published LSTM", "PER")
    lines = []
    for row in rows:
        cells = [row["language"], _mean_of(row, "wer", ".2f", deviation=True), _mean_of(row, "per", ".2f")]
        for key in ("wer", "per"):
            both = row.get("ensemble")
            low, high = both[f"{key}_ci95"] if both else (0, 0)
            cells.append(f"{both[key]:.2f} ({low:.1f} to {high:.1f})" if both else "")
        cells += [f"{row['minutes']:.1f}", *(f"{figure:.2f}" for figure in PUBLISHED[row["language"]])]
        lines.append(cells)
    average = pronunciation_averages(rows)
    published = [statistics.mean(PUBLISHED[row["language"]][k] for row in rows) for k in (0, 1)]
    lines.append(
        ["macro average"]
        + [f"{average[key]:.2f}" if key in average else "" for key in ("wer", "per", "ensemble_wer", "ensemble_per")]
        + [f"{statistics.mean(row['minutes'] for row in rows):.1f}", *(f"{figure:.2f}" for figure in published)]
    )
    return markdown_table(header, lines)


def _mean_of(row: Mapping[str, Any], key: str, form: str, *, deviation: bool = False) -> str:
    """The mean of a figure over the runs of a language, and its standard deviation."""
    values = [run[key] for run in row["runs"]]
    spread = f" ± {statistics.stdev(values):.2f}" if deviation and len(values) > 1 else ""
    return f"{statistics.mean(values):{form}}{spread}"


def pronunciation_averages(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Means over the languages: of the mean of the single runs, and of the ensemble."""
    found = {
        key: statistics.mean(statistics.mean(run[key] for run in row["runs"]) for row in rows) for key in ("wer", "per")
    }
    if all("ensemble" in row for row in rows):
        found |= {f"ensemble_{key}": statistics.mean(row["ensemble"][key] for row in rows) for key in ("wer", "per")}
    return found


def pronunciation_notes(record: Mapping[str, Any]) -> str:
    """The table of a record of `experiments.g2p2020`, with how it was made."""
    place, last = record["machine"], record["rows"][-1]
    wer, per = last.get("ensemble", last["runs"][0])["signatures"]
    versions = " and ".join(record["trained_by"])
    notes = (
        f"{record['seeds']} seeds, test words: mean ± standard deviation of single models, and their ensemble with its 95 % "
        "interval. Minutes are those of one training on one core of a shared machine.",
        f"WER is 100 - EXACT `{wer}`, PER is SER `{per}`.",
        f"Trained on {place['cpu']}, {place['cores']} cores, by wordseq {versions}: `python -m experiments.g2p2020 FOLDER`",
    )
    return "\n\n".join((pronunciation_table(record["rows"]), *notes)) + "\n"


def recipe_table(record: Mapping[str, Any]) -> str:
    """The record of `experiments.recipe` as Markdown: each step with its difference to the one before, and how it was made."""
    header = ("Step", "BLEU", "95 % interval", "Difference", "p", "Parameters", "Minutes")
    lines = []
    for row in record["rows"]:
        bleu = row["bleu"]
        lines.append(
            (
                row["step"],
                f"{bleu['score']:.1f}",
                "{:.1f} to {:.1f}".format(*bleu["ci95"]),
                number(bleu["difference"], "+.1f"),
                number(bleu["p_bootstrap"], ".3f"),
                f"{row['parameters']:,}",
                number(row["minutes"], ".0f"),
            )
        )
    place, versions = record["machine"], dict.fromkeys(row["trained_by"] for row in record["rows"])
    notes = (
        "Test split. Each step keeps the changes above it. Difference and p: paired bootstrap test against the row above. "
        f"BLEU `{record['rows'][0]['bleu']['signature']}`.",
        f"Trained on {escape_markdown(place['cpu'])}, one core of {place['cores']} each, by wordseq {' and '.join(versions)}: "
        f"`{record['command']}`",
    )
    return "\n\n".join((markdown_table(header, lines), *notes)) + "\n"


def main() -> int:
    """Rewrite or check the tables; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--check", action="store_true", help="exit with 1 if a table differs from its record")
    check = parser.parse_args().check
    tables = tables_of(read_records(sorted((HERE / "results").glob("*.json"))))
    tables |= speed_tables(sorted((HERE / "speed").glob("*.json")))
    stale = []
    lost = set(tables)
    for page in PAGES:
        old = page.read_text(encoding="utf-8")
        lost -= {match[2] for match in MARKS.finditer(old)}
        new = with_tables(old, tables)
        if new != old:
            stale.append(str(page.relative_to(HERE.parent)))
            if not check:
                page.write_text(new, encoding="utf-8")
    print(f"{'stale' if check else 'written'}: {', '.join(stale) or 'none'}")
    if lost:
        print(f"no page has marks for: {', '.join(sorted(lost))}")
    return int(bool(lost) or (check and bool(stale)))


if __name__ == "__main__":
    sys.exit(main())
