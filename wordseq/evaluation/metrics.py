"""BLEU, chrF and TER of texts, by sacreBLEU, with bootstrap intervals.

Every score has its signature (Post 2018, "A Call for Clarity in Reporting BLEU Scores"). sacreBLEU's signature leaves out the
n-gram order, which is always 4 for BLEU here. sacreBLEU gives transposed references a score of 100 without a warning, so
shapes are checked here first.

All random draws follow one `seed`. sacreBLEU reads it only from the environment variable SACREBLEU_SEED, which is set during a
call and restored afterwards. The bootstrap takes about 80 bytes of memory per sentence and resample.
"""

import contextlib
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from sacrebleu.metrics import BLEU, CHRF, TER

from wordseq.config.arguments import text_list, whole_number
from wordseq.config.schema import BLEU_TOKENIZERS
from wordseq.evaluation.edit_rate import translation_edits
from wordseq.system.progress import counted
from wordseq.text.vocab import SPECIALS, UNK_ID

DEFAULT_SEED = 12345  # sacreBLEU's own

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


def bleu(
    hyps: Iterable[str], refs: Iterable[Iterable[str]], *, tokenize: str = "13a", lowercase: bool = False
) -> float:
    """BLEU, 0-100, without an interval, for validation. Arguments and errors as `score_corpus`."""
    return float(_corpus_bleu(hyps, refs, tokenize, lowercase).score)


def with_whole_unk(hyps: Sequence[str]) -> list[str]:
    """Texts in which each <unk> is one wrong token; the tokenizer 13a would split it into `<`, `unk` and `>`."""
    return [hyp.replace(SPECIALS[UNK_ID], "\u2047") for hyp in hyps]


def length_ratio(
    hyps: Iterable[str], refs: Iterable[Iterable[str]], *, tokenize: str = "13a", lowercase: bool = False
) -> float:
    """Length of the hypotheses divided by that of the references nearest in length, as in BLEU's brevity penalty."""
    return float(_corpus_bleu(hyps, refs, tokenize, lowercase).ratio)


def sentence_bleu(
    hyps: Iterable[str], refs: Iterable[Iterable[str]], *, tokenize: str = "13a", lowercase: bool = False
) -> list[float]:
    """BLEU of each sentence, 0-100, over the n-gram orders that its hypothesis is long enough for.

    Use it to sort sentences, not to compare systems. Arguments and errors as `score_corpus`.
    """
    hyps, columns = reference_columns(hyps, refs)
    metric = _bleu_metric(tokenize, lowercase, effective_order=True)
    choices = ([ref for ref in row if ref is not None] for row in zip(*columns, strict=True))
    return [float(metric.sentence_score(hyp, some).score) for hyp, some in zip(hyps, choices, strict=True)]


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


def rectangular(refs: Sequence[Sequence[str]]) -> list[list[str]]:
    """The same number of references for each sentence, for files with one reference per line.

    sacreBLEU's files cannot leave out a reference, so a sentence with fewer repeats its references in turn. This does not
    change BLEU and chrF. It does not change TER if the number of a sentence's references divides the largest number.
    """
    most = max(map(len, refs), default=0)
    return [[choices[k % len(choices)] for k in range(most)] for choices in refs]


class _OneType:
    """A mixin that makes all scores of resamples NumPy floats.

    sacreBLEU 2.6 returns a Python float if nothing matches (chrF) or the references are blank (TER), else a NumPy float. Its
    `statistics.mean` fails on a mixture.
    """

    def _compute_score_from_stats(self, stats: Any) -> Any:
        found = super()._compute_score_from_stats(stats)  # type: ignore[misc]
        # In approximate randomisation the statistics are integers; a score must not become one.
        if hasattr(stats, "dtype") and stats.dtype.kind == "f":
            found.score = stats.dtype.type(found.score)
        return found


class _OneTypeCHRF(_OneType, CHRF):
    pass


class _OneTypeTER(_OneType, TER):
    def _compute_segment_statistics(
        self, hypothesis: str, ref_kwargs: Mapping[str, Sequence[list[str]]]
    ) -> list[float]:
        """As sacreBLEU's, which takes minutes for a document."""
        found = [translation_edits(hypothesis.split(), words) for words in ref_kwargs["ref_words"]]
        edits, lengths = zip(*found, strict=True)
        return [min(edits), sum(lengths) / len(lengths)]


def sacrebleu_metrics(tokenize: str, lowercase: bool) -> dict[str, Any]:
    """SacreBLEU's metrics by the keys "bleu", "chrf", "ter".

    Raises:
        ValueError: the tokenizer is unknown.
    """
    return {
        "bleu": _bleu_metric(tokenize, lowercase),
        "chrf": _OneTypeCHRF(lowercase=lowercase),
        "ter": _OneTypeTER(),
    }


def _bleu_metric(tokenize: str, lowercase: bool, effective_order: bool = False) -> Any:
    if tokenize not in BLEU_TOKENIZERS:
        raise ValueError(f"unknown BLEU tokenizer {tokenize!r}; choose from {', '.join(BLEU_TOKENIZERS)}")
    # `force` only suppresses the warning that the text looks tokenized.
    return BLEU(lowercase=lowercase, tokenize=tokenize, effective_order=effective_order, force=tokenize == "none")


def _corpus_bleu(hyps: Iterable[str], refs: Iterable[Iterable[str]], tokenize: str, lowercase: bool) -> Any:
    hyps, columns = reference_columns(hyps, refs)
    return _bleu_metric(tokenize, lowercase).corpus_score(hyps, columns)


def reference_columns(
    hyps: Iterable[str], refs: Iterable[Iterable[str]], name: str = "hyps"
) -> tuple[list[str], list[list[str | None]]]:
    """Hypotheses, and references in sacreBLEU's layout: column j has reference j of each sentence, or None.

    Args:
        hyps: hypotheses.
        refs: references of each sentence.
        name: name of the hypotheses in errors.

    Raises:
        TypeError: hypotheses or references are not lists of strings.
        ValueError: there are no sentences, or hypotheses and references differ in number.
    """
    hyps = text_list(name, hyps)
    if not hyps:
        raise ValueError("no sentences to score")
    lists = reference_lists(refs)
    _check_length("refs", lists, hyps)
    # None, not a repetition: a repeated reference would change TER, see `rectangular`.
    most = max(map(len, lists))
    return hyps, [[choices[j] if j < len(choices) else None for choices in lists] for j in range(most)]


def matching_texts(
    sources: Iterable[str], hyps: Iterable[str], refs: Iterable[Iterable[str]]
) -> tuple[list[str], list[str], list[list[str]]]:
    """Sources, hypotheses and references as lists of the same length.

    Raises:
        TypeError: an argument is not a list of strings.
        ValueError: the lists differ in length.
    """
    hyps = text_list("hyps", hyps)
    sources, lists = text_list("sources", sources), reference_lists(refs)
    _check_length("sources", sources, hyps)
    _check_length("refs", lists, hyps)
    return sources, hyps, lists


def reference_lists(refs: Iterable[Iterable[str]]) -> list[list[str]]:
    """The references of each sentence, read once.

    Raises:
        TypeError: `refs` is not a list of lists of strings.
        ValueError: a sentence has no reference.
    """
    if isinstance(refs, str) or not hasattr(refs, "__iter__"):
        raise TypeError(f"refs must be a list with a list of texts for each sentence, got {type(refs).__name__}")
    lists = [text_list(f"refs[{i}]", choices) for i, choices in enumerate(refs)]
    for i, choices in enumerate(lists):
        if not choices:
            raise ValueError(f"refs[{i}] is empty; every sentence needs a reference")
    return lists


def _check_length(name: str, entries: Sequence[Any], hyps: Sequence[str]) -> None:
    if len(entries) != len(hyps):
        raise ValueError(f"{len(hyps)} hyps but {len(entries)} {name}; give one for each sentence")


@contextlib.contextmanager
def sacrebleu_seed(seed: int) -> Iterator[None]:
    """Set sacreBLEU's random seed inside a `with` block.

    Raises:
        TypeError: the seed is not a whole number.
        ValueError: the seed is below 1.
    """
    seed = whole_number("seed", seed, 1)  # sacreBLEU's paired tests treat 0 as "no seed".
    # The user may have set it for sacreBLEU's own command line.
    before = os.environ.get("SACREBLEU_SEED")
    os.environ["SACREBLEU_SEED"] = str(seed)
    try:
        yield
    finally:
        if before is None:
            del os.environ["SACREBLEU_SEED"]
        else:
            os.environ["SACREBLEU_SEED"] = before
