"""Scores for people: tables in plain text and Markdown, and the small records that the results table is made of.

A record is what `experiments/results/*.json` holds, one file a run, tracked by git: settings, scores and cost, and
what produced them. It never holds a sentence of the corpus, whose licence may not allow that.
"""

import json
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path, PurePath
from typing import Any

from wordseq.errors import UserError
from wordseq.provenance import machine

RECORD_FORMAT = 1
METRICS = ("bleu", "chrf", "ter")
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
NOTHING = "–"  # a value that was not measured
# Bidirectional classes of the characters that turn the direction of writing.
_TURNS = frozenset({"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"})
_MARKDOWN_SPECIAL = re.compile(r"([\\`*_{}\[\]<>&|~$#!])")


def terminal_table(result: Mapping[str, Any]) -> str:
    """What `evaluate_texts` returned, as plain text without colours; examples are left out."""
    parts = [
        _text_table(("metric", "score", "95 % interval"), _score_rows(result)),
        _text_table(("source words", "sentences", "BLEU"), _length_rows(result)),
        _text_table(("", ""), [(label, one_line(text)) for label, text in _figures(result)]),
        "\n".join(f"{name}: {signature}" for name, signature in _signatures(result)),
    ]
    return "\n\n".join(parts) + "\n"


def evaluation_table(result: Mapping[str, Any]) -> str:
    """What `evaluate_texts` returned, as Markdown; examples are left out, see `examples`."""
    figures = [(escape_markdown(label), escape_markdown(text)) for label, text in _figures(result)]
    parts = [
        markdown_table(("Metric", "Score", "95 % interval"), _score_rows(result)),
        "\n".join(f"- {name}: `{signature}`" for name, signature in _signatures(result)),
        markdown_table(("Source words", "Sentences", "BLEU"), _length_rows(result)),
        markdown_table(("Figure", "Value"), figures),
    ]
    return "\n\n".join(parts) + "\n"


def examples(result: Mapping[str, Any]) -> str:
    """The worst and the randomly drawn sentences of an evaluation, as Markdown."""
    parts = []
    for title, key in (("Lowest sentence BLEU", "worst"), ("Drawn at random", "random")):
        header = ("Line", "BLEU", "Source", "Hypothesis", "References")
        parts += [f"### {title}", markdown_table(header, [_example_row(example) for example in result[key]])]
    return "\n\n".join(parts) + "\n"


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


def escape_markdown(text: str) -> str:
    """Text that Markdown shows as it is, on one line, in a table cell too."""
    return _MARKDOWN_SPECIAL.sub(r"\\\1", one_line(text))


def one_line(text: str) -> str:
    r"""Text on one line that cannot steer a terminal: breaks and tabs become spaces, other controls look like \x1b."""
    return "".join(map(_visible, " ".join(text.splitlines()).replace("\t", " ")))


def _visible(character: str) -> str:
    # Cs are lone surrogates, which no file can hold. Among the format characters (Cf) those that turn the direction
    # of writing reach beyond their cell; joiners are part of words.
    if unicodedata.category(character) in ("Cc", "Cs") or unicodedata.bidirectional(character) in _TURNS:
        return character.encode("unicode_escape").decode("ascii")
    return character


def _score_rows(result: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    return [
        (score["name"], f"{score['score']:.1f}", f"{score['ci95'][0]:.1f} to {score['ci95'][1]:.1f}")
        for score in (result[key] for key in METRICS)
    ]


def _length_rows(result: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    return [(row["words"], f"{row['sentences']:,}", f"{row['bleu']:.1f}") for row in result["by_length"]]


def _signatures(result: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(result[key]["name"], result[key]["signature"]) for key in METRICS]


def _figures(result: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Everything but scores and signatures: what it is called, and its value as text that is not yet escaped."""
    return [
        ("sentences", f"{result['sentences']:,}"),
        ("references", f"{result['references']:,}"),
        ("output length / reference length", f"{result['length_ratio']:.3f}"),
        ("unknown source tokens", f"{result['oov_rate']:.2%}"),
        ("<unk> in the output", f"{result['unk_rate']:.2%}"),
        ("perplexity a token", number(result["perplexity"], ".2f")),
        ("bits a character", number(result["bits_per_char"], ".3f")),
        ("of them to spell unknown words", number(result["spelling_bits_per_char"], ".3f")),
        ("seconds", number(result["seconds"], ".1f")),
        ("sentences a second", number(result["sentences_per_second"], ",.1f")),
        ("run", result["run"] or NOTHING),
        ("wordseq", result["commit"]),
        ("command", result["command"] or NOTHING),
        ("seed", str(result["seed"])),
    ]


def number(value: float | None, form: str) -> str:
    """A number in a format, or a dash for one that was not measured."""
    return NOTHING if value is None else format(value, form)


def _example_row(example: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        str(example["line"]),
        f"{example['bleu']:.1f}",
        escape_markdown(example["source"]),
        escape_markdown(example["hypothesis"]),
        "<br>".join(map(escape_markdown, example["references"])),
    )


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


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of cells that are Markdown already."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _text_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [tuple(header), *map(tuple, rows)] if any(header) else list(map(tuple, rows))
    # The last column is never padded, so no line ends in spaces.
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)][:-1]
    return "\n".join(
        "  ".join([*(cell.ljust(width) for cell, width in zip(cells[:-1], widths, strict=True)), cells[-1]])
        for cells in lines
    )


def level_name(data: Mapping[str, Any]) -> str:
    """The token level of the settings [data]: "char", or "bpe to char" where the sides differ."""
    source, target = (data.get(f"{side}_level") or data["level"] for side in ("src", "tgt"))
    return str(source) if source == target else f"{source} to {target}"


def _read_record(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read as JSON: {error}") from None
    found = record.get("format") if isinstance(record, dict) else None
    if found != RECORD_FORMAT:
        raise UserError(f"{path}: format is {found!r}, but a result of this version has {RECORD_FORMAT}")
    return dict(record)
