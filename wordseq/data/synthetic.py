"""Synthetic corpora: pairs without a download, the same on every machine."""

import random
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from wordseq.data.pairs import Pair
from wordseq.data.readers.lines import read_sentences
from wordseq.system.errors import UserError

PHRASEBOOK = Path(__file__).with_name("phrasebook.tsv.gz")

SYMBOLS = tuple("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWX")

_STRINGS = 20_000

_SHORTEST, _LONGEST = 5, 12

# As in Keras' example addition_rnn: 50,000 questions of up to 3 digits.
_QUESTIONS = 50_000

_DIGITS = 3


class Synthetic(NamedTuple):
    """A synthetic corpus: a one-line description, and the function that returns its pairs."""

    description: str
    pairs: Callable[[], list[Pair]]


def phrasebook() -> list[Pair]:
    """23,773 pairs, English to French, from the grammar in data/phrasebook; pairs with one source are adjacent."""
    return [Pair(*line.split("\t")) for line in read_sentences(PHRASEBOOK)]


def copy(seed: int = 1) -> list[Pair]:
    """20,000 distinct strings of 5 to 12 symbols out of 50, each paired with itself."""
    return [Pair(" ".join(symbols), " ".join(symbols)) for symbols in _strings(seed)]


def reverse(seed: int = 1) -> list[Pair]:
    """20,000 distinct strings of 5 to 12 symbols out of 50, each paired with its reversal."""
    return [Pair(" ".join(symbols), " ".join(reversed(symbols))) for symbols in _strings(seed)]


def _strings(seed: int) -> list[tuple[str, ...]]:
    rng = random.Random(seed)
    # A dict, not a set: it keeps the order of drawing, which must not depend on the hash seed of the process.
    found: dict[tuple[str, ...], None] = {}
    while len(found) < _STRINGS:
        found[tuple(rng.choices(SYMBOLS, k=rng.randint(_SHORTEST, _LONGEST)))] = None
    return list(found)


def addition(seed: int = 1) -> list[Pair]:
    """50,000 distinct sums such as "123+45" -> "168", of two numbers of up to 3 digits.

    As in Keras' example `addition_rnn`, the number of digits is drawn first, so that short numbers are not rare. "1+2" and
    "2+1" count as the same question. Unlike there, nothing is padded.
    """
    rng = random.Random(seed)
    found: dict[tuple[int, int], Pair] = {}
    while len(found) < _QUESTIONS:
        first, second = _number(rng), _number(rng)
        found.setdefault((min(first, second), max(first, second)), Pair(f"{first}+{second}", str(first + second)))
    return list(found.values())


def _number(rng: random.Random) -> int:
    return rng.randrange(10 ** rng.randint(1, _DIGITS))


SYNTHETIC: Mapping[str, Synthetic] = MappingProxyType(
    {
        "phrasebook": Synthetic("English-French everyday sentences from a hand-written grammar", phrasebook),
        "copy": Synthetic("strings of 5-12 symbols, each paired with itself", copy),
        "reverse": Synthetic("strings of 5-12 symbols, each paired with its reversal", reverse),
        "addition": Synthetic("sums of two numbers of up to 3 digits, character by character", addition),
    }
)


def make(name: str) -> list[Pair]:
    """The pairs of a synthetic corpus.

    Raises:
        UserError: the name is unknown.
    """
    if name not in SYNTHETIC:
        raise UserError(f"unknown synthetic corpus {name!r}; choose from {', '.join(sorted(SYNTHETIC))}")
    return SYNTHETIC[name].pairs()
