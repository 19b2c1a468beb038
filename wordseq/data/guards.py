"""Warnings about data that can be read but are probably not what was meant; each names what to type."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import regex

from wordseq.data.pairs import Pair

SAMPLE_PAIRS = 5000
"""Pairs that are examined, spread over the corpus."""

FEW_KNOWN = 0.5
"""A vocabulary that knows a smaller share of the dev tokens is worth a warning."""

MANY_TARGETS, MANY_SOURCES = 100, 3
"""`MANY_SOURCES` sources with `MANY_TARGETS` targets each are worth a warning: they are hardly sentences."""

SAME_TEXT = 0.8
"""A larger share of pairs whose target equals the source is worth a warning."""

_NUMBERS = 0.95

_MAJORITY = 0.9

# Fewer lines in another script are names or quotations.
_FOREIGN = 0.005

_FEWEST_FOREIGN = 3

_NUMBER = re.compile(r"[\d\s.,:;/%+-]*\d[\d\s.,:;/%+-]*")

# Japanese mixes three scripts, Chinese texts hold Bopomofo, and Korean ones Han.
_SCRIPTS = {
    "CJK": regex.compile(r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Bopomofo}\p{Hangul}]"),
    **{
        name: regex.compile(rf"\p{{{name}}}")
        for name in (
            *(
                "Latin",
                "Cyrillic",
                "Greek",
                "Arabic",
                "Hebrew",
                "Devanagari",
                "Bengali",
                "Tamil",
                "Telugu",
                "Thai",
                "Georgian",
            ),
            *(
                "Armenian",
                "Ethiopic",
                "Khmer",
                "Lao",
                "Myanmar",
                "Sinhala",
                "Gujarati",
                "Gurmukhi",
                "Kannada",
                "Malayalam",
            ),
        )
    },
}

_SIDES = ("source", "target")


def warnings_about(
    pairs: Sequence[Pair], counts: Mapping[str, Any], train: Mapping[str, Any], coverage: Mapping[str, Any]
) -> list[str]:
    """What looks wrong with a corpus, one line each.

    Args:
        pairs: a sample of the training pairs.
        counts: of all lines, from `Counts`: "lines" and "too_long".
        train: figures of the training split: "many_targets", the number of sources with `MANY_TARGETS` targets or more.
        coverage: for "src" and "tgt" the shares of known tokens in "dev", see `Prepared.coverage`; with "swapped_share", the
            share that the vocabulary of the other side knows.
    """
    return [
        *_about_lengths(counts),
        *_about_texts(pairs),
        *_about_scripts(pairs),
        *_about_targets(train),
        *_about_coverage(coverage),
    ]


def script_of(text: str) -> str:
    """The script of most letters of a text; empty if it has no letter of a known script."""
    found = {name: len(pattern.findall(text)) for name, pattern in _SCRIPTS.items()}
    most = max(found, key=found.__getitem__)
    return most if found[most] else ""


def scripts_of(texts: Sequence[str]) -> Counter[str]:
    """For each script the number of texts that are in it, the most frequent first; texts without letters are not counted."""
    counts = Counter(script for text in texts if (script := script_of(text)))
    return Counter(dict(counts.most_common()))


def _about_lengths(counts: Mapping[str, Any]) -> Iterator[str]:
    if counts["too_long"] * 2 > counts["lines"]:
        yield (
            f"{counts['too_long']:,} of {counts['lines']:,} lines are longer than data.max_chars and dropped; split them into "
            "sentences, or set data.max_chars higher"
        )


def _about_texts(pairs: Sequence[Pair]) -> Iterator[str]:
    for k, side in enumerate(_SIDES):
        numbers = sum(bool(_NUMBER.fullmatch(pair[k])) for pair in pairs)
        if numbers > _NUMBERS * len(pairs):
            yield (
                f"the {side} has numbers only, e.g. {pairs[0][k]!r}; if another column was meant, set data.src_column and "
                "data.tgt_column"
            )
    same = sum(pair.src == pair.tgt for pair in pairs)
    if same > SAME_TEXT * len(pairs):
        yield (
            f"source and target are the same text in {same / len(pairs):.0%} of the pairs; were two files of one language "
            "given, or one column twice?"
        )


def _about_scripts(pairs: Sequence[Pair]) -> Iterator[str]:
    for k, side in enumerate(_SIDES):
        texts = [pair[k] for pair in pairs]
        scripts = scripts_of(texts)
        if len(scripts) < 2:
            continue
        (usual, number), (other, foreign) = scripts.most_common(2)
        if number > _MAJORITY * scripts.total() and foreign >= max(_FEWEST_FOREIGN, _FOREIGN * scripts.total()):
            example = next(text for text in texts if script_of(text) == other)
            yield (
                f"{foreign / len(texts):.1%} of the {side} texts are in {other} script, the others in {usual}, "
                f"e.g. {_short(example)}; look for lines whose columns are exchanged"
            )


def _about_targets(train: Mapping[str, Any]) -> Iterator[str]:
    if train["many_targets"] >= MANY_SOURCES:
        yield (
            f"{train['many_targets']:,} sources have {MANY_TARGETS} different targets or more; are source and target the "
            "columns that were meant?"
        )


def _about_coverage(coverage: Mapping[str, Any]) -> Iterator[str]:
    for side, name in zip(("src", "tgt"), _SIDES, strict=True):
        share, swapped = coverage[side]["dev"]["share"], coverage[side]["dev"]["swapped_share"]
        if share >= FEW_KNOWN:
            continue
        if swapped > max(2 * share, FEW_KNOWN):
            yield (
                f"the {name} texts of dev look like the other side of training ({swapped:.0%} of their tokens are known there, "
                f"{share:.0%} here); exchange the columns or files of dev"
            )
        else:
            yield (
                f"the {name} vocabulary knows {share:.0%} of the dev tokens; for words that are spelled, set "
                f"data.{side}_level=char, for few sentences data.level=unigram"
            )


def _short(text: str) -> str:
    return repr(text if len(text) <= 40 else f"{text[:37]}...")
