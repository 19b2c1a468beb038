"""BLEU, chrF and TER of texts, by sacreBLEU.

All random draws follow one `seed`. sacreBLEU reads it only from the environment variable SACREBLEU_SEED, which is set during a
call and restored afterwards.
"""

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from sacrebleu.metrics import BLEU, CHRF, TER

from wordseq.config.arguments import whole_number
from wordseq.config.schema import BLEU_TOKENIZERS
from wordseq.evaluation.metrics.edit_rate import translation_edits
from wordseq.evaluation.metrics.references import reference_columns
from wordseq.text.vocab import SPECIALS, UNK_ID

DEFAULT_SEED = 12345  # sacreBLEU's own


def bleu(
    hyps: Iterable[str], refs: Iterable[Iterable[str]], *, tokenize: str = "13a", lowercase: bool = False
) -> float:
    """BLEU, 0-100, without an interval, for validation. Arguments and errors as `score_corpus`."""
    return float(_corpus_bleu(hyps, refs, tokenize, lowercase).score)


def chrf(hyps: Iterable[str], refs: Iterable[Iterable[str]]) -> float:
    """ChrF2, 0-100, without an interval, for validation. Arguments and errors as `score_corpus`."""
    return float(_OneTypeCHRF().corpus_score(*reference_columns(hyps, refs)).score)


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
