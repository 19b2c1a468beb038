"""Paired significance tests by sacreBLEU."""

from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from sacrebleu.significance import PairedTest

from wordseq.evaluation.metrics import DEFAULT_SEED, _metrics, _reference_columns, _sacrebleu_seed

PAIRED_DRAWS = MappingProxyType({"bs": 1_000, "ar": 10_000})
"""sacreBLEU's paired tests, and how many resamples or trials its command line draws."""


@dataclass(frozen=True)
class PairedScore:
    """How far one system is from another, and whether chance explains it.

    Attributes:
        name: sacreBLEU's name of the metric.
        difference: score of the system minus score of the baseline.
        p_value: probability, 0-1, of a difference as large when the two are equally good.
        signature: sacreBLEU's, with the number of resamples (bs) or of trials (ar) and the seed.
    """

    name: str
    difference: float
    p_value: float
    signature: str


def paired_bootstrap(
    hyps: Sequence[str],
    baseline: Sequence[str],
    refs: Sequence[Sequence[str]],
    *,
    tokenize: str = "13a",
    lowercase: bool = False,
    resamples: int = 1000,
    seed: int = DEFAULT_SEED,
) -> dict[str, PairedScore]:
    """Paired bootstrap test of Koehn 2004 by sacreBLEU: keys "bleu", "chrf", "ter"; see `score_corpus` for the rest.

    The p-value is that of sacreBLEU's command line, with one exception: it counts only resamples that differ by more
    than the systems do, so it gives systems that no resample tells apart the smallest p there is. They get 1 here.
    """
    return paired_tests(
        "bs", [baseline, hyps], refs, tokenize=tokenize, lowercase=lowercase, draws=resamples, seed=seed
    )[0]


def paired_randomisation(
    hyps: Sequence[str],
    baseline: Sequence[str],
    refs: Sequence[Sequence[str]],
    *,
    tokenize: str = "13a",
    lowercase: bool = False,
    trials: int = 10_000,
    seed: int = DEFAULT_SEED,
) -> dict[str, PairedScore]:
    """Paired approximate randomisation (Riezler and Maxwell 2005) by sacreBLEU, two-sided; as `paired_bootstrap`.

    Where the systems differ in n sentences only, 2^(1-n) of all exchanges leave the difference as it is or turn its
    sign. A p-value should count them; sacreBLEU's, which is given here, does not, and is too small for n below 10.
    """
    return paired_tests("ar", [baseline, hyps], refs, tokenize=tokenize, lowercase=lowercase, draws=trials, seed=seed)[
        0
    ]


def paired_tests(
    test: str,
    systems: Sequence[Sequence[str]],
    refs: Sequence[Sequence[str]],
    *,
    tokenize: str = "13a",
    lowercase: bool = False,
    draws: int = 0,
    seed: int = DEFAULT_SEED,
) -> list[dict[str, PairedScore]]:
    """Each system against the first by sacreBLEU's paired test; arguments and errors as `score_corpus`.

    Args:
        test: "bs", the paired bootstrap, or "ar", approximate randomisation; see `paired_bootstrap` and
            `paired_randomisation`.
        systems: hypotheses of two systems or more, the baseline first.
        refs: references of each sentence.
        tokenize: one of `TOKENIZERS`.
        lowercase: whether case is ignored.
        draws: resamples or trials; 0: as many as sacreBLEU's command line, 1,000 or 10,000.
        seed: of the draws, at least 1.

    Returns:
        For each system but the first: keys "bleu", "chrf", "ter".
    """
    if test not in PAIRED_DRAWS:
        raise ValueError(f"unknown paired test {test!r}; choose from {', '.join(PAIRED_DRAWS)}")
    if len(systems) < 2:
        raise ValueError(f"a paired test needs at least 2 systems, got {len(systems)}")
    for k, hyps in enumerate(systems):
        columns = _reference_columns(hyps, refs, f"systems[{k}]")
    draws = draws or PAIRED_DRAWS[test]
    if draws < 1:
        raise ValueError(f"a paired test needs at least 1 resample or trial, got {draws}")
    metrics = _metrics(tokenize, lowercase)
    named = [(str(k), list(hyps)) for k, hyps in enumerate(systems)]
    with _sacrebleu_seed(seed):
        signatures, results = PairedTest(named, metrics, columns, test_type=test, n_samples=draws)()
    # sacreBLEU files its results under its own names, in the order of the metrics.
    names = dict(zip(metrics, (name for name in results if name != "System"), strict=True))
    return [
        {key: _paired_score(name, results[name], k, draws, str(signatures[name])) for key, name in names.items()}
        for k in range(1, len(systems))
    ]


def _paired_score(name: str, results: Sequence[Any], k: int, draws: int, signature: str) -> PairedScore:
    baseline, system = results[0], results[k]
    difference, p_value = float(system.score) - float(baseline.score), float(system.p_value)
    told_apart = difference or p_value * (draws + 1) > 1.5
    return PairedScore(name, difference, p_value if told_apart else 1.0, signature)
