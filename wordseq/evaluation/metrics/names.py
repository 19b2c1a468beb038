"""Names, directions and order of the metrics; this module imports nothing, so tables and progress lines start at once."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

SENTENCES, WORDS = "sentences", "words"
"""Kinds of task: outputs of several words, and outputs that are single words."""

UNITS: Mapping[str, str] = MappingProxyType({SENTENCES: "sentence", WORDS: "word"})
"""What a task's outputs are counted in, by kind of task."""

NAMES: Mapping[str, str] = MappingProxyType(
    {
        "bleu": "BLEU",
        "chrf": "chrF2",
        "ter": "TER",
        "exact": "EXACT",
        "ser": "SER",
        "cer": "CER",
        "wer": "WER",
        "f1": "F1",
        "subword_precision": "Precision",
        "subword_recall": "Recall",
        "loss": "loss",
    }
)
"""Names to show, by key; `loss` is the dev loss, which can select a checkpoint."""

LOWER_IS_BETTER = frozenset({"ter", "ser", "cer", "wer", "loss"})

_ORDER = MappingProxyType(
    {
        SENTENCES: ("bleu", "chrf", "ter", "exact", "ser", "cer", "wer", "f1", "subword_precision", "subword_recall"),
        WORDS: ("exact", "ser", "f1", "subword_precision", "subword_recall", "cer", "wer", "bleu", "chrf", "ter"),
    }
)

_OF_SUBWORDS = ("f1", "subword_precision", "subword_recall")
"""Metrics of references that are cut into subwords."""

_MAIN = 3


def metrics_of(found: Mapping[str, Any]) -> tuple[str, ...]:
    """The keys of all metrics of an evaluation, of a row of a comparison or of a record; those of its `task` come first."""
    return tuple(key for key in _ORDER[found.get("task", SENTENCES)] if key in found or key not in _OF_SUBWORDS)


def main_metrics(found: Mapping[str, Any]) -> tuple[str, ...]:
    """The keys of the three metrics that a narrow table shows: the first ones of `metrics_of`."""
    return metrics_of(found)[:_MAIN]


def shown_of(task: str, select_by: str) -> tuple[str, ...]:
    """The dev scores that a line on a validation has: what decides, then the task's, then the loss."""
    # BLEU of single words tells little. EXACT is 0 in the first epochs, in which SER falls.
    return tuple(dict.fromkeys([select_by, *(_ORDER[WORDS][:2] if task == WORDS else ("bleu",)), "loss"]))


def gain(key: str, score: float) -> float:
    """A score as a number that is higher where the score is better."""
    return -score if key in LOWER_IS_BETTER else score


def dev_score(key: str, score: float) -> str:
    """A score of the dev split for a line of text, such as "dev BLEU 12.50" or "dev loss 1.234"."""
    return f"{dev_name(key)} {score_text(key, score)}"


def score_text(key: str, score: float) -> str:
    """A score of validation as text: losses have three decimals, others two."""
    return format(score, ".3f" if key == "loss" else ".2f")


def dev_name(key: str) -> str:
    """The name of a metric of the dev split, such as "dev BLEU"."""
    return f"dev {NAMES[key]}"
