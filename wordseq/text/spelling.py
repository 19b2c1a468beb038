"""Spelling cost of unknown words, so that bits per character can be compared between token levels.

A word model predicts one token, <unk>, for all words outside its vocabulary. A model of characters or subwords predicts every
letter. For a fair comparison a word model must also spell the word. Mielke and Eisner (2019), "Spell Once, Summon Anywhere",
use a recurrent model for it; here a unigram model of letters does it, so nothing is trained.
"""

import math
from collections import Counter
from collections.abc import Iterable

CODE_POINTS = 0x110000 - 0x800
"""Number of characters that a text can hold: Unicode code points without the surrogates."""


class Spelling:
    """A unigram model of letters with add-one smoothing and an end mark.

        p(c) = (n(c) + 1) / (n + k + 2)

    n is the number of all characters of the words and of their end marks, k that of distinct characters. The "+ 2"
    are the end mark and one class for all other characters, with `CODE_POINTS` equally likely members.

    Args:
        words: distinct words, each counted once: unknown words are spelled like rare words, and most distinct words are rare.
    """

    def __init__(self, words: Iterable[str]) -> None:
        counts: Counter[str] = Counter()
        ends = 0
        for word in words:
            counts.update(word)
            ends += 1
        total = math.log2(counts.total() + ends + len(counts) + 2)
        self._bits = {letter: total - math.log2(count + 1) for letter, count in counts.items()}
        self._end = total - math.log2(ends + 1)
        self._other = total + math.log2(CODE_POINTS)

    def bits(self, word: str) -> float:
        """-log2 of the probability of a word, its end mark included."""
        return sum(self._bits.get(letter, self._other) for letter in word) + self._end
