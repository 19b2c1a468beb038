"""Features of a source, such as the tags of an inflected form: as one text with the word, and as tokens of their own.

A source with features is one text everywhere after reading: WORD, TAB, FEATURES, e.g. "gehen", TAB, "V;PST;1;SG". Normalised
text has no TAB, so nothing else can be mistaken for it. Each feature is a token that begins with a TAB, which no word,
subword or character can be.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any

from wordseq.text.normalise import normalise, prepare

MARK = "\t"
"""Between a word and its features, and at the beginning of the token of a feature."""

EXPECTED = "expected a word, a TAB and its features, e.g. gehen<TAB>V;PST;1;SG"
"""Ends errors about the input of a run whose sources have features."""


def join_features(word: str, features: str) -> str:
    """The source of a word and its features, which may be empty."""
    return f"{word}{MARK}{features}"


def split_features(source: str) -> tuple[str, str]:
    """The word and the features of a source; the features are empty if it has none."""
    word, _, features = source.partition(MARK)
    return word, features


def word_of(source: str) -> str:
    """The source without its features."""
    return source.partition(MARK)[0]


def feature_tokens(features: str, separator: str) -> list[str]:
    """The tokens of features: "PST;SG" with the separator ";" has two, each with `MARK` at its beginning."""
    return [MARK + feature for feature in features.split(separator) if feature]


def features_of(tokens: Iterable[str], separator: str) -> str:
    """The features among tokens, joined as in a source."""
    return separator.join(token.removeprefix(MARK) for token in tokens if token.startswith(MARK))


def shown_token(token: str) -> str:
    """A token for people to read: a feature in brackets, as in [PST]; others as they are."""
    return f"[{token.removeprefix(MARK)}]" if token.startswith(MARK) else token


def prepare_features(features: str, separator: str, counts: "Counter[str] | None" = None) -> str:
    """Features, normalised, without spaces around them and without empty ones; in their order and case.

    Args:
        features: as written, e.g. "V; PST;;SG".
        separator: the string between them.
        counts: the numbers of changes are added here, as by `normalise`.
    """
    found = [part.strip() for part in normalise(features, counts).split(separator)]
    kept = [part for part in found if part]
    # A cell without any is one empty string, which nobody wrote.
    if counts is not None and len(found) > 1:
        counts["empty features"] += len(found) - len(kept)
    return separator.join(kept)


def prepare_source(text: str, lowercase: bool, separator: str) -> str:
    """A source as typed, prepared like those of training; with features if `separator`, the string between them, is given.

    Without a separator a TAB is white space like any other.
    """
    if not separator:
        return prepare(text, lowercase)
    word, features = split_features(text)
    return join_features(prepare(word, lowercase), prepare_features(features, separator))


def features_fault(text: str) -> str:
    """What is wrong with a typed source that must have features; empty if nothing is."""
    columns = text.count(MARK) + 1
    if columns == 1:
        return f"no features; {EXPECTED}"
    return f"{columns} columns; {EXPECTED}" if columns > 2 else ""


def tabs_note(texts: Sequence[str], start: int | None) -> str:
    """A line about sources with a TAB where a run has no features, so that it is white space; empty if none has one.

    Args:
        texts: as typed.
        start: the number of lines before them; None: they are no lines of a file.
    """
    found = [k for k, text in enumerate(texts, 1) if MARK in text]
    if not found:
        return ""
    more = f" and {len(found) - 1:,} more have" if found[1:] else " has"
    where = "the text has" if start is None else f"line {start + found[0]}{more}"
    return f"{where} a TAB, which is read as a space: the run has no features (data.features_column)"


def with_features(sources: Any) -> Any:
    """Sources in which pairs of (word, features) are one text each; what is no list of sources is left as it is.

    TABs within the two texts become spaces, as normalising would make them.
    """
    # Not a set, which has no order, and nothing of several columns, whose iteration gives their names.
    listed = isinstance(sources, Iterable) and not isinstance(sources, str | bytes | bytearray | Set | Mapping)
    if not listed or getattr(sources, "ndim", 1) != 1:
        return sources
    return [_joined(source) if _is_pair(source) else source for source in sources]


def _is_pair(source: Any) -> bool:
    pair = isinstance(source, Sequence) and not isinstance(source, str | bytes) and len(source) == 2
    return pair and all(isinstance(part, str) for part in source)


def _joined(source: Sequence[str]) -> str:
    return join_features(*(part.replace(MARK, " ") for part in source))
