"""Unicode normalisation: one form for white space, invisible characters and composed letters. Every change is counted.

All other text modules work on normalised text, and "lossless" there means lossless after `normalise`.

The apostrophe U+2019 is kept and counted: a word with it is another word than the same word with U+0027. The joiners U+200C
and U+200D are kept, because they change the meaning in Persian, in Indic scripts and in emoji.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, cast

import regex

# Shorter texts are safe without a limit of marks: 1,000 marks take milliseconds.
LONG = 1000

MOST_MARKS = 30
"""Combining marks in a row that a text of more than `LONG` characters keeps, as in Unicode's Stream-Safe Text Format (UAX #15,
section 13). NFC sorts n marks in a row in n * n steps, which takes hours for a long line of marks."""

APOSTROPHE = "\u2019"

APOSTROPHES_KEPT = "typographic apostrophes kept"

SPACES_COLLAPSED = "lines with spaces collapsed or stripped"

RECOMPOSED = "lines recomposed (NFC)"

STORM_MARKS = f"combining marks beyond {MOST_MARKS} in a row"

# Ranges in the syntax of a regular expression's character class.
_SPACES: Mapping[str, str] = MappingProxyType(
    {
        "no-break spaces": "\u00a0\u202f",
        "tabs": "\t",
        "line and page breaks": "\n\v\f\r\x1c-\x1f\x85\u2028\u2029",
        "thin and other wide spaces": "\u1680\u2000-\u200a\u205f\u3000",
    }
)

_REMOVED: Mapping[str, str] = MappingProxyType(
    {
        "zero-width characters": "\u200b\u2060",
        "byte-order marks": "\ufeff",
        "soft hyphens": "\u00ad",
        "direction marks": "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069",
        "control characters": "\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f",
    }
)

_COUNTED = tuple((name, re.compile(f"[{odd}]")) for name, odd in {**_SPACES, **_REMOVED}.items())

# ccc is the canonical combining class; it is 0 for everything that does not take part in the sorting of marks.
_STORM = regex.compile(rf"(\P{{ccc=0}}{{{MOST_MARKS}}})(\P{{ccc=0}}+)")

_ANY_REMOVED = re.compile(f"[{''.join(_REMOVED.values())}]")


def normalise(text: str, counts: "Counter[str] | None" = None) -> str:
    """The text in NFC, without invisible characters, with single spaces between words and none at the ends; idempotent.

    Args:
        text: one sentence.
        counts: for each kind of change, the number of changed characters (or lines) is added here.
    """
    if len(text) > LONG and not text.isascii():
        text = _calmed(text, Counter() if counts is None else counts)
    if counts is not None and APOSTROPHE in text:
        counts[APOSTROPHES_KEPT] += text.count(APOSTROPHE)
    # The fast path for most lines. Python counts every character of `_SPACES` and `_REMOVED` as unprintable.
    if text.isprintable() and "  " not in text and text.strip(" ") == text and unicodedata.is_normalized("NFC", text):
        return text
    return _normalise_odd(text, Counter() if counts is None else counts)


def prepare(text: str, lowercase: bool, counts: "Counter[str] | None" = None) -> str:
    """`normalise`, then lower case if `lowercase`: for training text, references and the input of a translation."""
    text = normalise(text, counts)
    # Lower case can decompose a letter: that of U+0130 is "i" and a combining dot.
    return unicodedata.normalize("NFC", text.lower()) if lowercase else text


def in_form(text: str, form: str) -> str:
    """A normalised text in a Unicode form; its white space stays normalised.

    Args:
        text: from `normalise`.
        form: "NFC", "NFD", "NFKC" or "NFKD".
    """
    formed = unicodedata.normalize(cast(Any, form), text)
    # Some compatibility characters become a space and a mark: U+00B4 is U+0020 and U+0301.
    return " ".join(formed.split()) if "K" in form else formed


def describe_counts(counts: Mapping[str, int]) -> str:
    """The counts of `normalise` as one phrase, e.g. "no-break spaces 1,234, soft hyphens 2"."""
    found = ", ".join(f"{name} {number:,}" for name, number in counts.items() if number)
    return found or "no text needed a change of its spaces, invisible characters or composed letters"


def _calmed(text: str, counts: "Counter[str]") -> str:
    """The text without surplus combining marks, removed before and after NFC, which can split a mark into two."""
    # Remove invisible characters first. Otherwise their later removal would join two runs of marks into one long run.
    shown = _ANY_REMOVED.sub("", text)
    if not _STORM.search(shown):
        return text
    calm = _STORM.sub(r"\1", unicodedata.normalize("NFC", _STORM.sub(r"\1", shown)))
    counts[STORM_MARKS] += len(text) - len(calm)
    return calm


def _normalise_odd(text: str, counts: "Counter[str]") -> str:
    # One pattern for each kind: only odd lines get here, and the counts are by kind.
    for name, pattern in _COUNTED:
        found = len(pattern.findall(text))
        if found:
            counts[name] += found
    shown = _ANY_REMOVED.sub("", text)
    collapsed = " ".join(shown.split())
    counts[SPACES_COLLAPSED] += len(collapsed) != len(shown)
    # NFC last: a removed character may have stood between a letter and its mark.
    composed = unicodedata.normalize("NFC", collapsed)
    counts[RECOMPOSED] += composed != collapsed
    return composed
