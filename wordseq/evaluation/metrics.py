"""Texts to scores: BLEU, chrF and TER by sacreBLEU, with their intervals.

A score never travels without its signature (Post 2018, "A Call for Clarity in Reporting BLEU Scores"). sacreBLEU's
signature leaves out the n-gram order: it is 4 for BLEU everywhere here. sacreBLEU scores transposed references 100
and never complains, so shapes are checked here first.

Every random draw follows one `seed`. sacreBLEU reads it from the environment variable SACREBLEU_SEED only, which is
set for the length of a call and put back. It takes about 80 bytes of memory per sentence and resample.
"""

import contextlib
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from sacrebleu.metrics import BLEU, CHRF, TER

from wordseq.system.arguments import text_list, whole_number
from wordseq.text.vocab import SPECIALS, UNK_ID

DEFAULT_SEED = 12345  # sacreBLEU's own

# Those of sacreBLEU's tokenizers that need neither a download nor a package more.
BLEU_TOKENIZERS = ("13a", "char", "intl", "none", "zh")

LENGTH_BUCKETS = ((0, 0), (1, 5), (6, 10), (11, 15), (16, 20), (21, 30), (31, None))

# The largest value a metric can take. TER has none: a long hypothesis needs more edits than the reference has words.
_HIGHEST = MappingProxyType({"bleu": 100.0, "chrf": 100.0, "ter": math.inf})


def bleu_tokenizer(pretokenized: bool) -> str:
    """SacreBLEU's default tokenizer, or the one that splits at spaces alone, for text that is tokenized already."""
    return "none" if pretokenized else "13a"


@dataclass(frozen=True)
class Score:
    """One metric over a test set.

    Attributes:
        name: sacreBLEU's name: BLEU, chrF2 or TER.
        score: BLEU and chrF2 0-100, higher is better; TER 0 upwards, in percent, lower is better.
        ci95: lowest and highest value of the 95 % bootstrap interval, in the unit of `score`.
        signature: sacreBLEU's, in full.
        mean: of the resamples; sacreBLEU prints it as μ.
        half_width: of the interval; sacreBLEU prints it behind ±.
    """

    name: str
    score: float
    ci95: tuple[float, float]
    signature: str
    mean: float
    half_width: float


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

    The interval is sacreBLEU's own: the mean of the resamples, plus and minus half the width of their middle 95 %
    (Koehn 2004), cut off at 0 and 100 and, where rounding or a handful of sentences asks for it, widened to hold the
    score. `tokenize="none", lowercase=True` scores text that is tokenized already, as older papers do. Of the two,
    `tokenize` is BLEU's alone (chrF ignores spaces, TER splits at them) and `lowercase` is for BLEU and chrF (TER
    ignores case in either setting; its signature says `case:lc`).

    Args:
        hyps: one hypothesis a sentence; a list, a generator, an open file, a pandas Series or a NumPy array.
        refs: `refs[i]` are the references of sentence i, one or more; their number may differ.
        tokenize: one of `BLEU_TOKENIZERS`.
        lowercase: whether case is ignored.
        bootstrap: resamples, at least 2.
        seed: of the resamples, at least 1; the same seed gives the interval of sacreBLEU's command line.

    Raises:
        TypeError: a text is no string, a list of them is one string or no list, or a number is not whole.
        ValueError: texts that do not fit together, or an argument out of range.
    """
    hyps, columns = reference_columns(hyps, refs)
    bootstrap = whole_number("bootstrap", bootstrap, 2)
    scores = {}
    with sacrebleu_seed(seed):
        for key, metric in sacrebleu_metrics(tokenize, lowercase).items():
            result = metric.corpus_score(hyps, columns, n_bootstrap=bootstrap)
            # sacreBLEU keeps the two numbers it prints as "μ = mean ± ci" in these attributes.
            score, mean, half = float(result.score), float(result._mean), float(result._ci)
            interval = min(max(mean - half, 0.0), score), max(min(mean + half, _HIGHEST[key]), score)
            scores[key] = Score(result.name, score, interval, str(metric.get_signature()), mean, half)
    return scores


def bleu(
    hyps: Iterable[str], refs: Iterable[Iterable[str]], *, tokenize: str = "13a", lowercase: bool = False
) -> float:
    """BLEU, 0-100, without an interval: for validation while training. Arguments and errors as `score_corpus`."""
    return float(_corpus_bleu(hyps, refs, tokenize, lowercase).score)


def with_whole_unk(hyps: Sequence[str]) -> list[str]:
    """Texts in which an unknown word is one wrong token, where 13a makes the three `<`, `unk` and `>` of it."""
    return [hyp.replace(SPECIALS[UNK_ID], "\u2047") for hyp in hyps]


def length_ratio(
    hyps: Iterable[str], refs: Iterable[Iterable[str]], *, tokenize: str = "13a", lowercase: bool = False
) -> float:
    """Tokens of the hypotheses over those of the references nearest in length, as BLEU's brevity penalty has them."""
    return float(_corpus_bleu(hyps, refs, tokenize, lowercase).ratio)


def sentence_bleu(
    hyps: Iterable[str], refs: Iterable[Iterable[str]], *, tokenize: str = "13a", lowercase: bool = False
) -> list[float]:
    """BLEU of every sentence, 0-100, over the n-gram orders that its hypothesis is long enough for.

    Good for sorting sentences, not for comparing systems. Arguments and errors as `score_corpus`.
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
    """BLEU by length of the source in space-separated words, the same unit at every token level.

    Returns:
        For every bucket of `LENGTH_BUCKETS` that has sentences: `words` such as "6-10", `sentences`, `bleu`.
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
    """As many references for each sentence, for files of one reference a line.

    sacreBLEU's files cannot leave one out, so where a sentence has fewer, they stand again in turn. It changes neither
    BLEU nor chrF, nor TER where the number of a sentence's references divides the largest.
    """
    most = max(map(len, refs), default=0)
    return [[choices[k % len(choices)] for k in range(most)] for choices in refs]


class _OneType:
    """A metric whose scores of resamples are all of one type.

    sacreBLEU 2.6 gives a plain 0.0 or 1.0 where nothing matches (chrF) or the references are blank (TER), and NumPy numbers
    elsewhere: `statistics.mean` refuses both together.
    """

    def _compute_score_from_stats(self, stats: Any) -> Any:
        found = super()._compute_score_from_stats(stats)  # type: ignore[misc]
        # The sums of randomisation are whole numbers; a score must not become one.
        if hasattr(stats, "dtype") and stats.dtype.kind == "f":
            found.score = stats.dtype.type(found.score)
        return found


class _OneTypeCHRF(_OneType, CHRF):
    pass


class _OneTypeTER(_OneType, TER):
    pass


def sacrebleu_metrics(tokenize: str, lowercase: bool) -> dict[str, Any]:
    """SacreBLEU's metrics by the keys "bleu", "chrf", "ter".

    Raises:
        ValueError: an unknown tokenizer.
    """
    return {
        "bleu": _bleu_metric(tokenize, lowercase),
        "chrf": _OneTypeCHRF(lowercase=lowercase),
        "ter": _OneTypeTER(),
    }


def _bleu_metric(tokenize: str, lowercase: bool, effective_order: bool = False) -> Any:
    if tokenize not in BLEU_TOKENIZERS:
        raise ValueError(f"unknown BLEU tokenizer {tokenize!r}; choose from {', '.join(BLEU_TOKENIZERS)}")
    # `force` only silences the warning that text looks tokenized.
    return BLEU(lowercase=lowercase, tokenize=tokenize, effective_order=effective_order, force=tokenize == "none")


def _corpus_bleu(hyps: Iterable[str], refs: Iterable[Iterable[str]], tokenize: str, lowercase: bool) -> Any:
    hyps, columns = reference_columns(hyps, refs)
    return _bleu_metric(tokenize, lowercase).corpus_score(hyps, columns)


def reference_columns(
    hyps: Iterable[str], refs: Iterable[Iterable[str]], name: str = "hyps"
) -> tuple[list[str], list[list[str | None]]]:
    """Hypotheses, and references as sacreBLEU wants them.

    Column j has every sentence's reference j, None where it has none.

    Raises:
        TypeError: hypotheses, called `name` in the message, or references are not lists of strings.
        ValueError: they do not fit together, or there are none.
    """
    hyps = text_list(name, hyps)
    if not hyps:
        raise ValueError("no sentences to score")
    lists = reference_lists(refs)
    _check_length("refs", lists, hyps)
    most = max(map(len, lists))
    return hyps, [[choices[j] if j < len(choices) else None for choices in lists] for j in range(most)]


def matching_texts(
    sources: Iterable[str], hyps: Iterable[str], refs: Iterable[Iterable[str]]
) -> tuple[list[str], list[str], list[list[str]]]:
    """Sources, hypotheses and references as lists of the same length.

    Raises:
        TypeError: they are not lists of strings.
        ValueError: they differ in length.
    """
    hyps = text_list("hyps", hyps)
    sources, lists = text_list("sources", sources), reference_lists(refs)
    _check_length("sources", sources, hyps)
    _check_length("refs", lists, hyps)
    return sources, hyps, lists


def reference_lists(refs: Iterable[Iterable[str]]) -> list[list[str]]:
    """The references of each sentence, read once.

    Raises:
        TypeError: they are not lists of strings.
        ValueError: a sentence has none.
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
        raise ValueError(f"{len(hyps)} hyps but {len(entries)} {name}; there must be one for each sentence")


@contextlib.contextmanager
def sacrebleu_seed(seed: int) -> Iterator[None]:
    """Within it sacreBLEU draws by this seed.

    Raises:
        TypeError: the seed is not a whole number.
        ValueError: it is below 1.
    """
    seed = whole_number("seed", seed, 1)  # sacreBLEU's paired tests take 0 for "no seed".
    before = os.environ.get("SACREBLEU_SEED")
    os.environ["SACREBLEU_SEED"] = str(seed)
    try:
        yield
    finally:
        if before is None:
            del os.environ["SACREBLEU_SEED"]
        else:
            os.environ["SACREBLEU_SEED"] = before
