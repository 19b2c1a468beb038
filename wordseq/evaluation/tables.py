"""Scores for people: tables in plain text and Markdown, and the small records that the results table is made of.

A record is what `experiments/results/*.json` holds, one file a run, tracked by git: settings, scores and cost, and
what produced them. It never holds a sentence of the corpus, whose licence may not allow that.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

METRICS = ("bleu", "chrf", "ter")

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
