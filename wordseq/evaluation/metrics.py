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
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from sacrebleu.metrics import BLEU, CHRF, TER

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
    hyps: Sequence[str],
    refs: Sequence[Sequence[str]],
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
        hyps: one hypothesis a sentence.
        refs: `refs[i]` are the references of sentence i, one or more; their number may differ.
        tokenize: one of `BLEU_TOKENIZERS`.
        lowercase: whether case is ignored.
        bootstrap: resamples, at least 2.
        seed: of the resamples, at least 1; the same seed gives the interval of sacreBLEU's command line.

    Raises:
        ValueError: texts that do not fit together or are no strings, or an argument out of range.
    """
    columns = reference_columns(hyps, refs)
    if bootstrap < 2:
        raise ValueError(f"bootstrap must be at least 2 resamples, got {bootstrap}")
    scores = {}
    with sacrebleu_seed(seed):
        for key, metric in sacrebleu_metrics(tokenize, lowercase).items():
            result = metric.corpus_score(list(hyps), columns, n_bootstrap=bootstrap)
            # sacreBLEU keeps the two numbers it prints as "μ = mean ± ci" in these attributes.
            score, mean, half = float(result.score), float(result._mean), float(result._ci)
            interval = min(max(mean - half, 0.0), score), max(min(mean + half, _HIGHEST[key]), score)
            scores[key] = Score(result.name, score, interval, str(metric.get_signature()), mean, half)
    return scores


def bleu(
    hyps: Sequence[str], refs: Sequence[Sequence[str]], *, tokenize: str = "13a", lowercase: bool = False
) -> float:
    """BLEU, 0-100, without an interval: for validation while training. Arguments and errors as `score_corpus`."""
    return float(_corpus_bleu(hyps, refs, tokenize, lowercase).score)


def with_whole_unk(hyps: Sequence[str]) -> list[str]:
    """Texts in which an unknown word is one wrong token, where 13a makes the three `<`, `unk` and `>` of it."""
    return [hyp.replace(SPECIALS[UNK_ID], "\u2047") for hyp in hyps]


def length_ratio(
    hyps: Sequence[str], refs: Sequence[Sequence[str]], *, tokenize: str = "13a", lowercase: bool = False
) -> float:
    """Tokens of the hypotheses over those of the references nearest in length, as BLEU's brevity penalty has them."""
    return float(_corpus_bleu(hyps, refs, tokenize, lowercase).ratio)


def sentence_bleu(
    hyps: Sequence[str], refs: Sequence[Sequence[str]], *, tokenize: str = "13a", lowercase: bool = False
) -> list[float]:
    """BLEU of every sentence, 0-100, over the n-gram orders that its hypothesis is long enough for.

    Good for sorting sentences, not for comparing systems. Arguments and errors as `score_corpus`.
    """
    reference_columns(hyps, refs)
    metric = _bleu_metric(tokenize, lowercase, effective_order=True)
    return [float(metric.sentence_score(hyp, list(choices)).score) for hyp, choices in zip(hyps, refs, strict=True)]


def by_length(
    sources: Sequence[str],
    hyps: Sequence[str],
    refs: Sequence[Sequence[str]],
    *,
    tokenize: str = "13a",
    lowercase: bool = False,
) -> list[dict[str, Any]]:
    """BLEU by length of the source in space-separated words, the same unit at every token level.

    Returns:
        For every bucket of `LENGTH_BUCKETS` that has sentences: `words` such as "6-10", `sentences`, `bleu`.
    """
    check_lengths(hyps, sources=sources, refs=refs)
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


def _corpus_bleu(hyps: Sequence[str], refs: Sequence[Sequence[str]], tokenize: str, lowercase: bool) -> Any:
    columns = reference_columns(hyps, refs)
    return _bleu_metric(tokenize, lowercase).corpus_score(list(hyps), columns)


def reference_columns(hyps: Sequence[str], refs: Sequence[Sequence[str]], name: str = "hyps") -> list[list[str | None]]:
    """The references as sacreBLEU wants them: column j has every sentence's reference j, None where it has none.

    Raises:
        ValueError: hypotheses, called `name` in the message, and references do not fit together or are not strings.
    """
    _check_texts(name, hyps)
    if not hyps:
        raise ValueError("no sentences to score")
    check_lengths(hyps, refs=refs)
    for i, choices in enumerate(refs):
        _check_texts(f"refs[{i}]", choices)
        if not choices:
            raise ValueError(f"refs[{i}] is empty; every sentence needs a reference")
    most = max(map(len, refs))
    return [[choices[j] if j < len(choices) else None for choices in refs] for j in range(most)]


def _check_texts(name: str, texts: Sequence[str]) -> None:
    if not _is_list(texts):
        raise ValueError(f"{name} must be a list of strings, got {type(texts).__name__}")
    wrong = next((i for i, text in enumerate(texts) if not isinstance(text, str)), None)
    if wrong is not None:
        raise ValueError(f"{name}[{wrong}] must be a string, got {type(texts[wrong]).__name__}")


def _is_list(value: object) -> bool:
    # A string is a sequence of strings too, and scoring it letter by letter helps nobody.
    return isinstance(value, Sequence) and not isinstance(value, str)


def check_lengths(hyps: Sequence[str], **others: Sequence[Any]) -> None:
    """Check that every other list has one entry for each hypothesis.

    Raises:
        ValueError: it is no list, or has another length.
    """
    for name, other in others.items():
        if not _is_list(other):
            raise ValueError(f"{name} must be a list with an entry a sentence, got {type(other).__name__}")
        if len(other) != len(hyps):
            raise ValueError(f"{len(hyps)} hyps but {len(other)} {name}; there must be one entry a sentence")


@contextlib.contextmanager
def sacrebleu_seed(seed: int) -> Iterator[None]:
    """Within it sacreBLEU draws by this seed.

    Raises:
        ValueError: the seed is not a whole number of at least 1.
    """
    # sacreBLEU's paired tests take 0 for "no seed".
    if type(seed) is not int or seed < 1:
        raise ValueError(f"seed must be a whole number of at least 1, got {seed!r}")
    before = os.environ.get("SACREBLEU_SEED")
    os.environ["SACREBLEU_SEED"] = str(seed)
    try:
        yield
    finally:
        if before is None:
            del os.environ["SACREBLEU_SEED"]
        else:
            os.environ["SACREBLEU_SEED"] = before
