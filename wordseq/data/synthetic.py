"""Tasks that the project makes itself: pairs without a download, the same on every machine."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from wordseq.phrasebook import Pair, phrasebook
from wordseq.system.errors import UserError

__all__ = ["SYNTHETIC", "Pair", "Task", "addition", "copy", "make", "phrasebook", "reverse"]

SYMBOLS = tuple("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWX")

_STRINGS = 20_000

_SHORTEST, _LONGEST = 5, 12

_QUESTIONS = 50_000

_DIGITS = 3


@dataclass(frozen=True)
class Task:
    """A synthetic corpus: what it is, in one line, and what makes it from a seed."""

    description: str
    pairs: Callable[[int], list[Pair]]

    def __call__(self, seed: int = 1) -> list[Pair]:
        """The pairs, the same for the same seed."""
        return self.pairs(seed)


def copy(seed: int = 1) -> list[Pair]:
    """20,000 distinct strings of 5 to 12 of 50 symbols, each with itself."""
    return [Pair(" ".join(symbols), " ".join(symbols)) for symbols in _strings(seed)]


def reverse(seed: int = 1) -> list[Pair]:
    """20,000 distinct strings of 5 to 12 of 50 symbols, each with its mirror image."""
    return [Pair(" ".join(symbols), " ".join(reversed(symbols))) for symbols in _strings(seed)]


def _strings(seed: int) -> list[tuple[str, ...]]:
    rng = random.Random(seed)
    found: dict[tuple[str, ...], None] = {}
    while len(found) < _STRINGS:
        found[tuple(rng.choices(SYMBOLS, k=rng.randint(_SHORTEST, _LONGEST)))] = None
    return list(found)


def addition(seed: int = 1) -> list[Pair]:
    """50,000 distinct sums such as "123+45" -> "168", of two numbers of up to 3 digits.

    As in Keras' example `addition_rnn`, the number of digits is drawn first, so that short numbers are not rare; a sum
    and the one with its numbers exchanged count as the same question. Unlike there, nothing is padded.
    """
    rng = random.Random(seed)
    found: dict[tuple[int, int], Pair] = {}
    while len(found) < _QUESTIONS:
        first, second = _number(rng), _number(rng)
        found.setdefault((min(first, second), max(first, second)), Pair(f"{first}+{second}", str(first + second)))
    return list(found.values())


def _number(rng: random.Random) -> int:
    return rng.randrange(10 ** rng.randint(1, _DIGITS))


SYNTHETIC: Mapping[str, Task] = MappingProxyType(
    {
        "phrasebook": Task("English-French everyday sentences from a hand-written grammar", phrasebook),
        "copy": Task("strings of 5-12 symbols, repeated as they are", copy),
        "reverse": Task("strings of 5-12 symbols, turned back to front", reverse),
        "addition": Task("sums of two numbers of up to 3 digits, character by character", addition),
    }
)


def make(name: str) -> list[Pair]:
    """The pairs of a synthetic corpus.

    Raises:
        UserError: there is no corpus of that name.
    """
    if name not in SYNTHETIC:
        raise UserError(f"unknown synthetic corpus {name!r}; choose from {', '.join(sorted(SYNTHETIC))}")
    return SYNTHETIC[name]()
