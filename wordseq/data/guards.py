"""Warnings about data that can be read but are probably not what was meant; each names what to type."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from wordseq.config.data import DataConfig
from wordseq.data.columns import shortened
from wordseq.data.pairs import Pair
from wordseq.data.splits import HeldOut
from wordseq.system.progress import counted
from wordseq.text.scripts import script_of, scripts_of, word_level_warning

SAMPLE_PAIRS = 5000
"""Pairs that are examined, spread over the corpus."""

FEW_KNOWN = 0.5
"""A vocabulary that knows a smaller share of the dev tokens is worth a warning."""

MANY_TARGETS, MANY_SOURCES = 100, 3
"""`MANY_SOURCES` sources with `MANY_TARGETS` targets each are worth a warning: they are hardly sentences."""

SAME_TEXT = 0.8
"""A larger share of pairs whose target equals the source is worth a warning."""

_NUMBERS = 0.95

_SINGLE_WORDS = 0.8

_MAJORITY = 0.9

# Fewer lines in another script are names or quotations.
_FOREIGN = 0.005

_FEWEST_FOREIGN = 3

_NUMBER = re.compile(r"[\d\s.,:;/%+-]*\d[\d\s.,:;/%+-]*")

_SIDES = {"src": "source", "tgt": "target"}

_SEPARATORS = (";", "|", ",", "+", " ")
"""Usual separators of features."""


def warnings_about(
    pairs: Sequence[Pair],
    held_out: Mapping[str, HeldOut],
    data: DataConfig,
    counts: Mapping[str, Any],
    train: Mapping[str, Any],
    coverage: Mapping[str, Any],
) -> list[str]:
    """What looks wrong with a corpus, one line each.

    Args:
        pairs: a sample of the training pairs.
        held_out: "dev" and "test".
        data: the settings.
        counts: of all lines, from `Counts`: "lines" and "too_long".
        train: figures of the training split: "many_targets", the number of sources with `MANY_TARGETS` targets or more.
        coverage: for "src" and "tgt" the known tokens and the spelled words in "train" and "dev", see `Prepared.coverage`.
    """
    swapped = list(_about_swapped(pairs, held_out))
    return [
        *_about_lengths(counts),
        *_about_texts(pairs),
        *_about_scripts(pairs),
        *_about_targets(train),
        # A vocabulary does not fit exchanged texts, so its coverage tells nothing new.
        *(swapped or _about_words(pairs, data, coverage)),
    ]


def features_warnings(features: Sequence[str], data: DataConfig) -> Iterator[str]:
    """Whether `data.features_separator` cuts the features, where another usual separator would.

    Args:
        features: those of some sources, each as one text.
        data: the settings.
    """
    filled = [text for text in features if text]
    if not filled or any(data.features_separator in text for text in filled):
        return
    other = next((sign for sign in _SEPARATORS if sum(sign in text for text in filled) * 2 > len(filled)), "")
    if other:
        example = next(text for text in filled if other in text)
        yield (
            f"data.features_separator = {data.features_separator!r} does not occur in the features, e.g. {shortened(example)}: "
            f"each is one symbol; set data.features_separator={other!r}"
        )


def _about_lengths(counts: Mapping[str, Any]) -> Iterator[str]:
    if counts["too_long"] * 2 > counts["lines"]:
        yield (
            f"{counts['too_long']:,} of {counted(counts['lines'], 'line')} are longer than data.max_chars and dropped; split "
            "them into sentences, or set data.max_chars higher"
        )


def _about_texts(pairs: Sequence[Pair]) -> Iterator[str]:
    for k, name in enumerate(_SIDES.values()):
        numbers = sum(bool(_NUMBER.fullmatch(pair[k])) for pair in pairs)
        if numbers > _NUMBERS * len(pairs):
            yield (
                f"the {name} has numbers only, e.g. {pairs[0][k]!r}; if another column was meant, set data.src_column and "
                "data.tgt_column"
            )
    same = sum(pair.src == pair.tgt for pair in pairs)
    if same > SAME_TEXT * len(pairs):
        yield (
            f"source and target are the same text in {same / len(pairs):.0%} of the pairs; if one language was read twice, "
            "name another file or column"
        )


def _about_scripts(pairs: Sequence[Pair]) -> Iterator[str]:
    for k, name in enumerate(_SIDES.values()):
        texts = [pair[k] for pair in pairs]
        scripts = scripts_of(texts)
        if len(scripts) < 2:
            continue
        (usual, number), (other, foreign) = scripts.most_common(2)
        if number > _MAJORITY * scripts.total() and foreign >= max(_FEWEST_FOREIGN, _FOREIGN * scripts.total()):
            example = next(text for text in texts if script_of(text) == other)
            yield (
                f"{foreign / len(texts):.1%} of the {name} texts are in {other} script, nearly all others in {usual}, "
                f"e.g. {shortened(example)}; look for lines whose source and target are exchanged"
            )


def _about_targets(train: Mapping[str, Any]) -> Iterator[str]:
    if train["many_targets"] >= MANY_SOURCES:
        yield (
            f"{train['many_targets']:,} sources have {MANY_TARGETS} different targets or more; if the columns are "
            "exchanged, set data.swap=true, if others were meant, data.src_column and data.tgt_column"
        )


def _about_swapped(pairs: Sequence[Pair], held_out: Mapping[str, HeldOut]) -> Iterator[str]:
    words = [{word for pair in pairs for word in pair[k].split()} for k in range(len(_SIDES))]
    for part, texts in held_out.items():
        for k, (name, sentences) in enumerate(
            zip(_SIDES.values(), (texts.sources, [choices[0] for choices in texts.references]), strict=True)
        ):
            own, other = _share(sentences, words[k]), _share(sentences, words[1 - k])
            if other >= FEW_KNOWN and other > 2 * own:
                yield (
                    f"the {name} texts of {part} look like the other side of training: {other:.0%} of their words occur there, "
                    f"{own:.0%} in the training {name}; exchange the columns or files of data.{part}"
                )
                break


def _share(texts: Iterable[str], known: set[str]) -> float:
    """Share of the words of texts that are known; 0 if there are none."""
    words = [word for text in texts for word in text.split()]
    return sum(word in known for word in words) / len(words) if words else 0.0


def _about_words(pairs: Sequence[Pair], data: DataConfig, coverage: Mapping[str, Any]) -> Iterator[str]:
    """Whether the word level fits the texts."""
    found = {}
    for k, side in enumerate(_SIDES):
        texts = [pair[k] for pair in pairs]
        separator, spaceless = data.separator_of(side), None
        if data.level_of(side) == "symbols":
            yield from _about_symbols(texts, side, separator, coverage[side]["dev"]["share"])
            continue
        if data.level_of(side) == "word" and not separator:
            spaceless = word_level_warning(texts, side)
        if data.spells(side) and coverage[side]["dev"]["spelled"] and not coverage[side]["train"]["spelled"]:
            yield (
                f"no {_SIDES[side]} word of training is spelled, as data.min_freq = {data.min_freq}, so the model does not "
                "learn to spell those of dev; set data.min_freq=2 or more"
            )
        if spaceless:
            yield spaceless
        elif (share := _share_of_words(coverage[side]["dev"])) < FEW_KNOWN:
            found[side] = sum(len(text.split()) == 1 for text in texts) > _SINGLE_WORDS * len(texts), share
    if len(found) == len(_SIDES) and len({single for single, _ in found.values()}) == 1:
        (single, src), (_, tgt) = found.values()
        yield _few_known("source and target", "data.level", single, f"{src:.0%} and {tgt:.0%}", data.spells("src"))
        return
    for side, (single, share) in found.items():
        yield _few_known(_SIDES[side], f"data.{side}_level", single, f"{share:.0%}", data.spells(side))


def _share_of_words(part: Mapping[str, Any]) -> float:
    """Share of known tokens; where rare words are spelled, of words that are not."""
    return 1 - part["spelled"] / max(part["words"], 1) if "spelled" in part else part["share"]


def _about_symbols(texts: Sequence[str], side: str, separator: str, share: float) -> Iterator[str]:
    """Whether the separator of `side` suits the texts."""
    key, name = f"data.{side}_separator", _SIDES[side]
    if texts and not any(separator in text for text in texts):
        yield f"{key} = {separator!r} does not occur in the {name} texts, e.g. {shortened(texts[0])}: each is one symbol"
    elif share < FEW_KNOWN:
        yield (
            f"the vocabulary knows {share:.0%} of the {name} symbols in dev, as cut by {key} = {separator!r}; if they are "
            f"words, set data.{side}_level=char in place of it, which knows their letters"
        )


def _few_known(sides: str, setting: str, single: bool, shares: str, spells: bool) -> str:
    """The line for source, target or both."""
    if spells:
        return (
            f"the vocabulary has {shares} of the {sides} words in dev, and the model spells the others; set {setting}=char or "
            f"{setting}=unigram, which learn to spell from all words of training, not from rare ones only"
        )
    if single:
        return (
            f"the {sides} texts are single words, and the vocabulary knows {shares} of those in dev; to read and write them "
            f"letter by letter, set {setting}=char"
        )
    return (
        f"the vocabulary knows {shares} of the {sides} tokens in dev; set {setting}=unigram or {setting}=char, which know the "
        "parts of unknown words"
    )
