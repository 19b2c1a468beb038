"""Metrics of words: exact matches, error rates of symbols, characters and words, and F1 of subwords; with intervals and tests.

Each is 100 times a sum over the sentences divided by another. So a resample needs two numbers for each sentence, and all
resamples together are one matrix product. Draws, intervals and p-values follow sacreBLEU. Edit distances are Levenshtein's
(1966), computed by RapidFuzz.

Runs of white space count as one space here, and none at the ends of a text.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from rapidfuzz.distance import LCSseq, Levenshtein

from wordseq.evaluation.metrics.symbols import Symbols, has_subwords, quoted
from wordseq.system.platform import installed_version

Ratios = Mapping[str, npt.NDArray[np.float64]]
"""By key of the metric, `[n, 2]`: what each sentence adds to the numerator and to the denominator."""

_CHUNK = 2**22
"""Draws times sentences that are in memory at once, as numbers of 8 bytes."""


def word_ratios(
    hyps: Sequence[str], refs: Sequence[Sequence[str]], symbols: Symbols, *, lowercase: bool = False
) -> dict[str, npt.NDArray[np.float64]]:
    """What each sentence adds to the metrics "exact", "ser", "cer", "wer", and "f1" and its two parts.

    Of several references, error rates take the one with the lowest rate, and F1 the one with the highest F1.

    Args:
        hyps: a hypothesis for each sentence.
        refs: its references.
        symbols: of the targets.
        lowercase: whether case is ignored.

    Returns:
        `[n, 2]` for each metric: 100 times the sum of the first column, divided by that of the second, is the score. Without
        subwords in the references there is no F1.
    """
    if lowercase:
        symbols = replace(symbols, separator=symbols.separator.lower())
    hyps = [_clean(hyp, lowercase) for hyp in hyps]
    refs = [[_clean(ref, lowercase) for ref in choices] for choices in refs]
    pairs = list(zip(hyps, refs, strict=True))
    cuts: dict[str, Callable[[str], Sequence[str]]] = {"ser": symbols.cut, "cer": str, "wer": str.split}
    found = {"exact": [(float(hyp in choices), 1.0) for hyp, choices in pairs]}
    for key, cut in cuts.items():
        found[key] = [_fewest_edits(cut(hyp), [cut(ref) for ref in choices]) for hyp, choices in pairs]
    if has_subwords(symbols, refs):
        cut_pairs = [(_subwords(hyp, symbols), [_subwords(ref, symbols) for ref in choices]) for hyp, choices in pairs]
        counts = [_most_subwords(hyp, choices) for hyp, choices in cut_pairs]
        # F1 = 2PR / (P + R), with P = right / guessed and R = right / wanted.
        found["f1"] = [(2 * right, guessed + wanted) for right, guessed, wanted in counts]
        found["subword_precision"] = [(right, guessed) for right, guessed, _ in counts]
        found["subword_recall"] = [(right, wanted) for right, _, wanted in counts]
    return {key: np.array(rows, np.float64) for key, rows in found.items()}


def _clean(text: str, lowercase: bool) -> str:
    text = " ".join(text.split())
    return text.lower() if lowercase else text


def _fewest_edits(hyp: Sequence[str], choices: Sequence[Sequence[str]]) -> tuple[float, float]:
    """Edit distance to the nearest of several references, and its length."""
    found = [(Levenshtein.distance(hyp, ref), len(ref)) for ref in choices]
    # With equal rates the shorter one, so that the order of the references makes no difference.
    edits, length = min(found, key=lambda one: (_rate(*one), one))
    return float(edits), float(length)


def _rate(edits: int, length: int) -> float:
    return edits / length if length else math.inf if edits else 0.0


def _subwords(text: str, symbols: Symbols) -> list[str]:
    """The subwords of a text, as SIGMORPHON 2022's `evaluate.py` cuts it: spaces end a subword too, and so does a bar."""
    return text.replace(symbols.subword_mark, "|").replace(" ", "|").split("|")


def _most_subwords(hyp: Sequence[str], choices: Sequence[Sequence[str]]) -> tuple[float, float, float]:
    """Subwords that are right, that were guessed, and that were wanted, by the reference with the highest F1.

    As in SIGMORPHON's scorer, the right ones are the longest common subsequence: they must be in the order of the reference.
    """
    found = [(LCSseq.similarity(hyp, ref), len(ref)) for ref in choices]
    right, wanted = max(found, key=lambda one: (one[0] / (len(hyp) + one[1]), -one[1]))
    return float(right), float(len(hyp)), float(wanted)


def percent(sums: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Scores from sums `[..., 2]`. Where the references are empty, any output is 100 % wrong, as in sacreBLEU's TER."""
    above, below = sums[..., 0], sums[..., 1]
    return np.where(below > 0, 100 * above / np.maximum(below, 1), 100.0 * (above > 0))


def resampled(ratios: Sequence[npt.NDArray[np.float64]], draws: int, seed: int) -> npt.NDArray[np.float64]:
    """Scores of bootstrap resamples, with sacreBLEU's draws: `[k, draws]` for k arrays `[n, 2]`."""
    table = np.concatenate(ratios, axis=1)
    rng, size = np.random.default_rng(seed), len(table)
    sums = []
    for count in _chunks(draws, size):
        drawn = rng.choice(size, size=(count, size), replace=True) + size * np.arange(count)[:, None]
        times = np.bincount(drawn.ravel(), minlength=count * size).reshape(count, size)
        sums.append(times.astype(np.float64) @ table)
    return percent(_by_array(np.concatenate(sums), len(ratios)))


def _chunks(draws: int, size: int) -> Iterator[int]:
    """Numbers of draws to make at a time."""
    most = max(_CHUNK // size, 1)
    for start in range(0, draws, most):
        yield min(most, draws - start)


def _by_array(sums: npt.NDArray[np.float64], count: int) -> npt.NDArray[np.float64]:
    """`[draws, 2k]` as `[k, draws, 2]`."""
    return sums.reshape(len(sums), count, 2).transpose(1, 0, 2)


def exchanged(
    first: Sequence[npt.NDArray[np.float64]], second: Sequence[npt.NDArray[np.float64]], draws: int, seed: int
) -> npt.NDArray[np.float64]:
    """Differences between two systems whose outputs were exchanged at random, with sacreBLEU's draws: `[k, draws]`."""
    one, other = np.concatenate(first, axis=1), np.concatenate(second, axis=1)
    # All at once: drawn in parts, the bits would not be sacreBLEU's.
    kept = np.random.default_rng(seed).integers(2, size=(draws, len(one)), dtype=bool)
    change, start = one - other, 0
    taken = []
    for count in _chunks(draws, len(one)):
        taken.append(kept[start : start + count].astype(np.float64) @ change)
        start += count
    moved = np.concatenate(taken)
    scores = [percent(_by_array(sums, len(first))) for sums in (other.sum(0) + moved, one.sum(0) - moved)]
    return np.abs(scores[0] - scores[1])


def p_value(statistics: npt.NDArray[np.float64], difference: float) -> float:
    """The share of draws whose statistic is above the difference of the systems, as sacreBLEU counts it.

    Args:
        statistics: of each draw.
        difference: of the systems, without its sign.
    """
    count = int((statistics > difference).sum())
    return (count + 1) / (len(statistics) + 1)


def signature(refs: Sequence[Sequence[str]], draws: str, seed: int, lowercase: bool, symbols: str = "") -> str:
    """A signature in the form of sacreBLEU's.

    Args:
        refs: references of each sentence.
        draws: such as "bs:1000".
        seed: of the draws.
        lowercase: whether case is ignored.
        symbols: what the metric counts; empty: complete outputs.
    """
    numbers = {len(choices) for choices in refs}
    parts = [f"nrefs:{numbers.pop() if len(numbers) == 1 else 'var'}", draws, f"seed:{seed}"]
    parts += [f"case:{'lc' if lowercase else 'mixed'}", *([f"symbols:{symbols}"] if symbols else [])]
    return "|".join([*parts, f"version:wordseq-{installed_version('wordseq') or 'unknown'}"])


def counted_symbols(key: str, symbols: Symbols) -> str:
    """What a metric counts, for its signature; empty for "exact"."""
    subwords = f"subword({quoted(symbols.subword_mark)})"
    return {"exact": "", "ser": symbols.name, "cer": "char", "wer": "space"}.get(key, subwords)
