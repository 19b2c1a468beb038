"""Recurrent sequence-to-sequence models on sentence pairs.

    run = wordseq.train(pairs, "runs/mine", level="word", cell="lstm")
    run.evaluate()
    run.translate(["I am cold."])

TensorFlow is loaded when something first needs it.
"""

import importlib
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from wordseq.system.environment import set_environment

if TYPE_CHECKING:
    from wordseq.api.comparison import Comparison as Comparison
    from wordseq.api.comparison import compare as compare
    from wordseq.api.data import read_pairs as read_pairs
    from wordseq.api.run import Run as Run
    from wordseq.api.run import load as load
    from wordseq.api.run import train as train
    from wordseq.decoding.translator import Hypothesis as Hypothesis
    from wordseq.decoding.translator import Sampling as Sampling
    from wordseq.decoding.translator import Translator as Translator
    from wordseq.evaluation.scores import Scores as Scores
    from wordseq.system.errors import UserError as UserError

_MODULES = MappingProxyType(
    {
        "train": "wordseq.api.run",
        "load": "wordseq.api.run",
        "Run": "wordseq.api.run",
        "read_pairs": "wordseq.api.data",
        "compare": "wordseq.api.comparison",
        "Comparison": "wordseq.api.comparison",
        "Scores": "wordseq.evaluation.scores",
        "Translator": "wordseq.decoding.translator",
        "Hypothesis": "wordseq.decoding.translator",
        "Sampling": "wordseq.decoding.translator",
        "UserError": "wordseq.system.errors",
    }
)
"""Where the parts of the Python interface are defined."""

__all__ = [
    "Comparison",
    "Hypothesis",
    "Run",
    "Sampling",
    "Scores",
    "Translator",
    "UserError",
    "compare",
    "load",
    "read_pairs",
    "train",
]

set_environment()


def __getattr__(name: str) -> Any:
    """A part of the interface, loaded when it is first used."""
    if name == "__version__":
        from wordseq.system.platform import installed_version

        return installed_version("wordseq") or "unknown"
    if name not in _MODULES:
        raise AttributeError(f"module 'wordseq' has no attribute {name!r}")
    if _MODULES[name] == "wordseq.decoding.translator":
        from wordseq.system.tensorflow import import_tensorflow

        import_tensorflow()
    return getattr(importlib.import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
