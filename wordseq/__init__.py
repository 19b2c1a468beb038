"""Recurrent sequence-to-sequence models on sentence pairs."""

from typing import TYPE_CHECKING, Any

from wordseq.system.environment import set_environment

if TYPE_CHECKING:
    from wordseq.decoding.translator import Translator as Translator

__all__ = ["Translator"]

set_environment()


def __getattr__(name: str) -> Any:
    """`wordseq.Translator`, loaded with TensorFlow when it is first asked for."""
    if name == "Translator":
        from wordseq.system.tensorflow import import_tensorflow

        import_tensorflow()
        from wordseq.decoding.translator import Translator

        return Translator
    raise AttributeError(f"module 'wordseq' has no attribute {name!r}")
