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
from wordseq.evaluation.metrics.names import NAMES, SENTENCES, UNITS, WORDS
from wordseq.evaluation.metrics.references import matching_texts, reference_columns
from wordseq.evaluation.metrics.symbols import Symbols, symbols_of_texts, task_of
from wordseq.evaluation.metrics.words import counted_symbols, percent, resampled, signature, word_ratios
from wordseq.system.progress import counted
from wordseq.text.features import word_of

WIDE_INTERVAL = 8.0
"""Width of BLEU's 95 % interval, in points, from which a report states how wide it is."""

FEW_SENTENCES = 30
"""With fewer sentences the bootstrap makes intervals too narrow; with one sentence their width is 0."""

# Equal steps where most sentences are. (0, 0) is for empty lines of given test files.
LENGTH_BUCKETS = ((0, 0), (1, 5), (6, 10), (11, 15), (16, 20), (21, 30), (31, None))

# Characters of a word.
_WORD_BUCKETS = ((0, 0), (1, 3), (4, 6), (7, 9), (10, 12), (13, 16), (17, None))

# The largest value of each metric. Error rates have none: a long hypothesis needs more edits than the reference has words.
_HIGHEST = MappingProxyType(dict.fromkeys(("ter", "ser", "cer", "wer"), math.inf))


@dataclass(frozen=True)
class Score:
    """One metric over a test set.

    Attributes:
        name: of the metric, as in `NAMES`.
        score: BLEU, chrF2, EXACT, F1, Precision and Recall from 0 to 100, higher is better; TER, SER, CER and WER in percent
            from 0 upwards, lower is better.
        ci95: lower and upper end of the 95 % bootstrap interval, in the unit of `score`.
        signature: complete signature, by sacreBLEU or in its form.
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
    symbols: Symbols | None = None,
    bootstrap: int = 1000,
    seed: int = DEFAULT_SEED,
) -> dict[str, Score]:
    """All metrics of detokenized text, with 95 % intervals.

    The interval is sacreBLEU's: the mean of the resamples, plus and minus half the width of their middle 95 % (Koehn 2004). It
    is clipped to 0 and 100. If it does not contain the score, because of rounding or very few sentences, it is widened.

    `tokenize="none", lowercase=True` scores tokenized text, as older papers do. `tokenize` applies to BLEU only: chrF ignores
    spaces, TER splits at them. `lowercase` applies to all but TER, which always ignores case (`case:lc` in its signature).

    Args:
        hyps: one hypothesis for each sentence: a list, a generator, an open file, a pandas Series or a NumPy array.
        refs: `refs[i]` are the references of sentence i, one or more; their number may differ.
        tokenize: one of `BLEU_TOKENIZERS`.
        lowercase: whether case is ignored.
        symbols: of the targets, for SER and F1; None: see `symbols_of_texts`.
        bootstrap: number of resamples, at least 2.
        seed: random seed of the resamples, at least 1; an equal seed gives the interval of sacreBLEU's command line.

    Returns:
        Keys "bleu", "chrf", "ter", "exact", "ser", "cer", "wer". Where references have subwords (`has_subwords`), also "f1",
        "subword_precision", "subword_recall".

    Raises:
        TypeError: a text is not a string, an argument is one string or not a list, or a number is not a whole number.
        ValueError: hypotheses and references do not fit together, or an argument is out of range.
    """
    hyps, columns = reference_columns(hyps, refs)
    lists = [[ref for ref in row if ref is not None] for row in zip(*columns, strict=True)]
    bootstrap = whole_number("bootstrap", bootstrap, 2)
    scores = {}
    with sacrebleu_seed(seed):
        for key, metric in sacrebleu_metrics(tokenize, lowercase).items():
            result = metric.corpus_score(hyps, columns, n_bootstrap=bootstrap)
            # sacreBLEU has no public names for the two numbers that it prints as "μ = mean ± ci".
            score, mean, half = float(result.score), float(result._mean), float(result._ci)
            scores[key] = _score(key, score, mean, half, str(metric.get_signature()))
    symbols = symbols or symbols_of_texts(lists)
    ratios = word_ratios(hyps, lists, symbols, lowercase=lowercase)
    for (key, rows), draws in zip(ratios.items(), resampled(list(ratios.values()), bootstrap, seed), strict=True):
        draws.sort()
        # The middle 95 %, as sacreBLEU takes it.
        half = float(draws[-1 - bootstrap // 40] - draws[bootstrap // 40]) / 2
        signed = signature(lists, f"bs:{bootstrap}", seed, lowercase, counted_symbols(key, symbols))
        scores[key] = _score(key, float(percent(rows.sum(0))), float(draws.mean()), half, signed)
    return scores


def _score(key: str, score: float, mean: float, half: float, signed: str) -> Score:
    interval = min(max(mean - half, 0.0), score), max(min(mean + half, _HIGHEST.get(key, 100.0)), score)
    return Score(NAMES[key], score, interval, signed, mean, half)


def interval_note(score: Score, sentences: int, task: str = SENTENCES) -> str | None:
    """A line that states how wide a 95 % interval is, and what would narrow it; None if there is no need for it.

    Args:
        score: of the metric.
        sentences: number of outputs.
        task: a key of `UNITS`.
    """
    unit = UNITS[task]
    low, high = score.ci95
    wide, few = high - low >= WIDE_INTERVAL, sentences < FEW_SENTENCES
    if not (wide or few):
        return None
    found = (
        f"note: the 95 % interval of {score.name} is {high - low:.1f} points wide ({low:.1f} to {high:.1f}, "
        f"{counted(sentences, unit)})"
    )
    more = f"set data.test_size for a new run, or score more {unit}s with --src and --ref"
    if few:
        return f"{found}. With so few {unit}s the true one is wider. Score {FEW_SENTENCES} {unit}s or more: {more}"
    return f"{found}. Four times as many would halve it: {more}"


def by_length(
    sources: Iterable[str],
    hyps: Iterable[str],
    refs: Iterable[Iterable[str]],
    *,
    tokenize: str = "13a",
    lowercase: bool = False,
    symbols: Symbols | None = None,
) -> list[dict[str, Any]]:
    """Scores by source length: of sentences in space-separated words, of words in characters; features do not count.

    Words and characters are the same units at every token level.

    Returns:
        For each bucket with sentences: `words` such as "6-10", `sentences`, `bleu`. Where outputs are words (`task_of`):
        `characters` such as "4-6", `sentences`, `bleu`, `exact`, `ser`.
    """
    sources, hyps, refs = matching_texts(sources, hyps, refs)
    symbols = symbols or symbols_of_texts(refs)
    words = task_of(symbols, refs) == WORDS
    texts = list(map(word_of, sources))
    lengths = [len(text) if words else len(text.split()) for text in texts]
    ratios = word_ratios(hyps, refs, symbols, lowercase=lowercase) if words else {}
    rows = []
    for low, high in _WORD_BUCKETS if words else LENGTH_BUCKETS:
        chosen = [i for i, length in enumerate(lengths) if low <= length and (high is None or length <= high)]
        if chosen:
            score = bleu([hyps[i] for i in chosen], [refs[i] for i in chosen], tokenize=tokenize, lowercase=lowercase)
            shown = f"{low}+" if high is None else str(low) if low == high else f"{low}-{high}"
            more = {key: float(percent(ratios[key][chosen].sum(0))) for key in ("exact", "ser")} if words else {}
            rows.append({"characters" if words else "words": shown, "sentences": len(chosen), "bleu": score, **more})
    return rows
