"""Paired significance tests: by sacreBLEU for its metrics, and with its draws and its p-values for those of words."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
from sacrebleu.significance import PairedTest

from wordseq.config.arguments import whole_number
from wordseq.evaluation.metrics.bleu import DEFAULT_SEED, sacrebleu_metrics, sacrebleu_seed
from wordseq.evaluation.metrics.names import NAMES
from wordseq.evaluation.metrics.references import reference_columns, reference_lists
from wordseq.evaluation.metrics.symbols import Symbols, symbols_of_texts
from wordseq.evaluation.metrics.words import (
    counted_symbols,
    exchanged,
    p_value,
    percent,
    resampled,
    signature,
    word_ratios,
)

PAIRED_DRAWS = MappingProxyType({"bs": 1_000, "ar": 10_000})
"""sacreBLEU's paired tests, with the number of resamples or trials of its command line."""


@dataclass(frozen=True)
class PairedScore:
    """The difference between a system and the baseline, and its significance.

    Attributes:
        name: of the metric.
        difference: score of the system minus score of the baseline.
        p_value: probability, 0-1, of a difference at least as large if both systems are equally good.
        signature: in sacreBLEU's form, with the number of resamples (bs) or trials (ar) and the seed.
    """

    name: str
    difference: float
    p_value: float
    signature: str


def paired_tests(
    test: str,
    systems: Iterable[Iterable[str]],
    refs: Iterable[Iterable[str]],
    *,
    tokenize: str = "13a",
    lowercase: bool = False,
    symbols: Symbols | None = None,
    draws: int = 0,
    seed: int = DEFAULT_SEED,
) -> list[dict[str, PairedScore]]:
    """Compare each system with the first by a paired test; errors as `score_corpus`.

    The p-values are those of sacreBLEU's command line, with one exception: for identical outputs sacreBLEU reports the
    smallest possible p; we report 1.

    If two systems differ in n sentences only, 2^(1-n) of all exchanges keep the difference or change its sign. A randomisation
    test should count them. sacreBLEU does not, so its p-value is too small for n below 10.

    Args:
        test: "bs", the paired bootstrap (Koehn 2004), or "ar", approximate randomisation (Riezler and Maxwell 2005), two-sided.
        systems: hypotheses of two or more systems, the baseline first.
        refs: references of each sentence.
        tokenize: one of `BLEU_TOKENIZERS`.
        lowercase: whether case is ignored.
        symbols: of the targets, as for `score_corpus`.
        draws: number of resamples or trials; 0: that of sacreBLEU's command line, 1,000 or 10,000.
        seed: random seed of the draws, at least 1.

    Returns:
        For each system but the first: a score for each key of `score_corpus`.
    """
    if test not in PAIRED_DRAWS:
        raise ValueError(f"unknown paired test {test!r}; choose from {', '.join(PAIRED_DRAWS)}")
    systems = list(systems)
    if len(systems) < 2:
        raise ValueError(f"a paired test needs at least 2 systems, got {len(systems)}")
    refs = reference_lists(refs)
    checked = [reference_columns(hyps, refs, f"systems[{k}]") for k, hyps in enumerate(systems)]
    columns = checked[0][1]
    draws = whole_number("draws", draws, 0) or PAIRED_DRAWS[test]
    metrics = sacrebleu_metrics(tokenize, lowercase)
    named = [(str(k), hyps) for k, (hyps, _) in enumerate(checked)]
    with sacrebleu_seed(seed):
        signatures, results = PairedTest(named, metrics, columns, test_type=test, n_samples=draws)()
    # sacreBLEU's results have its own names of the metrics, in the order of `metrics`.
    names = dict(zip(metrics, (name for name in results if name != "System"), strict=True))

    def paired_score(name: str, k: int) -> PairedScore:
        baseline, system = results[name][0], results[name][k]
        difference, p_value = float(system.score) - float(baseline.score), float(system.p_value)
        return PairedScore(name, difference, _p_of_equals(difference, p_value, draws), str(signatures[name]))

    words = _word_tests(test, [hyps for hyps, _ in checked], refs, symbols, lowercase, draws, seed)
    return [
        {key: paired_score(name, k) for key, name in names.items()} | of_words for k, of_words in enumerate(words, 1)
    ]


def _p_of_equals(difference: float, p_value: float, draws: int) -> float:
    """The p-value, or 1 for identical outputs.

    p = (count + 1) / (draws + 1). Only draws whose difference is larger than that of the systems are counted, so identical
    outputs have count 0.
    """
    return p_value if difference or p_value * (draws + 1) > 1.5 else 1.0


def _word_tests(
    test: str,
    systems: Sequence[Sequence[str]],
    refs: Sequence[Sequence[str]],
    symbols: Symbols | None,
    lowercase: bool,
    draws: int,
    seed: int,
) -> list[dict[str, PairedScore]]:
    """The tests of the metrics of words."""
    symbols = symbols or symbols_of_texts(refs)
    first, *others = [word_ratios(hyps, refs, symbols, lowercase=lowercase) for hyps in systems]
    tables = [list(ratios.values()) for ratios in (first, *others)]
    scores = [np.array([percent(rows.sum(0)) for rows in table]) for table in tables]
    if test == "bs":
        # One pass for all systems, which get the same resamples.
        of_all = resampled([rows for table in tables for rows in table], draws, seed).reshape(len(tables), -1, draws)
        gaps = np.abs(of_all[1:] - of_all[0])
        statistics = gaps - gaps.mean(-1, keepdims=True)
    else:
        statistics = np.stack([exchanged(tables[0], table, draws, seed) for table in tables[1:]])
    signed = {key: signature(refs, f"{test}:{draws}", seed, lowercase, counted_symbols(key, symbols)) for key in first}

    def paired_score(key: str, difference: float, of_draws: npt.NDArray[np.float64]) -> PairedScore:
        found = p_value(of_draws, abs(difference))
        return PairedScore(NAMES[key], difference, _p_of_equals(difference, found, draws), signed[key])

    return [
        {key: paired_score(key, float(differences[m]), statistics[k, m]) for m, key in enumerate(first)}
        for k, differences in enumerate(scores[k] - scores[0] for k in range(1, len(scores)))
    ]
