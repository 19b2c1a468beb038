"""Attention weights from the tokens of a translation to those of its source."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wordseq.batches.id_store import IdStore
from wordseq.evaluation.metrics.bleu import DEFAULT_SEED
from wordseq.text.features import word_of

if TYPE_CHECKING:
    from wordseq.decoding.translator import Translator

END = "</s>"
"""Name of EOS."""

HEAT_MAPS = 3
"""Number of sentences whose attention is shown."""

HEAT_MAP_CHARS = (20, 60)
"""Fewest and most characters of their sources: neither trivial nor too wide for a page."""


@dataclass(frozen=True)
class Alignment:
    """The attention of one translation: `weights[t][s]` of target token t to source token s; both end with `END`.

    A feature is written in brackets. The characters of a spelled word are tokens, the first one after "▁".
    """

    src_tokens: list[str]
    tgt_tokens: list[str]
    weights: list[list[float]]


def chosen_sentences(sources: Sequence[str]) -> list[int]:
    """Positions of the sentences whose attention is shown: a random sample of those of medium length."""
    low, high = HEAT_MAP_CHARS
    lengths = [len(word_of(source)) for source in sources]
    fitting = [i for i, length in enumerate(lengths) if low <= length <= high]
    fitting = fitting or sorted(range(len(sources)), key=lengths.__getitem__)[:HEAT_MAPS]
    return sorted(random.Random(DEFAULT_SEED).sample(fitting, min(HEAT_MAPS, len(fitting))))


def attention_of(translator: "Translator", pairs: Sequence[tuple[str, str]]) -> list[Alignment]:
    """The attention of given translations, by forced decoding.

    Args:
        translator: its model has attention.
        pairs: normalised sources, each with its translation.

    Raises:
        ValueError: the model has no attention.
    """
    src, tgt = translator.src, translator.tgt
    found = translator.scorer.alignments(
        IdStore.of([src.to_ids(source) for source, _ in pairs]), IdStore.of([tgt.to_ids(hyp) for _, hyp in pairs])
    )
    return [
        Alignment([*src.shown(src.tokenize(source)), END], [*tgt.shown(tgt.tokenize(hyp)), END], weights_ts.tolist())
        for (source, hyp), weights_ts in zip(pairs, found, strict=True)
    ]
