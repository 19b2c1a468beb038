"""Other segmentations of texts into subwords, drawn at random for each epoch of training.

    unigram  P(x) is proportional to the product of p(t)^alpha over the tokens t of the segmentation x (Kudo 2018, section 3.2),
             over all segmentations of a word: forward filtering, backward sampling
    bpe      byte-pair encoding in which a possible merge is left out with probability p (Provilkov et al. 2020), as in
             SentencePiece: drawn once for each pair of neighbours, for the best pair first

A draw depends on its key alone: a hash of seed, epoch, pair and word. So it is the same in any order, in any thread and after a
resume. SentencePiece's own sampling cannot be used: its generator belongs to a thread, and its versions before 0.2.3 ignore a
second seed (google/sentencepiece#609).

No token reaches beyond a word, and a token with the mark of a space begins a word. So words are drawn one by one, and the
tokens of one segmentation have all that is needed of the text.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from wordseq.text.tokenizers import SPACE, SentencePieceTokenizer

Keys = npt.NDArray[np.uint64]

_Ints = npt.NDArray[Any]

MOST_ENTRIES = 500_000
"""Entries of the tables of words that have been seen, about 75 MB; with more, the tables are made anew."""

_STEP = np.uint64(0x9E3779B97F4A7C15)


def mix(values: Keys) -> Keys:
    """A hash of each number: the output function of SplitMix64 (Steele, Lea and Flood 2014, figure 16)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def keys_of(parts: Iterable[int], numbers: _Ints) -> Keys:
    """A key for each number, such as a pair, together with some fixed numbers, such as seed and epoch."""
    key = np.zeros(1, np.uint64)
    for part in parts:
        key = _next(key, np.array([part], np.uint64))
    return _next(key, numbers.astype(np.uint64))


def _next(keys: Keys, numbers: Keys) -> Keys:
    return mix(keys + _STEP * (numbers + np.uint64(1)))


def _uniform(keys: Keys, step: int) -> npt.NDArray[np.float64]:
    """A number from 0 to below 1 for each key, another one in each step."""
    # 24 bits, so that the sum with a row number, see `Unigram`, is exact.
    return (_next(keys, np.array([step], np.uint64)) >> np.uint64(40)).astype(np.float64) * 2.0**-24


class _Growing:
    """A NumPy array that grows at its end."""

    def __init__(self, dtype: type) -> None:
        self._kept: npt.NDArray[Any] = np.empty(1024, dtype)
        self._size, self._new = 0, list[Any]()
        self.extend = self._new.extend

    def __len__(self) -> int:
        return self._size + len(self._new)

    @property
    def values(self) -> npt.NDArray[Any]:
        """The array; it may be changed until it grows."""
        if self._new:
            while len(self) > len(self._kept):
                self._kept = np.concatenate([self._kept, np.empty_like(self._kept)])
            self._kept[self._size : len(self)] = self._new
            self._size += len(self._new)
            self._new.clear()
        return self._kept[: self._size]


class SubwordSampler(ABC):
    """Draws segmentations of texts that are given as the ids of another one, e.g. the best.

    Bytes, special tokens and the ids after those of the tokenizer, such as features, stay as they are.

    Args:
        tokenizer: at level "bpe" or "unigram".
        size: number of ids of the vocabulary, which begins with the tokens of the tokenizer.
        rate: alpha or p, see above.
    """

    def __init__(self, tokenizer: SentencePieceTokenizer, size: int, rate: float) -> None:
        self._tokens, self._rate = tokenizer.tokens, rate
        self._scores = tokenizer.scores
        self._longest = max(map(len, self._scores))
        self._ids = {token: index for index, token in enumerate(self._tokens) if token in self._scores}
        self._stays = np.ones(size, np.bool_)
        self._stays[list(self._ids.values())] = False
        self._begins = self._stays.copy()
        self._begins[[index for token, index in self._ids.items() if token.startswith(SPACE)]] = True
        self._words: dict[bytes, int] = {}
        self._clear()

    def draw(self, ids: _Ints, lengths: _Ints, keys: Keys) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
        """Segmentations of texts, drawn anew.

        Args:
            ids: of all texts, one after the other.
            lengths: number of ids of each text.
            keys: of the draw, one for each text.

        Returns:
            The ids of all texts, and the number of ids of each text.
        """
        if self._entries() > MOST_ENTRIES:
            self._words.clear()
            self._clear()
        texts = np.repeat(np.arange(len(lengths)), lengths)
        begins = self._begins[ids]
        begins[1:] |= self._stays[ids[:-1]] | (texts[1:] != texts[:-1])
        begins[:1] = True
        starts = np.flatnonzero(begins)
        texts = texts[starts]
        places = np.arange(len(starts)) - np.searchsorted(texts, np.arange(len(lengths)))[texts]
        drawn, counts = self._drawn(self._numbers(ids, starts), _next(keys[texts], places.astype(np.uint64)))
        return drawn, np.bincount(texts, counts, len(lengths)).astype(np.int64)

    def _numbers(self, ids: _Ints, starts: _Ints) -> _Ints:
        """What `_add` returned for each word."""
        data, found = ids.astype(np.int32).tobytes(), []
        for start, end in pairwise([*(4 * starts).tolist(), len(data)]):
            word = data[start:end]
            number = self._words.get(word)
            if number is None:
                number = self._words[word] = self._add(np.frombuffer(word, np.int32).tolist())
            found.append(number)
        return np.array(found, np.int64)

    def _text(self, ids: Sequence[int]) -> str:
        return "".join(self._tokens[index] for index in ids)

    @abstractmethod
    def _clear(self) -> None:
        """Forget all words."""

    @abstractmethod
    def _entries(self) -> int:
        """Size of the tables."""

    @abstractmethod
    def _add(self, word: list[int]) -> int:
        """Add the tables of a word; returns the row that its draw begins in."""

    @abstractmethod
    def _drawn(self, rows: _Ints, keys: Keys) -> tuple[npt.NDArray[np.int32], _Ints]:
        """The ids of all words, drawn from the rows of their tables, and the number of ids of each word."""


class Unigram(SubwordSampler):
    """Forward filtering, backward sampling in the lattice of a word.

    A row stands for a place in a word, and has an entry for each token that ends there: the sum of the row number and of the
    probabilities of the tokens up to this one. So the entries ascend over all rows, and one search finds the token of a draw.
    """

    def _clear(self) -> None:
        self._sums, self._tokens_at, self._before = _Growing(np.float64), _Growing(np.int32), _Growing(np.int64)
        self._rows = 0

    def _entries(self) -> int:
        return len(self._sums)

    def _add(self, word: list[int]) -> int:
        if self._stays[word[0]]:
            return self._row([(0.0, word[0], -1)])
        text = self._text(word)
        # Logarithms of the summed weights of all ways to a place, and the row of the place; no token may end there.
        ways: list[tuple[float, int] | None] = [(0.0, -1)]
        for end in range(1, len(text) + 1):
            found = []
            for start in range(max(0, end - self._longest), end):
                way, token = ways[start], text[start:end]
                if way and token in self._ids:
                    found.append((way[0] + self._rate * self._scores[token], self._ids[token], way[1]))
            top = max((weight for weight, _, _ in found), default=0.0)
            total = top + math.log(sum(math.exp(weight - top) for weight, _, _ in found)) if found else 0.0
            ways.append((total, self._row([(weight - total, *rest) for weight, *rest in found])) if found else None)
        last = ways[-1]
        if last is None:
            raise ValueError(f"no segmentation of {text!r}")
        return last[1]

    def _row(self, entries: list[Any]) -> int:
        """Add a row of (logarithm of the probability, token, row of the place before it; -1: the beginning)."""
        row, total = self._rows, 0.0
        sums = []
        for log_p, _, _ in entries[:-1]:
            total += math.exp(log_p)
            sums.append(row + total)
        # Exactly 1, so that no draw reaches the next row.
        self._sums.extend([*sums, row + 1.0])
        self._tokens_at.extend(token for _, token, _ in entries)
        self._before.extend(before for _, _, before in entries)
        self._rows += 1
        return row

    def _drawn(self, rows: _Ints, keys: Keys) -> tuple[npt.NDArray[np.int32], _Ints]:
        sums, tokens, before = self._sums.values, self._tokens_at.values, self._before.values
        counts, steps, active = np.zeros(len(rows), np.int64), list[tuple[_Ints, _Ints]](), np.arange(len(rows))
        while len(active):
            entries = np.searchsorted(sums, rows + _uniform(keys[active], len(steps)), "right")
            steps.append((active, tokens[entries]))
            counts[active] += 1
            rows = before[entries]
            active, rows = active[rows >= 0], rows[rows >= 0]
        ends = np.cumsum(counts)
        ids = np.empty(counts.sum(), np.int32)
        # From the last token of each word to its first.
        for step, (words, found) in enumerate(steps, 1):
            ids[ends[words] - step] = found
        return ids, counts


class BytePairs(SubwordSampler):
    """Byte-pair encoding with dropout.

    A row stands for a word between two decisions: where it is still cut, and which pairs were left out. It is added when a draw
    first comes to it. Its entries are the rows after leaving out its best pair, and after merging it.
    """

    def _clear(self) -> None:
        self._after, self._result = _Growing(np.int64), _Growing(np.int64)
        self._states: list[tuple[str, tuple[int, ...], tuple[int, ...], int]] = []
        self._ids_of, self._ends = _Growing(np.int32), _Growing(np.int64)
        self._ends.extend([0])

    def _entries(self) -> int:
        return len(self._states)

    def _add(self, word: list[int]) -> int:
        if self._stays[word[0]]:
            return self._row("", (), (), 0, word)
        text = self._text(word)
        return self._state(text, tuple(range(len(text) + 1)), ())

    def _state(self, text: str, cuts: tuple[int, ...], left_out: tuple[int, ...]) -> int:
        """Add the row of a word with these cuts, its beginning and end among them; `left_out` are cuts that are to stay."""
        best, top = 0, -math.inf
        for k in range(1, len(cuts) - 1):
            score = self._scores.get(text[cuts[k - 1] : cuts[k + 1]]) if cuts[k] not in left_out else None
            # Of equal pairs the first, as in SentencePiece.
            if score is not None and score > top:
                best, top = k, score
        ids = [] if best else [self._ids[text[start:end]] for start, end in pairwise(cuts)]
        return self._row(text, cuts, left_out, best, ids)

    def _row(self, text: str, cuts: tuple[int, ...], left_out: tuple[int, ...], best: int, ids: list[int]) -> int:
        self._states.append((text, cuts, left_out, best))
        self._after.extend([-1, -1])
        self._result.extend([len(self._ends) - 1 if ids else -1])
        if ids:
            self._ids_of.extend(ids)
            self._ends.extend([len(self._ids_of)])
        return len(self._states) - 1

    def _decided(self, row: int, merged: bool) -> int:
        """Add the row after a decision."""
        text, cuts, left_out, best = self._states[row]
        if not merged:
            return self._state(text, cuts, (*left_out, cuts[best]))
        # The neighbours of what was merged are other pairs now.
        again = (cuts[best - 1], cuts[best + 1])
        return self._state(text, cuts[:best] + cuts[best + 1 :], tuple(cut for cut in left_out if cut not in again))

    def _drawn(self, rows: _Ints, keys: Keys) -> tuple[npt.NDArray[np.int32], _Ints]:
        results, active, step = np.zeros(len(rows), np.int64), np.arange(len(rows)), 0
        while True:
            found = self._result.values[rows]
            results[active[found >= 0]] = found[found >= 0]
            active, rows = active[found < 0], rows[found < 0]
            if not len(active):
                break
            places = 2 * rows + (_uniform(keys[active], step) >= self._rate)
            for place in np.unique(places[self._after.values[places] < 0]).tolist():
                made = self._decided(place // 2, bool(place % 2))
                self._after.values[place] = made
            rows, step = self._after.values[places], step + 1
        ids, ends = self._ids_of.values, self._ends.values
        counts = ends[results + 1] - ends[results]
        after = np.cumsum(counts)
        return ids[np.repeat(ends[results + 1] - after, counts) + np.arange(counts.sum())], counts


SAMPLERS: Mapping[str, type[SubwordSampler]] = MappingProxyType({"bpe": BytePairs, "unigram": Unigram})
"""By level."""
