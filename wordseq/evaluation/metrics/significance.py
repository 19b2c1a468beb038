"""Paired significance tests by sacreBLEU."""

from collections.abc import Iterable
from dataclasses import dataclass
from types import MappingProxyType

from sacrebleu.significance import PairedTest

from wordseq.config.arguments import whole_number
from wordseq.evaluation.metrics.bleu import DEFAULT_SEED, sacrebleu_metrics, sacrebleu_seed
from wordseq.evaluation.metrics.references import reference_columns, reference_lists

PAIRED_DRAWS = MappingProxyType({"bs": 1_000, "ar": 10_000})
"""sacreBLEU's paired tests, with the number of resamples or trials of its command line."""


@dataclass(frozen=True)
class PairedScore:
    """The difference between a system and the baseline, and its significance.

    Attributes:
        name: sacreBLEU's name of the metric.
        difference: score of the system minus score of the baseline.
        p_value: probability, 0-1, of a difference at least as large if both systems are equally good.
        signature: sacreBLEU signature, with the number of resamples (bs) or trials (ar) and the seed.
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
    draws: int = 0,
    seed: int = DEFAULT_SEED,
) -> list[dict[str, PairedScore]]:
    """Compare each system with the first by a paired test of sacreBLEU; errors as `score_corpus`.

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
        draws: number of resamples or trials; 0: that of sacreBLEU's command line, 1,000 or 10,000.
        seed: random seed of the draws, at least 1.

    Returns:
        For each system but the first: keys "bleu", "chrf", "ter".
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
        # p = (count + 1) / (draws + 1). sacreBLEU counts only draws whose difference is larger than that of the systems, so
        # identical outputs have count 0.
        differ = difference or p_value * (draws + 1) > 1.5
        return PairedScore(name, difference, p_value if differ else 1.0, str(signatures[name]))

    return [{key: paired_score(name, k) for key, name in names.items()} for k in range(1, len(systems))]
