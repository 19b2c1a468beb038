"""Scores and examples as tables in plain text and Markdown; quoted text cannot steer a terminal or a page."""

import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from wordseq.evaluation.metrics.names import UNITS, WORDS, dev_name, metrics_of
from wordseq.system.progress import counted

NOTHING = "–"  # A value that was not measured.

# Bidirectional classes of the characters that change the direction of writing.
_TURNS = frozenset({"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"})

_MARKDOWN_SPECIAL = re.compile(r"([\\`*_{}\[\]<>&|~$#!])")


def terminal_table(result: Mapping[str, Any]) -> str:
    """The result of `evaluate_texts` as plain text without colours and without examples."""
    unit = UNITS[result["task"]]
    ways = {True: ", each replaced by a word of the source before scoring", False: ", kept in what is scored"}
    treated = ways.get(result["unk_replaced"], "") if result["unk_rate"] else ""
    labels = {"src": "source words, spelled in characters", "hyp": "output words, spelled in characters"}
    shares = {label: result[f"{side}_spelled_rate"] for side, label in labels.items()}
    spelled = [(label, f"{share:.2%}") for label, share in shares.items() if share is not None]
    figures = [
        (f"{unit}s", f"{result['sentences']:,}"),
        ("references", f"{result['references']:,}"),
        ("output length / reference length", f"{result['length_ratio']:.3f}"),
        ("source tokens that the vocabulary lacks", f"{result['oov_rate']:.2%}"),
        ("<unk> in the output", f"{result['unk_rate']:.2%}{treated}"),
        *spelled,
        ("perplexity per token", number(result["perplexity"], ".2f")),
        ("bits per character of the references", number(result["bits_per_char"], ".3f")),
        ("of these, for spelling unknown words", number(result["spelling_bits_per_char"], ".3f")),
        ("checkpoint chosen by", dev_name(result["select_by"]) if result["select_by"] else NOTHING),
        ("seconds", number(result["seconds"], ".1f")),
        (f"{unit}s per second", number(result["sentences_per_second"], ",.1f")),
        ("run", result["run"] or NOTHING),
        ("wordseq", result["commit"]),
        ("command", result["command"] or NOTHING),
        ("bootstrap seed", str(result["seed"])),
    ]
    if unseen := result.get("unseen"):
        figures.insert(
            2, ("EXACT, source not in training", f"{unseen['exact']:.1f} ({counted(unseen['sentences'], unit)})")
        )
    if "beam_size" in result:  # Not in the scores of texts whose search is not known.
        figures.insert(0, ("beam size", str(result["beam_size"])))
    parts = [
        text_table(("metric", "score", "95 % interval"), score_rows(result)),
        *(["\n".join(map(one_line, result["notes"]))] if result["notes"] else []),
        _lengths(result),
        text_table((), [(label, one_line(text)) for label, text in figures]),
        "\n".join(f"{name}: {signature}" for name, signature in signatures(result)),
    ]
    return "\n\n".join(parts) + "\n"


def _lengths(result: Mapping[str, Any]) -> str:
    """The table of scores by source length, in characters of words or in words of sentences."""
    words = result["task"] == WORDS
    unit, shown = ("characters", ("exact", "ser")) if words else ("words", ("bleu",))
    header = (
        "source characters" if words else "source words",
        result["task"],
        *(result[key]["name"] for key in shown),
    )
    rows = [(row[unit], f"{row['sentences']:,}", *(f"{row[key]:.1f}" for key in shown)) for row in result["by_length"]]
    return text_table(header, rows)


def score_rows(result: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Name, score and 95 % interval of each metric of an evaluation."""
    return [
        (score["name"], f"{score['score']:.1f}", f"{score['ci95'][0]:.1f} to {score['ci95'][1]:.1f}")
        for score in (result[key] for key in metrics_of(result))
    ]


def signatures(result: Mapping[str, Any], keys: Iterable[str] = ()) -> list[tuple[str, str]]:
    """Name and signature of metrics of an evaluation, or of a row of a comparison; without `keys` of all."""
    return [(result[key]["name"], result[key]["signature"]) for key in keys or metrics_of(result)]


def examples(result: Mapping[str, Any]) -> str:
    """The worst sentences and the randomly drawn sentences of an evaluation, as plain text."""
    words = result["task"] == WORDS
    score, name, worst = ("ser", "SER", "Highest SER") if words else ("bleu", "sentence BLEU", "Lowest sentence BLEU")
    parts = []
    for title, key in ((worst, "worst"), ("Drawn at random", "random")):
        parts.append(title)
        for example in result[key]:
            texts = [("source", example["source"]), ("hypothesis", example["hypothesis"])]
            texts += [("reference", text) for text in example["references"]]
            # Below each other, not in columns: sentences are longer than a terminal is wide.
            lines = [f"  {label:10}  {one_line(text)}".rstrip() for label, text in texts]
            parts.append("\n".join([f"line {example['line']:,}, {name} {example[score]:.1f}", *lines]))
    return "\n\n".join(parts) + "\n"


def number(value: float | None, form: str) -> str:
    """A number in a format, or a dash for None."""
    return NOTHING if value is None else format(value, form)


def one_line(text: str) -> str:
    r"""Text on one line that cannot steer a terminal: line breaks and tabs become spaces, other controls become \x1b."""
    return "".join(map(_visible, " ".join(text.splitlines()).replace("\t", " ")))


def _visible(character: str) -> str:
    # Cs are lone surrogates, which UTF-8 cannot encode. Of the format characters (Cf) those that change the writing direction
    # affect the text after their cell. Others, such as joiners, belong to words.
    if unicodedata.category(character) in ("Cc", "Cs") or unicodedata.bidirectional(character) in _TURNS:
        return character.encode("unicode_escape").decode("ascii")
    return character


def escape_markdown(text: str) -> str:
    """Text on one line that Markdown shows literally, also in a table cell."""
    return _MARKDOWN_SPECIAL.sub(r"\\\1", one_line(text))


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; the cells are Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def text_table(header: Sequence[str], rows: Iterable[Sequence[str]], right: Collection[int] = ()) -> str:
    """A table in plain text with aligned columns; those in `right` are right-aligned. An empty header is left out."""
    lines = [cells for cells in (header, *rows) if cells]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    aligned = (
        [cell.rjust(widths[k]) if k in right else cell.ljust(widths[k]) for k, cell in enumerate(cells)]
        for cells in lines
    )
    return "\n".join("  ".join(cells).rstrip() for cells in aligned)
