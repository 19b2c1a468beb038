"""Tables and notes of a comparison, as plain text and as Markdown."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from wordseq.evaluation.metrics.corpus import FEW_SENTENCES
from wordseq.evaluation.metrics.names import NAMES, UNITS, main_metrics
from wordseq.evaluation.metrics.significance import PAIRED_DRAWS
from wordseq.evaluation.tables import (
    escape_markdown,
    markdown_table,
    number,
    one_line,
    signatures,
    text_table,
)
from wordseq.system.progress import counted

FEW_DIFFERENCES = 10
"""With fewer differing sentences than this, sacreBLEU's randomisation test gives p-values that are too small."""

ABOUT_SEEDS = (
    "Intervals and p cover the choice of test sentences. They do not cover the seed: training the same settings again gives "
    "other scores."
)

SETTINGS_TITLE = "Settings that differ"

WHOLE_UNK = "BLEU, <unk> as one token"

ABOUT_UNK = (
    "sacreBLEU's tokenizer splits an <unk> in the output into three tokens. To the model it is one token, and the column after "
    "the scores counts it as one."
)

Table = tuple[str, tuple[str, ...], list[tuple[str, ...]]]
"""Title, header, rows; the text is not escaped."""

# Heading, key of the row, and format; text has no format.
_Columns = tuple[tuple[str, str, str], ...]

_COST: _Columns = (
    ("Run", "name", ""),
    ("Level", "level", ""),
    ("Cell", "cell", ""),
    ("Parameters", "parameters", ","),
    ("Training minutes", "train_minutes", ".1f"),
    ("Training characters/s", "train_chars_per_second", ",.0f"),
    ("Peak memory, MB", "peak_memory_mb", ",.0f"),
    ("Beam", "beam_size", "d"),
    ("Translating sentences/s", "sentences_per_second", ",.0f"),
)

_TOKENS: _Columns = (
    ("Run", "name", ""),
    ("Source ids", "src_vocab", ","),
    ("Target ids", "tgt_vocab", ","),
    ("Source tokens/sentence", "src_tokens", ".1f"),
    ("Target tokens/sentence", "tgt_tokens", ".1f"),
    ("Training tokens/s", "train_tokens_per_second", ",.0f"),
    ("Perplexity/token", "perplexity", ".2f"),
    ("Unknown in source", "oov_rate", ".2%"),
    ("Unknown in reference", "tgt_oov_rate", ".2%"),
    ("<unk> in output", "unk_rate", ".2%"),
)

_SPELLED: _Columns = (
    ("Spelled in source", "src_spelled_rate", ".2%"),
    ("Spelled in reference", "tgt_spelled_rate", ".2%"),
    ("Spelled in output", "hyp_spelled_rate", ".2%"),
)


def comparison_text(result: Mapping[str, Any]) -> str:
    """The result of `compare_runs` as plain text, for a terminal."""
    parts = [f"warning: {one_line(warning)}" for warning in result["warnings"]]
    for title, header, rows in comparison_tables(result):
        shown = [list(map(one_line, cells)) for cells in (header, *rows)]
        parts.append(f"{one_line(title)}\n{text_table(shown[0], shown[1:])}")
    lines = [one_line(note) for note in comparison_notes(result)]
    lines += [f"{name}: {signature}" for name, signature in main_signatures(result["rows"][0])]
    return "\n\n".join([*parts, "\n".join(f"- {line}" for line in lines)]) + "\n"


def comparison_markdown(result: Mapping[str, Any]) -> str:
    """The result of `compare_runs` as Markdown, for a notebook."""
    parts = [f"**Warning:** {escape_markdown(warning)}" for warning in result["warnings"]]
    for title, header, rows in comparison_tables(result):
        escaped = [list(map(escape_markdown, cells)) for cells in (header, *rows)]
        parts += [f"### {escape_markdown(title)}", markdown_table(escaped[0], escaped[1:])]
    lines = [escape_markdown(note) for note in comparison_notes(result)]
    lines += [f"{name}: `{signature}`" for name, signature in main_signatures(result["rows"][0])]
    return "\n\n".join([*parts, "\n".join(f"- {line}" for line in lines)]) + "\n"


def main_signatures(row: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Name and signature of each metric that the tables show."""
    return signatures(row, main_metrics(row))


def comparison_tables(result: Mapping[str, Any]) -> list[Table]:
    """The tables of a comparison, without empty ones."""
    rows = result["rows"]
    # Words that are spelled in characters, if some run spells words.
    spelled = [column for column in _SPELLED if any(row[column[1]] is not None for row in rows)]
    found = [
        _scores_table(rows),
        _tests_table(rows),
        _columns("Cost, comparable between token levels", _COST, rows),
        _columns("Figures in each run's own tokens, not comparable between token levels", (*_TOKENS, *spelled), rows),
        _seeds_table(result["seeds"]),
        (
            SETTINGS_TITLE,
            ("Setting", *(row["name"] for row in rows)),
            [
                (key, *(json.dumps(value, ensure_ascii=False) for value in values))
                for key, values in result["settings"].items()
            ],
        ),
    ]
    return [table for table in found if table[2]]


def _scores_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    whole = has_unk(rows)
    keys = main_metrics(rows[0])
    header = ("Run", *(rows[0][key]["name"] for key in keys), *([WHOLE_UNK] if whole else []), "Bits/char")
    return (
        "Scores with 95 % intervals",
        header,
        [
            (
                row["name"],
                *("{:.1f} ({:.1f} to {:.1f})".format(row[key]["score"], *row[key]["ci95"]) for key in keys),
                *([number(row["bleu_whole_unk"], ".1f")] if whole else []),
                number(row["bits_per_char"], ".3f"),
            )
            for row in rows
        ],
    )


def has_unk(rows: Iterable[Mapping[str, Any]]) -> bool:
    """Whether some output has <unk>, BLEU's tokenizer split it, and BLEU is a main metric."""
    return any("bleu" in main_metrics(row) and row["bleu_whole_unk"] != row["bleu"]["score"] for row in rows)


def _tests_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    header = ["Run"]
    keys = main_metrics(rows[0])
    for key in keys:
        name = rows[0][key]["name"]
        header += [f"{name} difference", f"{name} p bootstrap", f"{name} p randomisation"]
    lines = []
    for row in rows[1:]:
        cells = [row["name"]]
        for score in (row[key] for key in keys):
            cells.append(f"{score['difference']:+.1f}" if score["difference"] else "0")
            cells += [f"{score['p_bootstrap']:.4f}", f"{score['p_randomisation']:.4f}"]
        lines.append((*cells, f"{row['different']:,}"))
    return f"Difference to {rows[0]['name']}", (*header, f"{UNITS[rows[0]['task']].capitalize()}s that differ"), lines


def _columns(title: str, columns: _Columns, rows: Sequence[Mapping[str, Any]]) -> Table:
    lines = [tuple(number(row[key], form) if form else row[key] for _, key, form in columns) for row in rows]
    return title, tuple(heading for heading, _, _ in columns), lines


def _seeds_table(groups: Sequence[Mapping[str, Any]]) -> Table:
    keys = main_metrics(groups[0]) if groups else ()
    forms = {**dict.fromkeys(keys, ".2f"), "bits_per_char": ".3f", "train_minutes": ".1f"}
    return (
        "Over seeds: mean ± standard deviation",
        ("Runs", "Level", "Cell", "Seeds", *(NAMES[key] for key in keys), "Bits/char", "Training minutes"),
        [
            (
                ", ".join(group["names"]),
                group["level"],
                group["cell"],
                ", ".join(map(str, group["seeds"])),
                *(spread(group[key], form) for key, form in forms.items()),
            )
            for group in groups
        ],
    )


def spread(found: Mapping[str, float | None], form: str) -> str:
    """Mean ± standard deviation, from the result of `averaged`; for a single run only the mean."""
    mean = number(found["mean"], form)
    return mean if found["deviation"] is None else f"{mean} ± {found['deviation']:{form}}"


def comparison_notes(result: Mapping[str, Any]) -> list[str]:
    """Notes that a reader of the figures needs; the text is not escaped."""
    test, rows, unit = result["test"], result["rows"], UNITS[result["task"]]
    lines = [
        f"Test set: {counted(test['sentences'], unit)}, {counted(test['references'], 'reference')}, "
        f"sha256 {test['sha256'][:12]}."
    ]
    lines += result["notes"]
    lines.append(f"Intervals: bootstrap over these {unit}s, {PAIRED_DRAWS['bs']:,} resamples, seed {result['seed']}.")
    if rows[1:]:
        lines.append(
            "p: probability of a difference at least this large between equally good systems, by the paired "
            f"bootstrap ({PAIRED_DRAWS['bs']:,} resamples) and paired approximate randomisation "
            f"({PAIRED_DRAWS['ar']:,} trials). The smallest possible values are "
            f"{1 / (PAIRED_DRAWS['bs'] + 1):.4f} and {1 / (PAIRED_DRAWS['ar'] + 1):.4f}. "
            "p is not corrected for the number of comparisons. Differences are computed before rounding."
        )
        if test["sentences"] < FEW_SENTENCES:
            lines.append(
                f"p of fewer than {FEW_SENTENCES} {unit}s is too small: the same few are drawn again and again."
            )
        lines.append(f"{ABOUT_SEEDS} To measure that, train with several seeds (--seeds).")
    lines += [
        f"{row['name']} differs from {rows[0]['name']} only in its seed: the difference shows what a seed can do."
        for row in rows
        if row["seed_only"]
    ]
    if has_unk(rows):
        lines.append(ABOUT_UNK)
    replaced = [row["name"] for row in rows if row["unk_replaced"] and row["unk_rate"]]
    if replaced:
        lines.append(
            f"{', '.join(replaced)}: a word of the source stands in the output instead of each <unk>, and is scored. "
            "`wordseq eval RUN --keep-unknown` keeps <unk>."
        )
    # Of the 2^n ways to swap n differing sentences, the given one and its opposite have at least this difference.
    few = [row for row in rows[1:] if 0 < row["different"] < FEW_DIFFERENCES]
    lines += [
        f"{row['name']} differs from {rows[0]['name']} in only {counted(row['different'], unit)}. "
        "The randomisation test does not count trials with an equal difference, so its p is too small: "
        "an exact test gives at least "
        f"{2.0 ** (1 - row['different']):.3f}."
        for row in few
    ]
    lines.append(
        "Bits per character are of the first references, with unknown words spelled out. Training minutes include "
        "validation. Training characters per second are tokens per second times the characters per token of the references. "
        "Beam 1 is greedy search. 1 MB is 2^20 bytes."
    )
    places: dict[str | None, list[str]] = {}
    for row in rows:
        places.setdefault(row["machine"], []).append(row["name"])
    if set(places) != {None}:
        parts = [f"{place or 'not recorded'} ({', '.join(found)})" for place, found in places.items()]
        lines.append(f"Trained on: {'; '.join(parts) if parts[1:] else rows[0]['machine']}.")
    command = f"; command: {result['command']}" if result["command"] else ""
    return [*lines, f"wordseq {result['commit']}{command}"]
