"""Scores and examples as tables for people: plain text and Markdown, safe for terminals and pages."""

import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

METRICS = ("bleu", "chrf", "ter")

NOTHING = "–"  # a value that was not measured

# Bidirectional classes of the characters that turn the direction of writing.
_TURNS = frozenset({"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"})

_MARKDOWN_SPECIAL = re.compile(r"([\\`*_{}\[\]<>&|~$#!])")


def terminal_table(result: Mapping[str, Any]) -> str:
    """What `evaluate_texts` returned, as plain text without colours; examples are left out."""
    lengths = [(row["words"], f"{row['sentences']:,}", f"{row['bleu']:.1f}") for row in result["by_length"]]
    figures = [
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
    parts = [
        text_table(("metric", "score", "95 % interval"), score_rows(result)),
        text_table(("source words", "sentences", "BLEU"), lengths),
        text_table((), [(label, one_line(text)) for label, text in figures]),
        "\n".join(f"{name}: {signature}" for name, signature in signatures(result)),
    ]
    return "\n\n".join(parts) + "\n"


def score_rows(result: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Name, score and 95 % interval of each metric of an evaluation."""
    return [
        (score["name"], f"{score['score']:.1f}", f"{score['ci95'][0]:.1f} to {score['ci95'][1]:.1f}")
        for score in (result[key] for key in METRICS)
    ]


def signatures(result: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Name and sacreBLEU signature of each metric of an evaluation, or of a row of a comparison."""
    return [(result[key]["name"], result[key]["signature"]) for key in METRICS]


def examples(result: Mapping[str, Any]) -> str:
    """The worst and the randomly drawn sentences of an evaluation, as Markdown."""
    parts = []
    for title, key in (("Lowest sentence BLEU", "worst"), ("Drawn at random", "random")):
        rows = [
            (
                str(example["line"]),
                f"{example['bleu']:.1f}",
                escape_markdown(example["source"]),
                escape_markdown(example["hypothesis"]),
                "<br>".join(map(escape_markdown, example["references"])),
            )
            for example in result[key]
        ]
        header = ("Line", "BLEU", "Source", "Hypothesis", "References")
        parts += [f"### {title}", markdown_table(header, rows)]
    return "\n\n".join(parts) + "\n"


def number(value: float | None, form: str) -> str:
    """A number in a format, or a dash for one that was not measured."""
    return NOTHING if value is None else format(value, form)


def one_line(text: str) -> str:
    r"""Text on one line that cannot steer a terminal: breaks and tabs become spaces, other controls look like \x1b."""
    return "".join(map(_visible, " ".join(text.splitlines()).replace("\t", " ")))


def _visible(character: str) -> str:
    # Cs are lone surrogates, which no file can hold. Among the format characters (Cf) those that turn the direction
    # of writing reach beyond their cell; joiners are part of words.
    if unicodedata.category(character) in ("Cc", "Cs") or unicodedata.bidirectional(character) in _TURNS:
        return character.encode("unicode_escape").decode("ascii")
    return character


def escape_markdown(text: str) -> str:
    """Text that Markdown shows as it is, on one line, in a table cell too."""
    return _MARKDOWN_SPECIAL.sub(r"\\\1", one_line(text))


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of cells that are Markdown already."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def text_table(header: Sequence[str], rows: Iterable[Sequence[str]], right: Collection[int] = ()) -> str:
    """A table in plain text, its columns aligned; those in `right` to the right. An empty header is left out."""
    lines = [cells for cells in (header, *rows) if cells]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    aligned = (
        [cell.rjust(widths[k]) if k in right else cell.ljust(widths[k]) for k, cell in enumerate(cells)]
        for cells in lines
    )
    return "\n".join("  ".join(cells).rstrip() for cells in aligned)
