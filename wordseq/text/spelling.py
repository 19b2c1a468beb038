"""What unknown words cost, letter by letter, so that bits per character can be compared between token levels.

A word model gives all words outside its vocabulary the probability of one token and does not say which of them it is; a model
of characters or subwords predicts every letter. To predict as much, a word model must spell the word too. In Mielke and Eisner
(2019), "Spell Once, Summon Anywhere", a recurrent model does that; here letters are drawn one by one, so nothing is trained.
"""

import math
from collections import Counter
from collections.abc import Iterable

CODE_POINTS = 0x110000 - 0x800
"""Characters that a text can hold: those of Unicode without the surrogates."""


class Spelling:
    """Letters drawn one by one, as often as the words have them, up to an end mark.

    p(c) = (n(c) + 1) / (n + k + 2) for the k characters c of the words, the end mark, which each word has once, and any other
    character, of which n is 0 and which is drawn evenly from `CODE_POINTS`.

    Args:
        words: distinct words, each counted once: how rare words are spelled is seen best in the rare ones, of which most are.
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
        """-log2 of the probability of a word, its end included."""
        return sum(self._bits.get(letter, self._other) for letter in word) + self._end
