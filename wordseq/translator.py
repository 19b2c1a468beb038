"""Translating from Python: `Translator.load("runs/mine")(["I am cold."])`. TensorFlow is imported with this module."""

from wordseq.system.tensorflow import import_tensorflow

import_tensorflow()

from wordseq.decoding.translator import Hypothesis, Sampling, Translator

__all__ = ["Hypothesis", "Sampling", "Translator"]
