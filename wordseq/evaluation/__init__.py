"""Scores of translations, significance tests, tables and records.

`score_corpus` and `Score` are those of `metrics.corpus`; sacreBLEU is imported when they are first used.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wordseq.evaluation.metrics.corpus import Score as Score
    from wordseq.evaluation.metrics.corpus import score_corpus as score_corpus

__all__ = ["Score", "score_corpus"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from wordseq.evaluation.metrics import corpus

        return getattr(corpus, name)
    raise AttributeError(f"module 'wordseq.evaluation' has no attribute {name!r}")
