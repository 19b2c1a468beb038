"""Scores of a test set, with bootstrap intervals: in total, and by length of the source.

Every score has its signature (Post 2018, "A Call for Clarity in Reporting BLEU Scores"). sacreBLEU's signature leaves out the
n-gram order, which is always 4 for BLEU here. The bootstrap takes about 80 bytes of memory per sentence and resample.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from wordseq.config.arguments import whole_number
from wordseq.evaluation.metrics.bleu import DEFAULT_SEED, bleu, sacrebleu_metrics, sacrebleu_seed
from wordseq.evaluation.metrics.references import matching_texts, reference_columns
from wordseq.system.progress import counted

WIDE_INTERVAL = 8.0
"""Width of BLEU's 95 % interval, in points, from which a report states how wide it is."""

FEW_SENTENCES = 30
"""With fewer sentences the bootstrap makes intervals too narrow; with one sentence their width is 0."""

# Equal steps where most sentences are. (0, 0) is for empty lines of given test files.
LENGTH_BUCKETS = ((0, 0), (1, 5), (6, 10), (11, 15), (16, 20), (21, 30), (31, None))

# The largest value of each metric. TER has none: a long hypothesis needs more edits than the reference has words.
_HIGHEST = MappingProxyType({"bleu": 100.0, "chrf": 100.0, "ter": math.inf})


@dataclass(frozen=True)
class Score:
    """One metric over a test set.

    Attributes:
        name: sacreBLEU's name of the metric: BLEU, chrF2 or TER.
        score: BLEU and chrF2 from 0 to 100, higher is better; TER in percent from 0 upwards, lower is better.
        ci95: lower and upper end of the 95 % bootstrap interval, in the unit of `score`.
        signature: complete sacreBLEU signature.
        mean: mean of the resamples; sacreBLEU prints it as μ.
        half_width: half the width of the interval; sacreBLEU prints it after ±.
    """

    name: str
    score: float
    ci95: tuple[float, float]
    signature: str
    mean: float
    half_width: float

    def __float__(self) -> float:
        return self.score


def score_corpus(
    hyps: Iterable[str],
    refs: Iterable[Iterable[str]],
    *,
    tokenize: str = "13a",
    lowercase: bool = False,
    bootstrap: int = 1000,
    seed: int = DEFAULT_SEED,
) -> dict[str, Score]:
    """BLEU, chrF and TER of detokenized text, with 95 % intervals: keys "bleu", "chrf", "ter".

    The interval is sacreBLEU's: the mean of the resamples, plus and minus half the width of their middle 95 % (Koehn 2004). It
    is clipped to 0 and 100. If it does not contain the score, because of rounding or very few sentences, it is widened.

    `tokenize="none", lowercase=True` scores tokenized text, as older papers do. `tokenize` applies to BLEU only: chrF ignores
    spaces, TER splits at them. `lowercase` applies to BLEU and chrF: TER always ignores case (`case:lc` in its signature).

    Args:
        hyps: one hypothesis for each sentence: a list, a generator, an open file, a pandas Series or a NumPy array.
        refs: `refs[i]` are the references of sentence i, one or more; their number may differ.
        tokenize: one of `BLEU_TOKENIZERS`.
        lowercase: whether case is ignored.
        bootstrap: number of resamples, at least 2.
        seed: random seed of the resamples, at least 1; an equal seed gives the interval of sacreBLEU's command line.

    Raises:
        TypeError: a text is not a string, an argument is one string or not a list, or a number is not a whole number.
        ValueError: hypotheses and references do not fit together, or an argument is out of range.
    """
    hyps, columns = reference_columns(hyps, refs)
    bootstrap = whole_number("bootstrap", bootstrap, 2)
    scores = {}
    with sacrebleu_seed(seed):
        for key, metric in sacrebleu_metrics(tokenize, lowercase).items():
            result = metric.corpus_score(hyps, columns, n_bootstrap=bootstrap)
            # sacreBLEU has no public names for the two numbers that it prints as "μ = mean ± ci".
            score, mean, half = float(result.score), float(result._mean), float(result._ci)
            interval = min(max(mean - half, 0.0), score), max(min(mean + half, _HIGHEST[key]), score)
            scores[key] = Score(result.name, score, interval, str(metric.get_signature()), mean, half)
    return scores


def interval_note(score: Score, sentences: int) -> str | None:
    """A line that states how wide a 95 % interval is, and what would narrow it; None if there is no need for it."""
    low, high = score.ci95
    wide, few = high - low >= WIDE_INTERVAL, sentences < FEW_SENTENCES
    if not (wide or few):
        return None
    found = (
        f"note: the 95 % interval of {score.name} is {high - low:.1f} points wide ({low:.1f} to {high:.1f}, "
        f"{counted(sentences, 'sentence')})"
    )
    more = "set data.test_size for a new run, or score more sentences with --src and --ref"
    if few:
        return f"{found}. With so few sentences the true one is wider. Score {FEW_SENTENCES} sentences or more: {more}"
    return f"{found}. Four times as many would halve it: {more}"


def by_length(
    sources: Iterable[str],
    hyps: Iterable[str],
    refs: Iterable[Iterable[str]],
    *,
    tokenize: str = "13a",
    lowercase: bool = False,
) -> list[dict[str, Any]]:
    """BLEU by source length in space-separated words, which is the same unit at every token level.

    Returns:
        For each bucket of `LENGTH_BUCKETS` with sentences: `words` such as "6-10", `sentences`, `bleu`.
    """
    sources, hyps, refs = matching_texts(sources, hyps, refs)
    lengths = [len(source.split()) for source in sources]
    rows = []
    for low, high in LENGTH_BUCKETS:
        chosen = [i for i, length in enumerate(lengths) if low <= length and (high is None or length <= high)]
        if chosen:
            score = bleu([hyps[i] for i in chosen], [refs[i] for i in chosen], tokenize=tokenize, lowercase=lowercase)
            words = f"{low}+" if high is None else str(low) if low == high else f"{low}-{high}"
            rows.append({"words": words, "sentences": len(chosen), "bleu": score})
    return rows
